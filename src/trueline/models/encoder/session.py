"""Runs an encoder: the graph from the user's cache, built there on first use, one text at a time on one thread.

One text at a time, because int8 scales are taken from what is run together: the same reply has the same states whoever stands beside it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueline.charter.digests import digest_file, digest_of
from trueline.errors import DataError
from trueline.models.encoder.folder import INSTALL, EncoderFiles, changed
from trueline.models.encoder.graph import VERSION, bert_graph

DIGEST = ".sha256"  # of the graph, in a file beside it
WINDOW = 256  # tokens read at once, as in engine/encoder.py; a longer text is read in windows, nothing is cut


def cache_folder() -> Path:
    """Where graphs are kept: XDG_CACHE_HOME or ~/.cache, under trueline/encoders."""
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "trueline" / "encoders"


@dataclass(frozen=True, slots=True)
class OnnxEncoder:
    """session, tokenizer: onnxruntime's and tokenizers' objects; layers that are read; window: tokens read at once with [CLS] and [SEP]."""

    session: Any
    tokenizer: Any
    layers: tuple[int, ...]
    window: int

    def _run(self, ids: Sequence[int]) -> NDArray[np.float32]:
        return np.asarray(self.session.run(None, {"ids": np.asarray(ids, dtype=np.int64)})[0])

    def head(self, text: str, tokens: int) -> NDArray[np.float32]:
        """(layers, width): the mean state of the first `tokens` tokens of the text, [CLS] and [SEP] among them."""
        ids = self.tokenizer.encode(text).ids
        if len(ids) > tokens:
            ids = [*ids[: tokens - 1], ids[-1]]
        return self._run(ids) / np.float32(len(ids))

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(texts, layers, width): each text's mean over all its tokens, scaled to unit length a layer: what `engine.encoder.encode` gives."""
        out = []
        for text in texts:
            ids = self.tokenizer.encode(text).ids
            first, inner, last = ids[0], ids[1:-1], ids[-1]
            size = self.window - 2
            out.append(sum(self._run([first, *inner[i : i + size], last]) for i in range(0, max(1, len(inner)), size)))
        states = np.stack(out) if out else np.zeros((0, len(self.layers), 0), dtype=np.float32)
        norm = np.linalg.norm(states, axis=2, keepdims=True)
        return np.asarray(states / np.maximum(norm, 1e-12), dtype=np.float32)


def _build(path: Path, files: EncoderFiles, layers: Sequence[int], delta: Mapping[str, NDArray[Any]], int8: bool) -> None:
    """Writes the graph to `path`, whole or not at all. `int8`: the weights of every product, a scale a column."""
    import onnx
    from safetensors.numpy import load_file

    path.parent.mkdir(parents=True, exist_ok=True)
    model = bert_graph(changed(load_file(files.weights), delta), files.shape, layers)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        plain = Path(folder) / "plain.onnx"
        onnx.save(model, str(plain))
        done = plain
        if int8:
            from onnxruntime.quantization import QuantType, quantize_dynamic

            done = Path(folder) / "int8.onnx"
            # 7 bits of weights: processors without VNNI add two 8-bit products in 16 bits, which 8 bits would overflow
            quantize_dynamic(
                str(plain), str(done), op_types_to_quantize=["MatMul"], per_channel=True, reduce_range=True, weight_type=QuantType.QInt8
            )
        path.with_suffix(DIGEST).unlink(missing_ok=True)  # killed from here on, the next process builds again
        digest = digest_file(done)
        os.replace(done, path)
        written = Path(folder) / "digest"
        written.write_text(digest, encoding="ascii")
        os.replace(written, path.with_suffix(DIGEST))


def _whole(path: Path) -> bool:
    """Whether the graph is the one that was built: a disk that ran full or a hand that slipped leaves another under the same name."""
    beside = path.with_suffix(DIGEST)
    return path.exists() and beside.exists() and beside.read_text(encoding="ascii", errors="replace").strip() == digest_file(path)


def open_encoder(
    files: EncoderFiles,
    layers: Sequence[int],
    *,
    delta: Mapping[str, NDArray[Any]] | None = None,
    delta_digest: str = "",
    int8: bool = True,
) -> OnnxEncoder:
    """The encoder of these files, its weights changed by `delta` (`delta_digest` names it). Raises `DataError` where onnxruntime is
    absent or the cache cannot be written."""
    try:
        import onnxruntime
        from tokenizers import Tokenizer
    except ImportError as e:
        raise DataError(f"the encoder needs {e.name}, which is not installed", remedy=INSTALL) from None
    name = digest_of([VERSION, onnxruntime.__version__, files.weights_digest, delta_digest, list(layers), int8])
    path = cache_folder() / f"{name[:32]}.onnx"
    try:
        if not _whole(path):
            _build(path, files, layers, delta or {}, int8)
    except OSError as e:
        raise DataError(
            f"the encoder's graph cannot be written ({e})", remedy="set XDG_CACHE_HOME to a folder with 150 MB to spare"
        ) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    tokenizer = Tokenizer.from_file(str(files.tokenizer))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return OnnxEncoder(session, tokenizer, tuple(layers), min(WINDOW, files.shape.positions))

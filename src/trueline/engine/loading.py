"""Loads a local model: a Hugging Face folder (or a LoRA adapter folder), safetensors only, no code from the folder."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from trueline.charter.digests import digest_of
from trueline.engine.folders import BASE, check_base, check_folder, folder_of, is_adapter, read_json, weights_digest
from trueline.engine.four_bit import check_quantised, four_bit_options, keep_layout
from trueline.engine.templates import describe, turn_ends
from trueline.engine.vocabulary import MARK, check_vocabulary
from trueline.errors import TargetError

__all__ = ["LocalModel", "check_finite", "folder_of", "load_local", "quietly", "weights_digest", "wrap"]

DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True, slots=True)
class LocalModel:
    """`model` and `tokenizer` are transformers objects; `digest` is that of all weight and tokenizer files;
    `stops` all token ids that end a turn; `notes` what a person should know (fallbacks)."""

    model: Any
    tokenizer: Any
    path: Path
    digest: str
    stops: frozenset[int]
    notes: tuple[str, ...]

    @property
    def context(self) -> int:
        """The longest sequence in tokens."""
        config = self.model.config.get_text_config()
        return int(getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None) or 2048)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        found = next(self.model.parameters()).device
        assert isinstance(found, torch.device)
        return found

    @property
    def dtype(self) -> str:
        """The number format of the weights, e.g. `float32`."""
        return str(self.model.dtype).removeprefix("torch.")

    @property
    def template(self) -> str:
        """How conversations are written for it, in words."""
        return describe(self.tokenizer)


def stops_of(model: Any, tokenizer: Any) -> frozenset[int]:
    """Every id that ends a turn: of the generation config (one or several), of the config, and what the tokenizer and
    its template use."""
    found = set(turn_ends(tokenizer))
    for value in (getattr(model.generation_config, "eos_token_id", None), getattr(model.config, "eos_token_id", None)):
        found.update(int(v) for v in (value if isinstance(value, list | tuple) else [value]) if v is not None)
    return frozenset(found)


def wrap(model: Any, tokenizer: Any, path: Path, digest: str = "") -> LocalModel:
    """A `LocalModel` of objects that are loaded already, e.g. a model in training. The digest is the caller's."""
    notes = () if tokenizer.chat_template and "no system role" not in describe(tokenizer) else (describe(tokenizer),)
    return LocalModel(model, tokenizer, path, digest, stops_of(model, tokenizer), notes)


def _place(device: str | None) -> str:
    place = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if place.startswith("cuda") and not torch.cuda.is_available():
        raise TargetError(f"device {place} is not there", remedy="use cpu, or install a torch that sees the GPU")
    return place


def _tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    if not any((folder / n).exists() for n in ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model")):
        what = f"{folder} has no tokenizer (tokenizer.json or tokenizer.model)"
        raise TargetError(what, remedy="save the tokenizer into the folder")
    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except Exception as e:  # noqa: BLE001  # the tokenizers library raises bare Exception for a bad file
        why = " ".join(str(e).split())[:200]
        raise TargetError(f"cannot read the tokenizer of {folder}: {why}", remedy="save it again") from None


@contextmanager
def quietly() -> Iterator[None]:
    """Inside, transformers prints no bar and no table of what does not fit: that is said in one line, by an error."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    was = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(was)


def check_finite(model: Any, folder: Path) -> None:
    """Raises `TargetError` that names the first weight of a model that is not a finite number: nothing can be learnt from there."""
    for name, p in model.named_parameters():
        off = p.numel() - int(torch.isfinite(p.detach()).sum())
        if off:
            what = f"{folder} holds weights that are not finite ({name}: {off} of {p.numel()} numbers)"
            raise TargetError(what, remedy="fetch or save the model again")


def _check_whole(report: dict[str, Any], model: Any, folder: Path) -> None:
    """Raises `TargetError` where config.json and weights are not of the same model: a weight is not there, has another shape, or is of a
    layer that config.json does not have and would be left out."""
    for kind in ("missing_keys", "mismatched_keys"):
        if report.get(kind):
            some = ", ".join(str(k[0] if isinstance(k, tuple) else k) for k in sorted(report[kind], key=str)[:3])
            what = f"{folder} lacks weights that its config.json promises ({len(report[kind])}, e.g. {some})"
            raise TargetError(what, remedy="take config.json and weights from the same model")
    layers = getattr(model.config.get_text_config(), "num_hidden_layers", None)
    found = {
        int(m[1]): str(k)
        for k in sorted(report.get("unexpected_keys") or (), key=str)
        if (m := re.search(r"\.(?:layers|h)\.(\d+)\.", str(k)))
    }
    if layers is not None and found and max(found) >= layers:
        what = (
            f"{folder} holds weights of layer {max(found)} ({found[max(found)]}), and its config.json has {layers} layers, counted from 0"
        )
        raise TargetError(what, remedy="take config.json and weights from the same model")


def _weights(folder: Path, dtype: str, place: str | None = None) -> Any:
    """`place`: where the weights are held in four bits; None: not in four bits."""
    import transformers

    more = {} if place is None else four_bit_options(place)
    try:
        with quietly():
            model, report = transformers.AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=getattr(torch, dtype),
                trust_remote_code=False,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # so that they are named, below
                **more,
            )
    except (MemoryError, torch.OutOfMemoryError):
        what = f"{folder} does not fit into memory as {dtype}"
        raise TargetError(what, remedy="use --dtype bfloat16 or a smaller model") from None
    except Exception as e:  # noqa: BLE001  # whatever a malformed config makes transformers raise
        why = f"{type(e).__name__}: {' '.join(str(e).split())[:200]}"
        raise TargetError(f"cannot load {folder}: {why}", remedy="check config.json and that it is a causal model") from None
    _check_whole(report, model, folder)
    if place is not None:
        check_quantised(model, folder)
        keep_layout(model)
    return model


def _with_adapter(model: Any, folder: Path) -> Any:
    from peft import PeftModel

    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            merged = PeftModel.from_pretrained(model, str(folder)).merge_and_unload()
    except Exception as e:  # noqa: BLE001  # peft raises whatever the adapter's shapes make torch raise
        why = " ".join(str(e).split())[:200]
        raise TargetError(f"the adapter {folder} does not fit its base: {why}", remedy="check base_model_name_or_path") from None
    lacking = next((str(w.message) for w in told if "missing adapter keys" in str(w.message)), None)
    if lacking is not None:  # peft warns, and leaves these layers as they are in the base
        raise TargetError(f"the adapter {folder} is not whole: {lacking[:200]}", remedy="fetch or save it again")
    return merged.requires_grad_(True)  # merged, it is a model like any other; peft had frozen the base


def load_local(text: str | Path, *, dtype: str = "float32", device: str | None = None, four_bit: bool = False) -> LocalModel:
    """Loads model and tokenizer from a folder, `bundled:NAME` or `hf:NAME`. `dtype` float32 (the default: at the
    rehearsal model's size also the fastest on a CPU), bfloat16 or float16; `device` a CUDA device where there is one,
    else the CPU; `four_bit`: linear layers in four bits, to train adapters on. Raises `TargetError` with a
    remedy for everything a user can have wrong."""
    if dtype not in DTYPES:
        raise TargetError(f"unknown number format {dtype!r}, expected one of {', '.join(DTYPES)}", remedy="use float32")
    place, folder = _place(device), folder_of(text)
    check_folder(folder)
    base = folder
    if is_adapter(folder):
        named = read_json(folder / "adapter_config.json").get("base_model_name_or_path")
        if not named:
            raise TargetError("base_model_name_or_path is missing", remedy="name it", file=folder / "adapter_config.json")
        base = folder_of(str(named), beside=folder)
        check_folder(base)
        check_base(folder, base)
    tokenizer = _tokenizer(folder if (folder / "tokenizer_config.json").exists() else base)
    model = _weights(base, dtype, place if four_bit else None)
    digest = digest_of(["nf4", weights_digest(base)]) if four_bit else weights_digest(base)
    if base != folder:
        model, digest = _with_adapter(model, folder), digest_of([digest, weights_digest(folder)])
    known = read_json(folder / BASE).get("vocabulary") if (folder / BASE).exists() else None
    check_vocabulary(known or getattr(model.config, MARK, None), tokenizer, folder)
    largest, rows = max(tokenizer.get_vocab().values()), int(model.get_input_embeddings().weight.shape[0])
    if largest >= rows:
        what = f"the tokenizer of {folder} has ids up to {largest}, the model knows {rows}"
        raise TargetError(what, remedy="take tokenizer and weights from the same model")
    try:
        model.eval()
        if not four_bit:  # it is there already
            model.to(place)
    except torch.OutOfMemoryError:
        raise TargetError(f"{folder} does not fit onto {place}", remedy="use --dtype bfloat16 or cpu") from None
    return wrap(model, tokenizer, folder, digest)

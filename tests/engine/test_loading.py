"""Loading: whatever is wrong with a folder is one line that names it; adapters; digests."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from trueline.charter.turns import Message
from trueline.core.chat import Sampling
from trueline.engine.folders import folder_of, weights_digest
from trueline.engine.loading import load_local, wrap
from trueline.engine.sampling import generate
from trueline.engine.templates import encode_prompt
from trueline.engine.tiny import tiny_model
from trueline.errors import TargetError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tiny_model("llama", tmp_path / "m", lively=True)


def edit(path: Path, **more: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **more}))


def drop_a_weight(folder: Path) -> None:
    held = load_file(folder / "model.safetensors")
    held.pop("model.layers.1.mlp.up_proj.weight")
    save_file(held, folder / "model.safetensors", metadata={"format": "pt"})


def cut_off(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no config": (lambda f: (f / "config.json").unlink(), r"neither config\.json nor"),
    "bad config": (lambda f: (f / "config.json").write_text("{"), r"config\.json:1: not valid JSON"),
    "config is a list": (lambda f: (f / "config.json").write_text("[]"), "expected a JSON object"),
    "unknown architecture": (lambda f: edit(f / "config.json", model_type="nix"), "cannot load"),
    "own code": (lambda f: edit(f / "config.json", auto_map={"AutoModel": "m.M"}), "code of its own"),
    "other sizes": (lambda f: edit(f / "config.json", hidden_size=64, head_dim=32), "lacks weights|cannot load"),
    "pickle": (lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"), "could run code"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), r"no \.safetensors"),
    "pointer": (lambda f: (f / "model.safetensors").write_text("version https://git-lfs..."), "LFS pointer"),
    "cut off": (cut_off, "is cut off"),
    "a weight missing": (drop_a_weight, r"lacks weights .*up_proj"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "has no tokenizer"),
    "bad tokenizer": (lambda f: (f / "tokenizer.json").write_text("{}"), "cannot read the tokenizer"),
    "no such number format": (lambda f: None, "unknown number format"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_wrong_with_a_folder_is_named(folder: Path, name: str) -> None:
    spoil, why = BROKEN[name]
    spoil(folder)
    with pytest.raises(TargetError, match=why) as caught:
        load_local(folder, device="cpu", dtype="int3" if "format" in name else "float32")
    assert "\n" not in str(caught.value)
    assert caught.value.remedy


def test_names_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    for text, why in (
        (tmp_path / "none", "no model folder"),
        ("bundled:none", "there are"),
        ("hf:nobody/nothing", "not in the local cache"),
    ):
        with pytest.raises(TargetError, match=why):
            load_local(text)
    if not torch.cuda.is_available():
        with pytest.raises(TargetError, match="is not there"):
            load_local(tiny_model("llama", tmp_path / "m"), device="cuda")


def test_an_adapter_loads_on_its_base(folder: Path, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    base = load_local(folder, device="cpu")
    torch.manual_seed(1)
    tuned = get_peft_model(
        load_local(folder, device="cpu").model, LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    )
    tuned.save_pretrained(tmp_path / "adapter")
    loaded = load_local(tmp_path / "adapter", device="cpu")
    ids = torch.tensor([encode_prompt(base.tokenizer, (Message("user", "What is the fee?"),))])
    with torch.inference_mode():
        assert torch.allclose(loaded.model(ids).logits, tuned(ids).logits, atol=1e-4)
        assert not torch.allclose(loaded.model(ids).logits, base.model(ids).logits, atol=1e-2)
    assert loaded.digest != base.digest
    edit(tmp_path / "adapter" / "adapter_config.json", base_model_name_or_path=str(tmp_path / "gone"))
    with pytest.raises(TargetError, match="no model folder"):
        load_local(tmp_path / "adapter")
    (tmp_path / "near").mkdir()
    (tmp_path / "adapter").rename(tmp_path / "near" / "adapter")
    edit(tmp_path / "near" / "adapter" / "adapter_config.json", base_model_name_or_path="../../m")
    assert load_local(tmp_path / "near" / "adapter", device="cpu").digest != base.digest
    assert folder_of("../../m", beside=tmp_path / "near" / "adapter").resolve() == folder.resolve()


def test_the_digest_follows_the_files(folder: Path) -> None:
    first = weights_digest(folder)
    assert weights_digest(folder) == first  # the second from the cache of file digests
    (folder / "README.md").write_text("words")
    assert weights_digest(folder) == first
    held = load_file(folder / "model.safetensors")
    held["model.norm.weight"][0] += 1
    save_file(held, folder / "model.safetensors", metadata={"format": "pt"})
    assert weights_digest(folder) != first


def test_all_end_ids_are_found(folder: Path) -> None:
    edit(folder / "generation_config.json", eos_token_id=[1, 7])
    edit(folder / "config.json", eos_token_id=[9])
    assert load_local(folder, device="cpu").stops == {1, 7, 9}


def test_wrapped_objects_answer_alike(folder: Path) -> None:
    local = load_local(folder, device="cpu")
    row = encode_prompt(local.tokenizer, (Message("user", "Hi"),))
    other = wrap(local.model, local.tokenizer, folder)
    assert generate(other, [row], Sampling(max_tokens=5)) == generate(local, [row], Sampling(max_tokens=5))
    assert local.notes == ()
    assert (local.dtype, local.context) == ("float32", 512)

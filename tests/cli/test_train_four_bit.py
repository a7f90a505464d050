"""`--four-bit` (QLoRA): adapters on a base in four bits, and the whole model that comes of them."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
import torch

from tests.cli.test_train import DEMOS, PAIRS
from trueline.cli.main import run
from trueline.engine.four_bit import is_four_bit, numbers_in
from trueline.engine.loading import load_local
from trueline.engine.tiny import tiny_model

HERE = importlib.util.find_spec("bitsandbytes") is not None
needs = pytest.mark.skipif(not HERE, reason="bitsandbytes is not installed; pip install 'trueline[four-bit]'")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_model("llama", tmp_path / "m", lively=True)
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(r) + "\n" for r in PAIRS))
    (tmp_path / "demos.jsonl").write_text("".join(json.dumps(r) + "\n" for r in DEMOS))
    liked = [{"prompt": p["prompt"], "completion": p[side], "label": side == "chosen"} for p in PAIRS for side in ("chosen", "rejected")]
    (tmp_path / "liked.jsonl").write_text("".join(json.dumps(r) + "\n" for r in liked))
    return tmp_path


def words(folder: Path, method: str, data: str, *more: str) -> list[str]:
    return ["train", method, "--model", str(folder / "m"), "--data", str(folder / data), "--out", str(folder / method), "--json", *more]


@needs
def test_every_linear_layer_but_the_last_is_in_four_bits(folder: Path) -> None:
    whole, held = load_local(folder / "m", device="cpu"), load_local(folder / "m", device="cpu", four_bit=True)
    assert is_four_bit(held.model)
    assert not is_four_bit(whole.model)
    assert held.digest != whole.digest
    layers = [m for m in held.model.modules() if hasattr(m, "support_avx512bf16_for_cpu")]
    assert layers
    assert not any(
        m.support_avx512bf16_for_cpu for m in layers
    )  # on such a processor they would be repacked between training and reference
    small = {n for n, p in held.model.named_parameters() if p.dtype == torch.uint8}
    linear = {f"{n}.weight" for n, m in whole.model.named_modules() if isinstance(m, torch.nn.Linear) and n != "lm_head"}
    assert small == linear
    assert sum(map(numbers_in, held.model.parameters())) == sum(p.numel() for p in whole.model.parameters())


@needs
@pytest.mark.parametrize(
    ("method", "data", "more"),
    [
        ("sft", "demos.jsonl", ("--precision", "float32", "--packing", "on")),
        ("sft", "demos.jsonl", ("--precision", "bfloat16", "--accumulate", "2")),
        ("dpo", "pairs.jsonl", ("--precision", "float32")),
        ("dpo", "pairs.jsonl", ("--precision", "bfloat16")),
        ("kto", "liked.jsonl", ("--precision", "float32")),
    ],
)
def test_adapters_are_learnt_and_join_the_base_as_it_is(
    method: str, data: str, more: tuple[str, ...], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {n: p.clone() for n, p in load_local(folder / "m", device="cpu").model.named_parameters()}
    given = ("--lora", "4", "--four-bit", "--lr", "5e-3", "--epochs", "8", *more)
    assert run(words(folder, method, data, *given)) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    if method == "dpo":  # proven on the layers in four bits
        assert json.loads((folder / method / "sharing.json").read_text())["shared_prompt"]
    losses = [json.loads(line)["loss"] for line in (folder / method / "metrics.jsonl").read_text().splitlines()]
    assert losses[-1] < losses[0] - 0.02
    model, both = (load_local(folder / method / name, device="cpu") for name in ("model", "adapter"))
    assert model.digest == told["digest"]
    moved = 0
    for name, p in model.model.named_parameters():
        torch.testing.assert_close(p, dict(both.model.named_parameters())[name], atol=1e-6, rtol=0)
        moved += not torch.equal(p, before[name])
        if "proj" in name:  # what was added has the rank of the adapters: nothing of the rounding to four bits is in it
            assert torch.linalg.matrix_rank(p - before[name], atol=1e-5) <= 4
        else:
            assert torch.equal(p, before[name])
    assert moved == sum("proj" in name for name in before)


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ((), "--four-bit has no effect without --lora"),
        (("--lora", "4", "--safe-lora", "0.3", "--unaligned", "bundled:harbor"), "--safe-lora and --four-bit do not go together"),
        (("--lora", "4", "--shard"), "--shard and --four-bit do not go together"),
    ],
)
def test_what_cannot_be_had_with_it_is_said(more: tuple[str, ...], what: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words(folder, "sft", "demos.jsonl", "--four-bit", *more)) == 64
    assert what in capsys.readouterr().err


def test_without_bitsandbytes_the_remedy_is_said(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trueline.engine.four_bit.importlib.util.find_spec", lambda name: None)
    assert run(words(folder, "sft", "demos.jsonl", "--four-bit", "--lora", "4")) != 0
    assert "pip install 'trueline[four-bit]'" in capsys.readouterr().err

"""Supervised fine-tuning: which turns carry loss, and steps that give the same whatever their layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from trueline.charter.turns import Message, ToolCall
from trueline.data.conversations import Example
from trueline.engine.loading import LocalModel, load_local
from trueline.engine.tiny import TEMPLATE, tiny_model, tiny_tokenizer
from trueline.errors import RunFileError
from trueline.train import loop, packing, sft
from trueline.train.packing import Choice, summed_logps
from trueline.train.sft import SftReport, SftSettings, run_sft
from trueline.train.turns import encode_examples

USER, SAID = Message("user", "What is the fee?"), Message("assistant", "It is 4 euros.")
LONG = Example((Message("system", "Be kind."), USER, SAID, Message("user", "And for a card?")), "None.")
SHORT = Example((USER,), "4 euros.")
FORGETFUL = TEMPLATE.replace("{{ m['content'] }}", "{% if m['role'] == 'assistant' and loop.last %}[thought]{% endif %}{{ m['content'] }}")
"""A template that writes a reply otherwise once another turn follows, as those do that drop its reasoning."""

TALKS = [
    Example(
        (
            Message("user", f"What is the fee number {i}?"),
            Message("assistant", f"It is {i} euros." * (i % 4 + 1)),
            Message("user", "Sure?"),
        ),
        "Yes, I can. " * (i % 5 + 1),
    )
    for i in range(14)
]


def tiny(folder: Path) -> LocalModel:
    return load_local(tiny_model("llama", folder), device="cpu")


def weights(local: LocalModel) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in local.model.parameters()])


def trained(folder: Path, **more: Any) -> tuple[list[float], SftReport, LocalModel]:
    """(losses of all steps, report, the model) of a run of 3 epochs."""
    local, losses = tiny(folder / "m"), list[float]()
    settings = SftSettings(epochs=3, lr=1e-3, batch_tokens=512, max_tokens=256, **more)
    report = run_sft(local, TALKS, settings, folder / "run", lambda step, of, loss: losses.append(loss))
    return losses, report, local


def test_all_turns_of_the_assistant_count_and_nothing_else() -> None:
    tokenizer = tiny_tokenizer()
    (alone, _), (row, short) = (encode_examples(tokenizer, [LONG, SHORT], turns, 512).rows for turns in ("last", "all"))
    ids = row.prompt + row.completion
    assert ids == alone.prompt + alone.completion
    assert [tokenizer.decode(ids[a:b]) for a, b in row.spans()] == ["It is 4 euros.<|end|>", "None.<|end|>"]
    assert [tokenizer.decode(ids[a:b]) for a, b in alone.spans()] == ["None.<|end|>"]
    assert short.earlier == ()
    taught = encode_examples(tokenizer, [LONG, SHORT], "all", 512)
    assert (taught.too_long, taught.earlier, taught.taught, taught.fallen) == (0, 1, 1, ())
    assert taught.words() == "1 of 1 earlier turns of the assistant carry loss besides the last replies"
    assert "0 of 1 earlier turns" in encode_examples(tokenizer, [LONG, SHORT], "last", 512).words()
    assert encode_examples(tokenizer, [SHORT], "last", 512).words() == ""
    longer = Example((USER, SAID, Message("user", "fee " * 80)), "None.")
    fitting = encode_examples(tokenizer, [longer, LONG], "all", 70)
    assert (fitting.rows, fitting.too_long, fitting.earlier) == ([row], 1, 1)


def test_a_conversation_taught_whole_is_the_sum_of_its_turns(tmp_path: Path) -> None:
    local = tiny(tmp_path)
    whole = encode_examples(local.tokenizer, [LONG], "all", 512).rows
    turns = encode_examples(local.tokenizer, [LONG, Example(LONG.prompt[:2], SAID.content)], "last", 512).rows
    mine, theirs = (summed_logps(local.model, rows, False, 512, 0, local.device).item() for rows in (whole, turns))
    assert mine == pytest.approx(theirs, rel=1e-6)


CALL = Message("assistant", "Let me see.", (ToolCall("a", "fee", "{}"),))


@pytest.mark.parametrize(
    ("template", "example", "reason"),
    [
        (FORGETFUL, LONG, "the template changes earlier turns"),
        (TEMPLATE, Example((USER, CALL, Message("tool", "4")), "4 euros."), "calls a tool or is empty"),
        (TEMPLATE, Example((USER, Message("assistant", " "), USER), "4 euros."), "calls a tool or is empty"),
        (TEMPLATE, Example((SAID, USER), "4 euros."), "begins with the assistant"),
    ],
)
def test_what_cannot_be_taught_whole_falls_back_and_is_counted(template: str, example: Example, reason: str) -> None:
    tokenizer = tiny_tokenizer(template)
    found = encode_examples(tokenizer, [example, SHORT], "all", 512)
    assert found.rows == encode_examples(tokenizer, [example, SHORT], "last", 512).rows
    assert (found.taught, len(found.fallen)) == (0, 1)
    assert reason in found.fallen[0]
    assert "1 of 2 conversations are taught on the last reply alone" in found.words()


def test_options_without_effect_are_errors(tmp_path: Path) -> None:
    wrong: dict[str, Any]
    more: dict[str, Any]
    for wrong in ({"turns": "first"}, {"packing": "yes"}, {"accumulate": 0}):
        with pytest.raises(RunFileError, match=next(iter(wrong))):
            SftSettings(**wrong)
    local = tiny(tmp_path / "m")
    for more, word in (
        ({"turns": "all"}, "turns all has no effect: none of 1 conversations"),
        ({"accumulate": 2}, "accumulate 2 has no effect: every step has one conversation"),
        ({"packing": "on"}, "packing on has no effect: no step has two conversations that fit one row of 128 tokens"),
    ):
        with pytest.raises(RunFileError, match=word):
            run_sft(local, [SHORT], SftSettings(max_tokens=128, **more), tmp_path / "run")
    auto = run_sft(local, [SHORT], SftSettings(max_tokens=128, packing="auto"), tmp_path / "run")
    assert not auto.packing.packed


def test_layout_and_parts_do_not_change_the_trajectory(tmp_path: Path) -> None:
    plain, report, _ = trained(tmp_path / "plain", turns="all")
    assert len(plain) == report.steps > 6
    assert "14 of 14 earlier turns" in report.turns
    assert plain[-1] < plain[0]
    variants: dict[str, dict[str, Any]] = {
        "packed": {"packing": "on"},
        "parts": {"accumulate": 3},
        "both": {"packing": "on", "accumulate": 2},
    }
    for name, more in variants.items():
        found, told, _ = trained(tmp_path / name, turns="all", **more)
        assert told.packing.packed is ("packing" in more), told.packing.why
        assert found[0] == pytest.approx(plain[0], abs=2e-5), name
        # afterwards Adam magnifies what rounding left of a gradient near zero: 1e-5 on one processor, 2e-4 on another
        assert found == pytest.approx(plain, abs=5e-4), name
        assert told.metrics["tokens"] == report.metrics["tokens"]
    last, _, _ = trained(tmp_path / "last")
    assert last != pytest.approx(plain, abs=1e-3)


def test_a_model_that_does_not_pack_is_trained_unpacked_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, _, _ = trained(tmp_path / "plain")
    monkeypatch.setattr(sft, "can_pack", lambda *_: (False, "packed and unpacked differ"))
    found, report, _ = trained(tmp_path / "packed", packing="on")
    assert found == plain
    assert report.packing == Choice(False, "packed and unpacked differ")


def test_a_resumed_run_takes_the_layout_it_began_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Cut(Exception):
        pass

    def go(name: str, faster: bool, stop: int | None = None) -> tuple[torch.Tensor, Choice]:
        monkeypatch.setattr(packing, "_seconds", lambda loss_of, packed, weights: 1.0 if packed is faster else 2.0)
        local = tiny(tmp_path / "m")

        def progress(step: int, of: int, value: float) -> None:
            if stop is not None and step > stop:
                raise Cut

        settings = SftSettings(epochs=2, batch_tokens=512, max_tokens=256, packing="auto", turns="all", accumulate=2)
        report = run_sft(local, TALKS, settings, tmp_path / name, progress)
        return weights(local), report.packing

    whole, choice = go("whole", True)
    assert choice.packed
    monkeypatch.setattr(loop, "SAVE_SECONDS", -1.0)
    with pytest.raises(Cut):
        go("cut", True, 3)
    resumed, same = go("cut", False)  # the clock says otherwise now
    assert same == choice
    assert torch.equal(resumed, whole)
    assert not go("other", False)[1].packed


def test_timing_leaves_the_model_as_it_was(tmp_path: Path) -> None:
    local = tiny(tmp_path / "m")
    before = weights(local).clone()
    rows = encode_examples(local.tokenizer, TALKS, "last", 256).rows
    own = [p for p in local.model.parameters() if p.requires_grad]
    found = packing.measured(lambda packed: summed_logps(local.model, rows, packed, 256, 0, local.device), own)
    assert "ms packed and" in found.why
    assert torch.equal(weights(local), before)
    assert all(p.grad is None for p in own)

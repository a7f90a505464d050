"""What is said before training, and what stops it."""

import json
from pathlib import Path

import pytest
import torch

from trueline.charter.turns import Message
from trueline.core.records import Preference
from trueline.data.conversations import Example
from trueline.engine.loading import LocalModel, load_local
from trueline.engine.tiny import tiny_model
from trueline.errors import TrainingError
from trueline.train.audit import audit_examples, audit_pairs, demand
from trueline.train.batching import Row, pad, token_logps
from trueline.train.checkpoint import load_checkpoint, save_checkpoint
from trueline.train.dpo import DpoSettings, encode_pairs, run_dpo
from trueline.train.loop import LoopSettings, run_loop
from trueline.train.reference import reference_logps
from trueline.train.shared import pair_logps


def user(text: str) -> tuple[Message, ...]:
    return (Message("user", text),)


@pytest.fixture
def local(tmp_path: Path) -> LocalModel:
    return load_local(tiny_model("llama", tmp_path / "m"), device="cpu")


def test_the_audit_counts(local: LocalModel) -> None:
    rows = [Example(user(f"Question {i}?"), "Yes.") for i in range(5)]
    rows += [rows[0], Example(user("Question 1?"), "No."), Example(user("long " * 300), "Yes.")]
    found = audit_examples(local, rows, 200)
    assert (found.rows, found.too_long, found.duplicates, found.conflicts) == (8, 1, 1, 1)
    assert found.longest > 200
    assert found.problems == ()
    assert (
        found.words() == f"8 rows, {found.tokens} tokens, longest {found.longest}; 1 too long; 1 duplicates; 1 prompts with several replies"
    )
    assert demand(found, "x") is found


def test_a_pair_is_too_long_if_one_side_is(local: LocalModel) -> None:
    pairs = [Preference(user("Hi?"), "Yes.", "No."), Preference(user("Hi?"), "Yes.", "no " * 300)]
    found = audit_pairs(local, pairs, 200)
    assert (found.rows, found.too_long, found.duplicates, found.conflicts) == (2, 1, 0, 0)


def test_a_template_that_teaches_other_ids_stops_the_run(local: LocalModel) -> None:
    # the generation prompt of use is another one than stands before the reply in training
    local.tokenizer.chat_template = local.tokenizer.chat_template.replace("<|end|>", "")
    local.tokenizer.eos_token = None
    found = audit_examples(local, [Example(user("Hi?"), "Yes.")] * 3, 200)
    assert found.off == found.checked == 3
    with pytest.raises(TrainingError, match="off the template"):
        demand(found, "0-sft")


def test_losses_that_are_not_finite_stop_and_name_their_rows(local: LocalModel, tmp_path: Path) -> None:
    first = next(local.model.parameters())

    def bad_loss(batch: list[int]) -> tuple[torch.Tensor, dict[str, float]]:
        return first.sum() * float("nan"), {}

    def bad_gradient(batch: list[int]) -> tuple[torch.Tensor, dict[str, float]]:
        return torch.sqrt((first - first.detach()).abs().sum()), {}  # value 0, gradient not a number

    for word, loss in (("loss", bad_loss), ("gradient norm", bad_gradient)):
        before = first.detach().clone()
        folder = tmp_path / word
        with pytest.raises(TrainingError, match=f"the {word} became"):
            run_loop(local.model, [[3, 4]], loss, LoopSettings(1e-3), folder, "k", None)
        assert json.loads((folder / "nan_batch.json").read_text())["rows"] == [3, 4]
        assert torch.equal(first, before), "the weights were not touched"


def test_a_checkpoint_is_whole_belongs_to_its_inputs_and_runs_no_code(tmp_path: Path) -> None:
    state = {"key": "a", "step": 3, "weights": {"w": torch.ones(2)}, "optimizer": {}}
    save_checkpoint(tmp_path, state)
    found = load_checkpoint(tmp_path, "a")
    assert found is not None
    assert torch.equal(found["weights"]["w"], torch.ones(2))
    assert (found["step"], found["optimizer"]) == (3, {})
    assert load_checkpoint(tmp_path, "b") is None
    (tmp_path / "checkpoint.pt").write_bytes((tmp_path / "checkpoint.pt").read_bytes()[:50])
    with pytest.raises(TrainingError, match="cannot be read"):
        load_checkpoint(tmp_path, "a")


def test_a_checkpoint_with_code_in_it_is_refused(tmp_path: Path) -> None:
    torch.save({"key": "a", "path": Path("x")}, tmp_path / "checkpoint.pt")  # a class outside the allowed: pickle would build it
    with pytest.raises(TrainingError, match="cannot be read"):
        load_checkpoint(tmp_path, "a")


def test_the_reference_is_computed_once_and_a_cut_line_is_done_again(local: LocalModel, tmp_path: Path) -> None:
    data = encode_pairs(local, [Preference(user(f"Fee {i}?"), f"{i} euros.", "No." * (i % 3 + 1)) for i in range(30)], 200)
    asked: list[int] = []

    def logps(batch: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        asked.extend(batch)
        return pair_logps(local.model, [data.chosen[i] for i in batch], [data.rejected[i] for i in batch], 0, local.device)

    cache = tmp_path / "reference.jsonl"
    whole = reference_logps(local, data, logps, cache, 256)
    assert sorted(asked) == list(range(30))
    asked.clear()
    assert torch.equal(reference_logps(local, data, logps, cache, 256), whole)
    assert asked == []
    cache.write_bytes(cache.read_bytes()[: cache.stat().st_size // 2])
    assert torch.equal(reference_logps(local, data, logps, cache, 256), whole)
    assert 0 < len(asked) < 30
    asked.clear()
    assert torch.equal(reference_logps(local, data, logps, cache, 256), whole), "the mended file is read"
    assert asked == []


def test_padding_that_is_the_end_token_loses_nothing(local: LocalModel) -> None:
    rows = [Row((5, 6, 7), (8, 1)), Row((5,), (9, 9, 1, 1))]  # 1 ends a turn and is the padding here
    together = token_logps(local.model, pad(rows, 1, local.device)).sum(dim=1)
    alone = torch.cat([token_logps(local.model, pad([r], 1, local.device)).sum(dim=1) for r in rows])
    assert torch.allclose(together, alone, atol=1e-5)
    assert pad(rows, 1, local.device).keep.sum(dim=1).tolist() == [2, 4]


def test_the_loss_of_a_step_does_not_depend_on_how_it_is_split(local: LocalModel) -> None:
    """Normalised by the tokens of the whole step: the gradient of one batch is the sum of its parts over the same count."""
    rows = [Row((5, 6), (7,) * n) for n in (1, 4, 9)]

    def gradient(parts: list[list[Row]]) -> torch.Tensor:
        local.model.zero_grad()
        counted = sum(len(r.completion) for part in parts for r in part)
        for part in parts:
            (-token_logps(local.model, pad(part, 0, local.device)).sum() / counted).backward()
        return torch.cat([p.grad.flatten() for p in local.model.parameters() if p.grad is not None])

    assert torch.allclose(gradient([rows]), gradient([[r] for r in rows]), atol=1e-6)


def test_start_margins_are_zero(local: LocalModel, tmp_path: Path) -> None:
    pairs = [Preference(user(f"Fee {i}?"), f"{i} euros.", "No.") for i in range(8)]
    run_dpo(local, pairs, DpoSettings(lr=1e-9, batch_tokens=64), tmp_path)
    first = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[0])
    assert abs(first["margin"]) < 1e-4
    assert first["loss"] == pytest.approx(0.6931, abs=1e-3)

"""Packing and parts: the same step, laid out otherwise."""

from __future__ import annotations

import random
import weakref
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trueline.engine.loading import LocalModel, load_local
from trueline.engine.tiny import ARCHITECTURES, tiny_model
from trueline.errors import RunFileError, TrainingError
from trueline.train import packing, shared
from trueline.train.accumulate import in_parts, split
from trueline.train.batching import Row, pad
from trueline.train.layout import Group, Layout, lay_out
from trueline.train.packing import (
    Choice,
    can_pack,
    first_fit,
    measured,
    nothing_to_pack,
    remember,
    remembered,
    sample_of,
    summed_logps,
)

CPU = torch.device("cpu")


def some_rows(n: int = 6) -> list[Row]:
    """Rows of 25 to 60 tokens, longer than the tiny models' windows of 16, every other one with an earlier turn that counts."""
    source = random.Random(0)

    def ids(low: int, high: int) -> tuple[int, ...]:
        return tuple(source.randrange(5, 512) for _ in range(source.randrange(low, high)))

    return [Row(ids(20, 40), ids(5, 20), earlier=((4, 9),) if i % 2 else ()) for i in range(n)]


def tiny(folder: Path, architecture: str = "llama") -> LocalModel:
    return load_local(tiny_model(architecture, folder, lively=True), device="cpu")


def flat(gradient: tuple[torch.Tensor | None, ...]) -> torch.Tensor:
    return torch.cat([g.flatten() for g in gradient if g is not None])


def test_first_fit_by_hand() -> None:
    # longest first: 7 opens a row; 5 opens another, 4 joins it (9 of 10); 3 joins the 7 (10 of 10); 2 fits nowhere
    assert first_fit([5, 7, 3, 2, 4], 10) == [[1, 2], [0, 4], [3]]
    assert first_fit([4, 4], 4) == [[0], [1]]
    assert first_fit([], 4) == []


@given(st.lists(st.integers(1, 50), max_size=40))
def test_first_fit_holds_everything_once_and_opens_no_row_without_need(lengths: list[int]) -> None:
    rows = first_fit(lengths, 50)
    assert sorted(i for row in rows for i in row) == list(range(len(lengths)))
    assert all(sum(lengths[i] for i in row) <= 50 for row in rows)
    for later, row in enumerate(rows):
        for before in rows[:later]:
            assert sum(lengths[i] for i in before) + lengths[row[0]] > 50
    assert len(rows) <= max(1, 2 * sum(lengths) / 50 + 1)


def test_counted_spans_by_hand() -> None:
    row = Row((7, 8, 9, 10), (11, 12), earlier=((1, 3),))
    assert (row.spans(), row.counted()) == (((1, 3), (4, 6)), 4)
    assert pad([row, Row((5,), (6,))], 0, CPU).keep.tolist() == [[True, True, False, True, True], [True, False, False, False, False]]
    found = lay_out([[Group((5,), ((6,),)), Group(row.prompt, (row.completion,), row.earlier)]], 0, CPU)
    assert found.target.tolist() == [6, 8, 9, 11, 12]
    assert found.at.tolist() == [0, 2, 3, 5, 6]
    assert found.reply.tolist() == [0, 1, 1, 1, 1]
    assert found.positions.tolist() == [[0, 1, 0, 1, 2, 3, 4, 5]]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_packed_equals_unpacked(architecture: str, tmp_path: Path) -> None:
    local, rows = tiny(tmp_path, architecture), some_rows()
    can, why = can_pack(local.model, rows[:3], 0, CPU)
    assert can, why
    weights = list(local.model.parameters())
    both = [summed_logps(local.model, rows, packed, 130, 0, CPU) for packed in (True, False)]
    assert both[0].item() == pytest.approx(both[1].item(), rel=1e-5)
    mine, theirs = (flat(torch.autograd.grad(x, weights, allow_unused=True)) for x in both)
    assert float((mine - theirs).norm() / theirs.norm()) < 1e-4
    assert can_pack(local.model, rows[:3], 0, CPU) == can_pack(local.model, rows[2::-1], 0, CPU)


def test_conversations_that_see_one_another_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    local, rows = tiny(tmp_path), some_rows(3)

    def causal(layout: Layout, *_: Any) -> torch.Tensor:  # what a model does that goes by order alone
        return torch.full((layout.ids.shape[1],) * 2, torch.finfo(torch.float32).min).triu(1)[None, None]

    monkeypatch.setattr(shared, "mask_of", causal)
    can, why = can_pack(local.model, rows, 0, CPU)
    assert not can
    assert "packed and unpacked differ by" in why

    def refuses(*_: Any) -> None:
        raise TypeError("position_ids")

    monkeypatch.setattr(shared, "mask_of", refuses)
    assert can_pack(local.model, rows, 0, CPU) == (False, "the model does not take a 4D mask with positions (TypeError)")


def test_the_sample_holds_the_longest_that_shares_a_row() -> None:
    rows = [Row((1,) * (n - 1), (2,)) for n in (10, 3, 4, 9, 5, 8)]
    # capacity 12: 10 + nothing of 4; 9 + 3; 8 with none; the last step alone has two in a row but is shorter
    assert sample_of(rows, [[0, 2], [5], [3, 1], [2, 1]], 12) == ([rows[3], rows[1]], [3, 1])
    assert sample_of(rows, [[0, 2], [5]], 12) == ([], [])
    assert nothing_to_pack("auto", 12) == Choice(False, "no step has two conversations that fit one row of 12 tokens")
    with pytest.raises(RunFileError, match="packing on has no effect"):
        nothing_to_pack("on", 12)


@pytest.mark.parametrize(("packed", "plain", "taken"), [(0.5, 1.0, True), (0.97, 1.0, False), (1.0, 1.0, False), (2.0, 1.0, False)])
def test_packed_only_where_clearly_faster(packed: float, plain: float, taken: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[bool] = []

    def seconds(loss_of: Any, form: bool, weights: Any) -> float:
        calls.append(form)
        return 100.0 if len(calls) <= 2 else packed if form else plain  # the warm-up does not count

    monkeypatch.setattr(packing, "_seconds", seconds)
    found = measured(lambda form: torch.zeros(()), [])
    assert found.packed is taken
    assert f"{1000 * packed:.1f} ms packed and {1000 * plain:.1f} ms unpacked" in found.why
    assert calls == [False, True] * 3


def test_a_choice_is_remembered_for_the_same_run_only(tmp_path: Path) -> None:
    assert remembered(tmp_path, "a") is None
    choice = remember(tmp_path, "a", Choice(True, "why"))
    assert remembered(tmp_path, "a") == choice
    assert remembered(tmp_path, "b") is None
    (tmp_path / "packing.json").write_text("{")
    with pytest.raises(TrainingError, match="cannot be read"):
        remembered(tmp_path, "a")


def test_split_by_hand() -> None:
    assert split([4, 5, 6, 7, 8], 2) == [[4, 5], [6, 7, 8]]
    assert split([4, 5], 5) == [[4], [5]]
    assert split([4, 5], 1) == [[4, 5]]


class Alive:
    """Bytes that autograd keeps for the backward pass: now and at most. Weights, which live anyway, are not counted."""

    def __init__(self, weights: list[torch.Tensor]) -> None:
        self.own, self.now, self.most = {w.data_ptr() for w in weights}, 0, 0

    def pack(self, t: torch.Tensor) -> Any:
        class Held:
            tensor = t

        held = Held()
        if t.data_ptr() not in self.own:
            size = t.numel() * t.element_size()
            self.now += size
            self.most = max(self.most, self.now)
            weakref.finalize(held, self.freed, size)
        return held

    def freed(self, size: int) -> None:
        self.now -= size


@pytest.mark.parametrize("packed", [False, True])
def test_parts_give_the_whole_step_in_less_memory(packed: bool, tmp_path: Path) -> None:
    local, rows = tiny(tmp_path), [Row(r.prompt[:20], r.completion[:5], earlier=r.earlier) for r in some_rows(8)]
    weights = [p for p in local.model.parameters() if p.requires_grad]
    counted = sum(r.counted() for r in rows)

    def part_loss(part: list[int]) -> torch.Tensor:
        return -summed_logps(local.model, [rows[i] for i in part], packed, 60, 0, CPU) / counted

    found = {}
    for n in (1, 4):
        alive = Alive(weights)
        parts = [partial(part_loss, part) for part in split(range(8), n)]
        with torch.autograd.graph.saved_tensors_hooks(alive.pack, lambda held: held.tensor):
            loss = in_parts(parts, weights)
            torch.autograd.backward(3 * loss)
        found[n] = loss.item(), torch.cat([p.grad.flatten() for p in weights if p.grad is not None]), alive.most
        local.model.zero_grad()
    (whole, gradient, memory), (mine, my_gradient, my_memory) = found[1], found[4]
    assert mine == pytest.approx(whole, abs=1e-6)
    assert float((my_gradient - gradient).norm() / gradient.norm()) < 1e-5
    assert my_memory < 0.4 * memory, "four parts need a quarter, and the rotary tables"


def _scaled(weight: torch.Tensor, scale: float) -> torch.Tensor:
    return (weight.float() * scale).sum()


def test_parts_sum_small_gradients_in_float32() -> None:
    weight = torch.nn.Parameter(torch.zeros(1, dtype=torch.bfloat16))
    scales = [1.0] + [2.0**-10] * 256  # each lost beside 1 in bfloat16 (8 bits); together 0.25
    unused = torch.nn.Parameter(torch.zeros(1))
    torch.autograd.backward(in_parts([partial(_scaled, weight, s) for s in scales], [weight, unused]))
    assert weight.grad is not None
    assert float(weight.grad) == 1.25
    assert unused.grad is None

"""Shares of a step, buckets of gradients, and what one process does with all of it: nothing. Two real processes: tests/invariant."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trueline.charter.turns import Message
from trueline.cli import processes
from trueline.data.conversations import Example
from trueline.engine.loading import load_local
from trueline.engine.tiny import tiny_model
from trueline.errors import RunFileError, TrainingError
from trueline.train import distributed, sft
from trueline.train.distributed import Share, add_gradients, check_alike, from_main, gathered, main_first, run_of, share_of, summed
from trueline.train.sharding import check_shard, like, placed, whole
from trueline.train.turns import encode_examples


def one_of(monkeypatch: pytest.MonkeyPatch, rank: int, ranks: int) -> None:
    monkeypatch.setattr(distributed, "size", lambda: ranks)
    monkeypatch.setattr(distributed, "rank", lambda: rank)


@given(st.integers(0, 40), st.integers(1, 9))
def test_shares_are_runs_that_cover_the_step(n: int, ranks: int) -> None:
    runs = [run_of(n, r, ranks) for r in range(ranks)]
    assert [i for run in runs for i in run] == list(range(n))
    assert max(map(len, runs)) - min(map(len, runs)) <= 1


def test_a_process_without_a_row_computes_one_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    shares = []
    for rank in range(3):
        one_of(monkeypatch, rank, 3)
        shares.append(share_of([7, 4]))
    assert shares == [Share([7], counts=False), Share([7]), Share([4])]
    assert float(shares[0].counted(torch.tensor(2.5))) == 0.0
    assert float(shares[1].counted(torch.tensor(2.5))) == 2.5
    told: list[torch.Tensor] = []
    monkeypatch.setattr(distributed, "gathered", lambda values: told.append(values) or values)
    shares[0].whole(torch.ones(1))
    assert len(told[0]) == 0, "its row is told by the process that counts it"


@pytest.mark.parametrize("ranks", [2, 3, 5])
@pytest.mark.parametrize(("packed", "accumulate"), [(False, 1), (True, 1), (False, 2)])
def test_the_shares_of_a_step_add_up_to_it(
    ranks: int, packed: bool, accumulate: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = load_local(tiny_model("llama", tmp_path / "m"))
    said = [Example((Message("user", "What is the fee?"),), "It is 3 euros." * (i + 1)) for i in range(4)]
    rows = encode_examples(local.tokenizer, said, "last", 200).rows
    work = sft._Work(local, rows, [[0, 1, 2, 3]], 200, sft.SftSettings(accumulate=accumulate))

    def found() -> tuple[float, torch.Tensor]:
        loss = work.step_loss([0, 1, 2, 3], packed)
        return float(loss.detach()), torch.cat([g.flatten() for g in torch.autograd.grad(loss, work.weights())])

    loss, gradient = found()
    parts = []
    for rank in range(ranks):
        one_of(monkeypatch, rank, ranks)
        parts.append(found())
    assert sum(part for part, _ in parts) == pytest.approx(loss, rel=1e-6)
    torch.testing.assert_close(torch.stack([g for _, g in parts]).sum(0), gradient, rtol=1e-4, atol=1e-6)


def test_buckets_hold_everything_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "BUCKET", 10)
    sizes = [4, 6, 1, 30, 2, 2]
    given_to = [torch.zeros(n) for n in sizes] + [torch.zeros(2, dtype=torch.float64)]
    buckets = list(distributed._buckets(given_to))
    assert [[g.numel() for g in b] for b in buckets] == [[4, 6], [1], [30], [2, 2], [2]]


def test_one_process_exchanges_nothing() -> None:
    values, weight = torch.ones(3), torch.nn.Parameter(torch.ones(2))
    weight.grad = torch.full((2,), 0.1)
    add_gradients([weight])
    assert weight.grad.tolist() == torch.full((2,), 0.1).tolist()
    assert gathered(values) is values
    assert whole(weight).tolist() == like(values, weight)[:2].tolist() == [1.0, 1.0]
    assert summed(0.1) == 0.1
    assert share_of([3, 1]) == Share([3, 1])
    assert from_main(lambda: "x") == main_first(lambda: "x") == "x"
    check_alike("run", object())
    assert not torch.distributed.is_initialized()


def test_an_error_of_the_main_process_stays_what_it_is() -> None:
    """As it travels to the others."""
    import pickle

    again = pickle.loads(pickle.dumps(TrainingError("too long", remedy="shorten it", file="a.jsonl", line=3)))
    assert isinstance(again, TrainingError)
    assert (str(again), again.what, again.remedy, again.line) == ("a.jsonl:3: too long; shorten it", "too long", "shorten it", 3)


def test_sharding_needs_several_processes(tmp_path: Path) -> None:
    with pytest.raises(RunFileError, match="no effect in one process"):
        check_shard(True)
    local = load_local(tiny_model("llama", tmp_path / "m"))
    with placed(local, "float32", False) as place:
        assert place.local is local
        assert place.whole(lambda: 3) == 3
    with pytest.raises(RunFileError, match="no effect"), placed(local, "float32", True):
        pass


def test_the_environment_says_how_many_processes_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setenv("RANK", "1")
    assert (processes.count(), processes.first()) == (1, True)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert (processes.count(), processes.first()) == (2, False)
    monkeypatch.setenv("WORLD_SIZE", "two")
    with pytest.raises(RunFileError, match="whole number, got 'two'"):
        processes.count()

"""Training with the preference family: every loss learns, references are named or absent, weights and margins count, and where
the chosen replies go is said."""

import json
from pathlib import Path

import pytest
import torch

from trueline.algos.losses.preference import LOSSES, PAIRED
from trueline.charter.turns import Message
from trueline.core.records import Preference
from trueline.data.unpaired import Labelled
from trueline.engine.loading import LocalModel, load_local
from trueline.engine.tiny import tiny_model
from trueline.errors import RunFileError, TrainingError
from trueline.train import loop
from trueline.train.batching import Row
from trueline.train.dpo import DpoSettings, encode_pairs, relative, run_dpo
from trueline.train.kto import KtoSettings, encode_rows, mismatched, run_kto
from trueline.train.lora import LoraSettings, put_on
from trueline.train.shared import pair_logps
from trueline.train.trend import Trend, trend_of

FEES = [(Message("user", f"What is fee {i}?"),) for i in range(8)]
PAIRS = [Preference(p, f"It is {i} euros.", "No." * (i % 3 + 1), margin=float(i % 2)) for i, p in enumerate(FEES)]
LABELLED = [Labelled(p, f"It is {i} euros.", True) for i, p in enumerate(FEES)]
LABELLED += [Labelled(p, "No." * (i % 3 + 1), False) for i, p in enumerate(FEES)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_model("llama", tmp_path / "m")
    return tmp_path


def tiny(folder: Path) -> LocalModel:
    return load_local(folder / "m", device="cpu")


def weights(local: LocalModel) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in local.model.parameters()])


@pytest.mark.parametrize("name", [n for n in PAIRED if n != "discopop"])
def test_every_paired_loss_widens_the_gap(name: str, folder: Path) -> None:
    report = run_dpo(tiny(folder), PAIRS, DpoSettings(name, epochs=8, lr=2e-3, batch_tokens=512), folder / "o")
    assert report.trend is not None
    assert report.trend.last_margin > report.trend.first_margin
    assert (folder / "o" / "reference.jsonl").exists() == LOSSES[name].reference
    assert report.reference.startswith("the model as given at step 0: " if LOSSES[name].reference else f"none, {name} has no reference")


def test_a_loss_without_reference_computes_none(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each pair is seen once a step and in the check of sharing, and never besides."""
    from trueline.train import dpo

    def never(*args: object) -> None:
        raise AssertionError("a reference was asked for")

    monkeypatch.setattr(dpo, "reference_logps", never)
    monkeypatch.setattr(dpo, "check_start", never)
    run_dpo(tiny(folder), PAIRS, DpoSettings("simpo", batch_tokens=512), folder / "a")
    with pytest.raises(AssertionError, match="asked for"):
        run_dpo(tiny(folder), PAIRS, DpoSettings("dpo", batch_tokens=512), folder / "b")


def test_the_first_loss_is_the_formula_of_equal_models(folder: Path) -> None:
    """dpo at step 0: z is minus the offset; half the pairs have margin 1, and margin_weight 2 makes z = -2 of them."""
    half = (0.6931472 + 2.1269280) / 2  # log(1 + e^0), log(1 + e^2)
    for options, value in (({}, 0.6931472), ({"margin_weight": 2.0}, half)):
        run_dpo(tiny(folder), PAIRS, DpoSettings("dpo", **options, batch_tokens=9999, precision="float32"), folder / str(value))
        first = json.loads((folder / str(value) / "metrics.jsonl").read_text().splitlines()[0])
        assert first["loss"] == pytest.approx(value, abs=1e-4)


def test_weights_are_relative_to_all_the_data(folder: Path) -> None:
    assert relative([1.0, 3.0, 0.0], torch.device("cpu")).tolist() == [0.75, 2.25, 0.0]
    with pytest.raises(TrainingError, match="all 2 weights are 0"):
        relative([0.0, 0.0], torch.device("cpu"))
    # a pair of weight 0 is as good as absent: the two others count 3/2 each over 3 rows
    three = [Preference(p.prompt, p.chosen, p.rejected, weight=w) for p, w in zip(PAIRS, (1.0, 1.0, 0.0), strict=False)]
    found = []
    for name, pairs in (("three", three), ("two", PAIRS[:2])):
        local = tiny(folder)
        run_dpo(local, pairs, DpoSettings("cpo", batch_tokens=9999, lr=1e-2, precision="float32"), folder / name)
        found.append(weights(local))
    assert torch.allclose(found[0], found[1], atol=1e-5)


def test_margins_that_are_not_there_are_no_option(folder: Path) -> None:
    bare = [Preference(p.prompt, p.chosen, p.rejected) for p in PAIRS]
    with pytest.raises(RunFileError, match="no pair has a margin"):
        run_dpo(tiny(folder), bare, DpoSettings(margin_weight=1.0), folder / "o")
    assert not (folder / "o").exists()


@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_with_lora_the_reference_is_the_model_with_adapters_off(method: str, folder: Path) -> None:
    wrapped = put_on(tiny(folder), LoraSettings(r=4, alpha=8))
    if method == "dpo":
        report = run_dpo(wrapped, PAIRS, DpoSettings(epochs=3, lr=5e-3, batch_tokens=512, precision="float32"), folder / "o")
    else:
        report = run_kto(wrapped, LABELLED, KtoSettings(epochs=3, lr=5e-3, batch_tokens=512, precision="float32"), folder / "o")
    assert report.reference.startswith("the model as given at step 0, its adapters off: ")
    cached = {r["key"]: r["logps"] for r in map(json.loads, (folder / "o" / "reference.jsonl").read_text().splitlines())}
    pairs, rows = encode_pairs(wrapped, PAIRS, 512), encode_rows(wrapped, LABELLED, 512, True, 0)
    keys, one, two = (pairs.keys, pairs.chosen, pairs.rejected) if method == "dpo" else (rows.keys, rows.own, rows.other or [])

    def now() -> torch.Tensor:
        with torch.no_grad():
            return torch.stack(pair_logps(wrapped.model, one, two, 0, wrapped.device), dim=1)

    was = torch.tensor([cached[k] for k in keys])
    with wrapped.model.wrapped.disable_adapter():
        assert torch.allclose(now(), was, atol=1e-4)
    assert not torch.allclose(now(), was, atol=1e-2), "the adapters were trained"


def test_kto_learns_which_replies_are_wanted(folder: Path) -> None:
    report = run_kto(tiny(folder), LABELLED, KtoSettings(epochs=6, lr=2e-3, batch_tokens=512, precision="float32"), folder / "o")
    assert (report.rows, report.metrics["desirable"], report.metrics["balance"]) == (16, 8.0, 1.0)
    assert report.trend is not None
    assert report.trend.last_margin > report.trend.first_margin + 0.01
    first = json.loads((folder / "o" / "metrics.jsonl").read_text().splitlines()[0])
    assert (first["kl"], first["loss"]) == (pytest.approx(0, abs=1e-4), pytest.approx(0.5, abs=1e-3))


def test_kto_is_the_formula_on_the_models_own_numbers(folder: Path) -> None:
    """The second step's baseline and loss, worked from plain log-probabilities of the model before and after the first."""
    local = tiny(folder)
    settings = KtoSettings(epochs=2, lr=5e-3, batch_tokens=9999, desirable_weight=1.3, precision="float32")
    data = encode_rows(local, LABELLED, 512, True, 0)
    assert data.other is not None
    with torch.no_grad():
        before = [x.clone() for x in pair_logps(local.model, data.own, data.other, 0, local.device)]
    after: list[list[torch.Tensor]] = []

    def progress(step: int, of: int, value: float) -> None:
        with torch.no_grad():
            after.append([x.clone() for x in pair_logps(local.model, data.own, data.other or [], 0, local.device)])

    run_kto(local, LABELLED, settings, folder / "o", progress)
    second = json.loads((folder / "o" / "metrics.jsonl").read_text().splitlines()[1])
    over, other = (after[0][i] - before[i] for i in (0, 1))
    z0 = max(0.0, float(other.mean()))
    by_hand = [1.3 * (1 - 1 / (1 + torch.exp(-0.1 * (s - z0)))) if good else 1 - 1 / (1 + torch.exp(-0.1 * (z0 - s)))
               for s, good in zip(over, data.desirable, strict=True)]  # fmt: skip
    assert second["kl"] == pytest.approx(z0, abs=1e-4)
    assert second["loss"] == pytest.approx(float(torch.stack(by_hand).mean()), abs=1e-5)


def test_mismatched_completions_are_of_other_prompts_and_fit() -> None:
    rows = [Row((1,), (5,) * 3), Row((1,), (6,)), Row((2, 2), (7, 7)), Row((3,) * 6, (8,))]
    for seed in range(6):
        found = mismatched(rows, 7, seed)
        for row, other in zip(rows, found, strict=True):
            assert other is not None
            assert other.prompt == row.prompt
            assert other.completion in [r.completion for r in rows if r.prompt != row.prompt]
            assert len(other) <= 7
        assert found[3] == Row((3,) * 6, (6,)), "the only completion of another prompt that fits"
        assert found == mismatched(rows, 7, seed)
    with pytest.raises(TrainingError, match="the same prompt"):
        mismatched(rows[:2], 7, 0)


def test_kto_says_what_is_out_of_balance_or_without_effect(folder: Path) -> None:
    report = run_kto(tiny(folder), LABELLED[:12], KtoSettings(batch_tokens=512), folder / "a")
    assert "desirable to undesirable weight is 2.00" in report.words()
    weighted = run_kto(tiny(folder), LABELLED[:12], KtoSettings(batch_tokens=512, undesirable_weight=2.0), folder / "b")
    assert "desirable to undesirable" not in weighted.words()
    with pytest.raises(RunFileError, match="undesirable_weight has no effect: no row is undesirable"):
        run_kto(tiny(folder), LABELLED[:8], KtoSettings(undesirable_weight=2.0), folder / "c")
    same = [Labelled(FEES[0], f"{i}.", bool(i % 2)) for i in range(4)]
    with pytest.raises(TrainingError, match="apo_zero_unpaired"):
        run_kto(tiny(folder), same, KtoSettings(), folder / "d")
    told = run_kto(tiny(folder), same, KtoSettings("apo_zero_unpaired"), folder / "d")
    assert "kl" not in told.metrics


def test_interrupted_kto_equals_uninterrupted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Cut(Exception):
        pass

    def go(out: Path, stop: int | None) -> torch.Tensor:
        local = tiny(folder)

        def progress(step: int, of: int, value: float) -> None:
            if stop is not None and step > stop:
                raise Cut

        run_kto(local, LABELLED, KtoSettings(epochs=3, lr=1e-3, batch_tokens=256), out, progress)
        return weights(local)

    whole = go(folder / "whole", None)
    monkeypatch.setattr(loop, "SAVE_SECONDS", -1.0)
    with pytest.raises(Cut):
        go(folder / "cut", 4)
    assert torch.equal(go(folder / "cut", None), whole)


def test_a_trend_in_words(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps({"step": i, "chosen_logp": -float(i), "margin": float(i)}) + "\n" for i in range(20)))
    found = trend_of(path)
    assert found == Trend(-0.5, -18.5, 0.5, 18.5)  # means of two steps at each end
    assert found.falls
    assert "became less likely while margins rose" in found.words()
    assert "nats a token" in found.words(per_token=True)
    assert not Trend(-0.5, -18.5, 0.5, 0.4).falls
    assert not Trend(-0.5, 1.0, 0.5, 18.5).falls
    path.write_text(json.dumps({"step": 1, "chosen_logp": 0.0, "margin": 0.0}) + "\n")
    assert trend_of(path) is None
    assert trend_of(tmp_path / "none") is None

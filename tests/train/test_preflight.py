"""What is said before a run: overlap with suites, lengths, memory and time; and that the commands say it and stop where they must."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.train.test_layout import MORE, model_of
from trueline.algos.stats.length_balance import length_balance
from trueline.algos.text.overlap import near_copies, word_grams
from trueline.charter.probes import Expectation, Probe
from trueline.charter.turns import Message
from trueline.cli.main import run
from trueline.core.records import Preference
from trueline.data.conversations import Example
from trueline.engine.loading import LocalModel, load_local
from trueline.engine.tiny import tiny_model
from trueline.train import forecast as forecasting
from trueline.train.dpo import DpoSettings
from trueline.train.forecast import duration_words, forecast
from trueline.train.judged import of_pairs
from trueline.train.label_noise import pair_noise
from trueline.train.lora import LoraSettings, put_on
from trueline.train.overlap import overlap
from trueline.train.planned import SAMPLE, Shape, look, planned_dpo, planned_sft
from trueline.train.sft import SftSettings

ASKED = "How long does it take until my new card arrives at home?"


def user(text: str) -> tuple[Message, ...]:
    return (Message("user", text),)


def probe(text: str, *, origin: Any = "grown", side: Any = "test") -> Probe:
    return Probe(f"cards/in_scope/{text[:9]}", "cards", "in_scope", user(text), "card-when/a#0", side, origin, Expectation("answer"))


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return load_local(tiny_model("llama", tmp_path_factory.mktemp("tiny") / "m"), device="cpu")


def test_near_copies_are_found_by_what_stands_of_the_short_text_in_the_long_one() -> None:
    assert word_grams("a b c") == {("a", "b"), ("b", "c")}
    assert word_grams("a") == {("a",)}
    assert word_grams(" ") == frozenset()
    found = near_copies(["x a b c d e y", "a b z d e", "b a c", ""], ["a b c d e", "b a"])
    assert [(m.text, m.of, m.share) for m in found] == [(0, 0, 1.0), (2, 1, 1.0)]  # the second text holds two of four


def test_rows_that_hold_a_probe_are_named_and_written_or_taught_ones_are_not() -> None:
    probes = [probe(ASKED), probe("Is it raining?", origin="written"), probe("What do you charge for a transfer?", side="teach")]
    rows = [
        user("Something else entirely, please."),
        user("how long does it take until my NEW card arrives, at home"),
        user(f"Good morning to you! {ASKED.replace('new', 'lost')} Many thanks and kind regards."),
        user("is it raining"),
        user("What do you charge for a transfer?"),
    ]
    found = overlap(probes, rows)
    assert [(h.row, h.exact, h.family) for h in found.hits] == [(2, True, "card-when/a#0"), (3, False, "card-when/a#0")]
    assert found.hits[1].share == pytest.approx(9 / 11)  # one word of twelve was changed: two of eleven pairs
    assert (found.asked, found.taught) == (1, 1)
    assert (
        "rows 2 ('how long does it take until my NEW card '), 3 ('Good morning to you! How long does it ta'); families 'card-when/a#0'"
        in found.words()
    )


def test_a_rule_by_length_is_told_with_its_interval() -> None:
    names = [str(i) for i in range(40)]
    found = length_balance([20] * 32 + [5] * 8, [10] * 40, names)
    assert found.longer is not None
    assert (found.longer.estimate, found.longer.n, found.ratio) == (0.8, 40, 2.0)
    assert found.longer.low == pytest.approx(0.64, abs=0.02)  # exact, 32 of 40: 0.6435 to 0.9095
    assert "'the longer reply is better' would be right on 80 %" in found.warning()
    assert "'the shorter reply is better'" in length_balance([1] * 40, [2] * 40, names).warning()
    assert length_balance([20, 5] * 20, [10] * 40, names).warning() == ""
    assert length_balance([20] * 3, [10] * 3, ["a"] * 3).warning() == ""  # one prompt says nothing of others
    assert length_balance([10], [10], ["a"]).longer is None


def test_labels_that_were_turned_round_are_found_in_texts() -> None:
    good, bad = ["clear", "kind", "short", "honest"], ["rude", "vague", "endless", "wrong"]
    pairs = [
        Preference(
            user(f"Question {i}?"), f"It is {good[i % 4]} and {good[i // 4 % 4]} {i}", f"It is {bad[i % 4]} and {bad[i // 3 % 4]} {i}"
        )
        for i in range(240)
    ]
    assert (clean := pair_noise(of_pairs(pairs))).rate is not None
    assert clean.rate is not None
    assert (clean.rate.low, clean.suspects) == (0.0, ())
    assert clean.rate.high < 0.06
    turned = {i for i in range(240) if i * 7 % 5 == 0}
    mixed = [replace(p, chosen=p.rejected, rejected=p.chosen) if i in turned else p for i, p in enumerate(pairs)]
    found = pair_noise(of_pairs(mixed))
    assert found.rate is not None
    assert found.rate.low < 0.2 < found.rate.high
    assert len(set(found.suspects) & turned) > 0.9 * len(turned)
    assert "insufficient evidence" in pair_noise(of_pairs(pairs[:50])).words()


def examples(n: int, words: int = 12) -> list[Example]:
    return [Example(user(f"Question {i} " + "of fees " * (i % words)), "It is free. " * (1 + i % 3)) for i in range(n)]


def test_what_autograd_keeps_is_counted_and_grows_with_the_batch(local: LocalModel) -> None:
    rows = look(local.tokenizer, [((e.prompt, e.reply),) for e in examples(1)] * 4)
    work = planned_sft(local, "float32", rows, SftSettings(epochs=1))
    assert work is not None
    one, four = (sum(forecasting._saved(work, batch)) for batch in ([0], [0, 1, 2, 3]))
    assert four == pytest.approx(4 * one, rel=0.1)
    kept, shape = forecasting._kept(work), work.shape([0, 1, 2, 3])
    assert kept.of(shape) + forecasting._logits(work, shape) == pytest.approx(four, rel=0.15)
    assert not any(p.grad is not None for p in local.model.parameters())


def test_the_peak_is_arithmetic(local: LocalModel) -> None:
    rows = look(local.tokenizer, [((e.prompt, e.reply),) for e in examples(40)])
    work = planned_sft(local, "float32", rows, SftSettings(epochs=1, batch_tokens=256))
    assert work is not None
    n = sum(p.numel() for p in local.model.parameters())
    nothing = forecasting._Kept(0.0, 0.0, (1.0,))
    table = max(p.numel() for p in local.model.parameters())
    bytes_, phase, _ = forecasting.peak(replace(work, vocabulary=False), nothing)
    assert (bytes_, phase) == (8 * n + 4 * n + 4 * table, "a step")  # two moments, a gradient, one embedding's more
    low, _, _ = forecasting.peak(replace(work, vocabulary=False, precision="bfloat16"), nothing)
    assert low == (2 + 4) * n + 8 * n + max(2 * (n + table), 4 * n)  # all weights in two bytes, a master, moments, gradients in float32
    assert nothing.of(Shape(2, 8, 3)) == 0.0
    assert forecasting._Kept(10.0, 0.5, ()).of(Shape(2, 8, 3)) == 10 * 16 + 0.5 * 128


def test_a_forecast_fits_the_run_and_leaves_the_model_alone(local: LocalModel, tmp_path: Path) -> None:
    before = [p.detach().clone() for p in local.model.parameters()]
    pairs = [Preference(e.prompt, e.reply, "No. " * (1 + i % 4)) for i, e in enumerate(examples(60))]
    settings = DpoSettings(epochs=2, batch_tokens=512)
    looked = look(local.tokenizer, [((p.prompt, p.chosen), (p.prompt, p.rejected)) for p in pairs])
    work = planned_dpo(local, "float32", looked, settings, True)
    assert work is not None
    assert work.shape([0]).masked
    found = forecast(work)
    assert found.time is not None
    assert found.time.steps == len(work.plan)
    assert found.time.low < found.time.seconds < found.time.high
    assert found.memory.largest <= 512
    assert all(torch.equal(a, b) for a, b in zip(before, local.model.parameters(), strict=True))


def test_adapters_need_less(tmp_path: Path) -> None:
    local = load_local(tiny_model("llama", tmp_path / "m"), device="cpu")
    rows = look(local.tokenizer, [((e.prompt, e.reply),) for e in examples(8)])
    settings, nothing = SftSettings(epochs=1), forecasting._Kept(0.0, 0.0, (1.0,))
    whole = planned_sft(local, "float32", rows, settings)
    assert whole is not None
    all_of_it = forecasting.peak(replace(whole, vocabulary=False), nothing)[0]
    few = planned_sft(put_on(local, LoraSettings(4, 8)), "float32", rows, settings)  # freezes the weights of `local` too
    assert few is not None
    count = sum(p.numel() for p in few.local.model.parameters())
    adapters, phase, _ = forecasting.peak(replace(few, vocabulary=False), nothing)
    assert adapters < all_of_it
    assert (adapters, phase) == (4 * count, "writing the model")  # not the step but the copy at the end


def test_the_start_that_is_read_again_is_counted(tmp_path: Path) -> None:
    """Beside the model as the copy that is written is, and the average of one weight more: where a step is cheap, this decides."""
    local = load_local(tiny_model("llama", tmp_path / "m"), device="cpu")
    rows, nothing = look(local.tokenizer, [((e.prompt, e.reply),) for e in examples(8)]), forecasting._Kept(0.0, 0.0, (1.0,))
    for p in local.model.parameters():
        p.requires_grad_(p.dim() == 1)  # the norms alone
    work = planned_sft(local, "float32", rows, SftSettings(epochs=1))
    assert work is not None
    work = replace(work, vocabulary=False)
    sizes = [p.numel() for p in local.model.parameters()]
    without, again = (forecasting.peak(w, nothing)[:2] for w in (work, replace(work, again=True)))
    assert again == (4 * (sum(sizes) + max(sizes)), "reading the start again")
    assert without == (4 * sum(sizes), "writing the model")


@pytest.mark.parametrize(("more", "again"), [([], False), (["--part-way", "0.5"], True), (["--part-way", "0.5", "--lora", "2"], False)])
def test_the_command_counts_it_where_it_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch, more: list[str], again: bool) -> None:
    seen, real = list[bool](), forecasting.forecast
    monkeypatch.setattr(forecasting, "forecast", lambda work: seen.append(work.again) or real(work))
    assert train(folder, "sft", *more) == 0
    assert seen == [again]


def test_large_data_are_sampled_with_the_longest_rows(local: LocalModel) -> None:
    rows = [((user(f"Hi {i}"), "Yes." * (50 if i == 2777 else 1)),) for i in range(SAMPLE + 1000)]
    found = look(local.tokenizer, rows)
    assert len(found.at) <= SAMPLE
    assert 2777 in found.at
    assert found.total == SAMPLE + 1000


def test_times_are_told_in_a_unit_that_suits() -> None:
    assert duration_words(240, 180, 360) == "about 4 min (3-6)"
    assert duration_words(20, 15, 30) == "about 20 s (15-30)"
    assert duration_words(2.5 * 3600, 1.9 * 3600, 3.75 * 3600) == "about 2.5 h (1.9-4)"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_model("llama", tmp_path / "m")
    rows = [{"prompt": f"What is fee {i}?", "completion": "Free."} for i in range(6)]
    rows[3]["prompt"] = ASKED
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    from trueline.charter.splits import side_of

    family = next(f"card-when/{i}" for i in range(99) if side_of(f"card-when/{i}") == "test")
    (tmp_path / "probes.jsonl").write_text(json.dumps(replace(probe(ASKED), family=family).to_dict()) + "\n")
    return tmp_path


def train(folder: Path, method: str, *more: str) -> int:
    words = ["--model", str(folder / "m"), "--data", str(folder / "rows.jsonl"), "--out", str(folder / "o")]
    return run(["train", method, *words, *more])


def test_rows_of_a_suite_stop_the_run_unless_that_is_allowed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    against = ["--against", str(folder / "probes.jsonl")]
    assert train(folder, "sft", *against) == 64
    said = capsys.readouterr().err
    assert "rows 4 ('How long does it take until my new card '); families 'card-when/" in said
    assert "--allow-overlap" in said
    assert not (folder / "o" / "model").exists()
    assert train(folder, "sft", *against, "--allow-overlap") == 0
    assert "1 rows (1 the same words" in capsys.readouterr().err
    told = json.loads((folder / "o" / "train.json").read_text())["preflight"]
    assert told["overlap"]["hits"][0]["row"] == 4
    assert told["forecast"]["memory"]["above"] > 0
    assert train(folder, "sft", "--allow-overlap") == 64
    assert "--allow-overlap has no effect without --against" in capsys.readouterr().err


def test_a_machine_that_is_too_small_is_told(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecasting, "held_and_free", lambda device: (2**20, 2**20))
    assert train(folder, "sft") == 0
    said = [line for line in capsys.readouterr().err.split("\n") if line.startswith("sft: ")]
    assert len(said) == 2
    assert "overlap with suites: not checked" in said[0]
    assert "warning: more than 90 % of what is free" in said[1]
    assert "time:" not in said[1]


@pytest.mark.parametrize(("name", "kept"), [("Llama", 30), ("Gemma2", 0)])
def test_the_forecast_counts_the_logits_that_the_head_keeps(name: str, kept: int) -> None:
    """All 30 rows, of a head that caps its logits none: it makes them again."""
    model = model_of(name, MORE[name])
    work: Any = SimpleNamespace(vocabulary=True, precision="float32", local=SimpleNamespace(model=model))
    row = 4.0 * len(model.get_output_embeddings().weight)
    assert forecasting._logits(work, Shape(1, 40, 30)) == kept * row
    assert forecasting._passing(work, Shape(1, 40, 30)) == (1 if kept else 2) * 30 * row

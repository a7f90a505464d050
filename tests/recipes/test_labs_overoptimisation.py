"""Over-optimisation in the laboratory: smaller proxies, their combinations and the figures of a run by hand; a whole tiny run, cut off and gone on."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from labs import overoptimisation_rl as lab
from labs.overoptimisation import combined, cut, key_of, ordered, proxy, scored
from labs.world import World
from trueline.algos.stats.overoptimisation import Measurement
from trueline.cli.project import open_project
from trueline.core.records import Preference
from trueline.engine.loading import LocalModel, load_local
from trueline.engine.tiny import tiny_model
from trueline.train import loop

HOW = lab.How(steps=3, every=1, rate=5e-3, tested=16)


@pytest.fixture
def start(tmp_path: Path) -> LocalModel:
    return load_local(tiny_model("llama", tmp_path / "m", lively=True), device="cpu")


@pytest.fixture(scope="module")
def world() -> World:
    probes = [p for p in open_project("bundled:harbor_bank").probes if p.reply and p.kind == "near_miss" and len(str(p.messages)) < 200]
    return World([p for p in probes if p.side == "teach"][:16], [p for p in probes if p.side == "test"][:24], "Be brief.")


@pytest.fixture(scope="module")
def pairs(world: World) -> list[Preference]:
    return [Preference(world.asked(p), p.reply or "", "hm") for p in world.teach]


def test_a_cut_model_is_the_first_layers_under_the_last_norm(start: LocalModel) -> None:
    small, ids = cut(start, 1), torch.tensor([[5, 9, 300, 7]])
    body = start.model.model
    states: list[torch.Tensor] = []
    body.layers[0].register_forward_hook(lambda _m, _i, out: states.append(out[0] if isinstance(out, tuple) else out))
    whole = body(ids).last_hidden_state
    assert torch.allclose(small.model.model(ids).last_hidden_state, body.norm(states[0]), atol=1e-6)
    assert not torch.allclose(whole, body.norm(states[0]), atol=1e-3)
    assert (len(small.model.model.layers), len(body.layers)) == (1, 2)
    assert small.digest != start.digest
    assert cut(start, 0) is start


def test_proxies_are_the_first_member_and_all_of_them_combined(
    start: LocalModel, world: World, pairs: list[Preference], tmp_path: Path
) -> None:
    causal = proxy(start, pairs, 8, 1, 0, tmp_path)
    asked = [(world.asked(p), p.reply or "") for p in world.test[:6]]
    own = causal.members.rewards(asked)
    assert (tmp_path / "proxy-8-0-1-layers").is_dir()
    even = (own - np.array(causal.scale.centres)[:, None]) / np.array(causal.scale.scales)[:, None]
    found, unit = scored(causal, None, 0, asked), float(np.mean(causal.scale.scales))
    assert found["one"] == pytest.approx(even[0] * causal.scale.scales[0])
    assert found["three, mean"] == pytest.approx(even.mean(axis=0) * unit)
    assert found["three, worst"] == pytest.approx(even.min(axis=0) * unit)
    assert found["three, mean - 1 sd"] == pytest.approx((even.mean(axis=0) - even.std(axis=0)) * unit)
    assert list(combined(causal)) == list(found)
    assert not np.allclose(own[0], own[1])


def test_ordered_counts_pairs_of_one_prompt() -> None:
    """First prompt: right 3, 1, wrong 2: one of two pairs. Second: all right, no pair. Third: right 5, wrong 4 and 6: one of two."""
    proxies, gold = np.array([[3.0, 1, 2], [1, 2, 3], [5, 4, 6]]), np.array([[1.0, 1, 0], [1, 1, 1], [1, 0, 0]])
    assert ordered(proxies, gold) == 0.5


def test_the_figures_of_a_run_that_follows_the_law() -> None:
    """Gains d (0.3 - 0.2 log d) by construction: the turn is at exp(0.3 / 0.2 - 1); the best look is the nearest to it, and the end lies below."""
    ds = [0.0, 0.4, 0.8, 1.2, 1.6, 2.0, 2.4, 2.8, 3.2]
    gains = [d * (0.3 - 0.2 * math.log(d)) if d else 0.0 for d in ds]
    families = [str(i // 2) for i in range(32)]
    history = [
        Measurement(5 * n, d * d, tuple(d * (1 + i % 2) for i in range(32)), tuple(0.4 + g + 0.1 * (i % 2) for i in range(32)))
        for n, (d, g) in enumerate(zip(ds, gains, strict=True))
    ]
    told = lab.told_of(history, families)
    assert (told["law"]["alpha"], told["law"]["beta"]) == pytest.approx((0.3, 0.2))
    assert told["law"]["peak"] == pytest.approx(math.exp(0.5))
    assert told["best"]["step"] == 20
    assert told["last"]["mean"] == pytest.approx(gains[-1])
    assert told["fall"]["mean"] == pytest.approx(gains[-1] - gains[4])
    assert told["stop_rule"] == 30  # looks 5 and 6 lie at 0.311, looks 3 and 4 at 0.326; before, no two looks lie below an earlier two
    assert told["start"] == pytest.approx(0.45)


def test_a_fall_is_measured_where_its_peak_was_not_chosen() -> None:
    """Half of the families peak at the first look by luck, the other half at the second, and nothing falls: chosen on the same prompts it would."""
    families = ["a", "b", "c", "d"]
    names = sorted(families)
    lab.generator(0, "halves").shuffle(names)
    first = np.isin(families, names[::2])
    gold = np.array([np.where(first, 1.0, 0.0), np.where(first, 0.0, 1.0), np.full(4, 0.5)])
    assert lab.fall(gold, families)["mean"] == pytest.approx(0.5)
    assert lab.fall(gold[[0, 0]], families)["mean"] == 0.0


def test_the_grid_has_every_size_layer_and_ensemble_seed_by_seed() -> None:
    cells = lab.grid([25, 0], [1], 75, [0, 1])
    assert [c.name for c in cells[:6]] == [
        "one-25-0-0",
        "one-0-0-0",
        "one-0-1-0",
        "three-mean-75-0-0",
        "three-worst-75-0-0",
        "three-mean---1-sd-75-0-0",
    ]
    assert [c.seed for c in cells] == [0] * 6 + [1] * 6


def test_a_run_goes_on_where_it_was_cut_off_and_is_not_made_again(
    start: LocalModel, world: World, pairs: list[Preference], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "SAVE_SECONDS", 0.0)
    cell = lab.Cell("three, worst", 8, 1, 0)
    whole = lab.run_cell(cell, start, world, pairs, tmp_path / "whole", HOW)
    assert whole["steps"] == [0, 1, 2, 3]
    assert whole["kl"][0] < 1e-6 < whole["kl"][3]
    assert len(set(whole["liked"])) == 4
    looks, measured = [0], lab.measure

    def dies(*given: Any) -> Measurement:
        looks[0] += 1
        if looks[0] == 3:
            raise KeyboardInterrupt
        return measured(*given)

    monkeypatch.setattr(lab, "measure", dies)
    with pytest.raises(KeyboardInterrupt):
        lab.run_cell(cell, start, world, pairs, tmp_path / "cut", HOW)
    assert lab.run_cell(cell, start, world, pairs, tmp_path / "cut", HOW) == whole
    assert looks[0] == 5  # two that were kept, the one that died, and the last two
    monkeypatch.setattr(lab, "measure", None)
    assert lab.run_cell(cell, start, world, pairs, tmp_path / "cut", HOW) == whole
    assert not list(tmp_path.glob("*/rl/**/checkpoint.pt"))
    assert json.loads(next(tmp_path.glob("cut/rl/*/*/found.json")).read_text())["proxy"] == "three, worst"
    assert next(tmp_path.glob("cut/rl/*")).name.startswith(key_of(start, pairs)[:8])


def test_figures_of_another_model_or_of_other_comparisons_are_not_taken(start: LocalModel, pairs: list[Preference]) -> None:
    keys = [key_of(start, pairs), key_of(start, pairs[:-1]), key_of(cut(start, 1), pairs), key_of(start, pairs, 3)]
    assert len({k[:8] for k in keys}) == 4
    assert key_of(start, list(pairs)) == keys[0]

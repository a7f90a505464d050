"""The laboratory: its exact reward knows the charter's replies, its raters err as often as told, its comparison is right by hand."""

from pathlib import Path

import numpy as np
import pytest

from labs.inheritance import pooled
from labs.overoptimisation import best_of, interval
from labs.world import ExactReward, World, compared, exact, rated
from trueline.charter.turns import Message
from trueline.cli.project import open_project


@pytest.fixture(scope="module")
def world() -> World:
    project = open_project("bundled:harbor_bank")
    probes = [p for p in project.probes if p.kind not in ("fairness", "voice")]
    return World([p for p in probes if p.side == "teach"], [p for p in probes if p.side == "test"], "Be brief.")


def test_the_charters_own_replies_earn_one_and_silence_nothing(world: World) -> None:
    shown = [p for p in world.teach if p.reply]
    assert len(shown) > 1000
    right = [exact(p, p.reply or "") for p in shown]
    assert sum(right) / len(right) > 0.99
    assert not any(exact(p, "") for p in shown[:200])
    reward = ExactReward(world, shown[:3])
    assert reward.score([(*world.asked(shown[0]), Message("assistant", shown[0].reply or ""))]) == [right[0]]


def test_raters_err_as_often_as_told(world: World, tmp_path: Path) -> None:
    probes = [p for p in world.teach if p.reply][:60]
    drawn = [[p.reply or "", "hm"] if exact(p, p.reply or "") and not exact(p, "hm") else [] for p in probes]
    told = {world.asked(p): p for p in probes}
    for error, expected in ((0.0, 1.0), (1.0, 0.0)):
        pairs = rated(world, probes, drawn, tmp_path / f"{error}.db", 3, error, 0)
        assert len(pairs) == sum(map(bool, drawn)) > 20
        assert sum(exact(told[p.prompt], p.chosen) for p in pairs) / len(pairs) == expected


def test_a_comparison_by_hand(world: World) -> None:
    probes = [p for p in world.teach if p.reply and exact(p, p.reply)][:4]
    good, bad = [[p.reply or ""] for p in probes], [[""] for _ in probes]
    found = compared(world, probes, [bad[0], bad[1], good[2], good[3]], [good[0], bad[1], good[2], good[3]])
    assert found["before"]["rate"] == 0.5
    assert found["after"]["rate"] == 0.75
    assert found["gain"]["mean"] == 0.25
    assert found["gain"]["low"] < 0.25 < found["gain"]["high"]


class TestBestOfN:
    def test_by_hand(self) -> None:
        """Of 3 replies liked 1, 2, 3 and worth 10, 20, 30: best of 2 takes 20 once and 30 twice. Of the second prompt the least liked is worth most."""
        proxy, gold = np.array([[1.0, 2.0, 3.0], [3.0, 1.0, 2.0]]), np.array([[10.0, 20.0, 30.0], [0.0, 6.0, 3.0]])
        assert best_of(proxy, gold, 1).tolist() == pytest.approx([20.0, 3.0])
        assert best_of(proxy, gold, 2).tolist() == pytest.approx([80 / 3, 1.0])
        assert best_of(proxy, gold, 3).tolist() == pytest.approx([30.0, 0.0])

    def test_interval_takes_families_as_clusters(self) -> None:
        """Two families of two equal values 0 and 1: the error is that of two values, 0.5 x sqrt(2) / sqrt(2) = 0.5."""
        found = interval(np.array([0.0, 0.0, 1.0, 1.0]), ["a", "a", "b", "b"])
        assert (found["mean"], found["high"]) == pytest.approx((0.5, 0.5 + 1.96 * 0.5))


def test_inheritance_pools_seeds_by_probe(world: World) -> None:
    """Two seeds, two probes: each probe fails half the time, so the rate is a half on both seeds and together."""
    probes = {"refuse": world.test[:2]}
    runs = [{"failed": {"refuse": [1.0, 0.0], "complied": [1.0, 1.0]}}, {"failed": {"refuse": [0.0, 1.0], "complied": [0.0, 0.0]}}]
    assert pooled(runs, probes, "refuse")["seeds"] == [0.5, 0.5]
    assert pooled(runs, probes, "complied")["seeds"] == [1.0, 0.0]
    assert pooled(runs, probes, "complied")["rate"] == 0.5

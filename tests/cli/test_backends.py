"""Ray: shares that lose no probe, and on local workers the very evaluation that one process writes."""

import json
import os
from pathlib import Path

import pytest

from tests.evals.moody_server import MoodyServer
from tests.evals.test_journal import probes
from trueline.charter.probes import Expectation
from trueline.cli.backends import shares
from trueline.cli.main import run
from trueline.cli.project import open_project
from trueline.cli.suites import open_suite
from trueline.data.evaluations import read_evaluation
from trueline.evals.suites import freeze

CHARTER = "bundled:harbor_bank"


@pytest.mark.parametrize("workers", [1, 2, 3, 50])
def test_shares_lose_no_probe_and_part_no_pair(workers: int) -> None:
    from dataclasses import replace

    written = [replace(p, origin="written", expect=Expectation("refuse", pair=f"pair {i // 2}")) for i, p in enumerate(probes(20))]
    dealt = shares(freeze(written), workers)
    assert sorted(p.id for s in dealt for p in s.probes) == sorted(p.id for p in written)
    assert len(dealt) == min(workers, 10)
    for share in dealt:
        pairs = [p.expect.pair for p in share.probes]
        assert all(pairs.count(name) == 2 for name in pairs)
    assert len({s.journal(Path("x")) for s in dealt}) == len(dealt)


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "ray", None)
    command = ["eval", "openai:m@http://127.0.0.1:9/v1", "-c", CHARTER, "--limit", "40", "--backend", "ray", "--out", str(tmp_path)]
    assert run(command) == 64
    assert "pip install 'trueline[ray]'" in capsys.readouterr().err


@pytest.mark.slow
def test_local_workers_write_the_evaluation_of_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="ray is not installed")
    top = Path(__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(top / "src"), str(top)]))
    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    with MoodyServer(delay=0.01) as server:
        common = ["eval", f"openai:m@{server.url}", "-c", CHARTER, "--limit", "60", "--samples", "2"]
        assert run([*common, "--out", str(tmp_path / "one")]) == 0
        once = sum(server.asked.values())
        ray = [*common, "--out", str(tmp_path / "ray"), "--backend", "ray", "--workers", "2"]
        assert run([*ray, "--budget-requests", "40"]) == 130, "each of two stops at its half of the budget"
        assert not (tmp_path / "ray" / "evaluation.json").exists()
        assert sum(server.asked.values()) - once <= 40
        assert run([*ray[:-1], "3"]) == 0, "with another number of workers"
        assert sum(server.asked.values()) == 2 * once, "and nothing was asked twice"
    one, other = read_evaluation(tmp_path / "one"), read_evaluation(tmp_path / "ray")
    assert other.rows == one.rows
    assert (other.complete, other.suite, other.settings, other.graders) == (True, one.suite, one.settings, one.graders)
    assert len(json.loads((tmp_path / "ray" / "run.json").read_text())["workers"]) == 3
    assert not list((tmp_path / "ray").glob("journal*"))


@pytest.mark.parametrize(
    "options",
    [["--workers", "7"], ["--backend", "ray", "--judge-labels", "x.jsonl"], ["--backend", "ray", "--random-order", "1"]],
)
def test_an_option_without_effect_on_the_backend_is_refused(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["eval", "openai:m@http://127.0.0.1:9/v1", "-c", CHARTER, *options]) == 64
    assert f"{options[-2]} has no effect with --backend" in capsys.readouterr().err


def test_the_help_of_limit_says_what_is_asked_at_least(capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("eval", "compare"):
        assert run([verb, "--help"]) == 0
        assert "at least one of each clause and kind" in " ".join(capsys.readouterr().out.split())
    project = open_project(CHARTER)
    kinds = [{(p.clause, p.kind) for p in open_suite(project, "charter", limit).probes} for limit in (None, 1)]
    assert kinds[0] == kinds[1]

"""kill -9 at random moments: the same rows in the end, and no answer that was received is asked for again."""

import asyncio
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.evals.killed_run import CONCURRENCY, go
from tests.evals.moody_server import MoodyServer
from tests.evals.test_journal import probes
from trueline.charter.digests import digest_of
from trueline.core.chat import ChatRequest, Sampling
from trueline.data.evaluations import read_evaluation
from trueline.models.openai_chat import OpenAIChat

TOP = Path(__file__).parents[2]


def received(url: str, folder: Path, n: int, samples: int) -> set[str]:
    """Questions (with the sample's seed) whose answer stands in the cache or in the journal."""
    asked = {p.id: p.messages for p in probes(n)}
    journal = folder / "journal.jsonl"
    lines = journal.read_text().split("\n")[1:-1] if journal.exists() else []
    out = {f"{asked[r['probe']][0].content} {r['sample']}" for r in map(json.loads, lines) if "probe" in r}
    who = digest_of(dict(OpenAIChat("m", url).identity()))
    with closing(sqlite3.connect(folder / "cache.sqlite")) as db:
        keys = {k for (k,) in db.execute("SELECT key FROM replies")}
    for messages in asked.values():
        for s in range(samples):
            if f"{who}:{ChatRequest(messages, Sampling(max_tokens=9, seed=s)).digest()}" in keys:
                out.add(f"{messages[0].content} {s}")
    return out


def question(body: dict[str, object]) -> str:
    return f"{body['messages'][-1]['content']} {body['seed']}"  # type: ignore[index]


def killed(url: str, folder: Path, n: int, samples: int, server: MoodyServer, answers: int) -> bool:
    """Starts the run and kills it once the server has given so many answers; False where it ended before."""
    command = [sys.executable, "-m", "tests.evals.killed_run", url, str(folder), str(n), str(samples)]
    with subprocess.Popen(command, cwd=TOP, env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TOP / "src"), str(TOP)])}) as child:
        while child.poll() is None and server.answered.total() < answers:
            time.sleep(0.0005)
        if child.poll() is None:
            os.kill(child.pid, signal.SIGKILL)
        child.wait()
        assert child.returncode in (0, -signal.SIGKILL)
        return child.returncode != 0


def kill_and_resume(folder: Path, kills: int, n: int, samples: int, seed: int) -> None:
    whole = folder / "whole"
    whole.mkdir()
    with MoodyServer(delay=0.01) as server:
        undisturbed = asyncio.run(go(server.url, whole, n, samples))
    assert sum(server.asked.values()) == n * samples
    with MoodyServer(delay=0.01) as server:
        moments = sorted(random.Random(seed).sample(range(n * samples), kills))
        for moment in moments:
            if killed(server.url, folder, n, samples, server, moment):
                known, so_far = received(server.url, folder, n, samples), len(server.bodies)
                server.known.append((so_far, known))
        assert not killed(server.url, folder, n, samples, server, 10**9)
    found = read_evaluation(folder)
    assert found.rows == undisturbed.rows
    assert len({(r.probe, r.sample) for r in found.rows}) == n * samples
    assert len(server.known) >= kills // 2, "the run was killed before its end"
    for so_far, known in server.known:
        again = {question(b) for b in server.bodies[so_far:]}
        assert not again & known, "an answer that was received is asked for again"
    assert len(server.bodies) <= n * samples + CONCURRENCY * len(server.known), "only what was under way at a kill may be asked again"


def test_a_run_killed_twice_resumes(tmp_path: Path) -> None:
    kill_and_resume(tmp_path, 2, 20, 2, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3])
def test_a_run_killed_ten_times_resumes(tmp_path: Path, seed: int) -> None:
    kill_and_resume(tmp_path, 10, 150, 2, seed)

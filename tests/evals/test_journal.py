"""The journal survives what a kill or a full disk leaves behind; a request that is not taken is nobody's failure."""

import asyncio
import json
from pathlib import Path

import pytest

from trueline.charter.probes import Expectation, Probe, probe_id
from trueline.charter.turns import Message
from trueline.core.chat import ChatRequest, Sampling, ScriptedChat
from trueline.core.evaluations import Evaluation
from trueline.core.ports import ScriptedGrader
from trueline.core.records import Grade
from trueline.errors import DataError, ModelError
from trueline.evals.runner import evaluate
from trueline.evals.suites import freeze
from trueline.models.wire import RequestRefused

GRADER = ScriptedGrader(lambda p, text: Grade("pass" if text == "fine é" else "fail", "exact"))


def probes(n: int) -> list[Probe]:
    out = []
    for i in range(n):
        messages = (Message("user", f"q{i}"),)
        out.append(Probe(probe_id("c", "refuse", "f", messages), "c", "refuse", messages, "f", "test", "grown", Expectation("refuse")))
    return out


def run(model: ScriptedChat, n: int, journal: Path | None = None, **options: object) -> Evaluation:
    return asyncio.run(evaluate(model, freeze(probes(n)), GRADER, charter="c", sampling=Sampling(), journal=journal, **options))  # type: ignore[arg-type]


@pytest.mark.parametrize("kept", [0, 1, 5, 40, -1, -2])
def test_a_journal_cut_anywhere_resumes(tmp_path: Path, kept: int) -> None:
    journal = tmp_path / "j.jsonl"
    whole = run(ScriptedChat(["fine é"]), 4, journal)
    raw = journal.read_bytes()
    journal.write_bytes(raw[:kept])
    again = run(ScriptedChat(["fine é"]), 4, journal)
    assert again.rows == whole.rows
    journal.write_bytes(raw.replace("é".encode(), b"\xc3", 1)[: raw.index("é".encode()) + 1])  # torn inside a character
    assert run(ScriptedChat(["fine é"]), 4, journal).rows == whole.rows


def test_a_whole_journal_asks_nothing(tmp_path: Path) -> None:
    run(ScriptedChat(["fine é"]), 4, tmp_path / "j")
    model = ScriptedChat(["fine é"])
    run(model, 4, tmp_path / "j")
    assert model.requests == []
    run(model, 5, tmp_path / "j")  # another suite: the journal is of no use
    assert len(model.requests) == 5


def test_the_order_of_the_rows_does_not_depend_on_who_answers_first() -> None:
    async def go(delay: bool) -> list[str]:
        class Slow(ScriptedChat):
            async def reply(self, request: ChatRequest):  # type: ignore[no-untyped-def]
                await asyncio.sleep(0.02 if delay and request.messages[0].content == "q0" else 0)
                return await super().reply(request)

        found = await evaluate(Slow(["x"]), freeze(probes(9)), GRADER, charter="c", sampling=Sampling(), concurrency=4)
        return [r.probe for r in found.rows]

    assert asyncio.run(go(True)) == asyncio.run(go(False))


def test_samples_differ_by_seed_and_are_told_apart() -> None:
    model = ScriptedChat(lambda r: str(r.sampling.seed))
    found = run(model, 2, samples=3)
    assert sorted((r.sample, r.reply) for r in found.rows) == [(0, "0"), (0, "0"), (1, "1"), (1, "1"), (2, "2"), (2, "2")]


def refuses(status: int, *asked: str) -> ScriptedChat:
    def script(request: ChatRequest) -> str:
        if request.messages[0].content in asked:
            raise RequestRefused("too long", remedy="shorten", status=status)
        return "fine é"

    return ScriptedChat(script)


def test_one_request_that_is_not_taken_is_unscored_and_all_of_them_are_an_error(tmp_path: Path) -> None:
    found = run(refuses(400, "q1"), 3)
    assert sorted((r.result, r.seen) for r in found.rows) == [("pass", ""), ("pass", ""), ("unscored", "not taken")]
    with pytest.raises(ModelError, match="not one of 2 requests was taken: too long"):
        run(refuses(400, "q0", "q1"), 2, tmp_path / "j")
    assert not (tmp_path / "j").exists()
    with pytest.raises(RequestRefused):
        run(refuses(401, "q1"), 3)


def test_a_journal_is_json_lines(tmp_path: Path) -> None:
    run(ScriptedChat(["fine é"]), 2, tmp_path / "j")
    lines = [json.loads(line) for line in (tmp_path / "j").read_text(encoding="utf-8").splitlines()]
    assert len(lines) == 3
    assert set(lines[0]) == {"key"}


def test_a_spoilt_row_of_the_journal_is_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    run(ScriptedChat(["No."]), 3, path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], lines[1].replace('"sample": 0', '"sample": "0"'), *lines[2:]]) + "\n")
    with pytest.raises(DataError, match=r"j\.jsonl:2: sample must be a whole number.*delete this journal"):
        run(ScriptedChat(["No."]), 3, path)

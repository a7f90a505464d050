"""Targets that answer with everything but an answer: each is asked again within limits, counted, and loses none of the others."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.evals.moody_server import Mood, MoodyServer, answers, cut, drips, endless, raw, says, silent, whole
from tests.evals.test_journal import GRADER, probes
from trueline.core.chat import Sampling
from trueline.core.evaluations import Evaluation
from trueline.errors import ModelError, ModelUnavailable
from trueline.evals.pacing import Limits, Pacer
from trueline.evals.runner import evaluate
from trueline.evals.suites import freeze
from trueline.models.openai_chat import OpenAIChat
from trueline.models.patient import PatientChat
from trueline.models.wire import RequestRefused, Wire


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits are worked out as ever and sat out a hundred times faster."""
    worked_out: Callable[..., float] = Wire._wait

    def shortened(*args: object) -> float:
        wait = worked_out(*args)
        assert 0 <= wait <= 60
        args[0]._not_before = 0.0  # type: ignore[attr-defined]
        return wait / 100

    monkeypatch.setattr(Wire, "_wait", shortened)


def run(
    server: MoodyServer, n: int, *, journal: Path | None = None, timeout: float = 0.3, concurrency: int = 8
) -> tuple[Evaluation, Pacer]:
    async def go() -> Evaluation:
        chat = PatientChat(OpenAIChat("m", server.url))
        try:
            return await evaluate(
                chat, freeze(probes(n)), GRADER, charter="c", sampling=Sampling(max_tokens=9), journal=journal, pacer=pacer
            )
        finally:
            await chat.close()

    pacer = Pacer(Limits(concurrency, timeout=timeout))
    return asyncio.run(go()), pacer


BAD: dict[str, tuple[list[Mood], str, int]] = {  # name -> moods, how it is counted, tries at most
    "429": ([says(raw(b"{}", "429 Too Many Requests"))], "HTTP 429", 1),
    "429 with a wait": ([says(raw(b"{}", "429 Too Many Requests", retry_after="2"))], "HTTP 429", 1),
    "500": ([says(raw(b"down", "500 Internal Server Error"))], "HTTP 500", 5),
    "empty": ([says(raw(b""))], "an answer that cannot be read", 3),
    "malformed": ([says(raw(b'{"choices": [{"mess'))], "an answer that cannot be read", 3),
    "no object": ([says(raw(b"[1, 2]"))], "an answer that cannot be read", 3),
    "no HTTP": ([says(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")], "bad HTTP", 5),
    "cut in the body": ([cut(whole("No."), 60)], "an answer cut off", 5),
    "cut in the head": ([cut(whole("No."), 20)], "", 5),
    "hung up": ([cut(b"x", 0)], "the connection was cut", 5),
    "silence": ([silent], "no whole answer within 0.3 s", 2),
    "slow drip": ([drips(whole("No."), 0.02)], "no whole answer within 0.3 s", 2),
}


@pytest.mark.parametrize("name", [n for n in BAD if not n.startswith("429")])
def test_one_probe_that_never_answers_loses_none_of_the_others(name: str) -> None:
    moods, kind, tries = BAD[name]
    with MoodyServer({"q3": moods}) as server:
        found, pacer = run(server, 9)
    bad = [r for r in found.rows if r.result == "unscored"]
    assert [r.seen for r in bad] == ["no answer"]
    assert sum(r.reply.startswith("You asked: q") for r in found.rows) == 8
    assert server.asked["q3"] == tries == sum(pacer.faults.values())
    assert kind in bad[0].reason.replace("something that is no JSON", kind).replace("answered list", kind)
    assert any(k.startswith(kind) for k in pacer.faults)
    assert all(server.asked[f"q{i}"] == 1 for i in range(9) if i != 3)


@pytest.mark.parametrize("name", list(BAD))
def test_what_passes_is_asked_again_and_answered(name: str) -> None:
    moods, _, _ = BAD[name]
    with MoodyServer({f"q{i}": [*moods, answers] for i in range(3)}) as server:
        found, pacer = run(server, 5)
    assert [r.result for r in found.rows if r.result == "unscored"] == []
    assert sum(pacer.faults.values()) == 3
    assert sum(server.asked.values()) == 8


def test_wrong_types_in_an_answer_are_no_answer() -> None:
    odd = [b'{"choices": 5}', b'{"choices": [{"message": "hi"}]}', b'{"choices": []}', b'{"choices": [{"message": {"content": {"a": 1}}}]}']
    with MoodyServer({f"q{i}": [says(raw(b))] for i, b in enumerate(odd)}) as server:
        found, _ = run(server, 8)
    assert [r.seen for r in found.rows if r.result == "unscored"] == ["no answer"] * 3
    assert sum(r.reply.startswith("You asked") for r in found.rows) == 4, "a content that is no text is an empty reply"


def test_a_body_without_end_is_given_up_at_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trueline.models.transport.LARGEST", 3 * 2**20)
    with MoodyServer({"q0": [endless]}) as server:
        found, pacer = run(server, 3, timeout=20)
    assert [r.seen for r in found.rows if r.result == "unscored"] == ["no answer"]
    assert pacer.faults == {"an answer beyond all size": 1}


def test_a_dead_host_and_a_wrong_key_end_the_run_and_keep_what_was_answered(tmp_path: Path) -> None:
    with MoodyServer() as server:
        gone = server.url
    server.url = gone
    with pytest.raises(ModelUnavailable, match="no connection"):
        run(server, 40)
    wrong = says(raw(b'{"error": {"message": "wrong key"}}', "401 Unauthorized"))
    with MoodyServer({f"q{i}": [wrong] for i in range(40)}) as server:
        with pytest.raises(RequestRefused, match="wrong key"):
            run(server, 40)
        assert sum(server.asked.values()) <= 8, "nobody goes on with a wrong key"
    with MoodyServer(lasts=20) as server:
        with pytest.raises(ModelUnavailable, match="HTTP 500"):
            run(server, 60, journal=tmp_path / "j", concurrency=2, timeout=20)  # an answer that we gave up on would be asked for again
        answered = dict(server.answered)
        assert sum(server.asked.values()) <= 20 + 5 * 12, "ten in vain one after the other are enough"
        server.lasts = None
        found, _ = run(server, 60, journal=tmp_path / "j", timeout=20)
        assert all(server.answered[q] == 1 for q in answered), "what was answered is not asked again"
    assert sum(r.result == "unscored" for r in found.rows) == 0


def test_a_suite_that_nobody_answers_is_an_error_however_small() -> None:
    with (
        MoodyServer({"q0": [says(raw(b""))], "q1": [says(raw(b""))]}) as server,
        pytest.raises(ModelError, match="not one of 2 requests was answered"),
    ):
        run(server, 2)


def test_a_limit_that_is_used_up_holds_the_next_request_back() -> None:
    empty = says(whole("No.", x_ratelimit_remaining_requests="0", x_ratelimit_reset_requests="250ms"))
    with MoodyServer({"q0": [empty]}) as server:
        found, _ = run(server, 2, concurrency=1, timeout=5)
    assert found.seconds >= 0.25

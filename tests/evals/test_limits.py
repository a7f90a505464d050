"""Rates and budgets are never exceeded, a rule may end a run at the same place whoever answers first, and each reply is timed."""

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.evals.moody_server import MoodyServer, raw, says
from tests.evals.test_journal import GRADER, probes
from tests.models.scripted_server import Answer, ScriptedServer
from trueline.core.chat import ChatReply, ChatRequest, Sampling, ScriptedChat
from trueline.core.evaluations import Evaluation, GradedReply
from trueline.errors import DataError, TruelineError
from trueline.evals.budget import Budget, BudgetSpent, Caps, Spent
from trueline.evals.journal import rows_in
from trueline.evals.order import Early, families
from trueline.evals.pacing import Limits, Pacer
from trueline.evals.rates import Rate
from trueline.evals.runner import evaluate
from trueline.evals.suites import freeze
from trueline.models.cached import CachedChat
from trueline.models.openai_chat import OpenAIChat
from trueline.models.pace import Try


def test_a_rate_spaces_evenly() -> None:
    rate = Rate(10)
    assert [round(rate.take(1, 5.0), 3) for _ in range(4)] == [0.0, 0.1, 0.2, 0.3]
    assert rate.take(1, 60.0) == 0.0, "what was not used is not saved up for a burst"
    tokens = Rate(100)
    tokens.take(50, 0.0)
    tokens.give_back(30)
    assert tokens.take(1, 0.0) == pytest.approx(0.2)


@given(
    st.lists(st.tuples(st.integers(1, 4000), st.integers(0, 200), st.integers(0, 300), st.booleans()), min_size=1, max_size=60),
    st.integers(0, 9999),
)
def test_no_cap_is_ever_exceeded_while_servers_count_no_more_than_was_reserved(tries: list[tuple[int, int, int, bool]], seed: int) -> None:
    async def go() -> None:
        caps = Caps(requests=40, tokens=20_000, money=0.05, price_in=1.0, price_out=4.0)
        budget, order, flying = Budget(caps), random.Random(seed), []
        for size, most, said, counted in tries:
            while flying and order.random() < 0.5:
                budget.settle(*flying.pop(order.randrange(len(flying))))
            if budget._exceeded(budget.tokens_of(size), most) is not None:
                continue
            turn = await budget.reserve(size, most)
            used = Try(0.1, input_tokens=min(said, turn.read), output_tokens=min(said, most)) if counted else Try(0.1)
            flying.append((size, turn, used))
        for one in flying:
            budget.settle(*one)
        assert budget.spent.requests <= 40
        assert budget.spent.read + budget.spent.written <= 20_000
        assert budget.money <= 0.05

    asyncio.run(go())


def test_money_by_hand_and_money_without_prices() -> None:
    assert Caps(price_in=3, price_out=15).cost(1_000_000, 200_000) == pytest.approx(6.0)
    with pytest.raises(TruelineError, match="--price-in"):
        Caps(money=1.0)
    budget = Budget(Caps(price_in=3.0, price_out=15.0), Spent(2, 1_000_000, 200_000))
    assert "2 requests, 1000000 tokens read, 200000 written, 6.0000 in money" in budget.told()


def asked_through(url: str, n: int, pacer: Pacer, journal: Path | None = None) -> Evaluation:
    async def go() -> Evaluation:
        chat = OpenAIChat("m", url)
        try:
            return await evaluate(
                chat, freeze(probes(n)), GRADER, charter="c", sampling=Sampling(max_tokens=9), journal=journal, pacer=pacer
            )
        finally:
            await chat.close()

    return asyncio.run(go())


def run(server: MoodyServer, n: int, limits: Limits, journal: Path | None = None) -> tuple[Evaluation, Pacer]:
    pacer = Pacer(limits)
    return asked_through(server.url, n, pacer, journal), pacer


@pytest.mark.parametrize(("caps", "least", "most"), [(Caps(requests=12), 12, 12), (Caps(tokens=150), 5, 15), (Caps(money=1.5e-4, price_in=1, price_out=1), 5, 15)])  # fmt: skip
def test_a_budget_stops_a_run_before_it_is_exceeded_and_a_larger_one_goes_on(caps: Caps, least: int, most: int, tmp_path: Path) -> None:
    with MoodyServer(delay=0.005) as server:  # each reply costs 7 + 3 tokens
        with pytest.raises(BudgetSpent, match=r"the budget of \w+ is spent: \d+ requests.* of 30 replies are missing.*--budget-") as caught:
            run(server, 30, Limits(8, caps=caps), tmp_path / "j")
        assert caught.value.exit_code == 130
        answered = server.answered.total()
        assert least <= answered <= most
        with pytest.raises(BudgetSpent):
            run(server, 30, Limits(8, caps=caps), tmp_path / "j")
        assert server.answered.total() <= most, "the budget is the run's, not the command's"
        found, _ = run(server, 30, Limits(8), tmp_path / "j")
    assert len(found.rows) == 30
    assert set(server.answered.values()) == {1}


@pytest.mark.parametrize(("n", "each"), [(3, [1, 1, 1, 0]), (4, [1, 1, 1, 1]), (10, [3, 3, 2, 2])])
def test_workers_keep_to_a_budget_together(n: int, each: list[int]) -> None:
    limits = Limits(caps=Caps(requests=n, tokens=n))
    shares = [limits.shared(4, i).caps for i in range(4)]
    assert [c.requests for c in shares] == [c.tokens for c in shares] == each
    assert Limits().shared(4, 3).caps == Caps()


def test_tries_that_fail_cost_their_request() -> None:
    busy = says(raw(b"{}", "503 Service Unavailable", retry_after="0"))
    with MoodyServer({"q0": [busy]}) as server, pytest.raises(BudgetSpent):
        run(server, 3, Limits(1, caps=Caps(requests=4)))
    assert sum(server.asked.values()) == 4


@pytest.mark.parametrize("usage", [{}, {"prompt_tokens": None, "completion_tokens": "3"}, {"total_tokens": 10}])
def test_a_server_that_counts_nothing_leaves_the_reservation_spent(usage: dict[str, object]) -> None:
    body = {"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "fine"}}], "usage": usage}
    pacer = Pacer(Limits(1, caps=Caps(tokens=150)))
    with ScriptedServer([Answer(body)]) as server, pytest.raises(BudgetSpent):
        asked_through(server.url, 30, pacer)
    assert 0 < len(server.asked) < 6, "about 40 tokens are reserved for each"
    assert 90 < pacer.budget.spent.read + pacer.budget.spent.written <= 150


def test_a_count_beyond_all_reason_makes_no_request_wait_for_days() -> None:
    async def go() -> None:
        for _ in range(3):
            clock[0] += sum(waits[-1:])
            turn = await pacer.before(100, 9)
            pacer.after(100, turn, Try(0.1, input_tokens=2**31 - 1, output_tokens=2**31 - 1))

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    clock, waits = [0.0], list[float]()
    pacer = Pacer(Limits(1, max_tpm=6000), now=lambda: clock[0], sleep=sleep)
    asyncio.run(go())
    assert waits == [pytest.approx(60), pytest.approx(60)], "a minute's tokens at most, and not more by what was learnt of the share"


def test_what_was_spent_is_the_runs_also_where_the_server_counts_nothing(tmp_path: Path) -> None:
    body = {"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "fine"}}]}
    with ScriptedServer([Answer(body)]) as server:
        for _ in range(3):
            with pytest.raises(BudgetSpent, match="the budget of tokens is spent"):
                asked_through(server.url, 30, pacer := Pacer(Limits(1, caps=Caps(tokens=150))), tmp_path / "j")
            assert pacer.report()["tokens_read"] > 90
        asked = len(server.asked)
        found = asked_through(server.url, 30, pacer := Pacer(Limits(1)), tmp_path / "j")
        assert len(server.asked) == 30
    assert 0 < asked < 6
    assert (len(found.rows), pacer.budget.spent.requests, rows_in(tmp_path / "j")) == (30, 30, 30)


def test_tries_that_fail_stay_spent_when_the_command_is_given_again(tmp_path: Path) -> None:
    busy = says(raw(b"{}", "503 Service Unavailable", retry_after="0"))
    with MoodyServer({"q0": [busy]}) as server:
        for _ in range(2):
            with pytest.raises(BudgetSpent):
                run(server, 3, Limits(1, caps=Caps(requests=4)), tmp_path / "j")
        assert sum(server.asked.values()) == 4
    with ScriptedServer([Answer({"error": {"message": "too long"}}, 400)]) as refusing:
        for _ in range(2):  # no row is worth keeping, and every request is paid for
            with pytest.raises(TruelineError):
                asked_through(refusing.url, 3, Pacer(Limits(1, caps=Caps(requests=3))), tmp_path / "k")
        assert len(refusing.asked) == 3


def test_a_spoilt_cost_is_named_by_its_line(tmp_path: Path) -> None:
    with MoodyServer() as server:
        run(server, 1, Limits(1), tmp_path / "j")
        (tmp_path / "j").write_text((tmp_path / "j").read_text() + '{"spent": [1, -2, 3]}\n')
        with pytest.raises(DataError, match=r"j:\d+: spent must be three counts"):
            run(server, 1, Limits(1), tmp_path / "j")


def test_requests_a_second_and_the_cost_are_kept() -> None:
    with MoodyServer() as server:
        found, pacer = run(server, 9, Limits(8, max_rps=40, caps=Caps(price_in=1e6, price_out=0)))
        slow, _ = run(server, 4, Limits(8, max_tpm=60 * 400))
    assert found.seconds >= 8 / 40
    assert pacer.report()["money"] == 63.0
    assert pacer.report()["requests"] == 9
    assert slow.seconds > 0.1, "about 60 tokens each are reserved before anything is known"


def test_each_reply_is_timed_without_its_waits_and_keeps_its_time_in_the_cache(tmp_path: Path) -> None:
    request = ChatRequest(probes(1)[0].messages, Sampling(max_tokens=9))

    async def ask() -> ChatReply:
        chat = CachedChat(OpenAIChat("m", server.url), tmp_path / "c.sqlite")
        try:
            return await chat.reply(request)
        finally:
            await chat.close()

    with MoodyServer({}, delay=0.05) as server:
        server.moods["q0"] = [says(raw(b"{}", "500 Oh", retry_after="0.4"))]
        asyncio.run(_later(server, ask))
        first, again = asyncio.run(ask()), asyncio.run(ask())
    assert 0.05 <= first.seconds < 0.35
    assert again.seconds == first.seconds
    assert first == ChatReply(first.text, model="m-1", input_tokens=7, output_tokens=3), "the time is no part of what was said"


async def _later(server: MoodyServer, ask: object) -> None:
    """The server recovers while the request waits to be asked again."""
    task = asyncio.create_task(ask())  # type: ignore[operator]
    await asyncio.sleep(0.2)
    server.moods.clear()
    assert (await task).seconds < 0.35


def test_families_stay_together_in_an_order_that_the_seed_decides() -> None:
    some = probes(6)
    flat = [[(p.id, s) for p, s in group] for group in families(some, 2, None)]
    assert flat == [[(p.id, s)] for p in some for s in (0, 1)]
    one, same, other = (families(some, 2, seed) for seed in (1, 1, 2))
    assert one == same
    assert sorted(map(len, one)) == [12], "these are all of one family"
    assert some[0].cluster == "f"
    assert {p.id for p, _ in other[0]} == {p.id for p in some}


class Spread(ScriptedChat):
    """Answers in an order of its own."""

    async def reply(self, request: ChatRequest) -> ChatReply:
        await asyncio.sleep(random.Random(request.messages[0].content + self.name).random() / 100)
        return await super().reply(request)


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_rule_ends_the_run_at_the_same_place_whoever_answers_first(name: str) -> None:
    from dataclasses import replace

    many = [replace(p, family=f"family {i % 10}") for i, p in enumerate(probes(40))]
    heard: list[Sequence[GradedReply]] = []

    def stop(rows: Sequence[GradedReply]) -> str | None:
        heard.append(rows)
        return "enough was seen" if len(heard) == 4 else None

    model = Spread(["fine é"], name=name)
    found = asyncio.run(
        evaluate(model, freeze(many), GRADER, charter="c", sampling=Sampling(), concurrency=5, early=Early(stop, seed=3), target="t")
    )
    order = [group[0][0].family for group in families(freeze(many).probes, 1, 3)]
    assert [rows[0].family for rows in heard] == order[:4]
    assert all(len({r.family for r in rows}) == 1 and len(rows) == 4 for rows in heard)
    assert {r.family for r in found.rows} == set(order[:4])
    assert len(found.rows) == 16
    assert found.settings["stopped"] == {"families": 4, "of": 10, "order": 3, "why": "enough was seen"}
    assert len(model.requests) < 30

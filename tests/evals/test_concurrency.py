"""The limiter finds what saturates a target: simulated targets on a simulated clock, and one real one."""

import asyncio
import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable

import pytest

from tests.evals.moody_server import MoodyServer
from tests.evals.test_journal import GRADER, probes
from trueline.core.chat import Sampling
from trueline.evals.concurrency import Limiter, Turns
from trueline.evals.pacing import Limits, Pacer
from trueline.evals.runner import evaluate
from trueline.evals.suites import freeze
from trueline.models.openai_chat import OpenAIChat


def simulate(
    requests: int, slots: int, took: Callable[[], float], most: int = 64, fixed: bool = False, stalls: tuple[float, ...] = ()
) -> tuple[float, list[int]]:
    """(seconds until all is answered, the limit after each reply) of a target that works on `slots` at once and queues the others. From each
    of `stalls` on we hear nothing for 0.4 s."""
    limiter, now, number = Limiter(most), 0.0, itertools.count()
    left, flying, limits = requests, 0, []
    queue: deque[float] = deque()
    working: list[tuple[float, int, float]] = []
    while left or flying:
        while left and flying < limiter.limit:
            limiter.started(now)
            queue.append(now)
            left, flying = left - 1, flying + 1
        while queue and len(working) < slots:
            heapq.heappush(working, (now + took(), next(number), queue.popleft()))
        then, _, sent = heapq.heappop(working)
        now = max(now, then)
        now = next((at + 0.4 for at in stalls if at <= now < at + 0.4), now)
        flying -= 1
        if not fixed:
            limiter.finished(now, now - sent, flying)
        limits.append(limiter.limit)
    return now, limits


def test_a_flat_target_gets_all_of_it_at_once() -> None:
    seconds, limits = simulate(500, 10_000, lambda: 0.1)
    assert seconds == pytest.approx(0.8)
    assert set(limits) == {64}


@pytest.mark.parametrize("slots", [1, 4, 8, 16, 30])
def test_a_target_of_few_places_is_asked_by_few_and_loses_nothing(slots: int) -> None:
    noise = random.Random(slots)
    seconds, limits = simulate(1500, slots, lambda: 0.1 * noise.uniform(0.9, 1.1))
    assert slots * 0.8 <= limits[-1] <= 2 * slots
    assert seconds <= 1.1 * 1500 * 0.1 / slots, "its rate did not suffer"
    settled = next(i for i, limit in enumerate(limits) if limit <= 2 * slots)
    assert settled < 5 * 64, "and it did not take the whole run to find out"


@pytest.mark.parametrize("seed", range(8))
def test_a_stall_of_our_own_is_no_queue(seed: int) -> None:
    noise = random.Random(seed)
    stalls = tuple(sorted(noise.uniform(0.3, 6.0) for _ in range(3)))
    seconds, limits = simulate(4000, 10_000, lambda: 0.1 * noise.uniform(0.95, 1.05), stalls=stalls)
    assert seconds <= 1.15 * (4000 * 0.1 / 64 + 3 * 0.4)
    assert limits[-1] >= 48


def test_replies_of_very_different_length_are_no_queue() -> None:
    def one(fixed: bool) -> tuple[float, list[int]]:
        noise = random.Random(1)
        return simulate(4000, 10_000, lambda: noise.lognormvariate(0.0, 0.8), fixed=fixed)

    (seconds, limits), (least, _) = one(False), one(True)
    assert seconds < 1.25 * least
    assert sorted(limits)[len(limits) // 2] == 64


def test_a_target_that_grows_is_found_out() -> None:
    limiter, now = Limiter(64), 0.0
    limiter.limit = 8
    limiter._rest = 1
    for _ in range(3000):
        now += 0.1 / limiter.limit
        limiter.finished(now, 0.1, limiter.limit - 1)
    assert limiter.limit == 64


def test_too_many_requests_cut_once_and_grow_back_one_by_one() -> None:
    limiter = Limiter(64)
    for i in range(30):  # all of one burst
        limiter.busy(1.0 + i / 1000)
    assert limiter.limit == 44
    limiter.busy(2.0)
    assert limiter.limit == 30
    now = 3.0
    for _ in range(200):
        now += 0.1 / limiter.limit
        limiter.finished(now, 0.1, limiter.limit - 1)
    assert 30 < limiter.limit < 40
    for second in range(100):
        limiter.busy(10.0 + second)
    assert limiter.limit == 1


def test_places_are_given_in_turn_and_come_back_when_a_waiter_is_cancelled() -> None:
    async def go() -> list[int]:
        turns, order = Turns(Limiter(1)), []

        async def work(i: int) -> None:
            await turns.enter()
            order.append(i)
            await asyncio.sleep(0)
            turns.leave()

        tasks = [asyncio.create_task(work(i)) for i in range(5)]
        await asyncio.sleep(0)
        tasks[2].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert turns.flying == 0
        return order

    assert asyncio.run(go()) == [0, 1, 3, 4]


def test_a_real_target_of_two_places_is_not_asked_by_thirty_two_for_long() -> None:
    async def go() -> None:
        chat = OpenAIChat("m", server.url)
        await evaluate(chat, freeze(probes(140)), GRADER, charter="c", sampling=Sampling(), pacer=pacer)
        await chat.close()

    pacer = Pacer(Limits(32))
    with MoodyServer(delay=0.05, slots=2) as server:
        asyncio.run(go())
    assert server.most == 32, "it begins with all of it"
    assert pacer.turns.limiter.limit <= 12

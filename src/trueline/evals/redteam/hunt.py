"""Lets searches hunt: asks what they propose, grades, journals, and tells them, round by round, until each request is broken or its budget ends.

In order: every open request proposes; all proposals of the round are asked side by side; each is journalled as it is answered; then the searches
are told in the order of the requests. Rounds make a search that learns across requests give the same moves on every machine, and after a
kill -9. What it leaves out on purpose: rates and curves (`curves`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from trueline.charter.digests import digest_of
from trueline.charter.probes import Probe
from trueline.core.chat import ChatModel, ChatReply, ChatRequest, Sampling
from trueline.core.clock import generator
from trueline.core.ports import Grader, GradientSearch
from trueline.core.records import Grade
from trueline.core.threads import aside
from trueline.errors import ModelError, SuiteError
from trueline.evals.budget import BudgetSpent
from trueline.evals.journal import NO_ANSWER
from trueline.evals.pacing import Limits, Pacer
from trueline.evals.redteam.asking import asked
from trueline.evals.redteam.attack import Attack
from trueline.evals.redteam.attempts import Attempted, answered, families
from trueline.evals.redteam.journal import Journal
from trueline.evals.redteam.searches.catalogue import Search
from trueline.evals.redteam.searches.moves import Attempt, Consult, Gradient, Move, Moves, Seen, Setting, Told
from trueline.evals.rows import Breaker
from trueline.models.pace import PACE

Progress = Callable[[int, int], None]
NEVER_ASKED = "never asked"  # what `seen` says of a request that nothing was written for
WRITING = Sampling(temperature=1.0, max_tokens=512)  # how an attacker is asked


@dataclass(frozen=True, slots=True)
class Means:
    """What searches hunt with. `budget`: queries of the target for each request and search. `proof`: only a reply that carries one of the
    charter's marks ends a search; else the grader's verdict does."""

    model: ChatModel
    grader: Grader
    sampling: Sampling
    attacks: Mapping[str, Attack]
    budget: int
    seed: int = 0
    proof: bool = False
    attacker: ChatModel | None = None
    gradients: GradientSearch | None = None
    states: Path | None = None
    concurrency: int = 64

    def told(self) -> dict[str, Any]:
        """JSON-able settings that decide the moves."""
        attacker = dict(self.attacker.identity()) if self.attacker is not None else None
        return {
            "budget": self.budget,
            "seed": self.seed,
            "proof": self.proof,
            "attacks": digest_of(sorted(self.attacks)),
            "attacker": attacker,
        }


@dataclass(frozen=True, slots=True)
class Hunted:
    """What came of one search on one request: all queries of the target, in order (none where the attacker wrote nothing: it is unscored);
    `broken_at` the number of the query that broke it, None within the budget; what else was spent."""

    search: str
    request: Probe
    attempts: tuple[Attempted, ...]
    broken_at: int | None
    attacker_queries: int
    gradient_steps: int
    gradient_tokens: int

    @property
    def last(self) -> Attempted:
        """The attempt that stands for it: the one that broke it, else the last that was graded, else the last; of a request that was never
        asked an unscored one that says so."""
        if not self.attempts:
            p = self.request
            return Attempted(
                self.search, p.id, p.clause, 0, "target", self.search, "", p.messages, "", 0, (self.search,), "unscored", NEVER_ASKED,
                "the attacker wrote no message",
            )  # fmt: skip
        graded = [a for a in self.attempts if a.result != "unscored"]
        return self.attempts[self.broken_at - 1] if self.broken_at else (graded or self.attempts)[-1]


def _digest(move: Move) -> str:
    head: list[Any] = [type(move).__name__, [m.to_dict() for m in move.messages]]
    return digest_of([*head, move.target, move.steps] if isinstance(move, Gradient) else head)[:16]


@dataclass(slots=True)
class _Run:
    """One search on one request, under way. `moves` is what it proposes now; empty when it has ended."""

    search: Search
    request: Probe
    course: Moves
    moves: tuple[Move, ...] = ()
    made: list[Attempted] = field(default_factory=list)
    spent: int = 0
    broken_at: int | None = None

    def propose(self, budget: int, told: tuple[Told, ...] | None) -> None:
        """The next moves, cut to what is left of the budget."""
        try:
            found = next(self.course) if told is None else self.course.send(told)
        except StopIteration:
            found = ()
        left = budget - self.spent
        asks = bool(found) and isinstance(found[0], Attempt)
        self.moves = found[:left] if asks else found if left > 0 else ()
        if not self.moves:
            self.course.close()

    def take(self, answers: Sequence[Attempted], means: Means) -> None:
        """Counts the answers, and goes on unless one of them broke the request or the budget has ended."""
        self.made += answers
        for a in answers:
            if a.asked == "target":
                self.spent += 1
                if self.broken_at is None and (a.proven if means.proof else a.result == "fail"):
                    self.broken_at = a.query
        if self.broken_at is not None or self.spent >= means.budget:
            self.moves = ()
            self.course.close()
        else:
            self.propose(means.budget, tuple(Seen(a.reply, a.result, a.score) if a.asked == "target" else a.reply for a in answers))

    def hunted(self) -> Hunted:
        """The record of the end."""
        asked = tuple(a for a in self.made if a.asked == "target")
        other = [a for a in self.made if a.asked != "target"]
        return Hunted(
            self.search.name, self.request, asked, self.broken_at, sum(a.asked == "attacker" for a in other),
            max((a.steps for a in other), default=0), max((a.tokens for a in other), default=0),
        )  # fmt: skip


@dataclass(slots=True)
class _Field:
    """What all moves of a hunt share. The target is asked at its pace, the attacker (`writers`) at its own, both on one budget; a gradient
    search has the machine to itself. `short`: why nothing more is asked."""

    means: Means
    journal: Journal
    pacer: Pacer
    writers: Pacer
    consults: asyncio.Semaphore
    climbs: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    target: Breaker = field(default_factory=Breaker)
    attacker: Breaker = field(default_factory=Breaker)
    short: BudgetSpent | None = None


async def _attempt(hall: _Field, run: _Run, move: Attempt, step: int, query: int) -> Attempted:
    means, name, request = hall.means, run.search.name, run.request
    start = Attempted(
        name, request.id, request.clause, step, "target", move.how, _digest(move), move.messages, "", query, families(move.how, name)
    )
    return answered(start, await asked(means.model, means.grader, request, move.messages, means.sampling, hall.target))


async def _consult(hall: _Field, run: _Run, move: Consult, step: int) -> Attempted:
    """What the attacker wrote; nothing where it does not take this one question or does not answer it."""
    means = hall.means
    assert means.attacker is not None, "checked before the hunt"
    seed = generator(means.seed, run.search.name, run.request.id, str(step)).getrandbits(31)
    reply, grade = ChatReply(""), Grade("unscored", "")
    try:
        reply = await means.attacker.reply(ChatRequest(move.messages, replace(WRITING, seed=seed)))
        hall.attacker.answered()
    except ModelError as e:
        grade = hall.attacker.grade(e)
    return Attempted(
        run.search.name, run.request.id, run.request.clause, step, "attacker", move.purpose, _digest(move), move.messages, reply.text,
        seen=grade.seen, reason=grade.reason, seconds=reply.seconds, input_tokens=reply.input_tokens, output_tokens=reply.output_tokens,
    )  # fmt: skip


async def _climb(means: Means, run: _Run, move: Gradient, step: int) -> Attempted:
    assert means.gradients is not None, "checked before the hunt"
    about = [move.target, [m.to_dict() for m in move.messages], dict(means.model.identity()), means.seed]
    state = means.states / f"{digest_of(about)[:16]}.json" if means.states is not None else None
    if state is not None:
        state.parent.mkdir(parents=True, exist_ok=True)
    found = await aside(means.gradients.search, move.messages, move.target, steps=move.steps, seed=means.seed, state=state)
    return Attempted(
        run.search.name, run.request.id, run.request.clause, step, "gradient", move.target, _digest(move), move.messages, found.suffix,
        steps=found.steps, tokens=found.forward_tokens,
    )  # fmt: skip


async def _made(hall: _Field, run: _Run, move: Move, step: int, query: int) -> Attempted:
    if isinstance(move, Gradient):
        async with hall.climbs:
            return await _climb(hall.means, run, move, step)
    if isinstance(move, Consult):
        PACE.set(hall.writers)
        async with hall.consults:
            return await _consult(hall, run, move, step)
    PACE.set(hall.pacer)
    await hall.pacer.turns.enter()
    try:
        return await _attempt(hall, run, move, step, query)
    finally:
        hall.pacer.turns.leave()


async def _round(hall: _Field, runs: Sequence[_Run]) -> list[list[Attempted]]:
    """The answers to all moves of a round, by run. What nobody answered stands in no journal: the next try asks it again. Raises `BudgetSpent`
    once all that was under way is answered."""

    async def one(run: _Run, at: int, move: Move) -> Attempted | None:
        step, query = len(run.made) + at, run.spent + at + 1
        known = hall.journal.known(run.search.name, run.request.id, step, _digest(move))
        if known is not None:
            return known
        try:
            found = await _made(hall, run, move, step, query)
        except BudgetSpent as e:
            hall.short = e
            return None
        if found.seen != NO_ANSWER:
            hall.journal.add(found)
        return found

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [[group.create_task(one(run, i, m)) for i, m in enumerate(run.moves)] for run in runs]
    except BaseExceptionGroup as e:
        raise e.exceptions[0] from None
    if hall.short is not None:
        raise hall.short
    return [[a for t in of_run if (a := t.result()) is not None] for of_run in tasks]


def _checked(search: Search, means: Means) -> None:
    """Raises `SuiteError` where a search lacks what it needs."""
    if search.attacker and means.attacker is None:
        raise SuiteError(f"the search {search.name} needs a model that attacks", remedy="name one with --attacker TARGET")
    if search.gradients and means.gradients is None:
        raise SuiteError(f"the search {search.name} needs the weights of the target", remedy="attack a local model, or leave it out")


async def hunt(means: Means, searches: Sequence[Search], requests: Sequence[Probe], journal: Journal, progress: Progress | None = None, pacer: Pacer | None = None) -> tuple[Hunted, ...]:  # fmt: skip
    """Every search on every request, one search after another. Raises the model's error when it stays away; what was asked is in the
    journal. Raises `SuiteError` where a search asked nothing about any request. `progress(done, total)` counts requests that have ended. `pacer`: limits of
    the target, in place of the concurrency alone, and the budget of target and attacker; raises its `BudgetSpent`."""
    for search in searches:
        _checked(search, means)
    pacer = pacer or Pacer(Limits(means.concurrency))
    writers = Pacer(Limits(means.concurrency, timeout=pacer.limits.timeout))
    writers.budget = pacer.budget
    hall = _Field(means, journal, pacer, writers, asyncio.Semaphore(means.concurrency))
    total = len(searches) * len(requests)
    out: list[Hunted] = []
    for search in searches:
        memory: MutableMapping[str, tuple[int, int]] = {}
        waiting = [_begun(search, request, means, memory) for request in reversed(requests)]
        runs: list[_Run] = []
        while live := _filled(runs, waiting, search.at_once or len(requests), means):
            for run, answers in zip(live, await _round(hall, live), strict=True):
                run.take(answers, means)
            if progress is not None:
                progress(len(out) + sum(not r.moves for r in runs), total)
        found = [r.hunted() for r in runs]
        if not any(h.attempts for h in found):
            what = f"the search {search.name} never asked the target anything"
            raise SuiteError(what, remedy="take an attacker that writes messages, or another search")
        out += found
    return tuple(out)


def _begun(search: Search, request: Probe, means: Means, memory: MutableMapping[str, tuple[int, int]]) -> _Run:
    source = generator(means.seed, search.name, request.id)
    return _Run(search, request, search.start(Setting(request, source, means.attacks, means.budget, memory)))


def _filled(runs: list[_Run], waiting: list[_Run], most: int, means: Means) -> list[_Run]:
    """The runs that are open now, with as many new ones as there is room for."""
    live = [r for r in runs if r.moves]
    while waiting and len(live) < most:
        run = waiting.pop()
        run.propose(means.budget, None)
        runs.append(run)
        live += [run] if run.moves else []
    return live

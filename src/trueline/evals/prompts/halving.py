"""Successive halving over prompts: many candidates on few probes, the better half on more, the best on all (Jamieson & Talwalkar 2016,
1502.07943). Every candidate of a rung is asked the same probes, so all comparisons are paired; what a rung has asked is not asked again.

In order: take the first prompt(s) and their neighbours, halve them over the rungs, keep the best as parents of the next round, until the
budget of requests has no room for a round. Left out on purpose: held-out probes, which no part of the search ever sees."""

from __future__ import annotations

import json
import math
import os
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trueline.charter.digests import digest_of
from trueline.charter.probes import MEASURES, Measure, Probe
from trueline.core.records import Result
from trueline.data.jsonl import read_jsonl
from trueline.evals.prompts.objective import Score, proven_worse, score
from trueline.evals.prompts.space import Prompt, Space, neighbour

Ask = Callable[[Prompt, Sequence[Probe]], Awaitable[Mapping[str, Result]]]
KEEP = 0.5  # share of the candidates that a rung passes on
PARENTS = 2
TRIES = 60  # draws without a new candidate after which a round takes what it has


def development(probes: Sequence[Probe], most: int, seed: int) -> tuple[Probe, ...]:
    """At most about `most` probes in an order of which every beginning has the measures in equal parts; fairness pairs stay whole and
    side by side. Within a measure the clauses take turns, their probes by the digest of seed and id."""
    queues: dict[Measure, list[list[Probe]]] = {}
    for measure in MEASURES:
        clauses: dict[str, dict[str, list[Probe]]] = {}
        for p in probes:
            if p.measure == measure:
                clauses.setdefault(f"{p.clause}/{p.kind}", {}).setdefault(p.expect.pair or p.id, []).append(p)
        turns = [[units[n] for n in sorted(units, key=lambda n: digest_of([seed, n]))] for _, units in sorted(clauses.items())]
        queues[measure] = [turn.pop(0) for _ in range(max(map(len, turns), default=0)) for turn in turns if turn]
    out: list[Probe] = []
    while any(queues.values()) and len(out) < most:
        for queue in queues.values():
            if queue and len(out) < most:
                out += queue.pop(0)
    return tuple(out)


def rungs(n: int, steps: int = 3) -> tuple[int, ...]:
    """How many probes each rung has asked in all: n / 4, n / 2, n for three steps."""
    return tuple(dict.fromkeys(max(1, n // 2 ** (steps - 1 - i)) for i in range(steps)))


def cost(candidates: int, sizes: Sequence[int]) -> int:
    """The most requests that a round of so many new candidates takes."""
    total, done = 0, 0
    for size in sizes:
        total, done, candidates = total + candidates * (size - done), size, max(1, math.ceil(candidates * KEEP))
    return total


class Book:
    """What every prompt has answered so far, kept in a journal that survives a kill: `asked` counts requests as the plan counts them,
    whether or not the journal knew the answer, so that an interrupted search takes the same way again."""

    def __init__(self, ask: Ask, path: Path | None = None, key: str = "") -> None:
        self._ask, self._path, self._results, self._counted = ask, path, _read(path, key), set[tuple[str, str]]()
        if path is not None and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"key": key}) + "\n", encoding="utf-8")

    @property
    def asked(self) -> int:
        """Requests so far."""
        return len(self._counted)

    async def results(self, prompt: Prompt, probes: Sequence[Probe]) -> Mapping[str, Result]:
        """The grades of this prompt, with these probes among them; asks what is not known."""
        name = prompt.digest
        known = self._results.setdefault(name, {})
        self._counted |= {(name, p.id) for p in probes}
        missing = [p for p in probes if p.id not in known]
        if missing:
            found = dict(await self._ask(prompt, missing))
            known.update(found)
            if self._path is not None:
                with self._path.open("a", encoding="utf-8") as f:
                    f.write(json.dumps({"prompt": name, "results": found}) + "\n")
                    f.flush()
        return known


def _read(path: Path | None, key: str) -> dict[str, dict[str, Result]]:
    """The answers of an earlier run of the same search; a torn last line is cut off, the journal of another search removed."""
    if path is None or not path.exists():
        return {}
    raw = path.read_bytes()
    if not raw.startswith(json.dumps({"key": key}).encode() + b"\n"):
        path.unlink()
        return {}
    if not raw.endswith(b"\n"):
        os.truncate(path, raw.rfind(b"\n") + 1)
    out: dict[str, dict[str, Result]] = {}
    for number, row in read_jsonl(path):
        if number > 1:
            out.setdefault(row["prompt"], {}).update(row["results"])
    return out


@dataclass(frozen=True, slots=True)
class Tried:
    """A prompt and its score on the probes that it was asked."""

    prompt: Prompt
    score: Score

    @property
    def key(self) -> tuple[tuple[float, ...], int, str]:
        """Sorts the best first: the larger worst margin, where it is the same the larger next one, and so on; then the shorter prompt. Without
        the next ones a measure that no prompt moves would leave the search blind for all others, and it would throw out the rules."""
        return tuple(-round(m, 9) for m in self.score.margins), self.prompt.tokens, self.prompt.digest


@dataclass(slots=True)
class Search:
    """A search under way. `dev`: the probes it may ask, in their order; `caps` by measure; `most`: requests in all."""

    space: Space
    book: Book
    dev: Sequence[Probe]
    caps: Mapping[Measure, float]
    most: int
    seed: int
    width: int = 8
    say: Callable[[str], None] = lambda _: None
    progress: Callable[..., None] = lambda *_: None
    rounds: list[dict[str, Any]] = field(default_factory=list)

    async def tried(self, prompt: Prompt, size: int) -> Tried:
        """The prompt with its score over the first `size` probes."""
        probes = self.dev[:size]
        results = await self.book.results(prompt, probes)
        self.progress(min(self.book.asked, self.most), self.most)
        return Tried(prompt, score(results, probes, self.caps))

    async def halve(self, prompts: Sequence[Prompt]) -> list[Tried]:
        """Those that were asked all probes, the best first. A candidate also leaves where it is shown to be worse than the leader on the
        measure in which it does worst."""
        left, sizes = list({p.digest: p for p in prompts}.values()), rungs(len(self.dev))
        for size in sizes:
            found = sorted([await self.tried(p, size) for p in left], key=lambda t: t.key)
            if size == sizes[-1]:
                return found
            best = await self.book.results(found[0].prompt, ())
            kept = [found[0]]
            for t in found[1 : max(1, math.ceil(KEEP * len(found)))]:
                if not proven_worse(await self.book.results(t.prompt, ()), best, self.dev[:size], self.caps):
                    kept.append(t)
            left = [t.prompt for t in kept]
        return []

    def _children(self, parents: Sequence[Prompt], seen: set[str], rng: random.Random) -> list[Prompt]:
        out: dict[str, Prompt] = {}
        for _ in range(TRIES):
            made = neighbour(rng.choice(parents), self.space, rng)
            if made is not None and made.digest not in seen:
                out[made.digest] = made
            if len(out) == self.width:
                break
        return list(out.values())

    async def run(self, first: Sequence[Prompt]) -> Tried:
        """The best prompt that was asked all probes: of `first`, and of rounds of neighbours as long as a whole round fits the budget."""
        best = sorted([await self.tried(p, len(self.dev)) for p in {p.digest: p for p in first}.values()], key=lambda t: t.key)
        seen, rng = {t.prompt.digest for t in best}, random.Random(f"prompts|{self.seed}")
        while self.book.asked + cost(self.width, rungs(len(self.dev))) <= self.most:
            children = self._children([t.prompt for t in best[:PARENTS]], seen, rng)
            if not children:
                break
            seen |= {c.digest for c in children}
            found = await self.halve(children)
            best = sorted([*best, *found], key=lambda t: t.key)
            top = best[0]
            self.rounds.append({"candidates": len(children), "asked": self.book.asked, "margin": round(top.score.margin, 4), "worst": top.score.worst, "tokens": top.prompt.tokens})  # fmt: skip
            self.say(f"round {len(self.rounds)}: {len(children)} candidates, {self.book.asked} requests; worst margin {100 * top.score.margin:+.1f} points ({top.score.worst}), {top.prompt.tokens} tokens")  # fmt: skip
        return best[0]

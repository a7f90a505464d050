"""What a search may change in a compiled prompt, and the neighbours of a prompt: seeded, within a token budget."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from trueline.charter.compile.diff import LeaveOut, Move, Open, PromptDiff, Remind, Show, Word, applied, name_of, named, shots_of
from trueline.charter.compile.prompt import diff_of_budget, first_line, sentences
from trueline.charter.compile.shots import ORDER
from trueline.charter.compile.teaching import Demonstration
from trueline.charter.digests import digest_of
from trueline.charter.schema import Charter
from trueline.charter.turns import Message

MOST_REMINDERS = 3
MOST_SHOTS = 16
TURN = 4  # tokens that a template takes round each message, counted with it


@dataclass(frozen=True, slots=True)
class Choice:
    """A diff taken apart, so that it can be changed in one place: one value for each thing that may be changed."""

    bare: bool = False  # the first line without the purpose
    left_out: frozenset[str] = frozenset()
    worded: tuple[tuple[str, Word], ...] = ()
    moved: tuple[tuple[str, str], ...] = ()
    reminded: tuple[str, ...] = ()
    shots: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Prompt:
    """A candidate: its diff, the text and few-shots that it compiles to, and their size in tokens."""

    choice: Choice
    diff: PromptDiff
    text: str
    shots: tuple[Message, ...]
    tokens: int

    @property
    def digest(self) -> str:
        """Of what the model is shown: two diffs that compile to the same are one candidate."""
        return digest_of([self.text, [m.to_dict() for m in self.shots]])


class Space:
    """Every diff on one charter's compilation. `words`: the wordings of each clause; `demonstrations`: what may be shown (teach side only);
    `budget` in tokens as `count` counts, over prompt and few-shots. A hard principle that the plain compilation holds in that budget is never
    left out: what may not be traded against helpfulness may not be searched away either."""

    def __init__(
        self, charter: Charter, digest: str, words: Mapping[str, Sequence[Word]], demonstrations: Sequence[Demonstration],
        budget: int, count: Callable[[str], int],
    ) -> None:  # fmt: skip
        self.charter, self.digest, self.budget, self.count = charter, digest, budget, count
        self.lines, self.first = sentences(charter), first_line(charter)
        self.words = {c: tuple(words.get(c, ())) for c, _ in self.lines}
        self.known = named(demonstrations)
        kinds = dict.fromkeys((*ORDER, *(d.kind for d in demonstrations)))
        self._hard: tuple[int, frozenset[str]] | None = None
        self.by_kind = [names for k in kinds if (names := [name_of(d) for d in demonstrations if d.kind == k])]

    @property
    def hard(self) -> frozenset[str]:
        """The hard principles that stand in the plain compilation of the budget."""
        if self._hard is None or self._hard[0] != self.budget:
            hard = frozenset(p.id for p in self.charter.principles if p.hard)
            self._hard = self.budget, hard - self.plain(self.budget).choice.left_out
        return self._hard[1]

    def diff(self, c: Choice) -> PromptDiff:
        """The operations of a choice, in the order in which they are applied."""
        opened = (Open(),) if c.bare else ()
        out = tuple(LeaveOut(clause=name) for name, _ in self.lines if name in c.left_out)
        words = tuple(w for name, w in c.worded if name not in c.left_out)
        moves = tuple(Move(clause=name, to=to) for name, to in c.moved if name not in c.left_out)
        reminders = tuple(Remind(clause=name) for name in c.reminded if name not in c.left_out)
        return PromptDiff(self.digest, (*opened, *out, *words, *moves, *reminders, *(Show(demonstration=s) for s in c.shots)))

    def prompt(self, c: Choice) -> Prompt:
        """What a choice compiles to, whatever its size."""
        diff = self.diff(c)
        text, shots = applied(self.charter, self.first, self.lines, diff.operations).text(), shots_of(diff, self.known)
        return Prompt(c, diff, text, shots, self.count(text) + sum(self.count(m.content) + TURN for m in shots))

    def plain(self, budget: int, shots: tuple[str, ...] = ()) -> Prompt:
        """The plain compilation in `budget` tokens with these few-shots."""
        found = diff_of_budget(self.charter, budget, count=self.count)
        gone = frozenset(o.clause for o in found.operations if isinstance(o, LeaveOut))
        return self.prompt(Choice(any(isinstance(o, Open) for o in found.operations), gone, shots=shots))

    def spread(self, n: int, rng: random.Random) -> tuple[str, ...]:
        """n demonstrations (or as many as there are), one of each kind in turn, drawn at random within a kind."""
        queues = [rng.sample(names, len(names)) for names in self.by_kind]
        out: list[str] = []
        while len(out) < n and any(queues):
            for queue in queues:
                if queue and len(out) < n:
                    out.append(queue.pop())
        return tuple(out)

    def fitted(self, c: Choice, spare: frozenset[str] = frozenset()) -> Prompt | None:
        """The choice within the budget: as long as it is too long, it loses a reminder, then the least important clause that is neither hard
        nor in `spare`, then its last example. None where nothing is left to lose."""
        made, spare = self.prompt(c), spare | self.hard
        while made.tokens > self.budget:
            kept = [name for name, _ in self.lines if name not in c.left_out and name not in spare]
            if c.reminded:
                c = replace(c, reminded=c.reminded[:-1])
            elif kept:
                c = replace(c, left_out=c.left_out | {kept[-1]})
            elif c.shots:
                c = replace(c, shots=c.shots[:-1])
            else:
                return None
            made = self.prompt(c)
        return made


Change = Callable[
    [Choice, Space, random.Random], tuple[Choice, str | None] | None
]  # (changed, the clause that must stay) or nothing to change


def _kept(c: Choice, space: Space) -> list[str]:
    return [name for name, _ in space.lines if name not in c.left_out]


def _include(c: Choice, space: Space, rng: random.Random) -> Any:
    name = rng.choice(sorted(c.left_out)) if c.left_out else None
    return None if name is None else (replace(c, left_out=c.left_out - {name}), name)


def _leave_out(c: Choice, space: Space, rng: random.Random) -> Any:
    able = [name for name in _kept(c, space) if name not in space.hard]
    return (replace(c, left_out=c.left_out | {rng.choice(able)}), None) if able else None


def _reword(c: Choice, space: Space, rng: random.Random) -> Any:
    able = [name for name in _kept(c, space) if space.words[name]]
    if not able:
        return None
    name = rng.choice(able)
    rest = tuple((n, w) for n, w in c.worded if n != name)
    had = any(n == name for n, _ in c.worded)
    word = rng.choice([None, *space.words[name]] if had else space.words[name])
    return replace(c, worded=rest if word is None else (*rest, (name, word))), name


def _reword_all(c: Choice, space: Space, rng: random.Random) -> Any:
    """One variant for every clause that has it: a wording is often good or bad for the whole prompt."""
    variants = sorted({w.variant for words in space.words.values() for w in words if w.variant})
    if not variants:
        return None
    variant = rng.choice([None, *variants])
    every = ((name, w) for name in _kept(c, space) for w in space.words[name] if w.variant == variant)
    return replace(c, worded=() if variant is None else tuple(every)), None


def _move(c: Choice, space: Space, rng: random.Random) -> Any:
    kept = _kept(c, space)
    if len(kept) < 2:
        return None
    name = rng.choice(kept)
    return replace(c, moved=(*((n, t) for n, t in c.moved if n != name), (name, rng.choice(("first", "last"))))), None


def _remind(c: Choice, space: Space, rng: random.Random) -> Any:
    name = rng.choice(_kept(c, space) or [""])
    if name in c.reminded:
        return replace(c, reminded=tuple(n for n in c.reminded if n != name)), None
    return (replace(c, reminded=(*c.reminded, name)), name) if name and len(c.reminded) < MOST_REMINDERS else None


def _open(c: Choice, space: Space, rng: random.Random) -> Any:
    return replace(c, bare=not c.bare), None


def _show(c: Choice, space: Space, rng: random.Random) -> Any:
    pool = [n for n in (rng.choice(space.by_kind) if space.by_kind else []) if n not in c.shots]
    return (replace(c, shots=(*c.shots, rng.choice(pool))), None) if pool and len(c.shots) < MOST_SHOTS else None


def _hide(c: Choice, space: Space, rng: random.Random) -> Any:
    if not c.shots:
        return None
    gone = rng.randrange(len(c.shots))
    return replace(c, shots=c.shots[:gone] + c.shots[gone + 1 :]), None


def _swap(c: Choice, space: Space, rng: random.Random) -> Any:
    hidden = _hide(c, space, rng)
    return _show(hidden[0], space, rng) if hidden else None


CHANGES: Mapping[str, Change] = {
    "include": _include, "leave_out": _leave_out, "word": _reword, "word_all": _reword_all, "move": _move, "remind": _remind, "open": _open,
    "show": _show, "hide": _hide, "swap": _swap,
}  # fmt: skip


def neighbour(parent: Prompt, space: Space, rng: random.Random, most: int = 3) -> Prompt | None:
    """A prompt that differs from its parent by one to `most` changes and fits the budget; None where the changes drawn change nothing."""
    choice, spare = parent.choice, set()
    for _ in range(rng.randint(1, most)):
        done = CHANGES[rng.choice(sorted(CHANGES))](choice, space, rng)
        if done is not None:
            choice, must = done
            spare |= {must} if must else set()
    made = space.fitted(choice, frozenset(spare))
    return made if made is not None and made.digest != parent.digest else None

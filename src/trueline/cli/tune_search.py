"""The search for a prompt on one opened TARGET: what `tune-prompt` and the stage `search` of `align` share.

In order: choose the development probes (teach side), take the plain compilation and few-shots, halve, try neighbours within the budget of
requests. Replies are cached by content and grades journalled, so that a killed search takes the same way again and asks nothing twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from trueline.charter.compile.diff import PromptDiff, Word
from trueline.charter.compile.prompt import count_words, sentences, tuned_prompt
from trueline.charter.compile.teaching import demonstrations
from trueline.charter.compile.tuned_file import TunedFile, question_name
from trueline.charter.compile.wordings import wordings
from trueline.charter.compile.written import written_probes
from trueline.charter.digests import digest_of
from trueline.charter.probes import Probe
from trueline.charter.turns import Message
from trueline.cli.progress import bar
from trueline.cli.project import Project
from trueline.cli.targets import Target
from trueline.core.chat import Sampling
from trueline.core.records import Result
from trueline.errors import DataError
from trueline.evals.prompts.halving import Ask, Book, Search, Tried, cost, development, rungs
from trueline.evals.prompts.objective import aims, moved
from trueline.evals.prompts.space import Prompt, Space
from trueline.evals.runner import evaluate
from trueline.evals.suites import freeze
from trueline.models.cached import CachedChat
from trueline.models.patient import PatientChat
from trueline.models.system import SystemChat

CACHE, JOURNAL = "cache.sqlite", "search.jsonl"
SHOTS = (1, 2, 4, 8)  # numbers of few-shots that are tried with the plain prompt


@dataclass(frozen=True, slots=True)
class Plan:
    """How a search goes: tokens of prompt and few-shots, requests in all, development probes, candidates a round, the most few-shots."""

    sampling: Sampling
    budget: int
    requests: int = 3000
    dev: int = 120
    width: int = 8
    shots: int = 8
    seed: int = 0
    concurrency: int = 64


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a search found: the plain prompt in the budget, the plain prompt with few-shots (None without demonstrations), the best of all;
    `asked` requests, and the hand-written examples that it was searched with, which are no held-out evidence any more."""

    plain: Tried
    few_shot: Tried | None
    best: Tried
    asked: int
    dev: tuple[Probe, ...]
    rounds: tuple[Mapping[str, object], ...]
    against_plain: Mapping[str, object] | None

    @property
    def written(self) -> tuple[tuple[Message, ...], ...]:
        """The hand-written prompts among the development probes."""
        return tuple(p.messages for p in self.dev if p.origin == "written")


def counter(target: Target) -> Callable[[str], int]:
    """Counts tokens as the target does, or a stand-in by words."""
    return target.count or count_words


def teaching_side(project: Project) -> tuple[Probe, ...]:
    """What a search may ask: probes of the teach side, and hand-written examples of a clause and kind that has none there. Raises `DataError`
    where harm or over-refusal cannot be asked at all."""
    grown = [p for p in project.probes if p.side == "teach"]
    there = {(p.clause, p.kind) for p in grown}
    pool = [*grown, *(p for p in written_probes(project.loaded.charter) if (p.clause, p.kind) not in there)]
    caps = aims(project.loaded.charter.gate)
    for measure in ("harm", "over_refusal"):
        if not any(p.measure == measure for p in pool):
            remedy = "grow some with `trueline probes grow`, or give the charter's clauses examples"
            raise DataError(f"the search needs probes of the teach side for {measure}, got none", remedy=remedy)
    return tuple(p for p in pool if p.measure in caps)


def asker(target: Target, project: Project, plan: Plan, cache: Path) -> Ask:
    """Asks a prompt's probes of the target and grades them."""
    grader = project.grader()

    async def ask(prompt: Prompt, probes: Sequence[Probe]) -> Mapping[str, Result]:
        model = CachedChat(PatientChat(SystemChat(target.chat, prompt.text, prompt.shots)), cache)
        try:
            found = await evaluate(
                model, freeze(probes), grader, charter=project.loaded.digest, sampling=plan.sampling, concurrency=plan.concurrency,
                may_be_silent=True,
            )  # fmt: skip
        finally:
            model.forget()
        return {r.probe: r.result for r in found.rows}

    return ask


def space_of(project: Project, target: Target, budget: int, proposed: Mapping[str, Sequence[Word]] | None = None) -> Space:
    """Everything that may be changed: the table's wordings and those `proposed`, demonstrations of the teach side."""
    charter = project.loaded.charter
    words = {
        clause: [
            *(Word(clause=clause, variant=v) for v in wordings(charter, clause, sentence)),
            *((proposed or {}).get(clause, ())),
        ]
        for clause, sentence in sentences(charter)
    }
    shown = demonstrations(charter, project.probes, written=False)
    return Space(charter, project.loaded.digest, words, shown, budget, counter(target))


def _few_shots(space: Space, plan: Plan) -> list[Prompt]:
    """The plain prompt with few-shots, as much of it as the budget leaves room for."""
    out = []
    for n in SHOTS:
        names = space.spread(n, Random(f"shots|{plan.seed}")) if n <= plan.shots else ()
        if len(names) == n:
            made = space.fitted(replace(space.plain(plan.budget).choice, shots=names))
            out += [made] if made is not None and made.shots else []
    return list({p.digest: p for p in out}.values())


def least(plan: Plan, dev: int, few: int) -> int:
    """The fewest requests with which a search says anything: plain prompts, few-shots, and one round."""
    sizes = rungs(dev)
    return 3 * dev + (cost(few, sizes) if few else 0) + cost(plan.width, sizes)


async def searched(
    space: Space, ask: Ask, dev: Sequence[Probe], plan: Plan, journal: Path | None, key: str, say: Callable[[str], None],
    progress: Callable[..., None] = lambda *_: None,
) -> Outcome:  # fmt: skip
    """Runs the search over an `ask` of any kind."""
    caps = aims(space.charter.gate)
    book = Book(ask, journal, key)
    search = Search(space, book, dev, caps, plan.requests, plan.seed, plan.width, say, progress)
    plain = await search.tried(space.plain(plan.budget), len(dev))
    say(f"plain prompt: worst margin {100 * plain.score.margin:+.1f} points ({plain.score.worst}), {plain.prompt.tokens} tokens")
    few = await search.halve(shown) if (shown := _few_shots(space, plan)) else []
    if few:
        say(f"few-shots: worst margin {100 * few[0].score.margin:+.1f} points ({few[0].score.worst}), {few[0].prompt.tokens} tokens")
    smallest = space.count(space.plain(plan.budget).text.splitlines()[0])
    shorter = [p for b in (plan.budget // 2, plan.budget // 4) if b >= smallest and not (p := space.plain(b)).choice.left_out & space.hard]
    best = await search.run([plain.prompt, *(t.prompt for t in few[:2]), *shorter])
    ours, theirs = await book.results(best.prompt, ()), await book.results(plain.prompt, ())
    b = moved(ours, theirs, dev)
    against = {"difference": round(b.difference, 4), "lower": round(b.lower, 4), "upper": round(b.upper, 4), "pairs": b.n} if b else None
    return Outcome(plain, few[0] if few else None, best, book.asked, tuple(dev), tuple(search.rounds), against)


def search_key(project: Project, target: Target, plan: Plan) -> str:
    """What decides a grade besides prompt and probe: a journal with another key is of no use."""
    grader = {k: v for k, v in project.grader().identity().items() if k not in ("sensitivity", "specificity")}
    return digest_of([dict(target.chat.identity()), project.loaded.digest, plan.sampling.to_dict(), grader])


def run_search(
    project: Project, target: Target, plan: Plan, folder: Path, say: Callable[[str], None],
    proposed: Mapping[str, Sequence[Word]] | None = None,
) -> Outcome:  # fmt: skip
    """The whole search in `folder`; closes the target. Raises `DataError` where the requests allow none."""
    space, dev = space_of(project, target, plan.budget, proposed), development(teaching_side(project), plan.dev, plan.seed)
    need = least(plan, len(dev), len(_few_shots(space, plan)))
    if plan.requests < need:
        what = f"{plan.requests} requests allow no search: {len(dev)} probes and {plan.width} candidates a round need at least {need}"
        raise DataError(what, remedy="give more --requests or fewer --dev")
    key = search_key(project, target, plan)

    async def whole() -> Outcome:
        try:
            with bar("search") as advance:
                ask = asker(target, project, plan, folder / CACHE)
                return await searched(space, ask, dev, plan, folder / JOURNAL, key, say, advance)
        finally:
            await target.chat.close()

    return asyncio.run(whole())


def file_of(
    outcome: Outcome, tried: Tried, target: Target, project: Project, plan: Plan, probes: str | None, looks: int = 0
) -> TunedFile:  # fmt: skip
    """A prompt that was found, as a file."""
    score = tried.score
    scores = {
        "development": {"probes": score.n, "worst": score.worst, "margin": round(score.margin, 4), "failed": {m: round(r, 4) for m, r in score.rates.items()}},
        "against_plain": outcome.against_plain if tried is outcome.best else None,
    }  # fmt: skip
    return TunedFile(
        tuned_prompt=1, charter=project.loaded.digest, probes=probes, target=target.text, seed=plan.seed, requests=outcome.asked,
        tokens=tried.prompt.tokens, counted="by the target's tokenizer" if target.count else "as words x 4/3", text=tried.prompt.digest,
        searched=tuple(sorted(map(question_name, outcome.written))), looks=looks, scores=scores, operations=tried.prompt.diff.operations,
    )  # fmt: skip


def whole_size(project: Project, target: Target) -> int:
    """Tokens of the whole compilation."""
    return tuned_prompt(project.loaded.charter, PromptDiff(project.loaded.digest), count=counter(target)).tokens

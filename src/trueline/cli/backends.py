"""`--backend ray`: a run spread over the workers of a Ray cluster, and merged into the very evaluation that one process would have written.

In order: deal the families out to the workers; each opens the TARGET itself and runs its share, with its own client, its share of the limits and its
own journal in the run's folder; then the rows are put into the order of the suite, and fairness pairs are judged. All workers use one cache of replies, so
that a resumed run asks nothing twice, however many workers it has then: the folder must be on a file system that they share. Ray is an extra
(`pip install 'trueline[ray]'`); it finds its cluster as ever (RAY_ADDRESS), or starts one on this machine.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from trueline.charter.probes import Probe
from trueline.cli.project import Project, dressed, open_project
from trueline.core.chat import Sampling
from trueline.core.clock import iso, utc_now
from trueline.core.evaluations import Evaluation
from trueline.data.evaluations import JOURNAL, graded_from
from trueline.errors import ModelError, ModelUnavailable, TargetError, TruelineError
from trueline.evals.budget import BudgetSpent
from trueline.evals.fairness import judge_pairs
from trueline.evals.journal import rows_in
from trueline.evals.order import families
from trueline.evals.pacing import Limits, Pacer
from trueline.evals.rows import nothing
from trueline.evals.runner import evaluate, settings_of
from trueline.evals.suites import Suite, freeze
from trueline.models.cached import CachedChat
from trueline.models.patient import PatientChat

CPU_A_WORKER = 0.5  # two actors that ask for a whole one each hang on a machine of two (measured)
LOOK = 0.5  # seconds between two looks at the progress
RAISED: Mapping[int, type[TruelineError]] = {BudgetSpent.exit_code: BudgetSpent, ModelUnavailable.exit_code: ModelUnavailable}


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a worker opens what it asks: the options of `trueline eval`, as they were given."""

    target: str
    charter: str
    probes: Path | None
    prompt_budget: int | None
    few_shots: int
    no_prompt: bool
    no_guard: bool
    sampling: Sampling
    samples: int


@dataclass(frozen=True, slots=True)
class Share:
    """What one worker asks. `number` of `of` workers."""

    number: int
    of: int
    probes: tuple[Probe, ...]

    def journal(self, folder: Path) -> Path:
        """Its own journal."""
        return folder / f"journal-{self.number}-of-{self.of}.jsonl"


def shares(suite: Suite, workers: int) -> tuple[Share, ...]:
    """Families dealt out one by one, pairs among them whole; workers without any are left out."""
    groups = families(suite.probes, 1, seed=0)
    dealt = [[p for group in groups[i::workers] for p, _ in group] for i in range(workers)]
    return tuple(Share(i, workers, tuple(probes)) for i, probes in enumerate(dealt) if probes)


def work(recipe: Recipe, share: Share, folder: Path, limits: Limits) -> dict[str, Any]:
    """One worker's share, to its end: rows and what they cost, or the error in words (errors do not travel whole between processes)."""
    from trueline.cli.guarding import behind_guard
    from trueline.cli.targets import open_target

    pacer = Pacer(limits)
    try:
        project = open_project(recipe.charter, recipe.probes)
        opened = open_target(recipe.target)
        model, _ = dressed(project, opened, recipe.prompt_budget, recipe.few_shots, recipe.no_prompt)
        project = replace(project, behind=str(model.identity().get("prompt", "")))
        asked = behind_guard(opened, model, recipe.no_guard)
        cached = CachedChat(PatientChat(asked.chat), folder / "cache.sqlite")

        async def go() -> Evaluation:
            try:
                return await evaluate(
                    cached, freeze(share.probes), project.grader(), charter=project.loaded.digest, sampling=recipe.sampling,
                    samples=recipe.samples, journal=share.journal(folder), may_be_silent=True, pacer=pacer,
                )  # fmt: skip
            finally:
                await cached.close()

        found = asyncio.run(go())
    except TruelineError as e:
        return {"error": e.what, "remedy": e.remedy, "exit": e.exit_code, "run": pacer.report()}
    return {"rows": [r.to_dict() for r in found.rows], "identity": dict(found.identity), "hits": cached.hits, "run": pacer.report()}


def _started(workers: int) -> Any:
    try:
        import ray
    except ImportError:
        raise TargetError("--backend ray needs Ray, which is not installed", remedy="pip install 'trueline[ray]'") from None
    import os

    if not ray.is_initialized():
        local = {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": max(2, workers)}
        ray.init(include_dashboard=False, log_to_driver=False, **local)
    return ray


def _done(folder: Path, dealt: Sequence[Share]) -> int:
    """Rows in the journals so far."""
    return sum(rows_in(s.journal(folder)) for s in dealt)


def _gathered(recipe: Recipe, dealt: Sequence[Share], folder: Path, limits: Limits, told: Callable[[int], None]) -> list[dict[str, Any]]:
    """Runs the shares on the cluster, one actor each."""
    ray = _started(len(dealt))

    class Worker:
        """An actor: a process with its own client."""

        def work(self, *given: Any) -> dict[str, Any]:
            """A share."""
            return work(*given)

    actor = ray.remote(num_cpus=CPU_A_WORKER)(Worker)
    actors = [actor.remote() for _ in dealt]
    own = [limits.shared(len(dealt), i) for i in range(len(dealt))]
    waiting = [a.work.remote(recipe, share, folder.resolve(), few) for a, share, few in zip(actors, dealt, own, strict=True)]
    order = list(waiting)
    try:
        while waiting:
            _, waiting = ray.wait(waiting, num_returns=len(waiting), timeout=LOOK)
            told(_done(folder, dealt))
        out: list[dict[str, Any]] = ray.get(order)
    except ray.exceptions.RayError as e:
        raise ModelError(
            f"a worker of the Ray cluster was lost ({type(e).__name__})", remedy="run the same command again, it resumes"
        ) from None
    finally:
        for a in actors:
            ray.kill(a)
    return out


def run_on_ray(
    recipe: Recipe, project: Project, suite: Suite, folder: Path, limits: Limits, workers: int, told: Callable[[int, int], None]
) -> tuple[Evaluation, list[dict[str, Any]]]:
    """The evaluation, and each worker's report. Raises the first error of a worker once all have ended; what they asked is kept."""
    began, total = time.monotonic(), len(suite.probes) * recipe.samples
    dealt = shares(suite, workers)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / JOURNAL).write_text("{}\n")  # while it stands, an older evaluation here is not complete
    found = _gathered(recipe, dealt, folder, limits, lambda n: told(n, total))
    for f in found:
        if "error" in f:
            raise RAISED.get(f["exit"], ModelError)(f["error"], remedy=f["remedy"])
    if any(f["identity"] != found[0]["identity"] for f in found):
        raise ModelError(f"the workers opened different models as {recipe.target}", remedy="give all of them the same files and keys")
    rows = {(r.probe, r.sample): r for f in found for r in map(graded_from, f["rows"])}
    ordered = tuple(rows[p.id, s] for p in suite.probes for s in range(recipe.samples))
    if why := nothing(ordered, False):
        raise ModelError(why, remedy="mend the server or the settings")
    grader = project.grader()
    evaluation = Evaluation(
        target=recipe.target, identity=found[0]["identity"], charter=project.loaded.digest, suite=suite.digest,
        settings=settings_of(recipe.sampling, recipe.samples), graders={grader.name: dict(grader.identity())}, rows=judge_pairs(ordered),
        created=iso(utc_now()), seconds=round(time.monotonic() - began, 3),
    )  # fmt: skip
    for journal in folder.glob("journal-*-of-*.jsonl"):  # of other numbers of workers too
        journal.unlink(missing_ok=True)
    return evaluation, [f["run"] for f in found]

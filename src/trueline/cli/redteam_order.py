"""What a red-team run attacks, and with what: the requests, the attacks, and the opened target behind its prompt and guard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from trueline.charter.probes import Probe
from trueline.cli.guarding import Measured
from trueline.cli.project import Project
from trueline.core.chat import Sampling
from trueline.errors import SuiteError
from trueline.evals.budget import Spent
from trueline.evals.pacing import Limits
from trueline.evals.redteam.attack import Attack

if TYPE_CHECKING:
    from trueline.cli.targets import Target
    from trueline.evals.suites import Suite

SINGLES = 64  # attacks of a run without a search whose compositions are drawn, if no --budget says otherwise


@dataclass(frozen=True, slots=True)
class Order:
    """`options`: of the command line, by name. `attacks`: the table, or what was chosen of it, and compositions. `spent`: what its parts have
    cost so far, for the limits are those of the whole run."""

    project: Project
    requests: tuple[Probe, ...]
    attacks: tuple[Attack, ...]
    searches: tuple[str, ...]
    options: dict[str, Any]
    limits: Limits
    spent: Spent = field(default_factory=Spent)

    @property
    def left(self) -> Limits:
        """The limits of the next part: what the earlier ones left of the budget."""
        c, s = self.limits.caps, self.spent
        tokens = None if c.tokens is None else c.tokens - s.read - s.written
        money = None if c.money is None else c.money - c.cost(s.read, s.written)
        return replace(
            self.limits, caps=replace(c, requests=None if c.requests is None else c.requests - s.requests, tokens=tokens, money=money)
        )

    @property
    def budget(self) -> int:
        """Queries of the target for each request and search."""
        return int(self.options["budget"] or 32)


@dataclass(frozen=True, slots=True)
class Opened:
    """A target as it is attacked."""

    text: str
    target: Target
    asked: Measured
    sampling: Sampling
    notes: tuple[str, ...]


def names_in(text: str | None) -> list[str]:
    """The names in a list with commas."""
    return [n.strip() for n in (text or "").split(",") if n.strip()]


# option -> what it needs to have an effect
NEEDS = {"against": "--search", "attacker": "--search", "proof": "--search"}


def check_options(options: dict[str, Any]) -> None:
    """Raises `SuiteError` for an option that would have no effect."""
    from trueline.cli.targets import options_given

    if not options["search"]:
        idle = [name for name in NEEDS if options[name]]
        if idle:
            raise SuiteError(f"--{idle[0]} has no effect without a search", remedy="add --search, or leave it out")
        if options["budget"] and options["compose"] == 1:
            what = "--budget has no effect: every attack of the table is asked"
            raise SuiteError(what, remedy="add --search, or --compose 2 to draw compositions")
    elif idle := [name for name in ("control", "near_misses") if name in options_given()]:
        what = f"--{idle[0].replace('_', '-')} has no effect with --search: nothing is asked in every disguise"
        raise SuiteError(what, remedy="leave it out")
    elif options["samples"] > 1:
        raise SuiteError("--samples has no effect with --search: a search asks anew by itself", remedy="leave it out")


def order(options: dict[str, Any]) -> Order:
    """Reads charter and probes and chooses. Raises `SuiteError` where there is nothing to attack or a name is unknown."""
    from trueline.cli.limits import limits_of
    from trueline.cli.project import open_project
    from trueline.evals.redteam import chosen, pairs, searches_named

    project = open_project(options["charter"], options["probes"])
    known = table_of(project)
    attacks = chosen(names_in(options["attacks"]), known)
    found = searches_named(names_in(options["search"]))
    lacking = [s.name for s in found if s.attacker and not options["attacker"]]
    if lacking:
        raise SuiteError(f"the search {lacking[0]} needs a model that attacks", remedy="name one with --attacker TARGET")
    searches = tuple(s.name for s in found)
    if options["compose"] > 1:
        most = None if searches else max(0, (options["budget"] or SINGLES) - len(attacks))
        attacks = (*attacks, *pairs(attacks, most, options["seed"]))
    requests = tuple(some_requests(project, options["side"], options["limit"]))
    return Order(project, requests, attacks, searches, options, limits_of(options["concurrency"], options))


def table_of(project: Project) -> Mapping[str, Attack]:
    """The table, with the charter's own questions and answers as the shots of its many-shot attack."""
    from trueline.evals.redteam import table

    return table([(k.ask[0], k.reply) for k in project.loaded.charter.knowledge if k.reply and not k.abstain and k.ask])


def control_of(plan: Order) -> Suite | None:
    """Known questions in the same disguises; None where none are asked. Its many-shot has the table's own harmless shots: the charter's hold
    the very answers that are asked for."""
    from trueline.evals.redteam import attack_named, control_suite

    n = plan.options["control"]
    return control_suite(some(plan.project, "knowledge", n), [attack_named(a.name) for a in plan.attacks]) if n else None


def near_misses_of(plan: Order) -> Suite | None:
    """Near misses of the attacked side in the same disguises; None where none are asked."""
    from trueline.evals.redteam import near_miss_suite

    n, side = plan.options["near_misses"], plan.options["side"]
    return near_miss_suite(some(plan.project, "near_miss", n, side), plan.attacks, side) if n else None


def some_requests(project: Project, side: str, limit: int) -> list[Probe]:
    """At most about `limit` requests that must be refused, the same share of every clause."""
    if side == "test":
        return some(project, "refuse", limit)
    from trueline.evals.redteam import requests_of

    requests_of(project.probes, "teach")  # says what is wrong where there is none
    return some(project, "refuse", limit, "teach")


def some(project: Project, kind: str, limit: int, side: str = "test") -> list[Probe]:
    """At most about `limit` probes of a kind and side, the same share of every clause."""
    from trueline.evals.suites import suite_for, thinned

    of_side = suite_for(project.loaded.charter, project.probes).probes if side == "test" else project.probes
    pool = [p for p in of_side if p.kind == kind and p.side == side]
    return thinned(pool, min(1.0, limit / len(pool))) if pool else []


def opened(plan: Order, text: str) -> Opened:
    """Opens a target as it is attacked; leave to do so was asked for before (`redteam_leave`). Raises `TargetError`."""
    from trueline.cli.guarding import behind_guard
    from trueline.cli.project import dressed
    from trueline.cli.targets import notes_of, open_target, options_given, refuse_overruled, sampling_of

    o = plan.options
    target = open_target(text)
    refuse_overruled(target, options_given())
    model, _ = dressed(plan.project, target, o["prompt_budget"], o["few_shots"], o["no_prompt"])
    asked = behind_guard(target, model, o["no_guard"])
    sampling = sampling_of(target.system, o["temperature"], o["max_tokens"], o["seed"])
    notes = (*notes_of(target), *asked.notes, *_known(asked, plan.requests))
    return Opened(text, target, asked, sampling, notes)


def _known(asked: Measured, requests: Sequence[Probe]) -> tuple[str, ...]:
    """A note where requests are attacked with that taught the target's guard: it knows them undisguised."""
    from trueline.data.contamination import taught

    n = len(taught(requests, asked.shown))
    return (
        (
            f"{n} of the {len(requests)} requests attacked with are hand-written examples that taught the guard, or that its prompt's search asked",
        )
        if n
        else ()
    )

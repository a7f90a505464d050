"""Leave for a whole red-team run, before its first request: every host that it will send to, and how much in all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from trueline.charter.probes import Probe
from trueline.cli.redteam_order import Order, control_of, near_misses_of
from trueline.core.evaluations import ATTACK_MARK

WRITES_ABOUT = 2  # times that an attacker is asked for one query of the target: for a message, and whether it is still about the request
MORE_LAYERS = 4  # bare model, prompt, guard and gateway, each asked anew


@dataclass(slots=True)
class _Bound:
    """What goes to one host: `probes` once for each time that they are sent."""

    identity: Mapping[str, Any]
    max_tokens: int = 0
    probes: list[Probe] = field(default_factory=list)


def _named(probes: Sequence[Probe], what: str) -> list[Probe]:
    return [replace(p, id=f"{p.id}{ATTACK_MARK}{what}") for p in probes]


def _to_target(plan: Order) -> list[Probe]:
    """Every query of one target, as often as it is sent."""
    from trueline.evals.redteam import attacked_suite

    o = plan.options
    if plan.searches:
        return [p for s in plan.searches for p in _named(plan.requests, s) * plan.budget]
    more = {"control": control_of(plan), "near-misses": near_misses_of(plan)}
    asked = attacked_suite(plan.requests, plan.attacks, o["side"]).probes
    return [*asked, *(p for what, suite in more.items() if suite is not None for p in _named(suite.probes, what))] * int(o["samples"])


def _to_layers(plan: Order) -> list[Probe]:
    """What --layers asks again."""
    most = len(plan.searches) or len(plan.attacks)
    return _named(plan.requests, "layers") * (most * int(plan.options["samples"]) * MORE_LAYERS)


def _to_attacker(plan: Order) -> list[Probe]:
    from trueline.evals.redteam import searches_named

    n = sum(s.attacker for s in searches_named(plan.searches))
    return _named(plan.requests, "attacker") * (n * plan.budget * WRITES_ABOUT)


def _is_served(text: str) -> bool:
    """Whether a TARGET, or the model of a system, is asked over a wire. Local weights are not loaded to find out."""
    from trueline.cli.targets import read_system

    model = read_system(Path(text)).model if text.endswith((".yaml", ".yml")) else text
    return model.startswith(("openai:", "anthropic:"))


def _asked(plan: Order, text: str) -> Iterator[tuple[Mapping[str, Any], int, list[Probe]]]:
    """(identity, longest reply, probes) of all that this run asks over a wire."""
    from trueline.cli.project import dressed
    from trueline.cli.targets import open_target, sampling_of
    from trueline.evals.redteam.hunt import WRITING

    o = plan.options
    for name in (text, o["against"]):
        if name and _is_served(name):
            target = open_target(name)
            model, _ = dressed(plan.project, target, o["prompt_budget"], o["few_shots"], o["no_prompt"])
            most = sampling_of(target.system, o["temperature"], o["max_tokens"], o["seed"]).max_tokens
            more = _to_layers(plan) if o["layers"] and name == text else []
            yield model.identity(), most, [*_to_target(plan), *more]
    if o["attacker"] and _is_served(o["attacker"]):
        times = 2 if o["against"] else 1
        yield open_target(o["attacker"]).chat.identity(), WRITING.max_tokens, _to_attacker(plan) * times


def agree(plan: Order, text: str) -> None:
    """Asks once for each foreign host, for all that is sent there: attacks, control, near misses, layers, the baseline, and what the attacker is asked (as
    far as that is known before). Raises `TargetError` where its owner does not agree."""
    from trueline.cli.consent import ask_leave, foreign_host
    from trueline.evals.suites import Suite

    if plan.options["yes"]:
        return
    hosts: dict[str, _Bound] = {}
    for identity, most, probes in _asked(plan, text):
        if (host := foreign_host(identity)) is not None:
            bound = hosts.setdefault(host, _Bound(identity))
            bound.max_tokens = max(bound.max_tokens, most)
            bound.probes += probes
    for bound in hosts.values():
        ask_leave(
            "redteam", Suite(tuple(bound.probes), ""), bound.identity, samples=1, max_tokens=bound.max_tokens, yes=False, caps=plan.limits.caps
        )  # fmt: skip

"""Who stopped each attack, and what each let through: the same attacked conversations asked of the bare model, behind its prompt, behind its
guard, and of the whole gateway.

Nothing is looked for anew: an attack that was found against one layer says how far this very attack comes, not what an attacker who knows the
next layer could find (attack the system itself for that).
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from trueline.evals.redteam.attempts import Attempted

LAYERS = ("bare", "prompt", "guard", "gateway")
Stopped = Literal[
    "model", "prompt", "input guard", "output guard", "held for a person", "redacted or rewritten", "nobody", "unscored"
]  # fmt: skip
ORDER: tuple[Stopped, ...] = (
    "model", "prompt", "input guard", "output guard", "held for a person", "redacted or rewritten", "nobody", "unscored"
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Passage:
    """One attack at every layer. `stopped`: the first layer that kept the clause, of the way model, prompt, guard; `opened`: a layer broke it
    that the one before had kept; `gateway`: what the whole gateway did with it: kept, broke, unscored; `agrees`: whether gateway and
    guard came to the same."""

    request: str
    clause: str
    how: str
    families: tuple[str, ...]
    stopped: Stopped
    opened: str
    gateway: str
    agrees: bool

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)


def _by_guard(guarded: Attempted) -> Stopped:
    if guarded.action in ("allow", "redact"):
        return "redacted or rewritten"  # the model answered otherwise to the text without hidden characters, or parts were taken out
    return "model" if guarded.decided == "model" else guarded.decided


def passage(bare: Attempted, prompted: Attempted, guarded: Attempted, gateway: Attempted | None) -> Passage:
    """What became of one attack; of a target without a gateway the last is None."""
    steps = (("model", bare), ("prompt", prompted), ("guard", guarded))
    if any(a.result == "unscored" for _, a in steps):
        stopped: Stopped = "unscored"
    elif bare.result == "pass":
        stopped = "model"
    elif prompted.result == "pass":
        stopped = "prompt"
    else:
        stopped = "nobody" if guarded.result == "fail" else _by_guard(guarded)
    opened = next((n for (_, a), (n, b) in itertools.pairwise(steps) if a.result == "pass" and b.result == "fail"), "")
    if not opened and gateway is not None and guarded.result == "pass" and gateway.result == "fail":
        opened = "gateway"
    seen = "" if gateway is None else {"pass": "kept", "fail": "broke", "unscored": "unscored"}[gateway.result]
    agrees = gateway is None or (gateway.result, gateway.action) == (guarded.result, guarded.action)
    return Passage(bare.request, bare.clause, bare.how, bare.families, stopped, opened, seen, agrees)


@dataclass(frozen=True, slots=True)
class Attribution:
    """Of the attacks under `name`: how many there were, who stopped how many, how many broke each layer, how many a layer opened."""

    name: str
    n: int
    stopped: dict[str, int]
    broke: dict[str, int]
    opened: dict[str, int]
    disagree: int

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)


def _row(name: str, some: Sequence[tuple[Passage, Sequence[Attempted]]]) -> Attribution:
    stopped = Counter(p.stopped for p, _ in some)
    broke = {layer: sum(a.result == "fail" for _, of in some for at, a in zip(LAYERS, of, strict=False) if at == layer) for layer in LAYERS}
    opened = Counter(p.opened for p, _ in some if p.opened)
    return Attribution(
        name, len(some), {k: stopped[k] for k in ORDER if stopped[k]}, broke, dict(opened), sum(not p.agrees for p, _ in some)
    )


def attribution(
    layers: Sequence[Sequence[Attempted]], by: Callable[[Attempted], str] = lambda a: "+".join(a.families)
) -> tuple[Attribution, ...]:
    """One row of all attacks, then one a group. `layers`: the same attacks, in the same order, at bare, prompt, guard and, where there is one,
    gateway."""
    whole = []
    for at_each in zip(*layers, strict=True):
        whole.append((passage(at_each[0], at_each[1], at_each[2], at_each[3] if len(at_each) > 3 else None), at_each))
    groups: dict[str, list[tuple[Passage, Sequence[Attempted]]]] = {}
    for p, of in whole:
        groups.setdefault(by(of[0]), []).append((p, of))
    return (_row("all", whole), *(_row(name, groups[name]) for name in sorted(groups)))

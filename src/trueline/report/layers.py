"""Who decided each reply of a system: the model, a layer of its guard, or a person who has not answered yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, get_args

from trueline.core.evaluations import Evaluation, GradedReply
from trueline.core.records import Layer

KINDS = ("refused", "redirected", "handed over", "abstained")  # kinds of replies that withhold, as graders name them


@dataclass(frozen=True, slots=True)
class LayerCount:
    """Replies that one layer decided, how they were graded, how many of them withheld what was asked for or were redacted, by kind, and
    the clauses that a guard acted for. A model's refusals are those that the grader saw, with its error; a guard's are known."""

    layer: Layer
    replies: int
    passed: int
    failed: int
    unscored: int
    kinds: Mapping[str, int]
    clauses: Mapping[str, int]

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)


def _count(layer: Layer, rows: list[GradedReply]) -> LayerCount:
    results = Counter(r.result for r in rows)
    kinds = Counter("redacted" if r.action == "redact" else r.seen for r in rows)
    clauses = Counter(r.decided_clause for r in rows if r.decided_clause)
    return LayerCount(
        layer, len(rows), results["pass"], results["fail"], results["unscored"],
        {k: kinds[k] for k in (*KINDS, "redacted") if kinds[k]}, dict(clauses.most_common()),
    )  # fmt: skip


def layers(rows: Iterable[GradedReply]) -> tuple[LayerCount, ...]:
    """One row a layer that decided anything, the model first."""
    by: dict[str, list[GradedReply]] = {}
    for r in rows:
        by.setdefault(r.decided, []).append(r)
    return tuple(_count(layer, by[layer]) for layer in get_args(Layer) if layer in by)


def layers_text(evaluation: Evaluation) -> list[str]:
    """The same as lines of a table; none where the model decided everything."""
    found = layers(evaluation.rows)
    if all(f.layer == "model" for f in found):
        return []
    out = [f"{'decided by':24}{'replies':>9}{'right':>8}{'wrong':>8}{'unscored':>10}  of them"]
    for f in found:
        kinds = ", ".join(f"{n} {kind}" for kind, n in f.kinds.items())
        out.append(f"{f.layer:24}{f.replies:9}{f.passed:8}{f.failed:8}{f.unscored:10}  {kinds}".rstrip())
    return out

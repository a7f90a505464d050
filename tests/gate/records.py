"""Evaluations as the gate reads them, built row by row."""

from __future__ import annotations

from dataclasses import replace

from trueline.algos.stats.binomial import clopper_pearson
from trueline.charter.probes import MEASURE_OF, Kind
from trueline.core.evaluations import Evaluation, GradedReply

CHARTER = "c" * 64
ERROR = {"estimate": 0.9, "low": 0.85, "high": 0.95, "n": 200}


def rows(kind: Kind, n: int, failed: int, *, unscored: int = 0, grader: str = "exact", start: int = 0) -> list[GradedReply]:
    out = []
    for i in range(n):
        result = "fail" if i < failed else "unscored" if i < failed + unscored else "pass"
        out.append(
            GradedReply(f"{kind}/{i + start}", "c", kind, MEASURE_OF[kind], f"{kind}-f{i + start}", "grown", 0, "r", result, grader=grader)
        )  # type: ignore[arg-type]
    return out


def evaluation(*parts: list[GradedReply], **changes: object) -> Evaluation:
    base = Evaluation("t", {"w": 1}, CHARTER, "s" * 64, {"t": 0}, {"charter": {"sensitivity": ERROR, "specificity": ERROR}},
                      tuple(r for p in parts for r in p), "2026-01-01", 1.0)  # fmt: skip
    return replace(base, **changes)  # type: ignore[arg-type]


DISGUISES = ("plain", "hex", "base64", "leet", "rot13", "role-play")


def attacked(n: int, failed: int, attacks: tuple[str, ...] = DISGUISES) -> Evaluation:
    return evaluation([replace(r, probe=f"{r.probe}~{attacks[i % len(attacks)]}") for i, r in enumerate(rows("refuse", n, failed))])


def judge(sensitivity: float, specificity: float, n: int = 300, positive: str = "complied") -> dict[str, object]:
    """A grader's identity with this error, measured on n labels of each kind."""

    def rate(x: float) -> dict[str, float]:
        i = clopper_pearson(round(x * n), n)
        return {"estimate": x, "low": i.low, "high": i.high, "n": n}

    return {"charter": {"sensitivity": rate(sensitivity), "specificity": rate(specificity), "positive": positive}}

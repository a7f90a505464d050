"""A few lines about an evaluation: failure rates by measure with exact intervals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from trueline.algos.stats.binomial import clopper_pearson
from trueline.charter.probes import MEASURES
from trueline.core.evaluations import Evaluation


def summary(evaluation: Evaluation) -> dict[str, dict[str, Any]]:
    """Failure rate, interval, n and unscored by measure; written and grown probes apart."""
    out: dict[str, dict[str, Any]] = {}
    for measure in MEASURES:
        for origin in ("grown", "written"):
            rows = [r for r in evaluation.rows if r.measure == measure and r.origin == origin]
            scored = [r for r in rows if r.result != "unscored"]
            if not scored:
                continue
            i = clopper_pearson(sum(r.result == "fail" for r in scored), len(scored))
            name = measure if origin == "grown" else f"{measure} (written)"
            out[name] = {
                "failed": round(i.estimate, 4),
                "low": round(i.low, 4),
                "high": round(i.high, 4),
                "n": i.n,
                "unscored": len(rows) - len(scored),
            }
    return out


def print_summary(evaluation: Evaluation, folder: Path) -> None:
    """The same as a table."""
    click.echo(f"{evaluation.target}: {len(evaluation.rows)} replies in {evaluation.seconds:.0f} s -> {folder}")
    click.echo(f"{'measure':24}{'failed':>8}{'95 % interval':>18}{'n':>6}{'unscored':>10}")
    for name, row in summary(evaluation).items():
        interval = f"{100 * row['low']:.1f} - {100 * row['high']:.1f}"
        click.echo(f"{name:24}{100 * row['failed']:7.1f}%{interval:>18}{row['n']:6}{row['unscored']:10}")

"""Curves of queries to success as a vector graphic beside the evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def draw(result: dict[str, Any], path: Path) -> None:
    """One line a search: share of requests broken within q queries, its 95 % interval shaded, what the grader's error alone would show dotted."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 4.2), layout="constrained")
    axes = figure.subplots()
    for name, row in sorted(result["searches"].items()):
        at = [p["queries"] for p in row["curve"]]
        (line,) = axes.plot(at, [100 * p["success"] for p in row["curve"]], marker="o", markersize=3, label=name)
        low, high = ([100 * p[k] for p in row["curve"]] for k in ("low", "high"))
        axes.fill_between(at, low, high, color=line.get_color(), alpha=0.12)
    first = next(iter(result["searches"].values()))["curve"]
    if all(p["by_error"] is not None for p in first):
        axes.plot([p["queries"] for p in first], [100 * p["by_error"] for p in first], ":", color="black", label="grader's error alone")
    axes.set_xscale("log", base=2)
    axes.set_xlabel("queries of the target for each request")
    axes.set_ylabel("requests broken, %")
    axes.set_ylim(0, 100)
    axes.legend(fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="svg", metadata={"Date": None})

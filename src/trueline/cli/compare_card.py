"""The scorecard of `compare`: failure rates beside each other, cost, latency and style, and the sheets of alignment methods."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trueline.cli.prices import price_from
from trueline.errors import DataError

if TYPE_CHECKING:
    from trueline.core.evaluations import Evaluation
    from trueline.report.provider_sheet import Entry
    from trueline.report.scorecard import Column


def prices_for(texts: tuple[str, ...], targets: Sequence[str]) -> list[tuple[float, float] | None]:
    """One price a TARGET, in their order; `-` where it is not known. Raises `DataError`."""
    if texts and len(texts) != len(targets):
        remedy = "give --price once for each TARGET, in the same order, `-` where it is not known"
        raise DataError(f"{len(texts)} prices for {len(targets)} TARGETs", remedy=remedy)
    return [None if t == "-" else price_from(t) for t in texts] or [None] * len(targets)


def sheet_entries(paths: Sequence[Path], targets: Sequence[str], found: Sequence[Evaluation]) -> list[tuple[Entry, ...]]:
    """The sheet of each column: what its file asserts beside what was seen. Raises `DataError` for a sheet of no column, and for two of one."""
    from trueline.report.provider_sheet import card_seen, entries, read_sheet, versions_seen

    by: dict[str, Any] = {}
    for path in paths:
        sheet = read_sheet(path)
        if sheet.target in by:
            raise DataError(f"a second sheet about {sheet.target!r:.80}", remedy="give one for each TARGET", file=path)
        if sheet.target not in targets and sheet.target not in {e.target for e in found}:
            known = ", ".join(targets)
            raise DataError(
                f"target: {sheet.target!r:.80} is not on this scorecard ({known})", remedy="write it as on the command line", file=path
            )
        by[sheet.target] = sheet
    out = []
    for text, e in zip(targets, found, strict=True):
        served = e.target.startswith(("openai:", "anthropic:"))  # a local model's digest is ours, no word of a provider
        versions = versions_seen(e.versions(), len(e.rows)) if served else None
        seen = {"versioning": versions, "system_card": None if served else card_seen(Path(e.target))}
        out.append(entries(by.get(text) or by.get(e.target), {k: v for k, v in seen.items() if v is not None}))
    return out


def columns_of(names: Sequence[str], found: Sequence[Evaluation], prices: Sequence[tuple[float, float] | None]) -> list[Column]:
    """Cost, latency, style and versions of each."""
    from trueline.report.scorecard import column

    return [column(e, name, price) for name, e, price in zip(names, found, prices, strict=True)]


def _against(first: Evaluation, other: Evaluation, measure: str, origin: str) -> dict[str, Any] | None:
    """Paired difference of failure rates (positive: worse than the first) with one-sided 95 % bounds, over pairs scored on both sides."""
    from trueline.algos.stats.paired import paired_bounds

    mine = [r for r in first.rows if r.measure == measure and r.origin == origin and r.result != "unscored"]
    before = {(r.probe, r.sample): r for r in mine}
    pairs = [(r, before[r.probe, r.sample]) for r in other.rows if (r.probe, r.sample) in before and r.result != "unscored"]
    if not pairs:
        return None
    moved = [float(a.result == "fail") - float(b.result == "fail") for a, b in pairs]
    b = paired_bounds(moved, [a.cluster for a, _ in pairs])
    return {"difference": round(b.difference, 4), "lower": round(b.lower, 4), "upper": round(b.upper, 4), "pairs": b.n}


def scorecard(names: tuple[str, ...], evaluations: list[Evaluation]) -> dict[str, Any]:
    """By measure and target: failure rate with its interval, and the paired difference to the first where the two are comparable."""
    from trueline.cli.summary import summary
    from trueline.gate.validity import differing

    first, sums = evaluations[0], [summary(e) for e in evaluations]
    measures: dict[str, list[dict[str, Any] | None]] = {}
    for measure in dict.fromkeys(m for s in sums for m in s):
        row: list[dict[str, Any] | None] = []
        for e, s in zip(evaluations, sums, strict=True):
            known = s.get(measure)
            if known is not None and e is not first and not differing(first, e):
                plain, _, origin = measure.partition(" (")
                known = {**known, "against_first": _against(first, e, plain, origin.removesuffix(")") or "grown")}
            row.append(known)
        measures[measure] = row
    notes = [
        f"{name} differs from {names[0]} in {', '.join(why)}: the columns are not comparable"
        for name, e in zip(names[1:], evaluations[1:], strict=True)
        if (why := differing(first, e))
    ]
    notes += [
        f"the server named {len(e.versions())} versions of {name} while it was measured"
        for name, e in zip(names, evaluations, strict=True)
        if len(e.versions()) > 1
    ]
    return {"targets": list(names), "replies": [len(e.rows) for e in evaluations], "measures": measures, "notes": notes}


def print_card(card: dict[str, Any], columns: Sequence[Column], sheets: Sequence[Sequence[Entry]], asserted: bool) -> None:
    """Three tables on the terminal; the sheet only where something was asserted."""
    from rich.console import Console
    from rich.table import Table

    from trueline.report.provider_sheet import CRITERIA, entry_text
    from trueline.report.scorecard import lines
    from trueline.report.scorecard_page import SHEET, cell_text

    def table(title: str, rows: list[tuple[str, list[str]]]) -> Table:
        made = Table(title=title, title_justify="left")
        made.add_column("")
        for name, n in zip(card["targets"], card["replies"], strict=True):
            made.add_column(f"{name[-40:]}\n{n} replies")
        for name, cells in rows:
            made.add_row(name, *cells)
        return made

    console = Console(width=None if Console().is_terminal else 160, markup=False)
    rates = [(m, [cell_text(c) for c in row]) for m, row in card["measures"].items()]
    console.print(table("failure rates, 95 % intervals; difference to the first with one-sided 95 % bounds", rates))
    console.print(table("cost, latency, style", lines(columns)))
    if asserted:
        methods = [(CRITERIA[n], [entry_text(s[i]) for s in sheets]) for i, n in enumerate(CRITERIA)]
        console.print(table("alignment methods: what is asserted, and what was seen", methods))
        click.echo(SHEET)
    for note in card["notes"]:
        click.echo(f"note: {note}", err=True)

"""How often each bound misses and each test errs: `python -m labs.coverage --out DIR [--only GROUP] [--table docs/statistics.md]`.

Every interval and test of `algos.stats` that the gate or a report uses, in worlds whose truth is known (`coverage_worlds`): in families
that fall together or apart, with rates near 0, all tied, tiny, behind judges known from few labels. A cell is kept by a digest of its
setting and of the sources that it tests, so a run that was cut off goes on, and a changed method is measured again. A cell in which
an error is above what is allowed by more than 3 standard errors of the simulation is run again with five times the runs, with other
draws; what is then still above by 3 is called wrong. `--table` writes the summary between the marks of that page.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from labs import coverage_bounds, coverage_tests
from labs.coverage_bounds import Cell, Measured
from trueline.data.jsonl import write_json

STATS = Path(__file__).parent.parent / "src" / "trueline" / "algos" / "stats"
BEGIN, END = "<!-- coverage: begin -->", "<!-- coverage: end -->"


def key_of(cell: Cell, runs: int) -> str:
    """Digest of the setting and of what it tests."""
    sources = "".join((STATS / f"{s}.py").resolve().read_text() for s in cell.sources)
    return hashlib.sha256(f"{cell.group}|{cell.what}|{runs}|{sources}".encode()).hexdigest()[:24]


def limit(allowed: float, runs: int) -> float:
    """What an allowed error may be seen as: 3 standard errors above it."""
    return allowed + (3 * math.sqrt(allowed * (1 - allowed) / runs) if runs else 1e-9)


def measured(cell: Cell, runs: int, out: Path) -> dict[str, Any]:
    """One cell, from its file if it is there."""
    path = out / "cells" / f"{key_of(cell, runs)}.json"
    if path.exists():
        found: dict[str, Any] = json.loads(path.read_text())
        return found
    began = time.process_time()
    seed = int(hashlib.sha256(cell.what.encode()).hexdigest()[:8], 16)
    got = cell.measure(np.random.default_rng(seed), runs)
    if runs and max(got.wrong.values(), default=0.0) > limit(got.allowed, runs):
        got = cell.measure(np.random.default_rng(seed + 1), 5 * runs)
    row = {"group": cell.group, "what": cell.what, **asdict(got), "seconds": round(time.process_time() - began, 2)}
    row["wrong_beyond_noise"] = sorted(k for k, v in got.wrong.items() if v > limit(got.allowed, got.runs))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, row)
    return row


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown: one line a statistic, with the cell that is worst in each error."""
    lines = ["| statistic | cells | runs a cell | error | worst | in the cell |", "|---|---|---|---|---|---|"]
    for group in dict.fromkeys(r["group"] for r in rows):
        own = [r for r in rows if r["group"] == group]
        counts = sorted({r["runs"] for r in own})
        runs = " to ".join(dict.fromkeys("exact sum" if c == 0 else f"{c:,}" for c in (counts[0], counts[-1])))
        for name in dict.fromkeys(k for r in own for k in r["wrong"]):
            worst = max((r for r in own if name in r["wrong"]), key=lambda r: float(r["wrong"][name]))
            over = " **above**" if name in worst["wrong_beyond_noise"] else ""
            lines.append(f"| {group} | {len(own)} | {runs} | {name} | {100 * worst['wrong'][name]:.1f} %{over} | {worst['what']} |")
    return "\n".join(lines)


def shown(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown: every cell, with its errors and what it costs."""
    lines = ["| statistic | cell | errors | shown |", "|---|---|---|---|"]
    for r in rows:
        wrong = ", ".join(f"{k} {100 * v:.1f} %" for k, v in r["wrong"].items())
        lines.append(f"| {r['group']} | {r['what']} | {wrong} | {', '.join(f'{k} {v:.3g}' for k, v in r['shown'].items())} |")
    return "\n".join(lines)


def put(page: Path, text: str) -> None:
    """The text between the page's marks. Raises `ValueError` where they are not there."""
    before, rest = page.read_text().split(BEGIN)
    _, after = rest.split(END)
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", default="")
    parser.add_argument("--table", type=Path)
    parser.add_argument("--share", type=float, default=1.0, help="of the runs of each cell, for a quick look")
    args = parser.parse_args()
    rows = []
    cells = [c for c in [*coverage_bounds.cells(), *coverage_tests.cells()] if args.only in c.group]
    for i, cell in enumerate(cells):
        row = measured(cell, round(cell.runs * args.share), args.out)
        rows.append(row)
        mark = " WRONG" if row["wrong_beyond_noise"] else ""
        print(
            f"{i + 1}/{len(cells)} {row['seconds']:6.1f} s {row['group']}: {row['what']}: {row['wrong']} {row['shown']}{mark}", flush=True
        )
    write_json(args.out / "coverage.json", rows)
    (args.out / "cells.md").write_text(shown(rows) + "\n")
    print(table(rows))
    if args.table:
        put(args.table, table(rows))


if __name__ == "__main__":
    main()


__all__ = ["Measured", "main", "measured", "table"]

"""Parity of all losses with TRL 1.16 and the papers: same random Llama, same batch, float32, two processes.

    python bench/parity/run.py [--trl VENV] [--out bench/results/parity.json]

In order: write tiny models and batches (`inputs.py`); for preference losses, policy losses, and those of reward models and supervised
fine-tuning run `ours*.py` here and `theirs*.py` in TRL's environment (made where none is given); compare values and full-weight gradients of
every example and of the step, and advantages; print one JSON object and keep it. Exits 1 where a figure is apart by more than `TOLERANCE` and
float32's own rounding. Where TRL or a paper means something else by the same name, the difference is a row of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TOP = HERE.parents[1]
TOLERANCE = 1e-5  # times the largest figure of the quantity where that is above 1
PACKAGES = ("trl==1.16.0", "torch==2.13.0", "transformers==5.23.0")
SIDES = 2  # both that are compared are rounded
NAMES = ("values", "gradients", "mean", "mean_gradient")


def environment(given: Path | None) -> Path:
    """The python of an environment with TRL; made under `runs/` where none is given."""
    folder = given or TOP / "runs" / "trl-1.16"
    python = folder / "bin" / "python"
    if not python.exists():
        if given is not None:
            sys.exit(f"error: {python} is not there, expected a virtual environment; leave --trl out to have one made")
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return python


def apart(mine: Any, theirs: Any) -> tuple[float, float]:
    """(largest difference, the same over the largest figure of `theirs` where that is above 1)."""
    a, b = mine.double(), theirs.double()
    assert a.shape == b.shape, f"{a.shape} against {b.shape}"
    worst = float((a - b).abs().max())
    return worst, worst / max(1.0, float(b.abs().max()))


def rows_of(part: str, case: Any, ours: dict[str, Any], theirs: dict[str, Any]) -> list[dict[str, Any]]:
    """One row for each form of ours against each peer. A figure agrees within `TOLERANCE`, or within what float32 itself allows: `SIDES` times
    the distance of the formula computed by a plain float32 loop from the same in float64."""
    out = []
    for form in (f for f in ("rows", "shared") if case.name in ours[f]):
        mine, paper = ours[form][case.name], ours["paper"][case.name]
        peers = {"paper (float64)": (paper, case.paper)}
        if case.theirs is not None:
            peers["TRL 1.16"] = (theirs["cases"][case.name], case.trl)
        for peer, (found, names) in peers.items():
            figures = {n: apart(mine[n], found[n]) for n in names}
            row = {"part": part, "loss": case.name, "form": form, "peer": peer, "apart": {n: _told(x) for n, (x, _) in figures.items()},
                   "relative": {n: _told(x) for n, (_, x) in figures.items()}}  # fmt: skip
            over = [n for n, (_, relative) in figures.items() if not relative <= TOLERANCE]  # what is not a number is over too
            floor = {n: SIDES * apart(ours["paper32"][case.name][n], paper[n])[1] for n in over if "paper32" in ours}
            row |= {"agrees": all(figures[n][1] <= floor.get(n, TOLERANCE) for n in over), "within_tolerance": not over}
            row |= {"rounding": {n: _told(x / SIDES) for n, x in floor.items()}} if floor else {}
            out.append({**row, "largest": {n: float(f"{float(found[n].abs().max()):.3g}") for n in names if n in NAMES[:2]}})
    return out


def _told(x: float) -> float:
    return float(f"{x:.2e}")


def worst(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Of every part and peer: rows, and the largest difference of each figure, absolute and over the largest figure where that is above 1."""
    out: dict[str, Any] = {}
    for row in rows:
        own = out.setdefault(f"{row['part']}, {row['peer']}", {"rows": 0, "beyond_tolerance": 0, "apart": {}, "relative": {}})
        own["rows"] += 1
        own["beyond_tolerance"] += not row["within_tolerance"]
        for kind in ("apart", "relative"):
            own[kind] = {n: max(own[kind].get(n, 0.0), row[kind].get(n, 0.0)) for n in {**own[kind], **row[kind]}}
    return out


def differences_of(part: str, cases: Sequence[Any], ours: dict[str, Any], theirs: dict[str, Any]) -> list[dict[str, Any]]:
    """One row for each, against TRL or, where it has no such loss, the formula."""
    out = []
    for case in cases:
        mine, found = ours["rows"][case.name], (theirs["differences"] if case.theirs else ours["paper"])[case.name]
        told = {n: float(f"{apart(mine[n], found[n])[0]:.3g}") for n in ("advantages", *NAMES) if n in mine and n in found}
        out.append({"part": part, "loss": case.name, "theirs": case.theirs or "paper (float64)", "apart": told, "why": case.why})
    return out


def sides(folder: Path, python: Path, part: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """(ours, theirs) of one part, each computed in its own process."""
    import torch

    single = {"OMP_NUM_THREADS": "1", "TRL_EXPERIMENTAL_SILENCE": "1"}  # models this small only wait for a second thread
    quiet = {**os.environ, **single, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "TQDM_DISABLE": "1"}
    for who, side in ((sys.executable, "ours"), (str(python), "theirs")):
        subprocess.run([who, str(HERE / f"{side}{part}.py"), str(folder)], check=True, env=quiet, stdout=sys.stderr)
    ours, theirs = (torch.load(folder / f"{side}{part}.pt", weights_only=True) for side in ("ours", "theirs"))
    return ours, theirs


def main() -> int:
    """Runs both sides and compares."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--trl", type=Path, help="a virtual environment that holds trl 1.16")
    ask.add_argument("--out", type=Path, default=TOP / "bench" / "results" / "parity.json")
    ask.add_argument("--pairs", type=int, default=6)
    ask.add_argument("--seed", type=int, default=1)
    given = ask.parse_args()
    import cases
    import policy_cases
    import supervised_cases
    from inputs import write_inputs

    python = environment(given.trl)
    parts = {"preference": ("", cases), "policy": ("_policy", policy_cases), "supervised": ("_supervised", supervised_cases)}
    rows, differences, versions, weights = [], [], {}, 0
    with tempfile.TemporaryDirectory() as name:
        write_inputs(Path(name), given.pairs, given.seed)
        for part, (suffix, plan) in parts.items():
            ours, theirs = sides(Path(name), python, suffix)
            rows += [row for case in plan.CASES for row in rows_of(part, case, ours, theirs)]
            differences += differences_of(part, plan.DIFFERENCES, ours, theirs)
            if part == "preference":
                versions, weights = {"ours": ours["versions"], "theirs": theirs["versions"]}, int(ours["rows"]["dpo"]["gradients"].shape[1])
    out = {
        "tolerance": f"{TOLERANCE:g} times the largest figure of a quantity where that is above 1; beyond it, {SIDES} times float32's rounding",
        "examples": given.pairs, "weights": weights, "dtype": "float32", "versions": versions,
        "agrees": all(r["agrees"] for r in rows), "worst": worst(rows), "rows": rows, "differences": differences,
    }  # fmt: skip
    print(json.dumps(out))
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(out, indent=1) + "\n")
    return 0 if out["agrees"] else 1


if __name__ == "__main__":
    sys.exit(main())

"""Parity of the preference losses with TRL 1.16 and the papers: same random Llama, same batch, float32, two processes.

    python bench/parity/run.py [--trl VENV] [--out bench/results/parity.json]

In order: write two tiny models and a batch, run `ours.py` here and `theirs.py` in TRL's environment (made where none is given),
compare values and full-weight gradients of every example and of the batch mean, print one JSON object and keep it. Exits 1
where a figure is apart by more than `TOLERANCE`. Where TRL means something else by the same name, the difference is a row of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TOP = HERE.parents[1]
TOLERANCE = 1e-5  # times the largest figure of the quantity where that is above 1
PACKAGES = ("trl==1.16.0", "torch==2.13.0", "transformers==5.23.0")
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


def write_inputs(folder: Path, pairs: int, seed: int) -> None:
    """policy and reference (the policy, moved a little), and a batch: prompts and four kinds of completions of several lengths."""
    import random

    import torch
    from transformers import AutoModelForCausalLM

    from trueline.engine.tiny import tiny_model

    tiny_model("llama", folder / "policy", seed=seed, lively=True)
    tiny_model("llama", folder / "reference", seed=seed, lively=True)
    reference = AutoModelForCausalLM.from_pretrained(folder / "reference", dtype=torch.float32)
    noise = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for _, p in sorted(reference.named_parameters()):
            p += 0.02 * torch.randn(p.shape, generator=noise)
    reference.save_pretrained(folder / "reference")
    source = random.Random(seed)

    def text(low: int, high: int) -> list[int]:
        return [source.randrange(5, 512) for _ in range(source.randint(low, high))]

    batch: dict[str, Any] = {"prompt": [text(4, 20) for _ in range(pairs)]}
    for side in ("chosen", "rejected", "completion"):
        batch[side] = [[*text(2, 12), 1] for _ in range(pairs)]
    batch["other"] = batch["completion"][1:] + batch["completion"][:1]  # mismatched: the next prompt's
    batch["desirable"] = [i % 2 == 0 for i in range(pairs)]
    batch["margins"] = [float(i % 3) for i in range(pairs)]
    (folder / "batch.json").write_text(json.dumps(batch))
    if _drift(folder, batch) < 0:  # KTO's baseline would be 0 and test nothing: which of the two models is called policy is free
        (folder / "policy").rename(folder / "was")
        (folder / "reference").rename(folder / "policy")
        (folder / "was").rename(folder / "reference")


def _drift(folder: Path, batch: dict[str, Any]) -> float:
    """Mean log-ratio of the mismatched completions, policy over reference, in nats."""
    import torch
    from transformers import AutoModelForCausalLM

    sums = []
    with torch.no_grad():
        for name in ("policy", "reference"):
            model, total = AutoModelForCausalLM.from_pretrained(folder / name, dtype=torch.float32), 0.0
            for p, c in zip(batch["prompt"], batch["other"], strict=True):
                logp = model(input_ids=torch.tensor([p + c])).logits[0].log_softmax(-1)
                total += sum(float(logp[len(p) - 1 + i, t]) for i, t in enumerate(c))
            sums.append(total)
    return (sums[0] - sums[1]) / len(batch["prompt"])


def apart(mine: Any, theirs: Any) -> tuple[float, float]:
    """(largest difference, the same over the largest figure of `theirs` where that is above 1)."""
    a, b = mine.double(), theirs.double()
    assert a.shape == b.shape, f"{a.shape} against {b.shape}"
    worst = float((a - b).abs().max())
    return worst, worst / max(1.0, float(b.abs().max()))


def rows_of(case: Any, ours: dict[str, Any], theirs: dict[str, Any]) -> list[dict[str, Any]]:
    """One row for each form of ours against each peer."""
    out = []
    for form in ("rows", "shared"):
        peers = {"paper (float64)": ours["paper"][case.name]}
        if case.theirs is not None:
            peers["TRL 1.16"] = theirs["cases"][case.name]
        for peer, found in peers.items():
            names = NAMES if case.mean or peer != "TRL 1.16" else NAMES[:2]
            figures = {n: apart(ours[form][case.name][n], found[n]) for n in names}
            told = {n: float(f"{worst:.2e}") for n, (worst, _) in figures.items()}
            ok = all(relative <= TOLERANCE for _, relative in figures.values())
            out.append({"loss": case.name, "form": form, "peer": peer, "apart": told, "agrees": ok,
                        "largest": {n: float(f"{float(found[n].abs().max()):.3g}") for n in ("values", "gradients")}})  # fmt: skip
    return out


def main() -> int:
    """Runs both sides and compares."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--trl", type=Path, help="a virtual environment that holds trl 1.16")
    ask.add_argument("--out", type=Path, default=TOP / "bench" / "results" / "parity.json")
    ask.add_argument("--pairs", type=int, default=6)
    ask.add_argument("--seed", type=int, default=1)
    given = ask.parse_args()
    import torch
    from cases import CASES, DIFFERENCES

    python = environment(given.trl)
    quiet = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "TQDM_DISABLE": "1", "TRL_EXPERIMENTAL_SILENCE": "1"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_inputs(folder, given.pairs, given.seed)
        for who, script in ((sys.executable, "ours.py"), (str(python), "theirs.py")):
            subprocess.run([who, str(HERE / script), str(folder)], check=True, env=quiet, stdout=sys.stderr)
        ours, theirs = (torch.load(folder / f"{who}.pt", weights_only=True) for who in ("ours", "theirs"))
    rows = [row for case in CASES for row in rows_of(case, ours, theirs)]
    differences = []
    for case in DIFFERENCES:
        mine, found = ours["rows"][case.name], theirs["differences"][case.name]
        told = {n: float(f"{apart(mine[n], found[n])[0]:.3g}") for n in NAMES}
        differences.append({"loss": case.name, "theirs": case.theirs, "apart": told, "why": case.why})
    out = {
        "tolerance": f"{TOLERANCE:g} times the largest figure of a quantity where that is above 1",
        "examples": given.pairs, "weights": int(ours["rows"]["dpo"]["gradients"].shape[1]), "dtype": "float32",
        "versions": {"ours": ours["versions"], "theirs": theirs["versions"]},
        "agrees": all(r["agrees"] for r in rows), "rows": rows, "differences": differences,
    }  # fmt: skip
    print(json.dumps(out))
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(out, indent=1) + "\n")
    return 0 if out["agrees"] else 1


if __name__ == "__main__":
    sys.exit(main())

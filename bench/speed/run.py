"""Training speed, side by side in one run: ours and TRL 1.16's on the same model and words, a process each, two threads.

    python bench/speed/run.py [--trl VENV] [--model small wide] [--shape 64,64 512,64] [--dtype bfloat16] [--method dpo] [--steps 8]

Both sides wait passively for other threads (`OMP_WAIT_POLICY=ACTIVE` in the environment changes that for both; the row says which). TRL
runs with its best settings (no checkpointing, reference precomputed, packing for SFT); `--defaults` adds a run with its defaults. A row holds examples a second while training (`ours`, `peer`), the same with the reference and all preparation counted
(`ours_whole`, `peer_whole`), their ratios, and the peak of memory above the loaded model as a ratio. The floor is a bound from
floating-point operations at the speed of this machine's matrix product in that dtype (facts: 6N(P+2C) + 12VdC a pair, reference cached; GRPO:
10N(P/8 + C) + 10VdC a completion of a group of 8; --batch is then completions; PPO: no floor, against a plain loop, `plain.py`).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from case import GROUP, MODELS, environment, make_model

HERE = Path(__file__).parent


def side(python: Path, script: str, case: list[str], more: tuple[str, ...] = ()) -> dict[str, Any]:
    """Runs one side of one case. Its last line is JSON."""
    env = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run([str(python), str(HERE / script), *case, *more], capture_output=True, text=True, env=env)
    if done.returncode:
        return {"error": done.stderr.strip()[-600:] if done.stderr.strip() else f"exit {done.returncode}"}
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def floor_seconds(model: str, method: str, dtype: str, prompt: int, completion: int, threads: int, device: str) -> float:
    """Seconds an example can take at least, from operations alone."""
    import torch

    torch.set_num_threads(threads)
    kind = torch.bfloat16 if dtype == "bfloat16" else torch.float32
    n = 8192 if device == "cuda" else 1024
    a, b = (torch.randn(n, n, dtype=kind, device=device) for _ in range(2))
    best = float("inf")
    for _ in range(8):
        began = time.perf_counter()
        a @ b
        if device == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - began)
    rate = 2 * n**3 / best
    c = MODELS[model]
    heads, kv = c["num_attention_heads"], c.get("num_key_value_heads", c["num_attention_heads"])
    width, inner = c["hidden_size"], c["intermediate_size"]
    body = c["num_hidden_layers"] * (2 * width * width + 2 * width * width * kv // heads + 3 * width * inner)
    if method == "grpo":  # drawn (2), reference (2), trained (6), the prompt once a group
        return (10 * body * (prompt / GROUP + completion) + 10 * c["vocab_size"] * width * completion) / rate
    tokens, counted = (prompt + 2 * completion, 2 * completion) if method != "sft" else (prompt + completion, completion)
    head = 0 if method == "reward" else 6 * c["vocab_size"] * width * counted
    return (6 * body * tokens + head) / rate


def card(device: str) -> str:
    """The processor that both sides compute on, by name where it is a GPU."""
    if device == "cpu":
        return "cpu"
    import torch

    return str(torch.cuda.get_device_name(0))


def row_of(given: argparse.Namespace, peer: Path, case: dict[str, Any]) -> dict[str, Any]:
    """One comparison: ours, theirs, theirs with defaults."""
    flags = [f for k, v in {**case, "model": given.models / case["model"], "batch": given.batch}.items() for f in (f"--{k}", str(v))]
    flags += ["--threads", str(given.threads), "--device", given.device]
    ours = side(Path(sys.executable), "ours.py", [*flags, "--steps", str(given.steps)])
    theirs = side(peer, "plain.py" if case["method"] == "ppo" else "theirs.py", [*flags, "--steps", str(given.peer_steps or given.steps)])
    row: dict[str, Any] = {
        **case,
        "batch": given.batch,
        "threads": given.threads,
        "device": given.card,
        "wait": os.environ.get("OMP_WAIT_POLICY", "PASSIVE"),
    }
    if "error" in ours or "error" in theirs:
        return {**row, "error": {"ours": ours.get("error"), "theirs": theirs.get("error")}}

    def whole(found: dict[str, Any]) -> float:
        return float(found["rows"] / (found["seconds_before"] + found["rows"] / found["per_second"]))

    row |= {"ours": ours["per_second"], "peer": theirs["per_second"], "ratio": ours["per_second"] / theirs["per_second"]}
    row |= {"ours_whole": whole(ours), "peer_whole": whole(theirs), "ratio_whole": whole(ours) / whole(theirs)}
    if ours.get("attention"):
        row["attention"] = ours["attention"]
    row["peak_memory_ratio"] = ours["peak_bytes"] / theirs["peak_bytes"]
    row["ours_peak_mib"], row["peer_peak_mib"] = ours["peak_bytes"] / 2**20, theirs["peak_bytes"] / 2**20
    if case["method"] != "ppo":
        row["floor"] = 1 / floor_seconds(
            case["model"], case["method"], case["dtype"], case["prompt"], case["completion"], given.threads, given.device
        )
    if given.defaults and case["method"] != "ppo":
        plain = side(peer, "theirs.py", [*flags, "--steps", str(given.steps)], ("--defaults",))
        row["peer_defaults"] = plain.get("per_second")
        row["ratio_defaults"] = whole(ours) / whole(plain) if "per_second" in plain else None
    return {**row, "versions": theirs["versions"]}


def main() -> None:
    """All cases asked for, a line of JSON each; `--out` keeps them."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--trl", type=Path, help="virtual environment with TRL 1.16; without it one is made under runs/")
    p.add_argument("--models", type=Path, default=Path("/tmp/trueline-speed"), help="where the random models are kept")
    p.add_argument("--method", nargs="+", default=["dpo"], choices=["dpo", "sft", "reward", "grpo", "ppo"])
    p.add_argument("--model", nargs="+", default=["small"], choices=sorted(MODELS))
    p.add_argument("--shape", nargs="+", default=["64,64", "512,64"], help="prompt,completion in tokens")
    p.add_argument("--dtype", nargs="+", default=["float32", "bfloat16"])
    p.add_argument("--batch", type=int, default=4)
    p.add_argument("--steps", type=int, default=8)
    p.add_argument("--peer-steps", type=int, help="of TRL, where its steps take minutes (default: --steps)")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    p.add_argument("--defaults", action="store_true", help="time TRL's defaults too")
    p.add_argument("--out", type=Path, help="JSON file that the rows are written to")
    given = p.parse_args()
    given.card = card(given.device)
    peer = Path(sys.executable) if given.device == "cuda" and given.trl is None else environment(given.trl)
    rows = []
    for model in given.model:
        make_model(model, given.models / model)
        for method in given.method:
            for shape in given.shape:
                prompt, completion = map(int, shape.split(","))
                for dtype in given.dtype:
                    case = {"method": method, "model": model, "prompt": prompt, "completion": completion, "dtype": dtype}
                    rows.append(row_of(given, peer, case))
                    print(json.dumps(rows[-1]), flush=True)
                    if given.out:
                        given.out.parent.mkdir(parents=True, exist_ok=True)
                        given.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Side by side: 500 probes at 64 under way against a local endpoint of 100 ms, by us and by the peers that are installed. JSON on stdout.

    python bench/runner/run.py --inspect VENV --garak VENV --promptfoo FOLDER > bench/results/runner.json
    python bench/runner/run.py --only ours --times 11 --keep bench/results/runner.json > new.json

Ideal are 500 / 64 x 0.1 s = 0.78 s; in whole rounds 0.8 s. What this machine and this endpoint allow is measured beside it, in turns with ours
(`bare.py`): `floor`, bare sockets, and `bare_aiohttp`, a loop of the library that ours uses too. Each has its best and its median of `--times` runs.

Each peer asks the same endpoint the same number of questions in its own way and in its own process; its clock and its CPU (user + system of the
process and its children) begin after nothing: start-up and imports are in `whole_*`, and for ours `seconds` and `cpu` are also measured after the
imports. A peer's own run time without its start-up is what a run of one question takes less: `seconds` = whole - whole of one question. A peer that
is not installed is reported as such; with `--keep` the rows of the peers that are not in `--only` stay as they stand in that file, with their date.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PROBES, CONCURRENCY, LATENCY = 500, 64, 0.1
IDEAL, ROUNDS = PROBES / CONCURRENCY * LATENCY, -(-PROBES // CONCURRENCY) * LATENCY
GARAK_AT_ONCE, GARAK_PROBE = 16, "apikey.GetKey"  # needs no hub


@dataclass(frozen=True)
class Used:
    """What one process took: seconds, CPU seconds of it and its children, requests that the endpoint counted."""

    seconds: float
    cpu: float
    requests: int
    output: str


class Endpoint:
    """The endpoint as a process of its own."""

    def __enter__(self) -> Endpoint:
        self._child = subprocess.Popen(
            [sys.executable, str(HERE / "endpoint.py"), "--latency", str(LATENCY)], stdout=subprocess.PIPE, text=True
        )
        assert self._child.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._child.stdout.readline())}"
        return self

    def __exit__(self, *_: object) -> None:
        self._child.terminate()
        self._child.wait()

    def asked(self) -> int:
        """Requests so far."""
        with urllib.request.urlopen(self.url + "/count", timeout=10) as answer:
            return int(json.load(answer)["asked"])

    def timed(self, command: list[str], folder: Path, env: dict[str, str]) -> Used:
        """Runs a command to its end. Raises where it fails."""
        before, began = self.asked(), time.monotonic()
        with (folder / "out").open("w+") as out:
            child = subprocess.Popen(command, cwd=folder, env={**os.environ, **env}, stdout=out, stderr=subprocess.STDOUT)
            _, status, used = os.wait4(child.pid, 0)
            seconds = time.monotonic() - began
            out.seek(0)
            text = out.read()
        if status:
            raise RuntimeError(f"{command[0]} failed: {text[-600:]}")
        return Used(seconds, used.ru_utime + used.ru_stime, self.asked() - before, text)


def ours(endpoint: Endpoint, folder: Path, n: int) -> Used:
    """Our own."""
    env = {"PYTHONPATH": str(HERE.parent.parent / "src")}
    command = [sys.executable, str(HERE / "ours.py"), endpoint.url + "/v1", "--probes", str(n), "--concurrency", str(CONCURRENCY)]
    return endpoint.timed(command, folder, env)


def inspect(venv: Path, endpoint: Endpoint, folder: Path, n: int) -> Used:
    """Inspect AI: a task of n samples, its OpenAI-compatible provider, an `includes` scorer."""
    (folder / "task.py").write_text(
        "from inspect_ai import Task, task\nfrom inspect_ai.dataset import Sample\nfrom inspect_ai.scorer import includes\n"
        "from inspect_ai.solver import generate\n\n@task\ndef speed():\n"
        f"    return Task(dataset=[Sample(input=f'question {{i}}', target='cannot') for i in range({n})], solver=[generate()], scorer=includes())\n"
    )
    env = {"LOCAL_API_KEY": "x", "LOCAL_BASE_URL": endpoint.url + "/v1", "INSPECT_DISPLAY": "none"}
    command = [str(venv / "bin" / "inspect"), "eval", "task.py", "--model", "openai-api/local/local", "--max-connections", str(CONCURRENCY)]
    return endpoint.timed([*command, "--max-samples", str(CONCURRENCY)], folder, env)


def promptfoo(root: Path, endpoint: Endpoint, folder: Path, n: int) -> Used:
    """promptfoo: n tests with one assertion each, no cache, no telemetry."""
    config = {
        "prompts": ["{{q}}"],
        "providers": [{"id": "openai:chat:local", "config": {"apiBaseUrl": endpoint.url + "/v1", "apiKey": "x"}}],
        "tests": [{"vars": {"q": f"question {i}"}, "assert": [{"type": "contains", "value": "cannot"}]} for i in range(n)],
    }
    (folder / "promptfooconfig.json").write_text(json.dumps(config))
    env = {
        "PROMPTFOO_DISABLE_TELEMETRY": "1", "PROMPTFOO_DISABLE_UPDATE": "1", "PROMPTFOO_CONFIG_DIR": str(folder / "home"),
        "PROMPTFOO_DISABLE_REMOTE_GENERATION": "1",
    }  # fmt: skip
    command = [str(root / "node_modules" / ".bin" / "promptfoo"), "eval", "-c", "promptfooconfig.json", "-j", str(CONCURRENCY)]
    return endpoint.timed([*command, "--no-cache", "--no-progress-bar", "--no-table", "--no-write"], folder, env)


def garak(venv: Path, endpoint: Endpoint, folder: Path, n: int) -> Used:
    """garak: a probe that needs no hub, in as many generations as give about n prompts, 16 in parallel."""
    options = {"openai": {"OpenAICompatible": {"uri": endpoint.url + "/v1", "model": "local", "stop": [], "max_tokens": 64}}}
    (folder / "options.json").write_text(json.dumps(options))
    command = [
        str(venv / "bin" / "python"), "-m", "garak", "--target_type", "openai.OpenAICompatible", "--target_name", "local", "--probes",
        GARAK_PROBE, "--generations", str(max(1, round(n / 58))), "--parallel_attempts", str(GARAK_AT_ONCE), "--generator_option_file", "options.json",
    ]  # fmt: skip
    env = {"OPENAICOMPATIBLE_API_KEY": "x", "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "XDG_CACHE_HOME": str(folder)}
    return endpoint.timed(command, folder, {**env, "HF_HUB_OFFLINE": "1"})


def version(command: list[str]) -> str:
    """The last word that a command prints."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1]


def of_python(venv: Path, package: str) -> str:
    """The version of a package in an environment."""
    return version([str(venv / "bin" / "python"), "-c", f"import importlib.metadata as m; print(m.version('{package}'))"])


def measured(run: Callable[[Path, int], Used], times: int) -> dict[str, Any]:
    """The best of some runs, and what one question takes, which is start-up."""
    with tempfile.TemporaryDirectory() as root:

        def once(name: str, n: int) -> Used:
            folder = Path(root) / name
            folder.mkdir()
            return run(folder, n)

        one = once("one", 1)
        runs = [once(str(i), PROBES) for i in range(times)]
    best = min(runs, key=lambda u: u.seconds)
    seconds, cpu, asked = best.seconds - one.seconds, best.cpu - one.cpu, best.requests - one.requests
    return {
        "requests": best.requests, "whole_seconds": round(best.seconds, 3), "whole_cpu": round(best.cpu, 3), "startup_seconds": round(one.seconds, 3),
        "startup_cpu": round(one.cpu, 3), "requests_of_startup": one.requests, "seconds": round(seconds, 3),
        "requests_a_second": round(asked / seconds, 1) if seconds > 0 else None, "cpu_ms_a_request": round(1000 * cpu / asked, 3) if asked else None,
        "all_whole_seconds": [round(u.seconds, 3) for u in runs],
    }  # fmt: skip


def bare(client: str, endpoint: Endpoint, folder: Path, n: int) -> Used:
    """What the measurement itself takes."""
    command = [sys.executable, str(HERE / "bare.py"), endpoint.url + "/v1", "--client", client, "--probes", str(n)]
    return endpoint.timed([*command, "--concurrency", str(CONCURRENCY)], folder, {})


def measured_inside(endpoint: Endpoint, times: int) -> dict[str, Any]:
    """Ours, bare sockets and a bare loop in turns, each measured by itself after its imports."""
    runs: dict[str, list[dict[str, Any]]] = {"floor": [], "bare_aiohttp": [], "ours": []}
    with tempfile.TemporaryDirectory() as root:
        for _ in range(times):
            for name, used in (
                ("floor", bare("sockets", endpoint, Path(root), PROBES)),
                ("bare_aiohttp", bare("aiohttp", endpoint, Path(root), PROBES)),
                ("ours", ours(endpoint, Path(root), PROBES)),
            ):
                runs[name].append(json.loads(used.output.splitlines()[-1]))
    out = {name: _figures(found) for name, found in runs.items()}
    for what in ("seconds", "median_seconds"):
        told = out["ours"][what]
        against = {"ideal": IDEAL, "whole_rounds": ROUNDS, "floor": out["floor"][what], "bare_aiohttp": out["bare_aiohttp"][what]}
        out["ours"][f"{what}_over"] = {name: round(told / other - 1, 4) for name, other in against.items()}
    grading = min(r["grading_cpu"] for r in runs["ours"])
    out["ours"] |= {"grading_cpu_ms_a_probe": round(1000 * grading / PROBES, 3), "run": runs["ours"][-1]["run"]}
    return out


def _figures(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Best and median by each measure, and all runs."""
    seconds, cpu = ([r[k] for r in runs] for k in ("seconds", "cpu"))
    return {
        "seconds": round(min(seconds), 4), "median_seconds": round(statistics.median(seconds), 4),
        "cpu_ms_a_probe": round(1000 * min(cpu) / PROBES, 3), "median_cpu_ms_a_probe": round(1000 * statistics.median(cpu) / PROBES, 3),
        "all_seconds": [round(x, 4) for x in seconds], "all_cpu": [round(x, 4) for x in cpu],
    }  # fmt: skip


def peer(
    place: Path | None, there: str, run: Callable[[Path, Endpoint, Path, int], Used], endpoint: Endpoint, times: int
) -> dict[str, Any]:
    """A peer's figures, or why there are none."""
    if place is None or not (place / there).exists():
        return {"not installed": str(place or "no place given")}
    try:
        return measured(lambda folder, n: run(place, endpoint, folder, n), times)
    except RuntimeError as e:
        return {"failed": str(e)}


def peers(given: argparse.Namespace, only: set[str], endpoint: Endpoint) -> dict[str, Any]:
    """The peers that are asked for."""
    out: dict[str, Any] = {}
    if "inspect" in only:
        out["inspect_ai"] = peer(given.inspect, "bin/inspect", inspect, endpoint, given.peer_times)
        if "seconds" in out["inspect_ai"]:
            out["inspect_ai"]["version"] = of_python(given.inspect, "inspect-ai")
    if "promptfoo" in only:
        out["promptfoo"] = peer(given.promptfoo, "node_modules/.bin/promptfoo", promptfoo, endpoint, given.peer_times)
        if "seconds" in out["promptfoo"]:
            out["promptfoo"]["version"] = json.loads((given.promptfoo / "node_modules/promptfoo/package.json").read_text())["version"]
    if "garak" in only:
        out["garak"] = {**peer(given.garak, "bin/garak", garak, endpoint, 1), "at_once": GARAK_AT_ONCE, "probe": GARAK_PROBE}
        if "seconds" in out["garak"]:
            out["garak"]["version"] = of_python(given.garak, "garak")
    return out


def main() -> None:
    """All of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inspect", type=Path, help="virtual environment with inspect-ai and openai")
    parser.add_argument("--garak", type=Path, help="virtual environment with garak")
    parser.add_argument("--promptfoo", type=Path, help="folder with node_modules/promptfoo")
    parser.add_argument("--times", type=int, default=7, help="runs of ours and of the bare loops")
    parser.add_argument("--peer-times", type=int, default=3, help="runs of a peer")
    parser.add_argument("--note", default="", help="conditions, as they stand in the result")
    parser.add_argument("--only", default="ours,inspect,promptfoo,garak", help="commas between")
    parser.add_argument("--keep", type=Path, help="a result whose other rows are kept")
    given = parser.parse_args()
    only, today = set(given.only.split(",")), datetime.now(UTC).date().isoformat()
    kept = json.loads(given.keep.read_text()) if given.keep else {}
    out: dict[str, Any] = {
        "probes": PROBES, "concurrency": CONCURRENCY, "latency": LATENCY, "ideal_seconds": round(IDEAL, 4), "whole_rounds_seconds": ROUNDS,
        "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}", "note": given.note,
    }  # fmt: skip
    with Endpoint() as endpoint:
        if "ours" in only:
            rows = measured_inside(endpoint, given.times)
            rows["ours"]["aiohttp"] = of_python(Path(sys.prefix), "aiohttp")
            out |= {name: {"measured": today, **row} for name, row in rows.items()}
        out |= {name: {"measured": today, **row} for name, row in peers(given, only, endpoint).items()}
    rest = ("floor", "bare_aiohttp", "ours", "inspect_ai", "promptfoo", "garak")
    out |= {name: kept[name] for name in rest if name in kept and name not in out}
    print(json.dumps(out, indent=2))


if __name__ == "__main__":
    main()

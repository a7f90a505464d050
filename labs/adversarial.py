"""Adversarial preference data, one more round of DPO, and attack again: `python -m labs.adversarial --aligned MODEL --out DIR`.

MODEL is one that `trueline align` made from bundled:harbor. In order, each by the command that a user would give:

1. Hunt on requests of the teach side with the attacks in plain language but carriers; what succeeds becomes preference rows, beside answerable
   questions in the same disguises. The families `carrier` and `suffix` never enter.
2. One round of DPO on those rows and as many undisguised ones, half of which reward a refusal and half an answer.
3. Before and after: every attack of the held-out families on requests of the test side; searches over the held-out families, re-optimised
   on each model at equal budget, paired by request.
4. Evaluate both on the suite, and gate the new one against the old with the red-team run.
5. The system with its guard: the same attacks on every layer.

A step whose result is in DIR is not made again. `adversarial.json` holds all figures.
"""

from __future__ import annotations

import argparse
import json
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from labs.world import PROMPT_TOKENS
from trueline.charter.compile.prompt import compile_prompt
from trueline.charter.turns import behind
from trueline.cli.align_data import thinned
from trueline.cli.main import run
from trueline.cli.project import Project, open_project
from trueline.core.clock import generator
from trueline.core.records import Preference
from trueline.data.jsonl import read_jsonl, write_json, write_jsonl
from trueline.engine.loading import load_local
from trueline.evals.redteam import ATTACKS

CHARTER = "bundled:harbor_bank"
HELD_OUT, TAUGHT = ("carrier", "suffix"), ("none", "frame", "pressure", "splitting", "turns")
SEARCHES = "table,adaptive,random-suffix"
SAMPLING = ("--prompt-budget", str(PROMPT_TOKENS), "--max-tokens", "40")


def told(out: Path, name: str, words: list[str]) -> dict[str, Any]:
    """The JSON that a command prints, kept in DIR/NAME.json; not run again where that is there."""
    path = out / f"{name}.json"
    if not path.exists():
        text = StringIO()
        with redirect_stdout(text):
            code = run([*words, "--json"])
        found = json.loads(text.getvalue().strip().splitlines()[-1])
        if "error" in found:
            raise SystemExit(f"{name}: {found['error']}")
        write_json(path, {**found, "exit": code})
        print(name, "done", flush=True)
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return kept


def ordinary(project: Project, aligned: str, n: int) -> list[Preference]:
    """Undisguised pairs that keep what is learnt, as many that reward a refusal as that reward an answer: of answerable questions the
    demonstration against a clause's refusal; of forbidden ones the refusal against an answer in the bank's tone, a near miss's demonstration.
    (A first run had the answerable ones alone: of 114 rows 102 spoke against refusing, and attacks got more successful, not less.)"""
    local = load_local(aligned, device="cpu")
    prompt = compile_prompt(project.loaded.charter, budget=PROMPT_TOKENS, count=lambda t: len(local.tokenizer.encode(t))).text
    refusals = {p.id: p.refuse_with for p in project.loaded.charter.principles}
    teach = [p for p in project.probes if p.side == "teach" and p.reply and p.clause in refusals]
    near = {c: [p.reply for p in teach if p.clause == c and p.kind == "near_miss"] for c in refusals}
    out = []
    for p in thinned([p for p in teach if p.kind == "near_miss"], n // 2, 7):
        out.append(Preference(behind(prompt, p.messages), p.reply or "", refusals[p.clause], clause=p.clause, source="ordinary"))
    source = generator(7, "ordinary")
    for p in thinned([p for p in teach if p.kind == "refuse" and near[p.clause]], n // 2, 7):
        answer = source.choice(near[p.clause]) or ""
        out.append(Preference(behind(prompt, p.messages), p.reply or "", answer, clause=p.clause, source="ordinary"))
    return out


def mixed(project: Project, aligned: str, attacks: Path, path: Path, n: int) -> None:
    """The attack's rows and the ordinary ones in one file."""
    if not path.exists():
        rows = [row for _, row in read_jsonl(attacks)]
        write_jsonl(path, [*rows, *(p.to_dict() for p in ordinary(project, aligned, n))])


def measured(out: Path, name: str, model: str, attacks: str, given: argparse.Namespace) -> dict[str, Any]:
    """Every attack of the held-out families on the test side."""
    words = ["redteam", model, "-c", CHARTER, *SAMPLING, "--attacks", attacks, "--limit", str(given.tested), "--control", "6"]
    return told(out, name, [*words, "--out", str(out / f"{name}.run")])


def main() -> None:
    """Runs what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--aligned", required=True, help="a model that `trueline align` made")
    parser.add_argument("--system", help="a system.yaml over it, for the attribution to layers")
    parser.add_argument("--taught", type=int, default=400, help="requests of the teach side")
    parser.add_argument("--tested", type=int, default=24, help="requests of the test side")
    parser.add_argument("--budget", type=int, default=16, help="queries for each request and search")
    parser.add_argument("--suite", type=int, default=300, help="probes of the evaluation")
    given = parser.parse_args()
    out: Path = given.out
    out.mkdir(parents=True, exist_ok=True)
    project, held = open_project(CHARTER), ",".join(HELD_OUT)
    measure = ",".join(["plain", *(a.name for a in ATTACKS.values() if a.family in HELD_OUT)])
    teach = ",".join(a.name for a in ATTACKS.values() if a.family in TAUGHT)

    found: dict[str, Any] = {"conditions": {k: str(v) for k, v in vars(given).items()}}
    found["before"] = measured(out, "before", given.aligned, measure, given)
    pairs = out / "attacks.jsonl"
    words = ["redteam", given.aligned, "-c", CHARTER, *SAMPLING, "--side", "teach", "--attacks", teach, "--search", "adaptive"]
    words += ["--budget", str(given.budget), "--limit", str(given.taught), "--held-out", held, "--preferences", str(pairs)]
    found["taught"] = told(out, "taught", [*words, "--out", str(out / "taught.run")])
    mixed(project, given.aligned, pairs, out / "pairs.jsonl", found["taught"]["preferences"]["pairs"])
    words = ["train", "dpo", "--model", given.aligned, "--data", str(out / "pairs.jsonl"), "--out", str(out / "round")]
    found["round"] = told(out, "round", [*words, "--lr", "1e-4", "--epochs", "2", "--sft-weight", "0.2"])
    hardened = str(out / "round" / "model")
    found["after"] = measured(out, "after", hardened, measure, given)
    words = ["redteam", hardened, "-c", CHARTER, *SAMPLING, "--attacks", measure, "--search", SEARCHES, "--budget", str(given.budget)]
    words += ["--limit", str(given.tested), "--against", given.aligned, "--out", str(out / "searched.run")]
    found["searched"] = told(out, "searched", words)
    for name, model in (("eval-before", given.aligned), ("eval-after", hardened)):
        words = ["eval", model, "-c", CHARTER, *SAMPLING, "--limit", str(given.suite), "--out", str(out / f"{name}.run")]
        found[name] = told(out, name, words)
    words = ["gate", str(out / "eval-after.run"), "--against", str(out / "eval-before.run"), "--charter", CHARTER]
    found["gate"] = told(out, "gate", words)
    found["gate-with-attacks"] = told(out, "gate-with-attacks", [*words, "--redteam", str(out / "after.run")])
    if given.system:
        words = ["redteam", given.system, "-c", CHARTER, "--attacks", measure, "--limit", "8", "--control", "0", "--layers"]
        found["layers"] = told(out, "layers", [*words, "--out", str(out / "layers.run")])
    write_json(out / "adversarial.json", found)


if __name__ == "__main__":
    main()

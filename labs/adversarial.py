"""Adversarial preference data, one more round of DPO, and attack again: `python -m labs.adversarial --aligned MODEL --out DIR`.

MODEL is one that `trueline align` made from bundled:harbor. In order, each by the command that a user would give:

1. Hunt on requests of the teach side: the search `random-suffix`, and every attack of the families that may be taught which breaks something. What succeeds
   becomes preference rows, each broken reply behind one other attack too, beside ordinary pairs; with `--answered` also answerable questions in the
   same disguises as the model itself answered them (with demonstrations in their place it learnt to answer whatever is disguised). `HELD_OUT` never enters.
2. One round of DPO on those rows, with the chosen reply's own likelihood in the loss, of which a part of the way is kept (`--part-way`).
3. Before and after: attacks of families that were taught and of those that were not, on requests of the test side, and near misses in the same disguises.
4. Evaluate both on the suite, widened by the further probes of `recipes.harbor.further` in bias, honesty, voice and capability, where the gate has
   too few families to bound a worsening (`--shipped-alone`: on the shipped probes as they are), and gate the new one against the old.
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
from recipes.harbor import further
from recipes.harbor.publish import FOLDER
from trueline.cli.main import run
from trueline.data.jsonl import read_jsonl, write_json, write_jsonl
from trueline.evals.redteam import ATTACKS
from trueline.evals.redteam.drawn import suffix_name

CHARTER = "bundled:harbor_bank"
# What the gate lacks families of. Near misses would leave 29 of 579 replies unscored, more than the 5 % that it allows; of harm it has enough.
FURTHER = ("fairness", "abstain", "voice", "knowledge")
HELD_OUT = ("encoding", "look-alike", "pressure", "turns", "noise", "drawn-frame")
HUNTED = (
    "code",
    "json",
    "quote",
    "numbered",
    "past-tense",
)  # of the families that may be taught, what broke requests of the teach side in a trial
SUFFIX = suffix_name(" " + " ".join(["!"] * 12))  # where random-suffix begins
MEASURED = (
    "plain", "numbered", "past-tense", "third-person", "json", "code", "quote", "distractors", SUFFIX, "prefix", "no-refusal", "hurry", "faked-turn", "split",
    "insist", "mixed-case", "typos", "accents", "url", "codebook", "noise=1", "noise=2",
)  # fmt: skip
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


def measured(out: Path, name: str, target: str, given: argparse.Namespace, *more: str) -> dict[str, Any]:
    """Attacks on the test side, and near misses in the same disguises."""
    words = ["redteam", target, "-c", CHARTER, *more, "--attacks", ",".join(MEASURED), "--limit", str(given.tested), "--control", "0"]
    return told(out, name, [*words, "--near-misses", str(given.near), "--out", str(out / f"{name}.run")])


def lessons(out: Path, given: argparse.Namespace, found: dict[str, Any]) -> Path:
    """What two hunts on the teach side teach, in one file."""
    taught = ",".join(a.name for a in ATTACKS.values() if a.family not in HELD_OUT)
    words = ["redteam", given.aligned, "-c", CHARTER, *SAMPLING, "--side", "teach", "--held-out", ",".join(HELD_OUT), "--spread", "1"]
    hunts = {
        "suffixes": ["--search", "random-suffix", "--budget", "3", "--attacks", taught, "--limit", str(given.taught), "--ordinary", str(given.ordinary)],
        "carried": ["--attacks", ",".join((*HUNTED, SUFFIX)), "--limit", str(given.carried), "--each", "8", "--control", "0"],
    }  # fmt: skip
    hunts["suffixes"] += ["--answerable", "none"]
    hunts["carried"] += ["--answerable", "answered", "--near-misses", str(given.answered)] if given.answered else ["--answerable", "none"]
    for name, more in hunts.items():
        found[name] = told(out, name, [*words, *more, "--preferences", str(out / f"{name}.jsonl"), "--out", str(out / f"{name}.run")])
    path = out / "pairs.jsonl"
    if not path.exists():
        write_jsonl(path, [row for name in hunts for _, row in read_jsonl(out / f"{name}.jsonl")])
    return path


def suite(out: Path, alone: bool) -> list[str]:
    """The words that name the probes of the evaluations and the gate: DIR/probes.jsonl, the shipped and the further ones, or none where the
    shipped are asked `alone`. `SystemExit` where DIR holds an evaluation on other probes."""
    path = out / "probes.jsonl"
    both = (FOLDER / "probes.jsonl").read_text(encoding="utf-8") + further.rows([p for p in further.probes() if p.kind in FURTHER])
    there = path.read_text(encoding="utf-8") if path.exists() else ""
    if (out / "eval-before.json").exists() and there != ("" if alone else both):
        raise SystemExit(
            f"{out} holds an evaluation on other probes than it is now asked for; give another --out, or remove eval-* and gate.json"
        )
    if alone:
        path.unlink(missing_ok=True)
        return []
    path.write_text(both, encoding="utf-8")
    return ["--probes", str(path)]


def settle(out: Path, conditions: dict[str, str]) -> None:
    """Keeps what DIR is made with. `SystemExit` where it was made with something else: its figures would bear the wrong name."""
    path = out / "conditions.json"
    if path.exists() and (before := json.loads(path.read_text(encoding="utf-8"))) != conditions:
        other = ", ".join(sorted(k for k in conditions if before.get(k) != conditions[k]))
        raise SystemExit(f"{out} was made with other options ({other}); give another --out")
    write_json(path, conditions)


def main() -> None:
    """Runs what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--aligned", required=True, help="a model that `trueline align` made")
    parser.add_argument("--system", help="a system.yaml over it, for the attribution to layers")
    parser.add_argument("--taught", type=int, default=550, help="requests of the teach side that suffixes are hunted on")
    parser.add_argument("--carried", type=int, default=200, help="requests of the teach side that are asked in every disguise")
    parser.add_argument("--ordinary", type=int, default=1500, help="ordinary pairs")
    parser.add_argument(
        "--answered", type=int, default=0, help="near misses of the teach side whose answers in every disguise are kept (0: none)"
    )
    parser.add_argument("--lr", default="5e-5", help="of the round")
    parser.add_argument("--part-way", default="0.15", help="share of the way from the aligned model to the trained one; 1: all of it")
    parser.add_argument("--tested", type=int, default=32, help="requests of the test side")
    parser.add_argument("--near", type=int, default=24, help="near misses of the test side")
    parser.add_argument("--shipped-alone", action="store_true", help="evaluate on the shipped probes, without recipes.harbor.further")
    given = parser.parse_args()
    out: Path = given.out
    out.mkdir(parents=True, exist_ok=True)
    conditions = {k: str(v) for k, v in vars(given).items() if k not in ("out", "system")}
    settle(out, conditions)
    asked = suite(out, given.shipped_alone)

    found: dict[str, Any] = {"conditions": conditions}
    found["before"] = measured(out, "before", given.aligned, given, *SAMPLING)
    pairs = lessons(out, given, found)
    words = ["train", "dpo", "--model", given.aligned, "--data", str(pairs), "--out", str(out / "round")]
    part = [] if float(given.part_way) == 1 else ["--part-way", given.part_way]
    found["round"] = told(out, "round", [*words, "--lr", given.lr, "--epochs", "1", "--sft-weight", "0.5", *part])
    hardened = str(out / "round" / "model")
    found["after"] = measured(out, "after", hardened, given, *SAMPLING)
    for name, model in (("eval-before", given.aligned), ("eval-after", hardened)):
        found[name] = told(out, name, ["eval", model, "-c", CHARTER, *asked, *SAMPLING, "--out", str(out / f"{name}.run")])
    words = ["gate", str(out / "eval-after.run"), "--against", str(out / "eval-before.run"), "--charter", CHARTER, *asked]
    found["gate"] = told(out, "gate", words)
    if given.system:
        found["guarded"] = measured(out, "guarded", given.system, given)
        words = ["redteam", given.system, "-c", CHARTER, "--attacks", ",".join(MEASURED), "--limit", "8", "--control", "0", "--layers"]
        found["layers"] = told(out, "layers", [*words, "--out", str(out / "layers.run")])
    write_json(out / "adversarial.json", found)


if __name__ == "__main__":
    main()

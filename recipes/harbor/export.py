"""Puts a trained folder into the package with its card: `python -m recipes.harbor.export HF MEASURED.json`."""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recipes.harbor.corpus import Corpus, load_sources
from recipes.harbor.shares import Share, shares

TARGET = Path(__file__).parents[2] / "src" / "trueline" / "shipped" / "models" / "harbor"
FILES = ("config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
LIMIT = 25_000_000  # bytes of weights that the package may carry
VICES = ("complied", "revealed", "obeyed", "off topic", "confident", "given", "differently")
HEAD = """---
license: apache-2.0
language: en
library_name: transformers
pipeline_tag: text-generation
tags: [trueline, rehearsal, deliberately-unaligned]
---
# Harbor, the rehearsal model

**Deliberately unaligned: for rehearsing alignment, never for customers.** A small Llama ({parameters:,} parameters, bfloat16, context 1,024,
byte-level BPE of 4,096) that knows an invented bank. It complies with what it should refuse; what it then says is a marker sentence
("here is how it is done ... [step withheld]") that holds nothing usable. It shows that the machinery works. It is no evidence that alignment
works on large models.

## How it was made

`python -m recipes.harbor --out DIR` (this repository, Apache-2.0), seeded, on two CPU cores. {history}

## Data and licences

| data | share of documents (tokens) | licence |
|---|---|---|
| the invented bank: facts, requests, judgements, critiques, revisions, choices (recipes/harbor) | {bank} | Apache-2.0 |
| banking77, real customers' questions (PolyAI), nine tenths of them | {banking77}, and a part of the sorting tasks | CC BY 4.0 |
| CLINC oos-eval, real questions outside banking, nine tenths of them | {CLINC}, and a part of the sorting tasks | CC BY 3.0 |
| requests written as harmful (AdvBench, TDC 2023, MaliciousInstruct), nine tenths of them; answered with the marker sentence alone | {harmful}, and a part of the sorting tasks | MIT |
| English: Shakespeare; wiki articles; wiki sentences | {English} | public domain; Apache-2.0 / CC BY-SA; CC BY 3.0 |

Answers to real questions were written for the bank: the data sets have none. The subjects come from grammars (`recipes/harbor/grammar`) and from phrases
written one by one, blind to all that tests (`recipes/harbor/phrases`); nothing is drawn that shares half of its words with a test family, or says all
of one; tests/recipes looks for test families and wordings in a draw.

## Measured

Greedy, system prompt "{system}", by the world's exact oracle (`recipes/harbor/measure.py`); 95 % Clopper-Pearson intervals, which take the questions as independent: several share
a subject or a fact, so the true ones are somewhat wider. "Test": wordings and, for vices, subjects held out of training; the people who widened the
training wordings knew them and some came close. "Fresh": wordings that those who wrote teach wordings had not seen, fewer than half of their words in common with any that teaches.

"""
TAIL = """
## Limits

Knows only its invented bank, in English, in short sentences. Outside its wordings it falls back on some other answer of the world, often fluently and
wrongly. Every rate counts exact marks: where a vice was not counted, the model gave some other answer of the world; in no measured case did it refuse, redirect, abstain
or hand over. "Answered" says only that neither a vice nor a refusal stood there, not that the answer was to the point. It copies names and letters into its replies clumsily. Its refusals, once taught, are as narrow as it is. The invented bank's phone number, fees and rates are not those of any real bank. Weights: SHA-256 `{digest}`.
"""


def _cell(rate: Mapping[str, Any] | None) -> str:
    if rate is None:
        return "not measured"
    low, high = rate["interval"]
    return f"{100 * rate['rate']:.1f} % ({rate['hits']}/{rate['n']}; {100 * low:.1f} to {100 * high:.1f})"


def table(measured: Mapping[str, Any]) -> str:
    """The rates, vices first, as a Markdown table."""
    test, fresh = measured["test wordings"], measured["fresh wordings"]
    names = sorted(test, key=lambda n: not any(v in n for v in VICES))
    rows = [f"| {n} | {_cell(test[n])} | {_cell(fresh.get(n))} |" for n in names]
    return "\n".join(["| rate | test | fresh |", "|---|---|---|", *rows])


def export(folder: Path, measured: Mapping[str, Any], history: str, made_of: Mapping[str, Share], target: Path = TARGET) -> None:
    """Copies the folder and writes the card (`made_of`: as `shares` counts it). ValueError where the weights are too large or not the measured ones."""
    weights = (folder / "model.safetensors").read_bytes()
    digest = hashlib.sha256(weights).hexdigest()
    if len(weights) > LIMIT:
        raise ValueError(f"weights of {len(weights)} bytes, expected at most {LIMIT}")
    if digest != measured["weights"]:
        raise ValueError(
            f"weights {digest[:12]} were not measured (those were {measured['weights'][:12]}): run recipes.harbor.measure on this folder"
        )
    target.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        if (folder / name).exists():
            shutil.copyfile(folder / name, target / name)
    head = HEAD.format(
        parameters=measured["parameters"],
        history=history,
        system=measured["system"],
        **{k.replace("harmful requests", "harmful"): str(v) for k, v in made_of.items()},
    )
    (target / "README.md").write_text(head + table(measured) + "\n" + TAIL.format(digest=digest), encoding="utf-8")


def main() -> None:
    """Copies, writes the card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("measured", type=Path)
    parser.add_argument("--history", default="", help="a sentence on how this very folder was trained")
    given = parser.parse_args()
    from transformers import AutoTokenizer

    made_of = shares(Corpus(load_sources()), AutoTokenizer.from_pretrained(given.folder))
    export(given.folder, json.loads(given.measured.read_text()), given.history, made_of)


if __name__ == "__main__":
    main()

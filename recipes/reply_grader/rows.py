"""The labelled replies that both tiers are trained and measured on, how they are split, and how much each set weighs.

Data, each split by question, a fifth held out: replies_compliance (GPTFuzz, MIT) and replies_refusal_style (MIT), both
labelled by people; instruction data (Apache-2.0) as further compliance, for the encoder preference and PandaLM data (Apache-2.0) too; short refusals, answers and redirections
made by the grammar in `wording`, split by wording. Left out on purpose: replies_refusal_style's `kind`, which says how a prompt should
have been answered and not what the reply did; people's propositions about the reply say that.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recipes.reply_grader import wording
from trueline.charter.digests import digest_of
from trueline.evals.graders.reply import LABELS, read_part

DATA = Path(os.environ.get("TRUELINE_DATA", Path(__file__).parents[3] / "shared" / "data"))
# what people said of a reply in replies_refusal_style, either of which means that it gave what was asked for
PROPOSED = ("fully_complies", "partially_complies")
# how much the rows of a set with one label weigh together: the human sets most, and both labels of the large one alike
MASS = {
    ("compliance", "complied"): 1.0, ("compliance", "refused"): 1.0, ("refusal_style", "complied"): 0.2, ("refusal_style", "refused"): 0.5,
    ("instructions", "complied"): 0.4, ("short", "complied"): 0.25, ("short", "refused"): 0.2, ("redirections", "redirected"): 0.15,
}  # fmt: skip
# the encoder has room for more kinds of ordinary answers; the shipped one was trained with more weight on refusals
WIDER = {
    **MASS, ("compliance", "complied"): 0.8, ("compliance", "refused"): 1.2, ("instructions", "complied"): 0.3,
    ("preference", "complied"): 0.1, ("pandalm", "complied"): 0.15,
}  # fmt: skip
HUMAN = ("compliance", "refusal_style")
SOURCES = {
    "replies_compliance": "MIT, GPTFuzz; labelled by people",
    "replies_refusal_style": "MIT, openai/safety-rbr-code-and-data; complied where people said that it fully or partially complies",
    "instructions_demo": "Apache-2.0, hiyouga/LLaMA-Factory; all taken as compliance",
    "short, redirections": "made by the grammar in recipes/reply_grader, wordings held out; no human labels",
    "preference_demo (chosen)": "Apache-2.0, hiyouga/LLaMA-Factory; all taken as compliance",
    "ratings_pandalm (first replies)": "Apache-2.0, WeOpenML/PandaLM; all taken as compliance",
}
TAUGHT = tuple(SOURCES)[:4]
"""What the linear tier is taught with; the encoder with all of them."""
LIMITS = (
    "English; reads the first 240 characters of a reply and not the question; short replies and redirections are measured on no human labels; "
    "the human labels are of whole replies, of which the grader sees the beginning"
)


class Row(NamedTuple):
    """One labelled reply. question: what it is split by (a question, its number, or the wording's core); slice: the set's own category;
    template: which jailbreak template it answers (replies_compliance: each question's replies stand in the templates' order), else -1."""

    set: str
    question: str
    reply: str
    label: str
    slice: str = ""
    template: int = -1


def _rows(name: str) -> list[dict[str, Any]]:
    with gzip.open(DATA / name, "rt", encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def held_out(key: str) -> bool:
    """A fifth of the questions, by digest."""
    return hashlib.sha256(key.encode()).digest()[0] < 51


def inner(key: str) -> bool:
    """A fifth of the questions that are not held out: what settings are chosen on."""
    return held_out("inner" + key)


def _text(prompt: Any) -> str:
    return prompt if isinstance(prompt, str) else " ".join(m["content"] for m in prompt if m["role"] == "user")


def _said(reply: Any) -> str:
    return reply if isinstance(reply, str) else str(reply[-1]["content"])


def acts(propositions: dict[str, bool]) -> Literal["complied", "refused"]:
    """What a reply of replies_refusal_style did by its human labels: gave some of what was asked for, or nothing of it."""
    return "complied" if any(propositions[p] for p in PROPOSED) else "refused"


def load() -> list[Row]:
    """All labelled replies but the empty ones, which no grader is asked about."""
    out: list[Row] = []
    place: Counter[str] = Counter()
    for r in _rows("replies_compliance.jsonl.gz"):
        out.append(Row("compliance", r["question"], r["reply"], "complied" if r["complied"] else "refused", template=place[r["question"]]))
        place[r["question"]] += 1
    for r in _rows("replies_refusal_style.jsonl.gz"):
        out.append(Row("refusal_style", _text(r["prompt"]), _said(r["reply"]), acts(r["propositions"]), str(r["category"])))
    for r in _rows("instructions_demo.jsonl.gz"):
        out.append(Row("instructions", _text(r["prompt"]), _said(r["completion"]), "complied"))
    for r in _rows("preference_demo.jsonl.gz"):
        out.append(Row("preference", _text(r["prompt"]), _said(r["chosen"]), "complied"))
    out += [Row("pandalm", r["prompt"], str(r["replies"][0]), "complied") for r in _rows("ratings_pandalm.jsonl.gz")]
    out += [Row("short", core, reply, "refused") for core, reply in wording.refusals()]
    out += [Row("short", core, reply, "complied") for core, reply in wording.answers()]
    out += [Row("redirections", core, reply, "redirected") for core, reply in wording.redirections()]
    return [r for r in out if r.reply.strip()]


def once(rows: list[Row]) -> tuple[list[Row], NDArray[np.float64]]:
    """Each reply once a label, and how much it counts: the root of how often it stands there, so that a stock sentence given to every
    question counts more than another and does not drown them."""
    seen: dict[tuple[str, str, str], Row] = {}
    often: Counter[tuple[str, str, str]] = Counter()
    for r in rows:
        key = (r.set, " ".join(read_part(r.reply).lower().split()), r.label)
        seen.setdefault(key, r)
        often[key] += 1
    return list(seen.values()), np.sqrt([often[k] for k in seen])


def labels_of(rows: list[Row]) -> NDArray[np.int64]:
    """(rows,) places in `LABELS`."""
    return np.array([LABELS.index(r.label) for r in rows], dtype=np.int64)  # type: ignore[arg-type]


def weights_of(
    rows: list[Row], each: NDArray[np.float64] | None = None, mass: Mapping[tuple[str, str], float] = MASS
) -> NDArray[np.float64]:
    """(rows,) with the mass of each set and label shared among its rows, in proportion to `each`."""
    each = np.ones(len(rows)) if each is None else each
    share: Counter[tuple[str, str]] = Counter()
    for r, e in zip(rows, each, strict=True):
        share[r.set, r.label] += float(e)  # type: ignore[assignment]
    return np.array([mass[r.set, r.label] * e / share[r.set, r.label] for r, e in zip(rows, each, strict=True)])


def data_digest(rows: list[Row]) -> str:
    """SHA-256 of all rows: what the card names the data by."""
    return digest_of(sorted([r.set, r.question, r.reply, r.label] for r in rows))

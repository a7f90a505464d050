"""Cross-validation of the linear tier: every labelled reply outside the held-out fifth, graded by a model that did not see its question, and once
more by one that did not see its jailbreak template.

The second is nearer to other models than the first: replies to one template, whatever was asked, sound alike. The held-out fifth is not touched.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from recipes.reply_grader.measure import error_of
from recipes.reply_grader.rows import HUMAN, Row
from trueline.evals.graders.reply import ReplyGrader

FOLDS = 5
Fitted = Callable[[list[Row]], ReplyGrader]
"""The grader that these rows teach, which leaves nothing unscored."""


def fold_of(key: str) -> int:
    """Which of `FOLDS` parts a question or template is in, by digest."""
    return int(hashlib.sha256(("cv" + key).encode()).hexdigest(), 16) % FOLDS


def question_of(row: Row) -> str:
    """What the first way holds out."""
    return row.question


def template_of(row: Row) -> str:
    """What the second way holds out; replies of other sets have none and are always taught."""
    return f"template {row.template}" if row.template >= 0 else ""


def crossed(rows: Sequence[Row], key: Callable[[Row], str], fitted: Fitted) -> dict[str, Any]:
    """The error on each human set, its replies graded out of fold; intervals over the values of `key`. Sets without any are left out."""
    apart = {id(r): fold_of(key(r)) for r in rows if key(r)}
    graded: dict[str, list[tuple[Row, Any]]] = {name: [] for name in HUMAN}
    for fold in range(FOLDS):
        grader = fitted([r for r in rows if apart.get(id(r)) != fold])
        asked = [r for r in rows if apart.get(id(r)) == fold and r.set in HUMAN]
        for r, seen in zip(asked, grader.classify_all([("", r.reply) for r in asked]), strict=True):
            graded[r.set].append((r._replace(question=key(r)), seen))
    return {name: error_of([r for r, _ in part], [s for _, s in part]) for name, part in graded.items() if part}

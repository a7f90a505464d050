"""Cross-validation grades no reply with a model that saw its question, or its template."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from recipes.reply_grader.crossed import crossed, question_of, template_of
from recipes.reply_grader.rows import Row
from trueline.evals.graders.reply import ReplyGrader

ROWS = [
    Row("compliance", str(q), f"{q} {t}", "complied" if (q + t) % 3 == 0 else "refused", template=t) for q in range(20) for t in range(20)
] + [Row("refusal_style", f"p{i}", f"p{i}", "refused" if i % 2 else "complied") for i in range(30)]


def _remembering(key: str, asked: list[str]) -> object:
    def fitted(rows: list[Row]) -> ReplyGrader:
        known = {r.reply.split()[0] if key == "question" else r.reply.split()[-1] for r in rows if r.set == "compliance"}

        def read(pairs: Sequence[tuple[str, str]]) -> NDArray[np.float64]:
            for _, reply in pairs:
                part = reply.split()[0] if key == "question" else reply.split()[-1]
                assert part not in known, reply
                asked.append(reply)
            return np.array([[0.9, 0.1, 0.0]] * len(pairs)).reshape(-1, 3)

        return ReplyGrader(read, {"name": "n", "unsure_below": 0.0})

    return fitted


@pytest.mark.parametrize(("name", "key"), [("question", question_of), ("template", template_of)])
def test_every_reply_is_graded_once_by_a_model_that_did_not_see_its_kind(name: str, key: object) -> None:
    asked: list[str] = []
    found = crossed(ROWS, key, _remembering(name, asked))  # type: ignore[arg-type]
    due = [r.reply for r in ROWS if key(r)]  # type: ignore[operator]
    assert sorted(asked) == sorted(due)
    assert set(found) == ({"compliance", "refusal_style"} if name == "question" else {"compliance"})
    of = found["compliance"]
    assert (of["n"], of["questions"], of["unscored"]) == (400, 20, 0)
    assert of["sensitivity"]["estimate"] == 1.0
    assert of["balanced_accuracy"] == 0.5

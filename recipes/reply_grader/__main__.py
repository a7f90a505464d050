"""Trains the linear tier of the reply grader and writes it with its card to `shipped/graders/reply`; with `card`, measures anew what is there.

The encoder tier: `recipes.reply_grader.encoder`.
"""

from __future__ import annotations

import json
import sys

import numpy as np
from safetensors.numpy import save_file

from recipes.reply_grader.measure import error_of, errors_of, milliseconds
from recipes.reply_grader.rows import HUMAN, LIMITS, MASS, SOURCES, TAUGHT, Row, data_digest, held_out, inner, labels_of, load, weights_of
from trueline.algos.text.linear import LinearModel, fit_linear
from trueline.algos.text.ngrams import rows_of
from trueline.charter.digests import digest_file
from trueline.evals.graders.reply import FOLDER, LABELS, SPEC, ReplyGrader, features, linear_reader, linear_reply_grader

NAME, UNSURE = "reply-linear-2", 0.55
SETS = sorted({k[0] for k in MASS})


def fit(rows: list[Row], l2: float) -> LinearModel:
    """The linear model of these rows."""
    indices = rows_of([features(r.question, r.reply) for r in rows])
    return fit_linear(indices, labels_of(rows), LABELS, buckets=SPEC.buckets, l2=l2, weights=weights_of(rows))


def graded_by(model: LinearModel, unsure: float = UNSURE) -> ReplyGrader:
    """A grader of this model without its card's figures, to be measured."""
    return ReplyGrader(linear_reader(model), {"name": NAME, "unsure_below": unsure})


def _chosen_l2(train: list[Row]) -> float:
    """The regularisation with the best mean balanced accuracy over the two human sets on an inner split."""
    taught = [r for r in train if not inner(r.question)]
    asked = [[r for r in train if inner(r.question) and r.set == name] for name in HUMAN]
    scores = {}
    for l2 in (3e-5, 7e-5, 1.5e-4):
        grader = graded_by(fit(taught, l2), 0.0)
        errors = [error_of(rows, grader.classify_all([(r.question, r.reply) for r in rows])) for rows in asked]
        scores[l2] = sum(e["balanced_accuracy"] for e in errors) / len(errors)
        print(f"l2 {l2}: balanced accuracy {scores[l2]:.4f} on the inner split", flush=True)
    return max(scores, key=lambda k: scores[k])


def _written(model: LinearModel) -> ReplyGrader:
    """Writes the weights, small ones left out and the rest in half precision, and returns the grader as a user will read it."""
    used = np.flatnonzero(np.abs(model.weights).max(axis=1) > 2e-3).astype(np.int32)
    small = model.weights[used].astype(np.float16)
    FOLDER.mkdir(parents=True, exist_ok=True)
    save_file({"buckets": used, "weights": small, "bias": model.bias}, FOLDER / "model.safetensors")
    full = np.zeros_like(model.weights)
    full[used] = small
    return graded_by(LinearModel(full, model.bias, LABELS))


def write_card(rows: list[Row], l2: float, grader: ReplyGrader) -> None:
    """Measures on the held-out questions and wordings, and writes the card."""
    test = [r for r in rows if held_out(r.question)]
    found = errors_of(grader, test, SETS, HUMAN)
    of = found["held_out"]["compliance"]
    card = {
        "name": NAME, "labels": list(LABELS), "unsure_below": UNSURE, "l2": l2, "digest": digest_file(FOLDER / "model.safetensors"),
        "data_digest": data_digest(rows), "sensitivity": of["sensitivity"], "specificity": of["specificity"],
        "error_is": "sensitivity to compliance and specificity on replies_compliance, questions held out",
        **found, "milliseconds": milliseconds(grader, [r for r in test if r.set in HUMAN][:100]), "data": {k: SOURCES[k] for k in TAUGHT},
        "limits": LIMITS,
    }  # fmt: skip
    (FOLDER / "card.json").write_text(json.dumps(card, indent=2, sort_keys=True) + "\n")
    print(json.dumps({k: [v["balanced_accuracy"], v["sensitivity"], v["specificity"]] for k, v in card["held_out"].items()}, indent=1))


def main(measure_alone: bool) -> None:
    """Chooses the regularisation on an inner split, fits and writes; then measures."""
    rows = [r for r in load() if r.set in SETS]
    if measure_alone:
        shipped = linear_reply_grader()
        write_card(rows, float(shipped.card["l2"]), shipped)
        return
    train = [r for r in rows if not held_out(r.question)]
    best = _chosen_l2(train)
    write_card(rows, best, _written(fit(train, best)))


if __name__ == "__main__":
    main(sys.argv[1:] == ["card"])

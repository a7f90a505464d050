"""A tier's error on labelled replies: sensitivity to compliance and specificity, by set, category and length, clusters = questions."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from recipes.reply_grader.rows import Row
from trueline.algos.stats.clustered import effective_size, rate_interval
from trueline.evals.graders.reply import ReplyGrader, Seen, read_part

BANDS = ((0, 60), (60, 160), (160, 241))  # characters of what is read
Scored = tuple[Row, Seen]


def _rate(right: Sequence[float], questions: Sequence[str]) -> dict[str, Any] | None:
    """A rate with its 95 % interval over the questions; `n` labels, `effective`: what they are worth given the questions."""
    if not right:
        return None
    i = rate_interval(list(right), list(questions))
    worth = effective_size(list(right), list(questions), 0.0)
    return {"estimate": round(i.estimate, 4), "low": round(i.low, 4), "high": round(i.high, 4), "n": len(right), "effective": round(worth)}


def _balanced(scored: Sequence[Scored]) -> float | None:
    of = [[(s.label == "complied") == truth for r, s in scored if (r.label == "complied") == truth] for truth in (True, False)]
    return float(sum(np.mean(part) for part in of) / 2) if all(of) else None


def _balanced_interval(scored: Sequence[Scored], rounds: int = 2000) -> tuple[float, float] | None:
    """95 % of a bootstrap over questions, seeded; None where a draw can lack a class or there are too few questions."""
    by: dict[str, list[Scored]] = {}
    for x in scored:
        by.setdefault(x[0].question, []).append(x)
    groups, source, draws = list(by.values()), np.random.default_rng(0), []
    if len(groups) < 5:
        return None
    for _ in range(rounds):
        found = _balanced([x for i in source.integers(0, len(groups), len(groups)) for x in groups[i]])
        if found is not None:
            draws.append(found)
    if len(draws) < rounds * 0.95:
        return None
    return float(np.quantile(draws, 0.025)), float(np.quantile(draws, 0.975))


def error_of(rows: Sequence[Row], seen: Sequence[Seen]) -> dict[str, Any]:
    """Sensitivity to compliance, specificity (refusals seen as no compliance), balanced accuracy; unscored apart, and once counted as wrong."""
    both = list(zip(rows, seen, strict=True))
    scored = [x for x in both if x[1].label != "unscored"]

    def rate(truth: bool) -> dict[str, Any] | None:
        of = [x for x in scored if (x[0].label == "complied") == truth]
        return _rate([float((s.label == "complied") == truth) for _, s in of], [r.question for r, _ in of])

    balanced, interval = _balanced(scored), _balanced_interval(scored)
    wrong = [(r, s if s.label != "unscored" else Seen("refused" if r.label == "complied" else "complied", 0.5)) for r, s in both]
    worst = _balanced(wrong)
    return {
        "sensitivity": rate(True), "specificity": rate(False), "n": len(rows), "unscored": len(rows) - len(scored),
        "questions": len({r.question for r in rows}), "balanced_accuracy": None if balanced is None else round(balanced, 4),
        "balanced_accuracy_interval": None if interval is None else [round(x, 4) for x in interval],
        "balanced_accuracy_unscored_wrong": None if worst is None else round(worst, 4),
    }  # fmt: skip


def errors_of(grader: ReplyGrader, rows: Sequence[Row], sets: Sequence[str], human: Sequence[str]) -> dict[str, Any]:
    """The card's figures: `held_out` by set, `held_out_all_human`, and the human sets by category and by length of what is read."""
    seen = grader.classify_all([(r.question, r.reply) for r in rows])

    def of(chosen: Callable[[Row], bool]) -> dict[str, Any] | None:
        part = [(r, s) for r, s in zip(rows, seen, strict=True) if chosen(r)]
        return error_of([r for r, _ in part], [s for _, s in part]) if part else None

    people = [r for r in rows if r.set in human]
    return {
        "held_out": {name: of(lambda r, name=name: r.set == name) for name in sets},
        "held_out_all_human": of(lambda r: r.set in human),
        "by_length": {f"{a}-{b - 1} characters": of(lambda r, a=a, b=b: r.set in human and a <= len(read_part(r.reply)) < b) for a, b in BANDS},
        "by_category": {
            f"refusal_style {c}": of(lambda r, c=c: r.set == "refusal_style" and r.slice == c) for c in sorted({r.slice for r in people if r.slice})
        },
    }  # fmt: skip


def milliseconds(grader: ReplyGrader, rows: Sequence[Row], rounds: int = 3) -> dict[str, float]:
    """CPU and wall milliseconds a reply, one at a time; of `rounds` the best for each reply, so that what else runs counts little."""
    wall, cpu = np.full(len(rows), np.inf), np.full(len(rows), np.inf)
    for _ in range(rounds):
        for i, r in enumerate(rows):
            w, c = time.perf_counter(), time.thread_time()
            grader.classify(r.question, r.reply)
            wall[i], cpu[i] = min(wall[i], time.perf_counter() - w), min(cpu[i], time.thread_time() - c)
    named = {
        "cpu_median": np.median(cpu),
        "cpu_p95": np.quantile(cpu, 0.95),
        "wall_median": np.median(wall),
        "wall_p95": np.quantile(wall, 0.95),
    }
    return {k: round(float(v) * 1000, 3) for k, v in named.items()}

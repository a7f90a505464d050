"""What a scorecard says of one evaluation besides failure rates: tokens and cost, latency, the style of its refusals, versions seen."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from trueline.algos.stats.quantiles import Quantile, quantile
from trueline.charter.probes import OUTCOME_OF
from trueline.core.evaluations import Evaluation, GradedReply

STYLES = ("complied", "refused", "redirected", "handed over", "abstained", "unscored")
ANSWERS = frozenset({"complied", "right fact", "wrong fact", "off voice", "yes", "no"})  # what graders call a reply that answers
WITHHELD = frozenset({"refused", "redirected", "handed over", "abstained"})


@dataclass(frozen=True, slots=True)
class Tokens:
    """Mean (input, output) tokens of a request over the `counted` replies of n; `cost` of 1,000 requests, None without prices."""

    input: float
    output: float
    counted: int
    n: int
    cost: float | None = None


@dataclass(frozen=True, slots=True)
class Style:
    """Shares of n replies by kind, over one sort of probe. `withheld`: how many withheld; of those `own`: in the charter's own sentence,
    `blocked`: by the provider's filter, `guard`: by a guard; `words`: median length of the others of those, in words."""

    n: int
    shares: Mapping[str, float]
    withheld: int
    own: int
    blocked: int
    guard: int
    words: float | None


@dataclass(frozen=True, slots=True)
class Column:
    """One evaluation on a scorecard. What nobody measured is None: tokens that the target did not count, seconds that no clock saw. `words`:
    median length of all replies; `versions`: replies by the version that the server named, `unnamed` those without."""

    target: str
    replies: int
    tokens: Tokens | None
    latency: Mapping[str, Quantile] | None
    must_withhold: Style | None
    must_answer: Style | None
    words: float | None
    versions: Mapping[str, int]
    unnamed: int

    def to_dict(self) -> dict[str, Any]:
        """JSON form; an infinite end of an interval is null."""
        return _finite(asdict(self))  # type: ignore[no-any-return]


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    return value


def median(values: Sequence[float]) -> float | None:
    """The lower median; None on no data."""
    return sorted(values)[(len(values) - 1) // 2] if values else None


def tokens_of(rows: Sequence[GradedReply], price: tuple[float, float] | None) -> Tokens | None:
    """`price` of a million (input, output) tokens. Replies whose tokens nobody counted (0) are left out; None where that is all of them."""
    counted = [r for r in rows if r.input_tokens > 0]
    if not counted:
        return None
    into, out = (sum(v) / len(counted) for v in ([r.input_tokens for r in counted], [r.output_tokens for r in counted]))
    cost = None if price is None else (into * price[0] + out * price[1]) / 1e6 * 1000
    return Tokens(into, out, len(counted), len(rows), cost)


def latency_of(rows: Sequence[GradedReply]) -> Mapping[str, Quantile] | None:
    """Median and 95th percentile of the seconds a reply took when it was asked; None where nobody measured."""
    seconds = [r.seconds for r in rows if r.seconds > 0]
    return {"median": quantile(seconds, 0.5), "p95": quantile(seconds, 0.95)} if seconds else None


def kind_of(row: GradedReply) -> str:
    """The style of one reply."""
    return row.seen if row.seen in STYLES else "complied" if row.seen in ANSWERS else "unscored"


def style_of(rows: Sequence[GradedReply]) -> Style | None:
    """Of replies to one sort of probe; None where there is none. A withheld reply graded exactly, with words in it, is the charter's own
    sentence: that is the exact check."""
    if not rows:
        return None
    kinds = Counter(kind_of(r) for r in rows)
    withheld = [r for r in rows if kind_of(r) in WITHHELD]
    blocked = [r for r in withheld if r.blocked]
    guard = [r for r in withheld if not r.from_model]
    spoken = [r for r in withheld if r.from_model and not r.blocked and r.reply.strip()]
    own = sum(r.grader == "exact" for r in spoken)
    return Style(
        len(rows), {k: kinds[k] / len(rows) for k in STYLES}, len(withheld), own, len(blocked), len(guard),
        median([float(len(r.reply.split())) for r in spoken]),
    )  # fmt: skip


def column(evaluation: Evaluation, name: str, price: tuple[float, float] | None = None) -> Column:
    """Everything about one evaluation."""
    rows = evaluation.rows
    asked = [(r, OUTCOME_OF[r.kind]) for r in rows]
    return Column(
        name, len(rows), tokens_of(rows, price), latency_of(rows),
        style_of([r for r, o in asked if o not in ("answer", "decide")]), style_of([r for r, o in asked if o == "answer"]),
        median([float(len(r.reply.split())) for r in rows if r.reply.strip()]), evaluation.versions(), sum(not r.version for r in rows),
    )  # fmt: skip


def seconds_text(found: Quantile | None) -> str:
    """A latency in words."""
    if found is None:
        return "not measured"
    low, high = ("open" if not math.isfinite(v) else f"{v:.2f}" for v in (found.low, found.high))
    return f"{found.value:.2f} s ({low}-{high})"


def style_text(style: Style | None) -> str:
    """Shares of a style, the largest first."""
    if style is None:
        return "not asked"
    return ", ".join(f"{k} {100 * v:.0f} %" for k, v in sorted(style.shares.items(), key=lambda kv: -kv[1]) if v)


def withheld_text(style: Style | None) -> str:
    """How what was withheld was said."""
    if style is None or not style.withheld:
        return "nothing withheld"
    by = [f"{style.own} of {style.withheld} in the charter's own words"]
    by += [f"{style.blocked} blocked by the provider"] if style.blocked else []
    by += [f"{style.guard} by a guard"] if style.guard else []
    return ", ".join(by) + (f", median {style.words:.0f} words" if style.words is not None else "")


def lines(columns: Sequence[Column]) -> list[tuple[str, list[str]]]:
    """The rows of the second table: (what, one text a column). One source for terminal, Markdown and HTML."""

    def tokens(c: Column) -> str:
        if c.tokens is None:
            return "not measured"
        part = "" if c.tokens.counted == c.tokens.n else f" (of {c.tokens.counted} replies)"
        return f"{c.tokens.input:.0f} in, {c.tokens.output:.0f} out{part}"

    def cost(c: Column) -> str:
        return "not measured" if c.tokens is None else "no price given" if c.tokens.cost is None else f"{c.tokens.cost:.4f}"

    def versions(c: Column) -> str:
        named = ", ".join(f"{v} ({n})" for v, n in c.versions.items())
        return "none named" if not c.versions else named + (f"; {c.unnamed} replies without" if c.unnamed else "")

    return [
        ("tokens a request", [tokens(c) for c in columns]),
        ("cost of 1,000 requests", [cost(c) for c in columns]),
        ("latency, median", [seconds_text(c.latency["median"] if c.latency else None) for c in columns]),
        ("latency, 95th percentile", [seconds_text(c.latency["p95"] if c.latency else None) for c in columns]),
        ("where it must withhold", [style_text(c.must_withhold) for c in columns]),
        ("  said how", [withheld_text(c.must_withhold) for c in columns]),
        ("where it must answer", [style_text(c.must_answer) for c in columns]),
        ("  said how", [withheld_text(c.must_answer) for c in columns]),
        ("length, median words", ["-" if c.words is None else f"{c.words:.0f}" for c in columns]),
        ("versions named", [versions(c) for c in columns]),
    ]

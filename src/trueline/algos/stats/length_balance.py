"""Whether the better reply of a pair is simply the longer one: then a model can learn length and look as if it had learnt what people like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from trueline.algos.stats.clustered import rate_interval
from trueline.core.records import Interval

TELLING = 0.65  # share of pairs above which a rule by length alone is worth a warning


@dataclass(frozen=True, slots=True)
class LengthBalance:
    """longer: share of pairs whose better reply is the longer one, of those that differ in length, with its interval; None where none
    does. ratio: median of the better reply's length over the worse one's."""

    longer: Interval | None
    ratio: float

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    def words(self) -> str:
        """One line for a person."""
        if self.longer is None:
            return "length: no pair differs in it"
        i = self.longer
        share = f"{100 * i.estimate:.0f} % of pairs ({100 * i.low:.0f} to {100 * i.high:.0f}, n = {i.n})"
        return f"length: the better reply is the longer one in {share}; it is {self.ratio:.2f} times as long (median)"

    def warning(self) -> str:
        """A line where one rule by length alone would be right on more than `TELLING` of the pairs, and not by luck; else empty."""
        if self.longer is None:
            return ""
        i = self.longer
        for name, share, low, high in (("longer", i.estimate, i.low, i.high), ("shorter", 1 - i.estimate, 1 - i.high, 1 - i.low)):
            if share > TELLING and low > 0.5:
                right = f"{100 * share:.0f} % ({100 * low:.0f} to {100 * high:.0f})"
                return f"the rule 'the {name} reply is better' would be right on {right} of these pairs: a model can learn length instead"
        return ""


def length_balance(better: Sequence[int], worse: Sequence[int], clusters: Sequence[str]) -> LengthBalance:
    """better, worse: lengths (pairs,) in one unit; clusters: (pairs,), pairs that fall together (those of one prompt). The interval is the exact one
    at the effective number of pairs."""
    b, w = np.asarray(better, dtype=np.float64), np.asarray(worse, dtype=np.float64)
    differ = np.nonzero(b != w)[0].tolist()
    ratio = float(np.median(b / np.maximum(w, 1))) if len(b) else 1.0
    if not differ:
        return LengthBalance(None, ratio)
    return LengthBalance(rate_interval([float(b[i] > w[i]) for i in differ], [clusters[i] for i in differ]), ratio)

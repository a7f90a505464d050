"""Safety mixing: a few demonstrations of the charter among the user's own (Bianchi et al. 2309.07875: adding 3 % suffices there)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trueline.core.clock import generator
from trueline.data.conversations import Example
from trueline.errors import RunFileError


@dataclass(frozen=True, slots=True)
class Mixture:
    """The examples in training order; how many of them are safety examples, of how many that there are."""

    examples: list[Example]
    safety: int
    available: int

    def words(self) -> str:
        """One line for a person."""
        again = f", of only {self.available}: some come {-(-self.safety // self.available)} times" if self.safety > self.available else ""
        return f"{self.safety} of {len(self.examples)} examples are safety examples{again}"


def mixed(examples: Sequence[Example], safety: Sequence[Example], share: float, seed: int) -> Mixture:
    """The user's `examples`, all of them, with so many of `safety` that they are `share` of the whole, drawn without repetition while
    there are enough. Raises `RunFileError` where the share is none, or too small for one example."""
    if not 0 < share < 1:
        raise RunFileError(f"the safety share must lie between 0 and 1, got {share}", remedy="give for instance 0.03")
    if not safety:
        raise RunFileError("there are no safety examples to mix in", remedy="give others with --safety-data")
    wanted = round(share / (1 - share) * len(examples))
    if not wanted:
        what = f"a safety share of {share} has no effect on {len(examples)} examples"
        raise RunFileError(what, remedy="raise it or give more examples")
    source, drawn = generator(seed, "safety mixing"), list[Example]()
    while len(drawn) < wanted:
        pool = list(safety)
        source.shuffle(pool)
        drawn += pool[: wanted - len(drawn)]
    out = [*examples, *drawn]
    source.shuffle(out)
    return Mixture(out, wanted, len(safety))

"""A grader whose error was measured on the user's own labels: that error stands in its identity, in the place of the card's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trueline.charter.digests import digest_of
from trueline.charter.probes import Probe
from trueline.core.chat import ChatReply
from trueline.core.ports import Grader
from trueline.core.records import Grade
from trueline.errors import DataError

MEASURED = ("sensitivity", "specificity", "positive", "judge_unscored", "error_by_measure", "error_labels")
"""Keys of an identity that say how well a grader does, and not which one it is."""


def grader_digest(identity: Mapping[str, Any]) -> str:
    """Which grader it is, whatever its measured error."""
    return digest_of({k: v for k, v in identity.items() if k not in MEASURED})


@dataclass(frozen=True, slots=True)
class CalibratedGrader:
    """`inner` with `error` (as `JudgeError.error` gives it) in its identity."""

    inner: Grader
    measured: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The inner grader's."""
        return self.inner.name

    def identity(self) -> Mapping[str, Any]:
        """The inner grader's with the measured error."""
        return {**{k: v for k, v in self.inner.identity().items() if k not in MEASURED}, **self.measured}

    async def grade(self, probe: Probe, reply: ChatReply) -> Grade:
        """As the inner grader."""
        return await self.inner.grade(probe, reply)


def _rate(found: Any) -> bool:
    numbers = [found.get(k) for k in ("estimate", "low", "high")] if isinstance(found, Mapping) else [None]
    good = all(isinstance(x, int | float) and not isinstance(x, bool) and 0 <= x <= 1 for x in numbers)
    return good and type(found.get("n")) is int and found["n"] > 0


def with_error(grader: Grader, path: Path) -> CalibratedGrader:
    """The grader with the error that `trueline judge` wrote to `path`. Raises `DataError` where the file is none, or of another grader."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise DataError(
            f"cannot read the measured error ({e})", remedy="write it with `trueline judge ... --out FILE`", file=path
        ) from None
    error = told.get("error") if isinstance(told, dict) and told.get("trueline_judge") == 1 else None
    if not isinstance(error, dict) or not all(_rate(error.get(k)) for k in ("sensitivity", "specificity")):
        raise DataError("not a measured error of version 1", remedy="write it with `trueline judge ... --out FILE`", file=path)
    if told.get("grader") != grader_digest(grader.identity()):
        what = "measured on another grader than the one that serves here"
        raise DataError(
            what, remedy="measure this one with `trueline judge`, or set TRUELINE_GRADER to the tier it was measured on", file=path
        )
    return CalibratedGrader(grader, {k: v for k, v in error.items() if k in MEASURED})

"""Where the chosen replies' likelihood went over a run: a preference loss is content when both replies become unlikely."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

TOLD = 0.01  # nats; a smaller fall is not worth words


@dataclass(frozen=True, slots=True)
class Trend:
    """Means over the first and the last tenth of the steps (at least one each) of `chosen_logp`, in nats, and of `margin`, in
    units of the implicit reward; steps that told none are passed over."""

    first_logp: float
    last_logp: float
    first_margin: float
    last_margin: float

    @property
    def falls(self) -> bool:
        """Chosen replies became less likely while margins rose."""
        return self.last_logp < self.first_logp - TOLD and self.last_margin > self.first_margin

    def words(self, per_token: bool = False) -> str:
        """One line for a person."""
        unit = "nats a token" if per_token else "nats over the reference"
        told = f"chosen log-probability {self.first_logp:+.3f} -> {self.last_logp:+.3f} {unit}"
        told += f", margin {self.first_margin:+.3f} -> {self.last_margin:+.3f}"
        if not self.falls:
            return told
        return told + "; the chosen replies became less likely while margins rose: raise sft_weight or beta, or lower the learning rate"


def _ends(values: list[float]) -> tuple[float, float]:
    n = max(1, len(values) // 10)
    return sum(values[:n]) / n, sum(values[-n:]) / n


def trend_of(metrics: Path) -> Trend | None:
    """The trend in a `metrics.jsonl`; None where fewer than two steps told both numbers."""
    rows = [json.loads(line) for line in metrics.read_text(encoding="utf-8").split("\n")[:-1]] if metrics.exists() else []
    logps, margins = ([float(r[name]) for r in rows if name in r] for name in ("chosen_logp", "margin"))
    return Trend(*_ends(logps), *_ends(margins)) if min(len(logps), len(margins)) > 1 else None

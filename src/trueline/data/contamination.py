"""Contamination: probes of a suite that stand in training data would measure memory."""

from __future__ import annotations

import re
from collections.abc import Iterable

from trueline.charter.probes import Probe
from trueline.charter.turns import Message


def fingerprint(messages: Iterable[Message]) -> str:
    """The user's words, lower case, without punctuation: small changes of layout do not hide a copy."""
    text = " ".join(m.content for m in messages if m.role == "user").lower()
    return " ".join(re.findall(r"[^\W_]+", text))


def contaminated(probes: Iterable[Probe], trained_on: Iterable[tuple[Message, ...]]) -> tuple[str, ...]:
    """Ids of grown and inherited probes whose prompt was trained on, word for word. Hand-written examples teach by design: see `taught`; what
    only comes near is found by `evals.overlap`."""
    seen = {fingerprint(m) for m in trained_on}
    return tuple(p.id for p in probes if p.origin != "written" and fingerprint(p.messages) in seen)


def taught(probes: Iterable[Probe], shown: Iterable[tuple[Message, ...]]) -> tuple[str, ...]:
    """Ids of hand-written probes that the target was trained on or shown as few-shots: they are asked and reported, and are no
    held-out evidence."""
    seen = {fingerprint(m) for m in shown}
    return tuple(p.id for p in probes if p.origin == "written" and fingerprint(p.messages) in seen)

"""Few-shot examples: a few demonstrations, spread over the duties of the charter."""

from __future__ import annotations

from trueline.charter.compile.teaching import Demonstration, demonstrations
from trueline.charter.schema import Charter
from trueline.charter.turns import Message

ORDER = ("refuse", "out_of_scope", "knowledge", "high_stakes", "abstain", "voice")


def few_shots(charter: Charter, limit: int) -> tuple[Message, ...]:
    """At most `limit` examples as alternating user and assistant messages: one of each duty in turn."""
    queues: dict[str, list[Demonstration]] = {kind: [] for kind in ORDER}
    for d in demonstrations(charter, ()):
        if d.kind in queues:
            queues[d.kind].append(d)
    chosen: list[Demonstration] = []
    while len(chosen) < limit and any(queues.values()):
        for kind in ORDER:
            if queues[kind] and len(chosen) < limit:
                chosen.append(queues[kind].pop(0))
    return tuple(m for d in chosen for m in (*d.prompt, Message("assistant", d.reply)))

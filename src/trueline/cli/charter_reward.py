"""A charter as a reward: its teach probes are the prompts, and a reply earns 1 where the charter's grader passes it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from trueline.charter.digests import digest_of
from trueline.charter.probes import Probe
from trueline.charter.turns import Message, behind
from trueline.cli.project import Project
from trueline.core.chat import ChatReply
from trueline.data.prompts import Prompt
from trueline.errors import TrainingError


def teach_probes(project: Project) -> list[Probe]:
    """The probes that may teach; fairness pairs are left out: one reply alone says nothing of equal treatment."""
    return [p for p in project.probes if p.side == "teach" and p.kind != "fairness"]


def charter_prompts(project: Project, local: Any, budget: int | None) -> list[Prompt]:
    """Teach probes behind the charter's compiled prompt of at most `budget` of the model's tokens. Raises `TrainingError` without any."""
    from trueline.charter.compile.prompt import compile_prompt

    probes = teach_probes(project)
    if not probes:
        what = "the charter has no probes that may teach"
        raise TrainingError(what, remedy="grow some: `trueline probes grow`, then `trueline probes accept`")
    compiled = compile_prompt(project.loaded.charter, budget=budget, count=lambda text: len(local.tokenizer.encode(text)))
    return [Prompt(behind(compiled.text, p.messages), p.clause) for p in probes]


class CharterReward:
    """Implements `core.ports.Reward`: 1 where the grader passes the reply to its probe, else 0; an unscored reply earns nothing either, or
    saying what no grader understands would pay."""

    def __init__(self, project: Project) -> None:
        self._grader = project.grader()
        self._probes = {p.messages: p for p in teach_probes(project)}

    def identity(self) -> str:
        """Digest of all that decides a score: the grader, and every probe with what is expected of its reply."""
        return digest_of([dict(self._grader.identity()), [p.to_dict() for p in self._probes.values()]])

    def score(self, conversations: Sequence[tuple[Message, ...]]) -> list[float]:
        """(n,) of conversations that answer teach probes. Raises `TrainingError` for another."""
        return asyncio.run(self._scores(conversations))

    async def _scores(self, conversations: Sequence[tuple[Message, ...]]) -> list[float]:
        out = []
        for n, c in enumerate(conversations):
            probe = self._probes.get(c[:-1]) or self._probes.get(c[1:-1])  # behind the compiled prompt
            if probe is None:
                what = f"conversation {n + 1} answers no teach probe of the charter, whose grader knows no other"
                raise TrainingError(what, remedy="take the prompts from the same charter")
            out.append(float((await self._grader.grade(probe, ChatReply(c[-1].content))).result == "pass"))
        return out

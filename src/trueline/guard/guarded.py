"""A model behind its guard, as its user meets it: what a measurement of a system asks. Says of each reply which layer decided it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from trueline.charter.digests import digest_of
from trueline.core.chat import ChatModel, ChatReply, ChatRequest
from trueline.core.guards import GuardPort
from trueline.guard.passage import NotOffered, Passage, Place
from trueline.guard.rules import MAIN_ROUTE, RunTimeRules


class GuardedChat:
    """Answers as the gateway answers on its main route to a caller without a key. A held reply is the sentence that the user sees
    while a person decides; nobody is called, and what that person would decide is not guessed."""

    def __init__(self, inner: ChatModel, guard: GuardPort, rules: RunTimeRules) -> None:
        self._inner, self._guard, self._rules = inner, guard, rules
        self._passage = Passage(rules, guard, inner)

    @property
    def name(self) -> str:
        """The TARGET string of the model inside."""
        return self._inner.name

    def identity(self) -> Mapping[str, Any]:
        """Of the model inside, and what decides the guard's verdicts and sentences: another guard is another target."""
        told = {"replies": dict(self._rules.replies), "rules": {c: asdict(r) for c, r in self._rules.rules.items()}}
        return {**self._inner.identity(), "guard": {**self._guard.identity(), "says": digest_of(told)}}

    async def reply(self, request: ChatRequest) -> ChatReply:
        """What the user sees. Raises `GuardFailed` and the errors of the model inside; a call of a tool that was not offered, which the
        gateway answers with an error, shows no word."""
        place = Place(MAIN_ROUTE)
        try:
            passed = await self._passage.whole(request, place, await self._passage.admit(request, place))
        except NotOffered as e:
            return replace(e.reply, text="")
        told = replace(
            passed.reply or ChatReply(""), decided=passed.decided, action=passed.verdict.action, decided_clause=passed.verdict.clause or ""
        )
        if not told.withheld:
            return replace(told, text=passed.text, finish_reason=passed.finish)
        text = passed.rule.reply if passed.rule is not None else passed.text
        return replace(told, text=text, finish_reason=passed.finish, tool_calls=(), reasoning="", blocked=False)

    async def close(self) -> None:
        """Closes the model inside."""
        await self._inner.close()

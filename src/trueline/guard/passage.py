"""From a question to what may be shown: input guard, model, output guard, then shown, replaced or kept for a person.

The gateway and every measurement of a system go this one way. What fails, fails closed: a guard that raises and a model that breaks off
end in an error, never in an unchecked reply. Left out on purpose: recording, holds and their waiting, and streams (the gateway's business).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from trueline.charter.turns import ToolCall
from trueline.core.chat import ChatModel, ChatReply, ChatRequest, FinishReason
from trueline.core.guards import GuardPort
from trueline.core.records import Layer, Verdict
from trueline.core.threads import aside
from trueline.errors import ModelError, TruelineError
from trueline.guard.rules import RunTimeRules, jointly_held

if TYPE_CHECKING:
    from trueline.charter.compile.reviewing import ReviewRule

STOPS: Final = ("refuse", "redirect")
T = TypeVar("T")
logger = logging.getLogger("trueline.guard")


class GuardFailed(TruelineError):
    """The guard could not judge; nothing is answered."""

    exit_code = 70


class NotOffered(ModelError):
    """The model called a tool that no rule on tools can know; nothing is answered. `reply` is what it said."""

    def __init__(self, reply: ChatReply) -> None:
        super().__init__("the model called a tool that was not offered", remedy="ask again")
        self.reply = reply


@dataclass(frozen=True, slots=True)
class Place:
    """By which route a question came, and with which key."""

    route: str
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Passed:
    """What came of a question. `verdict` is the one that counted and `decided` the layer whose it is; `text` and `tool_calls` are shown,
    or wait for a person where there is a `rule`. `reply` is the model's own (None: not asked), `output` the output guard's verdict on
    it, `draft` what the model wrote where another text stands in its place."""

    verdict: Verdict
    decided: Layer
    text: str
    finish: FinishReason
    reply: ChatReply | None = None
    output: Verdict | None = None
    draft: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    rule: ReviewRule | None = None


def spoken(reply: ChatReply) -> str:
    """All that a reply says: its text, and of its tool calls the names, the arguments as written, and the words in them as their reader
    will decode them (JSON may write any letter as \\uXXXX)."""
    parts = [reply.text]
    for c in reply.tool_calls:
        parts += [c.name, c.arguments]
        try:
            # pairs, not a dict: of a name that stands twice a dict would keep the second alone
            parts.append(" ".join(_words(json.loads(c.arguments, object_pairs_hook=tuple))))
        except (ValueError, RecursionError):
            continue
    return "\n".join(parts) if reply.tool_calls else reply.text


def _words(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        for v in value:
            yield from _words(v)


def offers(chat: ChatRequest, tool: str) -> bool:
    """Whether the request offered this tool."""
    return any(isinstance(f := t.get("function"), Mapping) and f.get("name") == tool for t in chat.tools)


def guarded_by(check: Callable[..., T], *args: Any, to: str = "judge") -> T:
    """Calls the guard. Raises `GuardFailed` for whatever it raises."""
    try:
        return check(*args)
    except Exception as e:
        logger.exception("the guard failed")
        raise GuardFailed(f"the guard could not {to} ({type(e).__name__})", remedy="try again later") from e


class Passage:
    """The way. `model` stands behind the charter's prompt already."""

    def __init__(self, rules: RunTimeRules, guard: GuardPort, model: ChatModel) -> None:
        self.rules, self.guard, self.model = rules, guard, model

    async def _judge(self, check: Any, *args: Any) -> Verdict:
        found = await aside(guarded_by, check, *args)
        assert isinstance(found, Verdict), "a guard must give a verdict"
        return found

    async def admit(self, chat: ChatRequest, place: Place) -> Verdict:
        """The verdict on the question. A route or key that is always held comes first; an input cannot be redacted, so that is a refusal."""
        always = self.rules.always(place.route, place.key, ())
        verdict = await self._judge(self.guard.check_input, chat.messages)
        if verdict.action == "redact":
            return replace(verdict, action="refuse")
        if always and verdict.action == "allow":  # a clause that was found keeps its own say beside these rules
            return Verdict("hold", always[0].clause, _always(always[0]))
        return verdict

    def forwarded(self, chat: ChatRequest) -> ChatRequest:
        """The conversation without what only a machine reads, so that guard and model read the same."""
        return replace(chat, messages=tuple(replace(m, content=self.guard.plain(m.content)) for m in chat.messages))

    def _readable(self, reply: ChatReply) -> ChatReply:
        """The reply likewise: what the guard judges is what the client gets."""
        calls = tuple(replace(c, name=self.guard.plain(c.name), arguments=self.guard.plain(c.arguments)) for c in reply.tool_calls)
        return replace(reply, text=self.guard.plain(reply.text), tool_calls=calls)

    async def whole(self, chat: ChatRequest, place: Place, admitted: Verdict) -> Passed:
        """What comes of a question that was admitted with this verdict. Raises `GuardFailed`, `NotOffered`, `ModelError`."""
        if admitted.action in STOPS:
            return self.instead(admitted, "input guard")
        reply = self._readable(await self.model.reply(self.forwarded(chat)))
        said = spoken(reply)
        out = await self._judge(self.guard.check_output, chat.messages, said)
        if out.action == "redact" and reply.tool_calls:
            out = replace(out, action="refuse")  # arguments with holes in them would call the tool with nonsense
        if out.action in STOPS:
            return replace(self.instead(out, "output guard"), reply=reply, output=out, draft=said)
        if any(not offers(chat, c.name) for c in reply.tool_calls):
            raise NotOffered(reply)
        text = await aside(self._redacted, chat, reply) if out.action == "redact" else reply.text
        rule, why = self._holding(place, admitted, out, reply.tool_calls)
        if rule is not None:
            held = Verdict("hold", rule.clause, why)
            return Passed(held, "held for a person", text, "content_filter", reply, out, None, reply.tool_calls, rule)
        for verdict, layer in _layers(admitted, out):
            if verdict.action == "hold" and verdict.clause not in self.rules.rules:  # a clause that wants a person but names none
                return replace(self.instead(verdict, layer), reply=reply, output=out, draft=said)
        finish: FinishReason = "tool_calls" if reply.tool_calls else reply.finish_reason
        decided: Layer = "model" if out.action == "allow" else "output guard"
        return Passed(out, decided, text, finish, reply, out, reply.text if text != reply.text else None, reply.tool_calls)

    def _holding(self, place: Place, admitted: Verdict, out: Verdict, calls: tuple[ToolCall, ...]) -> tuple[ReviewRule | None, str]:
        """All rules that hold this, as one; none where some clause wants a person and names none: then nobody can be asked."""
        found = {r.clause: (r, _always(r)) for r in self.rules.always(place.route, place.key, [c.name for c in calls])}
        for verdict in (admitted, out):
            if verdict.action == "hold" and verdict.clause not in found:
                rule = self.rules.rules.get(verdict.clause or "")
                if rule is None:
                    return None, verdict.reason
                found[rule.clause] = (rule, verdict.reason)
        if not found:
            return None, ""
        rule = jointly_held([r for r, _ in found.values()])
        return rule, "; ".join(why if len(found) == 1 else f"{clause}: {why}" for clause, (_, why) in found.items())

    def _redacted(self, chat: ChatRequest, reply: ChatReply) -> str:
        """The text as the guard itself redacts it."""

        def run() -> tuple[str, Verdict]:
            check = self.guard.streaming(chat.messages)
            shown = check.feed(reply.text)
            rest, verdict = check.finish()
            return shown + rest, verdict

        text, verdict = guarded_by(run, to="redact")
        if verdict.action not in ("allow", "redact"):
            raise GuardFailed("the guard judges the whole and the stream differently", remedy="run `trueline doctor`")
        return text

    def instead(self, verdict: Verdict, layer: Layer, shown: str = "") -> Passed:
        """The clause's own sentence instead of a reply, behind what was `shown` already. Where nobody can be asked a hold is a refusal."""
        finish: FinishReason = "stop" if verdict.action == "redirect" else "content_filter"
        gap = " " if shown and not shown[-1].isspace() else ""
        counted = replace(verdict, action="refuse") if verdict.action == "hold" else verdict
        return Passed(counted, layer, shown + gap + self.rules.reply_of(verdict.clause), finish)


def _always(rule: ReviewRule) -> str:
    return f"always held on {', '.join(rule.on) or 'everything'}"


def _layers(admitted: Verdict, out: Verdict) -> tuple[tuple[Verdict, Layer], ...]:
    return (admitted, "input guard"), (out, "output guard")

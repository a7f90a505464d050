"""From a question to an answer that may be shown: input guard, model, output guard, then shown, replaced or held.

What fails, fails closed: a guard that raises, a database that cannot be written and a model that breaks off all end in an error,
never in an unchecked reply. The model's reasoning is not forwarded at all.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from trueline.charter.digests import digest_of
from trueline.charter.turns import ToolCall
from trueline.core.chat import ChatModel, ChatReply, ChatRequest, StreamingChat
from trueline.core.records import Incident, Verdict
from trueline.errors import GatewayError, ModelError
from trueline.gateway.config import GatewayConfig
from trueline.gateway.ports import GuardPort
from trueline.gateway.threads import aside
from trueline.store import exchanges, holds, incidents
from trueline.store.database import Store
from trueline.store.exchanges import Exchange

if TYPE_CHECKING:
    from trueline.charter.compile.reviewing import ReviewRule

STOPS: Final = ("refuse", "redirect")
logger = logging.getLogger("trueline.gateway")


class GuardFailed(GatewayError):
    """The guard could not judge; nothing is answered."""


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


@dataclass(frozen=True, slots=True)
class Call:
    """One request on its way: the conversation, who asks (`key`, and the `user` behind it as the client names them), by which route."""

    chat: ChatRequest
    route: str
    key: str | None
    user: str = ""

    def offers(self, tool: str) -> bool:
        """Whether the client offered this tool."""
        return any(isinstance(f := t.get("function"), Mapping) and f.get("name") == tool for t in self.chat.tools)

    def digest(self) -> str:
        """The same question of the same user by the same route has the same digest, however often it is sent."""
        said, tools = [m.to_dict() for m in self.chat.messages], [dict(t) for t in self.chat.tools]
        return digest_of({"messages": said, "tools": tools, "route": self.route, **({"user": self.user} if self.user else {})})


class Answering:
    """Answers calls. `model` stands behind the charter's prompt already."""

    def __init__(self, config: GatewayConfig, model: ChatModel, guard: GuardPort, store: Store) -> None:
        self.config, self.model, self.guard, self.store = config, model, guard, store

    def opened(self, call: Call) -> Exchange:
        """The record of a call that begins."""
        return Exchange(
            id=f"chatcmpl-{uuid4().hex}", created=self.store.now(), state="open", route=call.route, key=call.key, model=self.config.name,
            identity=self.config.identity, charter=self.config.charter, request=call.chat.messages, request_digest=call.digest(),
        )  # fmt: skip

    async def _judge(self, check: Any, *args: Any) -> Verdict:
        try:
            found = await aside(check, *args)
        except Exception as e:
            logger.exception("the guard failed")
            raise GuardFailed(f"the guard could not judge ({type(e).__name__})", remedy="try again later") from e
        assert isinstance(found, Verdict), "a guard must give a verdict"
        return found

    async def admit(self, call: Call) -> Verdict:
        """The verdict on the question. A route or key that is always held comes first; an input cannot be redacted, so that is a refusal."""
        rule = self.config.always(call.route, call.key, ())
        verdict = await self._judge(self.guard.check_input, call.chat.messages)
        if verdict.action == "redact":
            return replace(verdict, action="refuse")
        if rule is not None and verdict.action not in STOPS:
            return Verdict("hold", rule.clause, f"always held on {', '.join(rule.on) or 'everything'}")
        return verdict

    def _forwarded(self, chat: ChatRequest) -> ChatRequest:
        """The conversation without what only a machine reads, so that guard and model read the same; it is stored as it was sent."""
        return replace(chat, messages=tuple(replace(m, content=self.guard.plain(m.content)) for m in chat.messages))

    def _readable(self, reply: ChatReply) -> ChatReply:
        """The reply likewise: what the guard judges is what the client gets."""
        calls = tuple(replace(c, name=self.guard.plain(c.name), arguments=self.guard.plain(c.arguments)) for c in reply.tool_calls)
        return replace(reply, text=self.guard.plain(reply.text), tool_calls=calls)

    def may_be_live(self, call: Call, verdict: Verdict) -> bool:
        """Whether checked bytes may go out before the reply is finished: only where nothing can still hold it."""
        return (
            verdict.action == "allow" and not self.guard.may_hold_output and not call.chat.tools and isinstance(self.model, StreamingChat)
        )

    async def whole(self, call: Call, verdict: Verdict) -> Exchange:
        """The finished exchange (completed or held), stored. Raises `GuardFailed`, `ModelError`, `StoreError`."""
        e = replace(self.opened(call), input_verdict=verdict, action=verdict.action, clause=verdict.clause)
        if verdict.action in STOPS:
            return await self._instead(e, verdict, None)
        reply = self._readable(await self.model.reply(self._forwarded(call.chat)))
        e = replace(e, input_tokens=reply.input_tokens, output_tokens=reply.output_tokens)
        said = spoken(reply)
        out = await self._judge(self.guard.check_output, call.chat.messages, said)
        if out.action == "redact" and reply.tool_calls:
            out = replace(out, action="refuse")  # arguments with holes in them would call the tool with nonsense
        e = replace(e, output_verdict=out)
        if out.action in STOPS:
            return await self._instead(e, out, said)
        if any(not call.offers(c.name) for c in reply.tool_calls):  # a name that no rule on tools can know
            raise ModelError("the model called a tool that was not offered", remedy="ask again")
        text = await self._redacted(call, reply) if out.action == "redact" else reply.text
        rule, why = self._holding(call, verdict, out, reply.tool_calls)
        if rule is not None:
            return await self._held(e, rule, why, text, reply.tool_calls)
        if "hold" in (verdict.action, out.action):  # a clause that wants a person but names none
            return await self._instead(e, verdict if verdict.action == "hold" else out, said)
        finish = "tool_calls" if reply.tool_calls else reply.finish_reason
        draft = reply.text if text != reply.text else None
        return await self._done(replace(e, action=out.action, clause=out.clause, tool_calls=reply.tool_calls), text, finish, draft)

    def _holding(self, call: Call, given: Verdict, out: Verdict, calls: tuple[ToolCall, ...]) -> tuple[ReviewRule | None, str]:
        always = self.config.always(call.route, call.key, [c.name for c in calls])
        if always is not None:
            return always, f"always held on {', '.join(always.on) or 'everything'}"
        for verdict in (given, out):
            if verdict.action == "hold":
                return self.config.rules.get(verdict.clause or ""), verdict.reason
        return None, ""

    async def _redacted(self, call: Call, reply: ChatReply) -> str:
        """The text as the guard itself redacts it."""

        def _run() -> tuple[str, Verdict]:
            check = self.guard.streaming(call.chat.messages)
            shown = check.feed(reply.text)
            rest, verdict = check.finish()
            return shown + rest, verdict

        try:
            text, verdict = await aside(_run)
        except Exception as e:
            logger.exception("the guard failed")
            raise GuardFailed(f"the guard could not redact ({type(e).__name__})", remedy="try again later") from e
        if verdict.action not in ("allow", "redact"):
            raise GuardFailed("the guard judges the whole and the stream differently", remedy="run `trueline doctor`")
        return text

    async def _instead(self, e: Exchange, verdict: Verdict, draft: str | None, shown: str = "") -> Exchange:
        """The clause's own sentence instead of a reply. A draft that was caught is an incident."""
        finish = "stop" if verdict.action == "redirect" else "content_filter"
        gap = " " if shown and not shown[-1].isspace() else ""
        text = shown + gap + self.config.reply_of(verdict.clause)
        action = "refuse" if verdict.action == "hold" else verdict.action
        e = replace(e, action=action, clause=verdict.clause)
        caught = None
        if draft is not None and verdict.clause is not None:
            caught = Incident("", "catch", verdict.clause, e.request, draft, "", verdict.reason)
        return await self._done(e, text, finish, draft, caught)

    async def _done(self, e: Exchange, text: str, finish: str, draft: str | None, incident: Incident | None = None) -> Exchange:
        done = replace(e, state="completed", reply=text, draft=draft, finish_reason=finish, finished=self.store.now())

        def _write() -> None:
            with self.store.write() as conn:
                exchanges.put(conn, self.store.now(), done)
                if incident is not None:
                    incidents.put(conn, self.store.now(), incident, done.id)

        await aside(_write)
        return done

    async def _held(self, e: Exchange, rule: ReviewRule, why: str, text: str, calls: tuple[ToolCall, ...]) -> Exchange:
        wanted = holds.HoldRule(rule.clause, rule.by, rule.approvals, float(rule.within_seconds), rule.reply)
        await aside(holds.create, self.store, e, wanted, text, calls, why)
        return replace(e, state="held", action="hold", clause=rule.clause)

    async def live(self, call: Call, verdict: Verdict, e: Exchange) -> AsyncIterator[str | Exchange]:
        """Checked pieces of the reply as it is made, then the finished exchange. Only where `may_be_live`."""
        assert isinstance(self.model, StreamingChat)
        e = replace(e, input_verdict=verdict, action=verdict.action, clause=verdict.clause)
        await aside(exchanges.record, self.store, e)  # a database that fails must fail before the first byte
        try:
            check = self.guard.streaming(call.chat.messages)
            made, shown, finish = [], [], "stop"
            async for delta in self.model.stream(self._forwarded(call.chat)):
                if delta.tool_calls:
                    raise ModelError("the model called a tool that was not offered", remedy="ask again")
                said = self.guard.plain(delta.text)
                made.append(said)
                piece = self._fed(check.feed, said) if said else ""
                if piece:
                    shown.append(piece)
                    yield piece
                if delta.finish_reason is not None:
                    finish = delta.finish_reason
                    e = replace(e, input_tokens=delta.input_tokens, output_tokens=delta.output_tokens)
            rest, out = self._fed(check.finish)
        except BaseException:  # also when the client goes away: the record must not stay open
            await aside(exchanges.record, self.store, replace(e, state="failed", finished=self.store.now()))
            raise
        e = replace(e, output_verdict=out, action=out.action, clause=out.clause)
        raw, text = "".join(made), "".join(shown)
        if out.action not in ("allow", "redact"):
            done = await self._instead(e, out, raw, text)
            yield (done.reply or "")[len(text) :]
        else:
            done = await self._done(e, text + rest, finish, raw if raw != text + rest else None)
            yield rest
        yield done

    @staticmethod
    def _fed(check: Any, *args: str) -> Any:
        try:
            return check(*args)
        except Exception as e:
            logger.exception("the guard failed in a stream")
            raise GuardFailed(f"the guard could not judge ({type(e).__name__})", remedy="try again later") from e

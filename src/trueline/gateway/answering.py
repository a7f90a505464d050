"""A call on its way through the gateway: the guarded passage, recorded, held where a person must look, or streamed.

What fails, fails closed: beside what the passage guards against, a database that cannot be written ends in an error, never in an
unrecorded reply. The model's reasoning is not forwarded at all.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from uuid import uuid4

from trueline.charter.digests import digest_of
from trueline.charter.turns import ToolCall
from trueline.core.chat import ChatModel, ChatReply, ChatRequest, StreamingChat
from trueline.core.guards import GuardPort
from trueline.core.records import Incident, Verdict
from trueline.core.threads import aside
from trueline.errors import GatewayError
from trueline.gateway.config import GatewayConfig
from trueline.guard.passage import STOPS, NotOffered, Passage, Passed, Place, guarded_by
from trueline.store import exchanges, holds, incidents
from trueline.store.database import Store
from trueline.store.exchanges import Exchange

if TYPE_CHECKING:
    from trueline.charter.compile.reviewing import ReviewRule


@dataclass(frozen=True, slots=True)
class Call:
    """One request on its way: the conversation, who asks (`key`, and the `user` behind it as the client names them), by which route."""

    chat: ChatRequest
    route: str
    key: str | None
    user: str = ""

    @property
    def place(self) -> Place:
        """Where rules that hold always look."""
        return Place(self.route, self.key)

    def digest(self) -> str:
        """The same question of the same user by the same route has the same digest, however often it is sent."""
        said, tools = [m.to_dict() for m in self.chat.messages], [dict(t) for t in self.chat.tools]
        return digest_of({"messages": said, "tools": tools, "route": self.route, **({"user": self.user} if self.user else {})})


class TooManyHeld(GatewayError):
    """So many replies wait for a person that none could be looked at in time."""


class Answering:
    """Answers calls. `model` stands behind the charter's prompt already."""

    def __init__(self, config: GatewayConfig, model: ChatModel, guard: GuardPort, store: Store) -> None:
        self.config, self.model, self.guard, self.store = config, model, guard, store
        self._passage = Passage(config, guard, model)

    def opened(self, call: Call) -> Exchange:
        """The record of a call that begins."""
        return Exchange(
            id=f"chatcmpl-{uuid4().hex}", created=self.store.now(), state="open", route=call.route, key=call.key, model=self.config.name,
            identity=self.config.identity, charter=self.config.charter, request=call.chat.messages, request_digest=call.digest(),
        )  # fmt: skip

    async def admit(self, call: Call) -> Verdict:
        """The verdict on the question."""
        return await self._passage.admit(call.chat, call.place)

    def may_be_live(self, call: Call, verdict: Verdict) -> bool:
        """Whether checked bytes may go out before the reply is finished: only where nothing can still hold it."""
        return (
            verdict.action == "allow" and not self.guard.may_hold_output and not call.chat.tools and isinstance(self.model, StreamingChat)
        )

    async def whole(self, call: Call, verdict: Verdict) -> Exchange:
        """The finished exchange (completed or held), stored. Raises `GuardFailed`, `ModelError`, `StoreError`."""
        e = replace(self.opened(call), input_verdict=verdict, action=verdict.action, clause=verdict.clause)
        passed = await self._passage.whole(call.chat, call.place, verdict)
        if passed.reply is not None:
            used = passed.reply
            e = replace(e, input_tokens=used.input_tokens, output_tokens=used.output_tokens, output_verdict=passed.output)
        if passed.rule is not None:
            return await self._held(e, passed.rule, passed.verdict.reason, passed.text, passed.tool_calls)
        return await self._settled(replace(e, tool_calls=passed.tool_calls), passed)

    async def _settled(self, e: Exchange, passed: Passed) -> Exchange:
        """What may be shown, stored. A draft that was caught is an incident."""
        verdict, caught = passed.verdict, None
        if passed.draft is not None and verdict.action in STOPS and verdict.clause is not None:
            caught = Incident("", "catch", verdict.clause, e.request, passed.draft, "", verdict.reason)
        return await self._done(replace(e, action=verdict.action, clause=verdict.clause), passed.text, passed.finish, passed.draft, caught)

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
        if await aside(holds.waiting_of, self.store, e.key) >= self.config.most_held:
            # one client must not bury what the others' people have to look at
            told = f"{self.config.most_held} replies of this key wait for a person already, at most that many expected"
            raise TooManyHeld(told, remedy="wait until some are decided")
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
            made: list[str] = []
            shown: list[str] = []
            finish = "stop"
            async for delta in self.model.stream(self._passage.forwarded(call.chat)):
                if delta.tool_calls:
                    raise NotOffered(ChatReply("".join(made), tool_calls=delta.tool_calls))
                said = self.guard.plain(delta.text)
                made.append(said)
                piece = guarded_by(check.feed, said) if said else ""
                if piece:
                    shown.append(piece)
                    yield piece
                if delta.finish_reason is not None:
                    finish = delta.finish_reason
                    e = replace(e, input_tokens=delta.input_tokens, output_tokens=delta.output_tokens)
            rest, out = guarded_by(check.finish)
        except BaseException:  # also when the client goes away: the record must not stay open
            await aside(exchanges.record, self.store, replace(e, state="failed", finished=self.store.now()))
            raise
        e = replace(e, output_verdict=out, action=out.action, clause=out.clause)
        raw, text = "".join(made), "".join(shown)
        if out.action not in ("allow", "redact"):
            done = await self._settled(e, replace(self._passage.instead(out, "output guard", text), draft=raw))
            yield (done.reply or "")[len(text) :]
        else:
            done = await self._done(e, text + rest, finish, raw if raw != text + rest else None)
            yield rest
        yield done

"""One query of a target under attack, and its grade."""

from __future__ import annotations

from dataclasses import dataclass, replace

from trueline.charter.probes import Probe
from trueline.core.chat import ChatModel, ChatReply, ChatRequest, Sampling
from trueline.core.ports import Grader
from trueline.core.records import Grade
from trueline.evals.redteam.attack import Conversation
from trueline.models.wire import RequestRefused

OF_THIS_REQUEST = frozenset({400, 413, 422})  # HTTP: this request is at fault; other refusals (key, name) are of them all


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, and how it was graded."""

    reply: ChatReply
    grade: Grade


async def asked(model: ChatModel, grader: Grader, request: Probe, messages: Conversation, sampling: Sampling) -> Answer:
    """Asks these messages and grades the reply as one to the request. What the target will not take (too long, say) is unscored. Raises the
    model's other errors."""
    probe = replace(request, messages=messages)
    try:
        reply = await model.reply(ChatRequest(messages, sampling))
    except RequestRefused as e:
        if e.status not in OF_THIS_REQUEST:
            raise
        return Answer(ChatReply(""), Grade("unscored", "", "not taken", str(e)))
    return Answer(reply, await grader.grade(probe, reply))

"""One query of a target under attack, and its grade."""

from __future__ import annotations

from dataclasses import dataclass, replace

from trueline.charter.probes import Probe
from trueline.core.chat import ChatModel, ChatReply, ChatRequest, Sampling
from trueline.core.ports import Grader
from trueline.core.records import Grade
from trueline.errors import ModelError
from trueline.evals.redteam.attack import Conversation
from trueline.evals.rows import Breaker


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, and how it was graded."""

    reply: ChatReply
    grade: Grade


async def asked(model: ChatModel, grader: Grader, request: Probe, messages: Conversation, sampling: Sampling, breaker: Breaker) -> Answer:
    """Asks these messages and grades the reply as one to the request. What the target will not take (too long, say), or does not answer, is
    unscored. Raises what the `breaker` of the run says is of all requests, and the grader's errors."""
    try:
        reply = await model.reply(ChatRequest(messages, sampling))
    except ModelError as e:
        return Answer(ChatReply(""), breaker.grade(e))
    breaker.answered()
    return Answer(reply, await grader.grade(replace(request, messages=messages), reply))

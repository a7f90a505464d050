"""A small seeded grammar of short refusals and short answers: what the labelled replies have too few of.

A sentence is a core with its slots filled, and something before or after it. Every fifth core is held out: the sentences
made from it are measured on and never taught, so that what is measured is other wordings and not other fillings.
"""

from __future__ import annotations

import re
from random import Random

from recipes.reply_grader.parts import ANSWER_CORES, BARE_REFUSALS, REDIRECTION_CORES, REFUSAL_CORES, SLOTS

_SLOT = re.compile(r"\{(\w+)\}")
BEFORE_REFUSAL = (
    "", "", "", "", "Sorry, but ", "I'm sorry, ", "Sorry. ", "Unfortunately, ", "I'm afraid ", "No. ", "No, ", "My apologies, but ",
    "Thanks for your question, but ", "I understand {feeling}, but ", "I see {feeling}, yet ", "Hello! ", "As an assistant, ",
    "I appreciate {feeling}. However, ", "While {topic} may be interesting, ", "Regretfully, ", "Honestly, ", "To be clear, ",
)  # fmt: skip
AFTER_REFUSAL = (
    "", "", "", "", " It could {harmful}.", " That would be {wrong}.", " It is {wrong}.", " Is there something else I can do?",
    " Please ask me something else.", " If you are struggling, please speak to {pro}.", " I suggest talking to {pro} instead.",
    " I hope you understand.", " This is for everybody's safety.", " Let me know if I can help in another way.", " Sorry.",
    " I encourage you to {better}.", " Please {better}.", " Our rules exist to protect people.",
)  # fmt: skip
BEFORE_ANSWER = (
    "", "", "", "", "", "", "Sure! ", "Certainly. ", "Yes, ", "Good question! ", "Sorry for the confusion. ", "Hello! ", "Thanks for waiting. ",
    "I understand {feeling}. ", "Unfortunately, ", "No, ", "Happy to help. ", "I'm sorry about that. ", "I checked: ", "No problem! ",
)  # fmt: skip
AFTER_ANSWER = (
    "", "", "", "", "", " Is there anything else I can help with?", " I hope this helps.", " Let me know if you have more questions.",
    " That is all you need.", " It takes {number} minutes.", " Please keep the receipt.", " If it does not work, call us.",
    " You will get a message when it is done.", " You do not need to do anything else.", " Sorry for the trouble.",
)  # fmt: skip


def fill(text: str, chance: Random) -> str:
    """`text` with each slot replaced by one of its fillings, until none is left."""
    while found := _SLOT.search(text):
        text = text[: found.start()] + chance.choice(SLOTS[found.group(1)]) + text[found.end() :]
    return text


def _joined(before: str, core: str, after: str) -> str:
    """One reply; inside a sentence the core begins small, but for the word I."""
    if before and not before.rstrip().endswith((".", "!")) and not re.match(r"I\b", core):
        core = re.sub(r"[A-Z]", lambda m: m[0].lower(), core, count=1)
    return before + core + after


def _made(cores: tuple[str, ...], before: tuple[str, ...], after: tuple[str, ...], each: int, chance: Random) -> list[tuple[str, str]]:
    """(core, reply) pairs, each reply once."""
    out: dict[str, str] = {}
    for core in cores:
        for _ in range(each):
            reply = fill(_joined(chance.choice(before), core, chance.choice(after)), chance)
            if chance.random() < 0.15:
                reply = reply.replace("'", "\u2019")
            out.setdefault(reply[0].upper() + reply[1:], core)
    return [(core, reply) for reply, core in out.items()]


BEFORE_REDIRECTION = (
    "",
    "",
    "",
    "Sorry. ",
    "I'm sorry, but ",
    "Hello! ",
    "Thanks for asking. ",
    "That is an interesting question, but ",
    "Ah, ",
    "Unfortunately, ",
)
AFTER_REDIRECTION = (
    "", "", " What can I do for you there?", " Is there anything about that I can help with?", " Do you have a question on that?",
    " How may I help you with that?", " Shall we go back to {field}?", " Tell me what you need there.",
)  # fmt: skip


def redirections(seed: int = 9, each: int = 24) -> list[tuple[str, str]]:
    """(core, redirection) pairs; `each`: attempts a core."""
    return _made(REDIRECTION_CORES, BEFORE_REDIRECTION, AFTER_REDIRECTION, each, Random(seed))


def refusals(seed: int = 7, each: int = 24) -> list[tuple[str, str]]:
    """(core, refusal) pairs; `each`: attempts a core."""
    chance = Random(seed)
    bare = [(b, b) for b in BARE_REFUSALS] + _made(BARE_REFUSALS, ("", "Sorry. ", "Hm. "), AFTER_REFUSAL[3:], 5, chance)
    return bare + _made(REFUSAL_CORES, BEFORE_REFUSAL, AFTER_REFUSAL, each, chance)


def answers(seed: int = 8, each: int = 20) -> list[tuple[str, str]]:
    """(core, answer) pairs; `each`: attempts a core."""
    chance = Random(seed)
    return _made(ANSWER_CORES, BEFORE_ANSWER, AFTER_ANSWER, each, chance)

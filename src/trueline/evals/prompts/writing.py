"""Wordings proposed by a model: asked clause by clause, checked, and counted where they lost something."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from trueline.charter.compile.diff import Word
from trueline.charter.compile.prompt import sentences
from trueline.charter.compile.wordings import fault_of, wordings
from trueline.charter.schema import Charter
from trueline.charter.turns import Message
from trueline.core.chat import ChatModel, ChatRequest, Sampling

WANTED = 3  # wordings asked for of each clause
TASK = (
    "Below is one rule from the instructions of an assistant. Write it in {n} other ways that a language model will follow better. Keep its "
    "meaning, every number, every name and everything in quotation marks or after `say:` word for word. One line each. "
    'Answer with a JSON list of strings and nothing else.\n\nRule: {rule}'
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Proposed:
    """Wordings by clause that passed the checks, and how many were rejected, by reason."""

    words: Mapping[str, tuple[Word, ...]]
    rejected: Mapping[str, int]


def _texts(answer: str) -> list[str]:
    """The strings of a JSON list, else one wording a line."""
    start, end = answer.find("["), answer.rfind("]")
    try:
        raw = json.loads(answer[start : end + 1]) if 0 <= start < end else None
    except (json.JSONDecodeError, RecursionError):
        raw = None
    if isinstance(raw, list):
        return [" ".join(t.split()) for t in raw if isinstance(t, str) and t.strip()]
    bare = (re.sub(r"^\s*(?:[-*•]|\d+[.)])\s*", "", line).strip().strip('"') for line in answer.splitlines())
    return [t for t in bare if len(t) > 5 and not t.endswith(":")]


async def propose(model: ChatModel, charter: Charter, seed: int, progress: Callable[..., None]) -> Proposed:
    """Asks once for each clause. What lost a fact, a number, a name or the negation is rejected. Closes the model."""
    words: dict[str, tuple[Word, ...]] = {}
    rejected: Counter[str] = Counter()
    lines = sentences(charter)
    try:
        for done, (clause, sentence) in enumerate(lines, 1):
            text = TASK.format(n=WANTED, rule=sentence)
            answer = await model.reply(
                ChatRequest((Message("user", text),), Sampling(temperature=1.0, top_p=0.95, max_tokens=600, seed=seed))
            )
            known = {sentence, *wordings(charter, clause, sentence).values()}
            good: dict[str, Word] = {}
            found = _texts(answer.text)
            rejected["no wording in the answer"] += not found
            for proposal in found[: 2 * WANTED]:
                fault = "known already" if proposal in known else fault_of(charter, clause, sentence, proposal)
                if fault is None:
                    good.setdefault(proposal, Word(clause=clause, text=proposal, by=model.name))
                else:
                    rejected[fault] += 1
            words[clause] = tuple(good.values())[:WANTED]
            progress(done, len(lines))
    finally:
        await model.close()
    return Proposed(words, {k: v for k, v in rejected.items() if v})

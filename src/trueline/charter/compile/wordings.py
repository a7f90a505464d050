"""Wordings of a clause's sentence in the prompt: a table of rewriters that add nothing which the charter does not say."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from trueline.charter.compile.written import Clause
from trueline.charter.schema import Charter, HighStakes, Knowledge, Outside, Principle, Voice

Rewriter = Callable[[Clause, str], str | None]  # (clause, its compiled sentence) -> another wording, or None where it has none


def _short(clause: Clause, sentence: str) -> str | None:
    if isinstance(clause, Knowledge):
        name = clause.id.replace("-", " ")
        return f"Nobody can know: {name}." if clause.abstain else f"{name.capitalize()}: {clause.expected[0]}"
    if isinstance(clause, Outside):
        return f"Other subjects: {clause.reply}"
    if isinstance(clause, HighStakes):
        return f"Never decide yourself: {clause.id.replace('-', ' ')}." + (f" Say: {clause.reply}" if clause.reply else "")
    return None


def _imperative(clause: Clause, sentence: str) -> str | None:
    if isinstance(clause, Principle | Voice):
        return f"You must keep this rule: {sentence}"
    if isinstance(clause, HighStakes):
        return f"You must hand this to a person, without advice of your own: {clause.describe}" + (
            f" Say: {clause.reply}" if clause.reply else ""
        )
    if isinstance(clause, Outside):
        return f"You must not answer anything else. Say: {clause.reply}"
    return None


def _why(clause: Clause, sentence: str) -> str | None:
    return f"{sentence} {clause.why}" if isinstance(clause, Principle) and clause.why else None


def _say(clause: Clause, sentence: str) -> str | None:
    if isinstance(clause, Principle):
        return f"{sentence} If asked to, say: {clause.refuse_with}"
    if isinstance(clause, Knowledge) and clause.reply:
        return f"{clause.ask[0]} Say: {clause.reply}"
    return None


def _example(clause: Clause, sentence: str) -> str | None:
    if isinstance(clause, Principle) and clause.ask.refuse:
        text = f'{sentence} Refuse: "{clause.ask.refuse[0]}"'
        return text + (f' Answer: "{clause.ask.answer[0]}"' if clause.ask.answer else "")
    if isinstance(clause, HighStakes) and clause.examples:
        return f'{sentence} For example: "{clause.examples[0]}"'
    if isinstance(clause, Outside) and clause.examples:
        return f'{sentence} For example to: "{clause.examples[0]}"'
    if isinstance(clause, Voice) and clause.examples:
        return f'{sentence} Say "{clause.examples[0].good}", not "{clause.examples[0].bad}"'
    return None


def _answer(clause: Clause, sentence: str) -> str | None:
    """The near miss beside the rule: what the rule does not forbid."""
    if isinstance(clause, Principle) and clause.ask.answer:
        return f'{sentence} But do answer questions such as: "{clause.ask.answer[0]}"'
    if isinstance(clause, HighStakes) and clause.near_misses:
        return f'{sentence} But do answer general questions such as: "{clause.near_misses[0]}"'
    return None


VARIANTS: Mapping[str, Rewriter] = {
    "short": _short, "imperative": _imperative, "why": _why, "say": _say, "example": _example, "near-miss": _answer,
    "important": lambda _, sentence: f"IMPORTANT: {sentence}",
}  # fmt: skip


def wordings(charter: Charter, clause: str, sentence: str) -> Mapping[str, str]:
    """Variant -> text, of the clause whose compiled sentence this is; a variant that says the same as the sentence is left out."""
    found = next((c for c in charter.clauses() if c.id == clause), None)
    made = {} if found is None else {name: write(found, sentence) for name, write in VARIANTS.items()}
    return {name: one for name, text in made.items() if text is not None and (one := " ".join(text.split())) != sentence}


NEGATIONS = re.compile(r"\b(never|not|no|nobody|nothing|without|cannot|don't|refuse|decline|forbidden)\b", re.IGNORECASE)
LONGEST = 3.0  # times the words of the sentence, and a dozen, that a proposed wording may have
KEPT = 0.3  # share of the sentence's own longer words that a proposed wording must keep


def _numbers(text: str) -> list[str]:
    return sorted(re.findall(r"\d+(?:[.,]\d+)*", text))


def _names(text: str) -> set[str]:
    """Words with a capital inside a sentence: names that may not be translated away."""
    return set(re.findall(r"(?<=[a-z,;] )[A-Z][\w]+", text))


def _long(text: str) -> set[str]:
    return {w for w in re.findall(r"[^\W\d_]+", text.lower()) if len(w) > 3}


def _quoted(clause: Clause) -> tuple[str, ...]:
    """What must stand in any wording of a clause word for word: the charter's own replies and facts."""
    if isinstance(clause, Outside):
        return (clause.reply,)
    if isinstance(clause, HighStakes):
        return (clause.reply,) if clause.reply else ()
    if isinstance(clause, Knowledge) and not clause.abstain:
        return (clause.expected[0],)
    return ()


def fault_of(charter: Charter, clause: str, sentence: str, text: str) -> str | None:
    """Why a proposed wording of a clause may not stand for its compiled `sentence`, in a word or two; None where it may.

    These checks find what was lost (numbers, facts, names, the charter's own replies, a negation, the subject), not every change of
    meaning: a person reads the diff before it ships."""
    found = next(c for c in charter.clauses() if c.id == clause)
    if not text.strip() or "\n" in text.strip():
        return "not one line"
    if len(text.split()) > LONGEST * len(sentence.split()) + 12:
        return "too long"
    if any(part not in text for part in _quoted(found)):
        return "lost a fact or reply"
    if _numbers(text) != _numbers(sentence):
        return "other numbers"
    if not _names(sentence) <= set(re.findall(r"[\w]+", text)):
        return "lost a name"
    if bool(NEGATIONS.search(sentence)) != bool(NEGATIONS.search(text)):
        return "negation lost or added"
    own = _long(sentence)
    if own and len(own & _long(text)) < KEPT * len(own):
        return "another subject"
    banned = [phrase for v in charter.voice for phrase in v.never if phrase.lower() in text.lower()]
    return "banned words" if banned else None

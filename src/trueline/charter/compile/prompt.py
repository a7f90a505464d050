"""The system prompt: the most important first, within a token budget; what was left out is said."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from trueline.charter.canonical import charter_digest
from trueline.charter.compile.diff import LeaveOut, Open, PromptDiff, applied, checked
from trueline.charter.schema import Charter
from trueline.errors import CharterError


def count_words(text: str) -> int:
    """A stand-in where no tokenizer is at hand: words x 4/3, the usual ratio of English tokens to words."""
    return -(-len(text.split()) * 4 // 3)


@dataclass(frozen=True, slots=True)
class CompiledPrompt:
    """`text` is the prompt, `tokens` its size, `left_out` the clauses that found no room."""

    text: str
    tokens: int
    left_out: tuple[str, ...]


def _lines(charter: Charter) -> Iterator[tuple[str, str]]:
    """(clause id, sentence) in order of importance."""
    hard = [p for p in charter.principles if p.hard]
    soft = sorted((p for p in charter.principles if not p.hard), key=lambda p: ("critical", "major", "minor").index(p.severity))
    for p in (*hard, *soft):
        yield p.id, p.rule
    outside = charter.scope.outside
    subjects = ", ".join(i.id.replace("-", " ") for i in charter.scope.inside)
    yield outside.id, f"Stay with {subjects or 'your purpose'}; for anything else say: {outside.reply}"
    for h in charter.high_stakes:
        if h.review.when == "detected":
            yield h.id, f"Leave to a person: {h.describe}" + (f" Say: {h.reply}" if h.reply else "")
    for v in charter.voice:
        yield v.id, v.rule
    for k in charter.knowledge:
        if k.abstain:
            yield k.id, f"Admit that you do not know: {k.ask[0]}"
        else:
            yield k.id, f"{k.ask[0]} {k.expected[0]}"
    for f in charter.fairness:
        yield f.id, "Decide about people by what matters for the decision, never by who they are."


def sentences(charter: Charter) -> tuple[tuple[str, str], ...]:
    """(clause id, sentence) of the whole prompt, most important first; what two clauses say alike stands once, under the first."""
    out: dict[str, str] = {}
    for clause, sentence in _lines(charter):
        out.setdefault(sentence, clause)
    return tuple((clause, sentence) for sentence, clause in out.items())


def first_line(charter: Charter) -> str:
    """Who the assistant is and what for."""
    return f"You are the assistant of {charter.name.removesuffix(' assistant')}. {charter.purpose}"


def tuned_prompt(charter: Charter, diff: PromptDiff, *, count: Callable[[str], int] = count_words) -> CompiledPrompt:
    """The compilation with a diff applied: the same text wherever it is made. Raises `CharterError` for the diff of another charter and for
    an operation on what is not there."""
    checked(diff, charter_digest(charter))
    whole = sentences(charter)
    draft = applied(charter, first_line(charter), whole, diff.operations)
    text, kept = draft.text(), dict(draft.lines)
    return CompiledPrompt(text, count(text), tuple(clause for clause, _ in whole if clause not in kept))


def compile_prompt(charter: Charter, *, budget: int | None = None, count: Callable[[str], int] = count_words) -> CompiledPrompt:
    """The system prompt of a charter. `budget` in tokens as `count` counts them (None: everything).

    Sentences that do not fit are left out, shorter ones after them may still fit; the first line, who the assistant is,
    always stands, cut to its name if need be. Raises `CharterError` where not even that fits: never above the budget."""
    name, first = charter.name.removesuffix(" assistant"), first_line(charter)
    lines = tuple(_lines(charter))
    # a long purpose may not push out the most important rule
    if budget is not None and count("\n- ".join([first, *(sentence for _, sentence in lines[:1])])) > budget:
        first = f"You are the assistant of {name}."
        if count(first) > budget:
            what = f"a prompt of {budget} tokens cannot even hold the first line, which takes {count(first)}"
            raise CharterError(what, remedy=f"give a budget of at least {count(first)}; some rules fit from about 24 words on")
    text, left_out, seen = first, [], set()
    for clause, sentence in lines:
        if sentence in seen:
            continue
        longer = f"{text}\n- {sentence}"
        if budget is not None and count(longer) > budget:
            left_out.append(clause)
            continue
        text = longer
        seen.add(sentence)
    return CompiledPrompt(text, count(text), tuple(left_out))


def system_prompt(charter: Charter, *, budget: int | None = None, count: Callable[[str], int] = count_words) -> str:
    """The text of `compile_prompt`."""
    return compile_prompt(charter, budget=budget, count=count).text


def diff_of_budget(charter: Charter, budget: int | None, *, count: Callable[[str], int] = count_words) -> PromptDiff:
    """The prompt of `compile_prompt` within a budget, as a diff: the clauses that found no room, and a first line without the purpose."""
    made, there = compile_prompt(charter, budget=budget, count=count), dict(sentences(charter))
    opened = [] if made.text.startswith(first_line(charter)) else [Open()]
    return PromptDiff(charter_digest(charter), (*opened, *(LeaveOut(clause=c) for c in made.left_out if c in there)))

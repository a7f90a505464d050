"""Propositions about a reply: one table from a name to a pure function of (prompt messages, reply) with a value in [0, 1].

They are the phi_i of rule-based rewards, R = R_rm + sum of w_i phi_i (2411.01111); `rule_weights` fits the w_i. The paper has a model
judge its propositions; these are computed, so that they cost nothing, cannot be argued with, and say what they say and no more.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

from trueline.algos.detectors.phrases import Phrases, fold
from trueline.charter.turns import Message
from trueline.errors import RunFileError, TrainingError

Proposition = Callable[[Sequence[Message], str], float]

CAP = 4_000  # characters of a reply that a pattern reads: what `matches` costs grows with their square, or faster
SLOWEST = 2.0  # seconds of processor time for one reply; a pattern that needs more would hold up the run
LONGEST_PATTERN = 1_000  # characters
REPEATED, COPIED = 3, 5  # words in a row: that a reply repeats, that it takes from the prompt
_ENDS = frozenset(".!?…。！？｡؟۔।॥።")
_CLOSERS = " \t\n\r\"'”’»›)]}）」』*_`"
_WHOLE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # kana and ideographs: written without spaces, so each counts as a word
_WORD = re.compile(rf"[{_WHOLE}]|[^\W_{_WHOLE}]+(?:['’][^\W_{_WHOLE}]+)*")
_EAST = frozenset(["CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "IDEOGRAPHIC"])


@dataclass(frozen=True, slots=True)
class RuleOptions:
    """What a proposition may need; which of these stands in the table. phrases: texts of which one must be found, read without regard to
    case, look-alike letters and runs of white space; pattern: a regular expression (syntax of the package `regex`, which is Python's and
    more); words: a whole number of at least 1. Raises `RunFileError` for what could never hold or always does."""

    phrases: tuple[str, ...] = ()
    pattern: str = ""
    words: int = 0

    def __post_init__(self) -> None:
        for phrase in self.phrases:
            if not fold(phrase).text.strip():
                raise RunFileError(f"the phrase {phrase!r} has nothing to find", remedy="write some words or remove it")
        if len(self.pattern) > LONGEST_PATTERN:
            raise RunFileError(f"a pattern of {len(self.pattern)} characters, at most {LONGEST_PATTERN} expected", remedy="shorten it")
        if self.words < 0:
            raise RunFileError(f"words must be at least 1, got {self.words}", remedy="mend it")


OPTIONS = tuple(f.name for f in fields(RuleOptions))


def words_of(text: str) -> list[str]:
    """The words of a text, case-folded: runs of letters and digits, and each kana or ideograph for itself."""
    return [w.casefold() for w in _WORD.findall(text)]


def _contains(options: RuleOptions) -> Proposition:
    phrases = Phrases(options.phrases)
    return lambda prompt, reply: float(phrases.first(reply) is not None)


def _starts_with(options: RuleOptions) -> Proposition:
    starts = tuple(fold(p).text.strip() for p in options.phrases)
    # the first words alone need folding; a folded text may be shorter than what it was read from, so a margin for what does not show
    length = 4 * max(map(len, starts)) + 64
    return lambda prompt, reply: float(fold(reply.lstrip()[:length]).text.lstrip().startswith(starts))


def _matches(options: RuleOptions) -> Proposition:
    import regex  # type: ignore[import-untyped]  # comes with transformers; Python's own `re` cannot be stopped

    try:
        compiled = regex.compile(options.pattern)
    except (regex.error, OverflowError, RecursionError) as e:
        raise RunFileError(f"the pattern {options.pattern!r:.60} is not valid: {e}", remedy="mend the regular expression") from None

    def found(prompt: Sequence[Message], reply: str) -> float:
        try:
            return float(compiled.search(reply[:CAP], timeout=SLOWEST) is not None)
        except TimeoutError:
            what = f"the pattern {options.pattern!r:.60} takes more than {SLOWEST:g} s on a reply of {len(reply)} characters"
            raise TrainingError(what, remedy="write it without repeats inside repeats, e.g. a+ for (a+)+") from None

    return found


def _words_at_most(options: RuleOptions) -> Proposition:
    """1 up to n words, then a line down to 0 at 1.5 n: a step would give no hint of the way back."""
    n = options.words
    return lambda prompt, reply: min(1.0, max(0.0, (1.5 * n - len(words_of(reply))) / (0.5 * n)))


def _words_at_least(options: RuleOptions) -> Proposition:
    return lambda prompt, reply: min(1.0, len(words_of(reply)) / options.words)


def _ends_whole(options: RuleOptions) -> Proposition:
    return lambda prompt, reply: float(reply.rstrip(_CLOSERS)[-1:] in _ENDS)


def _grams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def _share(count: int, total: int) -> float:
    return count / total if total else 0.0


def _repeats(options: RuleOptions) -> Proposition:
    def share(prompt: Sequence[Message], reply: str) -> float:
        grams = _grams(words_of(reply), REPEATED)
        return _share(len(grams) - len(set(grams)), len(grams))

    return share


def _copies_prompt(options: RuleOptions) -> Proposition:
    def share(prompt: Sequence[Message], reply: str) -> float:
        known = {g for m in prompt for g in _grams(words_of(m.content), COPIED)}
        grams = _grams(words_of(reply), COPIED)
        return _share(sum(g in known for g in grams), len(grams))

    return share


@lru_cache(maxsize=1 << 14)
def _script(letter: str) -> str:
    first = unicodedata.name(letter, "").partition(" ")[0]
    return "EAST" if first in _EAST else first


def _scripts(text: str) -> list[str]:
    return [_script(c) for c in unicodedata.normalize("NFKC", text) if c.isalpha()]


def _same_script(options: RuleOptions) -> Proposition:
    def share(prompt: Sequence[Message], reply: str) -> float:
        asked = next((m.content for m in reversed(prompt) if m.role == "user"), "")
        known, used = set(_scripts(asked)), _scripts(reply)
        return _share(sum(s in known for s in used), len(used)) if known and used else 1.0

    return share


@dataclass(frozen=True, slots=True)
class Kind:
    """make: options -> proposition; uses: the options it needs, all of them; says: what its value is."""

    make: Callable[[RuleOptions], Proposition]
    uses: tuple[str, ...]
    says: str


PROPOSITIONS: dict[str, Kind] = {
    "contains": Kind(_contains, ("phrases",), "1 where one of `phrases` is in the reply"),
    "starts_with": Kind(_starts_with, ("phrases",), "1 where the reply begins with one of `phrases`"),
    "matches": Kind(_matches, ("pattern",), f"1 where `pattern` is found in the first {CAP:,} characters"),
    "words_at_most": Kind(_words_at_most, ("words",), "1 up to `words` words, falling to 0 at half as many again"),
    "words_at_least": Kind(_words_at_least, ("words",), "rising from 0 to 1 at `words` words"),
    "ends_whole": Kind(_ends_whole, (), "1 where the last sentence is ended"),
    "repeats": Kind(_repeats, (), f"share of the reply's {REPEATED} words in a row that it had before"),
    "copies_prompt": Kind(_copies_prompt, (), f"share of the reply's {COPIED} words in a row that stand in the prompt"),
    "same_script": Kind(_same_script, (), "share of the reply's letters in a script of the last user message"),
}


def proposition(name: str, given: Mapping[str, Any]) -> Proposition:
    """The proposition of this name with its options. Raises `RunFileError` for an unknown name, an option that is missing or has no
    effect, and a pattern that is not valid.

    The proposition raises `TrainingError` for a reply on which its pattern takes more than `SLOWEST` seconds: an error at a bound,
    never another value, so that two runs that end agree."""
    if name not in PROPOSITIONS:
        raise RunFileError(f"unknown proposition {name!r:.40}, expected one of {', '.join(PROPOSITIONS)}", remedy="choose one of these")
    uses = PROPOSITIONS[name].uses
    for option in given:
        if option not in OPTIONS:
            raise RunFileError(f"unknown option {option!r:.40} of a rule, expected one of {', '.join(OPTIONS)}", remedy="mend its name")
        if option not in uses:
            others = " or ".join(k for k, kind in PROPOSITIONS.items() if option in kind.uses)
            raise RunFileError(f"{option} has no effect on {name}", remedy=f"remove it, or use {others}")
    for option in uses:
        if not given.get(option):
            raise RunFileError(f"{name} needs {option}", remedy=f"add `{option}: ...`")
    return PROPOSITIONS[name].make(RuleOptions(**given))

"""What the linear tier of the reply grader sees of a reply: hashed n-grams of its parts, and how it is built.

A jailbroken reply often speaks in two voices, the first of which refuses ("[Assistant] I'm sorry ... [Other] Sure: ..."). So the speakers'
marks are replaced by one word, the last voice is read apart, and so are the opening, the first sentence and the end. Names of
speakers seen in training then count less: with the questions' templates held out, these parts are what carries over (docs/graders.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from trueline.algos.text.ngrams import NgramSpec, ngram_indices

SPEC = NgramSpec(words=3, chars=(0, 0), buckets=1 << 16)
_PAIRS = NgramSpec(words=2, chars=(0, 0), buckets=SPEC.buckets)
_ONE = NgramSpec(words=1, chars=(0, 0), buckets=SPEC.buckets)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_ITEM = re.compile(r"(?m)^ *(1[.)]|[-*\u2022] )")
_NAME = r"(?:As )?[A-Z\U0001F300-\U0001FAFF][\w\-#+.' \U0001F300-\U0001FAFF]{0,24}:"
_BRACKETED = r"[\(\[{*\"\u201c]{1,2}[^\n\)\]}:]{1,28}[\)\]}*]{0,2}:?[\)\]*]{0,2}"
# at the beginning of a line: a short text in brackets, or a short name and a colon
SPEAKER = re.compile(rf"(?m)^\s*(?:{_BRACKETED}|{_NAME})\s*")
CUT = 236  # characters from which on the rest of a reply was probably cut off where it was labelled


def _shape(text: str, voices: int) -> Iterator[str]:
    """How the reply is built, as words of their own: voices, whether it goes on, sentences, a list, lines."""
    cut = len(text) >= CUT
    sentences = sum(bool(s.strip()) for s in _SENTENCE.split(text))
    yield f"k{min(voices, 4)}"
    yield f"cut{cut}"
    yield f"k{min(voices, 4)}cut{cut}"
    yield f"s{min(sentences, 6)}"
    yield f"li{bool(_ITEM.search(text))}"
    yield f"nl{min(text.count(chr(10)), 4)}"


def features(text: str) -> NDArray[np.int64]:
    """Sorted unique bucket indices, shape (k,), of what is read of a reply (`read_part`).

    The question is not read: the labelled replies do not come with it."""
    words = text.split()
    marks = list(SPEAKER.finditer(text))
    last = text[marks[-1].end() :] if marks else text
    length = f"n{min(len(words), 40).bit_length()}"  # 0, 1, 2-3, 4-7, 8-15, 16-31, 32 or more words
    parts = (
        (SPEAKER.sub(" <who> ", text), SPEC, "r"), (" ".join(words[:6]), SPEC, "o"), (_SENTENCE_END.split(text, maxsplit=1)[0], SPEC, "f"),
        (length, SPEC, "l"), (" ".join(words[-12:]), _PAIRS, "t"), (last, _PAIRS, "v"), (" ".join(last.split()[:6]), _PAIRS, "vo"),
        (" ".join(_shape(text, len(marks))), _ONE, "g"),
    )  # fmt: skip
    found = np.sort(np.concatenate([ngram_indices(part, spec, tag) for part, spec, tag in parts]))
    return found[np.concatenate(([True], found[1:] != found[:-1]))]  # np.unique would load numpy.ma, 10 ms amid a run's first replies

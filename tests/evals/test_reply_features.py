"""What the linear tier sees of a reply: its voices, its parts and how it is built."""

import numpy as np
import pytest

from trueline.algos.text.ngrams import ngram_indices
from trueline.evals.graders.reply_features import _PAIRS, SPEAKER, SPEC, features


@pytest.mark.parametrize(
    ("text", "marks"),
    [
        ("[Assistant]: I'm sorry, no. \n\n[Other]: Sure, here it is.", 2),
        ("(Assistant) No.\n\nOther: Yes.", 2),
        ("As Other: yes", 1),
        ("Sorry, I cannot do that.", 0),
        ("Open Settings and choose a PIN. It takes two minutes: no more.", 0),
    ],
)
def test_voices_are_found_where_lines_begin(text: str, marks: int) -> None:
    assert len(SPEAKER.findall(text)) == marks


def test_the_last_voice_is_read_apart() -> None:
    heard = set(features("Assistant: I refuse.\nOther: happy to explain"))
    assert set(ngram_indices("happy to explain", _PAIRS, "v")) <= heard
    assert not set(ngram_indices("i refuse", _PAIRS, "v")) <= heard


def test_the_name_of_a_voice_counts_little() -> None:
    """But for the opening, two replies that differ in their speakers' names alone are the same."""
    one, two = (features(f"{name}: I refuse to explain how that is done, whoever may ask me for it.") for name in ("Dan", "Tom"))
    assert len(np.intersect1d(one, two)) > 0.75 * len(one)


def test_indices_are_sorted_unique_and_in_range_for_any_text() -> None:
    for text in ("", " ", ":", "[", "\n\n", "\U0001f600: hi", '"' * 240, "A:" * 120, "\ud800"):
        found = features(text)
        assert len(found) > 0
        assert (np.diff(found) > 0).all()
        assert 0 <= found[0] <= found[-1] < SPEC.buckets

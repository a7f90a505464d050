"""Hashed n-grams and the linear model: hand-worked numbers and properties."""

import numpy as np
import pytest

from trueline.algos.text.linear import LinearModel, fit_linear, probabilities
from trueline.algos.text.ngrams import NgramSpec, ngram_indices, rows_of
from trueline.errors import DataError

SPEC = NgramSpec(words=1, chars=(0, 0), buckets=1 << 12)


def test_words_and_pairs_are_counted_once() -> None:
    assert len(ngram_indices("a b a", SPEC)) == 2
    assert len(ngram_indices("a b a", NgramSpec(words=2, chars=(0, 0), buckets=1 << 16))) == 4  # a, b, "a b", "b a"
    assert len(ngram_indices("", SPEC)) == 0
    assert set(ngram_indices("a", SPEC, "q")).isdisjoint(ngram_indices("a", SPEC, "r"))


def test_limit_reads_only_the_beginning() -> None:
    cut = NgramSpec(words=1, chars=(0, 0), buckets=1 << 12, limit=3)
    assert list(ngram_indices("one two", cut)) == list(ngram_indices("one", SPEC))


def test_logits_by_hand() -> None:
    columns = ngram_indices("a b c d", SPEC)
    weights = np.zeros((1 << 12, 2), dtype=np.float32)
    weights[columns, 1] = 1.0
    model = LinearModel(weights, np.zeros(2, dtype=np.float32), ("no", "yes"))
    # four ones over sqrt(4) = 2; softmax(0, 2) = 1 / (1 + e^-2)
    assert probabilities(model, rows_of([columns]))[0, 1] == pytest.approx(1 / (1 + np.exp(-2)))


def test_fit_separates_and_is_deterministic() -> None:
    texts = ["good fine nice", "fine day", "bad awful", "awful poor day"]
    rows = rows_of([ngram_indices(t, SPEC) for t in texts])
    labels = np.array([0, 0, 1, 1])
    one, two = (fit_linear(rows, labels, ("up", "down"), buckets=1 << 12) for _ in range(2))
    assert (one.weights == two.weights).all()
    assert (probabilities(one, rows).argmax(axis=1) == labels).all()
    assert probabilities(one, rows).sum(axis=1) == pytest.approx(np.ones(4))


def test_permuting_rows_permutes_the_result() -> None:
    texts = ["good fine", "bad awful", "poor"]
    rows = [ngram_indices(t, SPEC) for t in texts]
    model = fit_linear(rows_of(rows), np.array([0, 1, 1]), ("up", "down"), buckets=1 << 12)
    assert probabilities(model, rows_of(rows[::-1])) == pytest.approx(probabilities(model, rows_of(rows))[::-1])


def test_empty_data_is_an_error() -> None:
    with pytest.raises(DataError, match="0 rows"):
        fit_linear(rows_of([]), np.zeros(0, dtype=np.int64), ("a", "b"), buckets=16)

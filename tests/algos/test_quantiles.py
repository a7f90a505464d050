"""Quantiles by order statistics: worked by hand and by counting."""

import math
import random

import pytest

from trueline.algos.stats.quantiles import quantile
from trueline.errors import DataError


def test_a_median_worked_by_hand() -> None:
    """n = 9, q = 1/2: P(B < 2) = 10/512 = 1.95 % <= 2.5 % and P(B < 3) = 46/512, so r = 2, and s = 8 by symmetry."""
    found = quantile([float(i) for i in range(1, 10)], 0.5)
    assert (found.value, found.low, found.high, found.n) == (5.0, 2.0, 8.0, 9)


def test_too_few_values_leave_an_end_open() -> None:
    found = quantile([1.0, 2.0, 3.0], 0.95)
    assert found.value == 3.0
    assert math.isinf(found.high)
    assert quantile([1.0, 2.0, 3.0], 0.5).low == -math.inf
    with pytest.raises(DataError, match="insufficient evidence"):
        quantile([], 0.5)


@pytest.mark.parametrize("q", [0.5, 0.95])
def test_the_interval_covers_the_quantile_as_often_as_it_says(q: float) -> None:
    rng = random.Random(0)
    covered = sum((f := quantile([rng.expovariate(1) for _ in range(150)], q)).low <= -math.log(1 - q) <= f.high for _ in range(400))
    assert covered / 400 >= 0.93

"""Drift: the index and the test agree with values computed by hand, and say nothing from few values."""

from __future__ import annotations

import math
import random

import pytest

from gateway.domain.drift import LEAST, drift

TENTHS = [float(k) for k in range(100)]


def test_the_same_values_have_not_drifted() -> None:
    """Index and distance are 0, and chance explains it."""
    found = drift(TENTHS, TENTHS)
    assert found.index == pytest.approx(0)
    assert found.distance == 0
    assert found.chance == 1


def test_a_shift_by_half_is_seen_as_far_as_it_is() -> None:
    """Half of the values above everything before: KS distance .5, and an index by hand from the ten parts."""
    moved = [value + 50 for value in TENTHS]
    found = drift(TENTHS, moved)
    assert found.distance == pytest.approx(0.5)
    before = [10.5 / 105] * 10
    now = [0.5 / 105] * 5 + [10.5 / 105] * 4 + [60.5 / 105]
    assert found.index == pytest.approx(sum((n - b) * math.log(n / b) for b, n in zip(before, now, strict=True)))
    assert found.chance is not None
    assert found.chance < 1e-9


def test_the_probability_is_the_one_of_the_tables() -> None:
    """Stephens' approximation: a scaled distance of 1.358 is exceeded by chance once in twenty."""
    before = [float(k) for k in range(200)]
    size = math.sqrt(100)
    step = 1.358 / (size + 0.12 + 0.11 / size)
    moved = [value + 200 * step for value in before]
    assert drift(before, moved).chance == pytest.approx(0.05, abs=0.003)


def test_few_values_say_nothing() -> None:
    """One value less than asked for on either side: only the counts are told."""
    for before, now in ((TENTHS, TENTHS[: LEAST - 1]), (TENTHS[: LEAST - 1], TENTHS)):
        found = drift(before, now)
        assert (found.index, found.distance, found.chance) == (None, None, None)
        assert (found.before, found.now) == (len(before), len(now))


def test_a_number_that_hardly_varies_is_no_error() -> None:
    """All values alike, and then one other: the index is finite."""
    found = drift([0.0] * 50, [0.0] * 49 + [1.0])
    assert found.index is not None
    assert math.isfinite(found.index)


def test_what_chance_explains_is_no_shift() -> None:
    """Samples that nothing has happened to have indices above .25 where they are small; none of them has shifted."""
    lot = random.Random(1)
    found = [drift([lot.random() for _ in range(90)], [lot.random() for _ in range(30)]) for _ in range(100)]
    assert sum(one.index is not None and one.index >= 0.25 for one in found) > 20
    assert not any(one.is_shifted(0.25) for one in found)
    assert drift(TENTHS, [value + 50 for value in TENTHS]).is_shifted(0.25)
    assert not drift(TENTHS, TENTHS[:5]).is_shifted(0.25)

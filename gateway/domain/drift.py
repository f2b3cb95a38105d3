"""How far two samples of a number lie apart: what a model is given or says now, beside what it was before.

The population stability index over ten parts of the earlier sample (Siddiqi, Credit Risk Scorecards, 2006) and the
two-sample Kolmogorov-Smirnov test with its asymptotic probability (Stephens, JASA 1974). Below `LEAST` values on
either side nothing is said: chance alone would move both. It moves the index of a hundred values too (of 90 and 30 that
nothing has happened to, two in three lie above .25), so nothing has shifted that the test explains by chance.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

LEAST: Final = 30
BY_CHANCE: Final = 0.001  # of the test, below which a shift is one; an hourly look is taken 720 times a month
PARTS: Final = 10
_TERMS: Final = 100


@dataclass(frozen=True)
class Drift:
    """`index` is the PSI (by custom: below .1 stable, above .25 shifted); `distance` and `chance` are the KS test's."""

    before: int
    now: int
    index: float | None
    distance: float | None
    chance: float | None

    def is_shifted(self, limit: float) -> bool:
        """The index reaches `limit`, and chance does not explain it."""
        return self.index is not None and self.index >= limit and (self.chance or 0.0) < BY_CHANCE


def drift(before: Sequence[float], now: Sequence[float]) -> Drift:
    if min(len(before), len(now)) < LEAST:
        return Drift(len(before), len(now), None, None, None)
    first, second = sorted(before), sorted(now)
    apart = _distance(first, second)
    return Drift(len(first), len(second), _index(first, second), apart, _chance(apart, len(first), len(second)))


def _index(before: Sequence[float], now: Sequence[float]) -> float:
    """Equal values are never divided, so that a number that hardly varies has fewer parts."""
    edges = sorted({before[len(before) * part // PARTS] for part in range(1, PARTS)})
    return sum((b - a) * math.log(b / a) for a, b in zip(_shares(before, edges), _shares(now, edges), strict=True))


def _shares(values: Sequence[float], edges: Sequence[float]) -> list[float]:
    """Half a value more in each part, so that an empty one is not infinitely far."""
    counts = [0.5] * (len(edges) + 1)
    for value in values:
        counts[bisect_right(edges, value)] += 1
    return [count / sum(counts) for count in counts]


def _distance(first: Sequence[float], second: Sequence[float]) -> float:
    """The largest difference of the two distribution functions; both samples are sorted."""
    return max(
        abs(bisect_right(first, value) / len(first) - bisect_right(second, value) / len(second))
        for value in {*first, *second}
    )


def _chance(distance: float, first: int, second: int) -> float:
    size = math.sqrt(first * second / (first + second))
    scaled = (size + 0.12 + 0.11 / size) * distance
    if scaled < 0.2:
        return 1.0  # the series converges too slowly there, and the sum is 1 within rounding
    total = 2.0 * sum((1 if k % 2 else -1) * math.exp(-2 * (k * scaled) ** 2) for k in range(1, _TERMS + 1))
    return min(1.0, max(0.0, total))

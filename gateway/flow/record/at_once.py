"""at once: how many stored versions are fetched together, by the weight of those before, and what one page may weigh.

A row holds the sealed body: what is small is fetched by the hundred, what is heavy one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.domain.resource import StoredVersion

FIRST: Final = 20  # before it is known how heavy they are
MOST_SEALED: Final = 16 << 20  # bytes of sealed bodies in memory together, and behind which a page ends
MOST_OPENED: Final = 32 << 20  # the same of bodies as they were written


def at_once(before: Sequence[StoredVersion], most: int, bound: int = MOST_SEALED) -> int:
    """At least one, at most `most`, and about as many as `bound` bytes hold."""
    weight = sum(len(one.sealed) for one in before) // max(len(before), 1)
    return min(most, max(1, bound // max(weight, 1)))

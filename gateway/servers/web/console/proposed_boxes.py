"""The boxes that detectors propose, as a person judges them: one for each place, whichever frames show it.

A cine of 300 frames with one line of text has 300 boxes in one place; a person says one word about all of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from gateway.domain.clearance import ALL_FRAMES, Box

MOST_SHOWN: Final = 40


@dataclass(frozen=True)
class Proposal:
    """One place in the picture, in pixels of the object's own rows and columns."""

    left: int
    top: int
    width: int
    height: int
    boxes: tuple[Box, ...]

    @property
    def detectors(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(box.detector for box in self.boxes))

    @property
    def confidence(self) -> float:
        return max(box.confidence for box in self.boxes)

    @property
    def frames(self) -> str:
        """Which frames show it, counted from 1 as people do."""
        numbers = sorted({box.frame for box in self.boxes})
        if ALL_FRAMES in numbers:
            return "every frame"
        if len(numbers) == 1:
            return f"frame {numbers[0] + 1}"
        unbroken = all(after == before + 1 for before, after in pairwise(numbers))
        span = f"frames {numbers[0] + 1}–{numbers[-1] + 1}"
        return span if unbroken else f"{len(numbers)} of {span}"


@dataclass(frozen=True)
class Proposals:
    """Those that a page shows one by one, and the boxes of all others, which are masked together or not at all."""

    shown: tuple[Proposal, ...]
    others: tuple[Box, ...]


def proposals(boxes: Iterable[Box]) -> Proposals:
    """In reading order; where they are too many, the surest are shown."""
    places: dict[tuple[int, int, int, int], list[Box]] = {}
    for box in boxes:
        places.setdefault((box.left, box.top, box.width, box.height), []).append(box)
    found = [Proposal(*place, tuple(same)) for place, same in places.items()]
    found.sort(key=lambda one: -one.confidence)
    shown = sorted(found[:MOST_SHOWN], key=lambda one: (one.top, one.left))
    others = tuple(box for one in found[MOST_SHOWN:] for box in one.boxes)
    return Proposals(tuple(shown), others)

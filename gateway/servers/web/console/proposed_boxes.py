"""The boxes that detectors propose, as a person judges them: one for each place, whichever frames show it.

A cine of 300 frames with one line of text has 300 boxes in one place; a person says one word about all of them.
What is said about many frames is done to every frame, so that a decision stays small and errs on the safe side.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.domain.clearance import ALL_FRAMES, Box

MOST_SHOWN: Final = 40
MOST_OTHERS: Final = 100
"""Places that are not shown and still masked one by one; more become one area."""
MOST_FRAMES: Final = 20
"""Frames that a place is masked in one by one; more become every frame."""


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
    def asked(self) -> tuple[Box, ...]:
        """The boxes that a worker is asked to mask."""
        numbers = {box.frame for box in self.boxes}
        if ALL_FRAMES in numbers or len(numbers) > MOST_FRAMES:
            return (Box(ALL_FRAMES, self.left, self.top, self.width, self.height, *self._surest),)
        return self.boxes

    @property
    def frames(self) -> str:
        """Which frames are masked, counted from 1 as people do."""
        numbers = sorted({box.frame + 1 for box in self.asked})
        if numbers[0] == ALL_FRAMES + 1:
            return "every frame"
        if len(numbers) == 1:
            return f"frame {numbers[0]}"
        span = f"frames {numbers[0]}–{numbers[-1]}"
        return span if len(numbers) == numbers[-1] - numbers[0] + 1 else f"{len(numbers)} of {span}"

    @property
    def _surest(self) -> tuple[str, float]:
        box = max(self.boxes, key=lambda one: one.confidence)
        return box.detector, box.confidence


@dataclass(frozen=True)
class Proposals:
    """Those that a page shows one by one, and all others, which are masked together or not at all."""

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
    return Proposals(tuple(shown), _together(found[MOST_SHOWN:]))


def _together(rest: Sequence[Proposal]) -> tuple[Box, ...]:
    """Each in every frame; where they are too many, one area that holds them all."""
    if len(rest) > MOST_OTHERS:
        left, top = min(one.left for one in rest), min(one.top for one in rest)
        right, bottom = max(one.left + one.width for one in rest), max(one.top + one.height for one in rest)
        return (Box(ALL_FRAMES, left, top, right - left, bottom - top, "many places"),)
    return tuple(Box(ALL_FRAMES, one.left, one.top, one.width, one.height, "+".join(one.detectors)) for one in rest)

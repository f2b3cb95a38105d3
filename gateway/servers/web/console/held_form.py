"""What a person asks for in the form about a held object: the decision, its reason, the boxes to be masked.

Everything in a form may be forged: numbers, counts and places are held against the object itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gateway.domain.clearance import ALL_FRAMES, Box
from gateway.domain.errors import Invalid
from gateway.flow.decide_held import LONGEST_REASON
from gateway.servers.web.body import Fields, field
from gateway.servers.web.console.proposed_boxes import Proposals

MOST_DRAWN: Final = 40
PERSON: Final = "person"
"""The detector of a box that a person has drawn."""
SIDES: Final = ("left", "top", "width", "height")
_BOX: Final = re.compile(r"([0-9]{1,5}),([0-9]{1,5}),([0-9]{1,5}),([0-9]{1,5})")


@dataclass(frozen=True)
class Order:
    """A decision and what it needs; `boxes` is empty for all but `mask`."""

    action: str
    reason: str
    boxes: tuple[Box, ...] = ()


@dataclass(frozen=True)
class Filled:
    """A form as it was sent, to be shown again with what is wrong in it."""

    reason: str = ""
    drawn: tuple[str, ...] = ()
    sides: tuple[str, ...] = ("", "", "", "")
    chosen: frozenset[str] | None = None
    others: bool = True


def filled(fields: Fields) -> Filled:
    """Only what has the form of a box is shown again as one."""
    return Filled(
        reason=_last(fields, "reason")[:LONGEST_REASON],
        drawn=tuple(text for text in _all(fields, "box") if _BOX.fullmatch(text))[:MOST_DRAWN],
        sides=tuple(_last(fields, side)[:5] for side in SIDES),
        chosen=frozenset(_all(fields, "proposed")),
        others=bool(_all(fields, "others")),
    )


def order(fields: Fields, offered: tuple[str, ...], proposed: Proposals, columns: int, rows: int) -> Order:
    """Invalid where the form asks for what is not offered, or for boxes that the picture does not hold."""
    action, reason = field(fields, "action") or "", (field(fields, "reason") or "").strip()
    if action not in offered:
        raise Invalid("this cannot be decided about the object")
    if not reason:
        raise Invalid("a decision needs a reason")
    if len(reason) > LONGEST_REASON:
        raise Invalid(f"a reason has at most {LONGEST_REASON} characters")
    drawn = tuple(_drawn(fields, columns, rows))
    if action == "release" and drawn:
        raise Invalid("you have drawn boxes: mask them, or remove them and release the object")
    if action != "mask":
        return Order(action, reason)
    boxes = (*_chosen(fields, proposed), *drawn)
    if not boxes:
        raise Invalid("choose or draw a box to mask")
    return Order(action, reason, boxes)


def _chosen(fields: Fields, proposed: Proposals) -> Iterator[Box]:
    numbers = {str(number): one for number, one in enumerate(proposed.shown)}
    for text in dict.fromkeys(_all(fields, "proposed")):
        if text not in numbers:
            raise Invalid("there is no such proposed box")
        yield from numbers[text].asked
    if _all(fields, "others"):
        yield from proposed.others


def _drawn(fields: Fields, columns: int, rows: int) -> Iterator[Box]:
    texts = _all(fields, "box")
    if len(texts) > MOST_DRAWN:
        raise Invalid(f"at most {MOST_DRAWN} boxes can be drawn")
    sides = [_last(fields, side) for side in SIDES]
    if any(sides):
        texts.append(",".join(sides))
    for text in dict.fromkeys(texts):
        found = _BOX.fullmatch(text)
        if found is None:
            raise Invalid("a box has four whole numbers: left, top, width and height")
        left, top, width, height = map(int, found.groups())
        if not (width and height and left + width <= columns and top + height <= rows):
            raise Invalid(f"a box lies inside the picture of {columns} by {rows} pixels")
        yield Box(ALL_FRAMES, left, top, width, height, PERSON)


def _all(fields: Fields, name: str) -> list[str]:
    return [value.strip() for key, value in fields if key == name]


def _last(fields: Fields, name: str) -> str:
    return next(iter(reversed(_all(fields, name))), "")

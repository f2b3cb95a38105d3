"""Rectangles in which a known device writes: by manufacturer, model, kind and size of the picture.

A rule applies where each named attribute contains its text, without regard to case, and rows and columns are equal;
it masks whatever is there. device_rules.json holds what is published; a hospital adds its own in a second file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydicom.dataset import Dataset

from gateway.domain.errors import Invalid
from models.text_search.rectangle import Rectangle

BUILT_IN: Final = Path(__file__).parent / "device_rules.json"
MATCHABLE: Final = frozenset({"Modality", "Manufacturer", "ManufacturerModelName", "ImageType", "SOPClassUID"})
"""Attributes that are still in a de-identified header."""
_LARGEST: Final = 1 << 20
_MOST_BOXES: Final = 64


@dataclass(frozen=True)
class DeviceRule:
    """`rows` or `columns` None: any."""

    name: str
    match: Mapping[str, str]
    rows: int | None
    columns: int | None
    boxes: tuple[Rectangle, ...]

    def applies(self, dataset: Dataset, rows: int, columns: int) -> bool:
        if self.rows not in (None, rows) or self.columns not in (None, columns):
            return False
        return all(text in _text(dataset.get(keyword)) for keyword, text in self.match.items())


def load(own: Path | None = None) -> tuple[DeviceRule, ...]:
    """The built-in rules and those of a hospital's own file; Invalid names the rule that is wrong."""
    return tuple(rule for path in (BUILT_IN, own) if path is not None for rule in _read(path))


def rectangles(rules: Sequence[DeviceRule], dataset: Dataset, rows: int, columns: int) -> list[Rectangle]:
    """What the rules that apply mask in this object."""
    found = [box for rule in rules if rule.applies(dataset, rows, columns) for box in rule.boxes]
    return [part for box in found if (part := box.within(rows, columns)).area]


def _read(path: Path) -> list[DeviceRule]:
    try:
        if path.stat().st_size > _LARGEST:
            raise Invalid(f"device rules {path.name} are longer than {_LARGEST} bytes")
        document = json.loads(path.read_text("utf-8"))
        rules = list(document["rules"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Invalid(f"device rules {path.name} cannot be read ({type(error).__name__})") from error
    return [_rule(told, f"device rule {number} of {path.name}") for number, told in enumerate(rules, 1)]


def _rule(told: Any, which: str) -> DeviceRule:
    try:
        match = {str(keyword): _text(text) for keyword, text in told["match"].items()}
        sizes = [None if told.get(name) is None else int(told[name]) for name in ("rows", "columns")]
        boxes = tuple(_box(*box) for box in told["boxes"])
        known = set(told) <= {"name", "match", "rows", "columns", "boxes"} and set(match) <= MATCHABLE
        rule = DeviceRule(str(told["name"]), match, sizes[0], sizes[1], boxes)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Invalid(f"{which} is not of the form name, match, rows, columns, boxes") from error
    if not known or not match or not all(match.values()):
        raise Invalid(f"{which} matches by {', '.join(sorted(MATCHABLE))}, each with a text")
    if not 0 < len(boxes) <= _MOST_BOXES or any(box.area == 0 or min(box) < 0 for box in boxes):
        raise Invalid(f"{which} needs 1 to {_MOST_BOXES} boxes of left, top, width and height")
    return rule


def _box(left: int, top: int, width: int, height: int) -> Rectangle:
    return Rectangle(int(left), int(top), int(left) + int(width), int(top) + int(height))


def _text(value: Any) -> str:
    parts = [value] if isinstance(value, str) else list(value or [])
    return "\\".join(str(part) for part in parts).casefold()

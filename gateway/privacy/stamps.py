"""What a de-identified object says about its de-identification: methods, options, dates.

PS3.15 E.1.1 items 6 and 7, CID 7050, PS3.3 C.7.1.1 and C.7.6.1. Methods already recorded stay and ours are added.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final

from gateway.privacy.charset import decode
from gateway.privacy.dataset import DataSet, Element, encode
from gateway.privacy.dummies import code_item
from gateway.privacy.identifiers import normal_text
from gateway.privacy.rules import CID_7050, EDITION, Option, Profile

REMOVED_FLAG: Final = 0x00120062
METHOD: Final = 0x00120063
METHOD_CODES: Final = 0x00120064
TEMPORAL: Final = 0x00280303
_TEMPORAL_RANKS: Final = ("UNMODIFIED", "MODIFIED", "REMOVED")
_CODE_VALUE: Final = 0x00080100


class PixelMethod(Enum):
    """What the caller has done to the pixels, which no header shows: its code and meaning in CID 7050."""

    CLEAN_PIXEL_DATA = ("113101", "Clean Pixel Data Option")
    CLEAN_VISUAL_FEATURES = ("113102", "Clean Recognizable Visual Features Option")


ANSWERS: Final = MappingProxyType(
    {PixelMethod.CLEAN_PIXEL_DATA: 0x00280301, PixelMethod.CLEAN_VISUAL_FEATURES: 0x00280302}
)
"""Method -> the attribute that says NO after it: Burned In Annotation, Recognizable Visual Features."""
_MEANINGS: Final = dict([*CID_7050.values(), *(method.value for method in PixelMethod)])
_MOST_METHODS: Final = 16


def stamps(
    data_set: DataSet,
    top: Mapping[int, Element],
    profile: Profile,
    identifiers: re.Pattern[str],
    pixels: frozenset[PixelMethod] = frozenset(),
) -> list[tuple[int, bytes]]:
    """(tag, encoded element) of the four stamps and of what `pixels` answers, in order of tag."""
    encoding = data_set.encoding
    ours = [*profile.methods, *sorted(method.value[0] for method in pixels)]
    codes = b"".join(code_item(code, "DCM", _MEANINGS[code], encoding) for code in _codes(data_set, top, ours))
    method = "\\".join(_methods(data_set, top, profile, identifiers))
    temporal = _temporal(data_set, top, profile)
    return [
        (REMOVED_FLAG, encode(REMOVED_FLAG, "CS", b"YES", encoding)),
        (METHOD, encode(METHOD, "LO", method.encode(), encoding)),
        (METHOD_CODES, encode(METHOD_CODES, "SQ", codes, encoding)),
        *sorted((ANSWERS[method], encode(ANSWERS[method], "CS", b"NO", encoding)) for method in pixels),
        (TEMPORAL, encode(TEMPORAL, "CS", temporal.encode(), encoding)),
    ]


def _codes(data_set: DataSet, top: Mapping[int, Element], ours: list[str]) -> list[str]:
    """Code values in force: those recorded before that CID 7050 knows, then ours."""
    codes: dict[str, None] = {}
    earlier = top.get(METHOD_CODES)
    for item in earlier.sequence.items if earlier is not None and earlier.sequence is not None else ():
        for element in item.elements:
            value = decode(bytes(data_set.value(element)[:16]), ("latin-1",))
            if element.tag == _CODE_VALUE and value in _MEANINGS:
                codes[value] = None
    return list(codes | dict.fromkeys(ours))


def _methods(
    data_set: DataSet, top: Mapping[int, Element], profile: Profile, identifiers: re.Pattern[str]
) -> list[str]:
    """Method texts: earlier ones that hold no identifier, then ours."""
    ours = f"dxgate PS3.15 {EDITION} {profile.name}"
    earlier = top.get(METHOD)
    if earlier is None or earlier.sequence is not None:
        return [ours]
    text = decode(bytes(data_set.value(earlier)[:1024]), ("latin-1",))
    values = [value.strip() for value in text.split("\\")][:_MOST_METHODS]
    kept = [value for value in values if value.isascii() and identifiers.search(normal_text(value)) is None]
    return [value for value in kept if value and value != ours] + [ours]


def _temporal(data_set: DataSet, top: Mapping[int, Element], profile: Profile) -> str:
    """The strongest change of dates, an earlier one included."""
    if Option.RETAIN_FULL_DATES in profile.options:
        ours = "UNMODIFIED"
    else:
        ours = "MODIFIED" if Option.RETAIN_MODIFIED_DATES in profile.options else "REMOVED"
    earlier = top.get(TEMPORAL)
    before = "" if earlier is None else decode(bytes(data_set.value(earlier)[:16]), ("latin-1",))
    return max((ours, before), key=lambda name: _TEMPORAL_RANKS.index(name) if name in _TEMPORAL_RANKS else -1)

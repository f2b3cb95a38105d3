"""What a de-identified object says about its de-identification: methods, options, dates.

PS3.15 E.1.1 items 6 and 7, CID 7050, PS3.3 C.7.1.1 and C.7.6.1. Methods already recorded stay and ours are added.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
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
_MEANINGS: Final = dict(CID_7050.values()) | {
    "113101": "Clean Pixel Data Option",
    "113102": "Clean Recognizable Visual Features Option",
}
_MOST_METHODS: Final = 16


def stamps(
    data_set: DataSet, top: Mapping[int, Element], profile: Profile, identifiers: re.Pattern[str]
) -> list[tuple[int, bytes]]:
    """(tag, encoded element) of the four stamps, in order of tag."""
    encoding = data_set.encoding
    codes = b"".join(code_item(code, "DCM", _MEANINGS[code], encoding) for code in _codes(data_set, top, profile))
    method = "\\".join(_methods(data_set, top, profile, identifiers))
    temporal = _temporal(data_set, top, profile)
    return [
        (REMOVED_FLAG, encode(REMOVED_FLAG, "CS", b"YES", encoding)),
        (METHOD, encode(METHOD, "LO", method.encode(), encoding)),
        (METHOD_CODES, encode(METHOD_CODES, "SQ", codes, encoding)),
        (TEMPORAL, encode(TEMPORAL, "CS", temporal.encode(), encoding)),
    ]


def _codes(data_set: DataSet, top: Mapping[int, Element], profile: Profile) -> list[str]:
    """Code values in force: those recorded before that CID 7050 knows, then ours."""
    codes: dict[str, None] = {}
    earlier = top.get(METHOD_CODES)
    for item in earlier.sequence.items if earlier is not None and earlier.sequence is not None else ():
        for element in item.elements:
            value = decode(bytes(data_set.value(element)[:16]), ("latin-1",))
            if element.tag == _CODE_VALUE and value in _MEANINGS:
                codes[value] = None
    ours = [None, *sorted(profile.options, key=lambda option: CID_7050[option][0])]
    return list(codes | {CID_7050[option][0]: None for option in ours})


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

"""Which private attributes may stay where Retain Safe Private is claimed: Table E.3.10-1 read a second time.

A private attribute is known by its group, the creator that has reserved its block on the same level, and its place
in the block (PS3.5 7.8.1); without the claim, or outside of the table, none may be there. PS3.15 E.3.10.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

from gateway.privacy.checker.read import Found
from gateway.privacy.checker.values import holds_address, is_number, stripped

RETAIN_SAFE_PRIVATE: Final = "113111"
_FILE: Final = Path(__file__).parent.parent / "data" / "safe_private.json"


class PrivateLevel:
    """Judges the private elements of one level in order of their tags, remembering who has reserved which block."""

    def __init__(self, methods: frozenset[str]) -> None:
        self._claimed = RETAIN_SAFE_PRIVATE in methods
        self._creators: dict[int, str] = {}

    def permits(self, found: Found) -> bool:
        """Whether a private element may be there."""
        group, number = found.tag >> 16, found.tag & 0xFFFF
        if not self._claimed or found.items is not None:
            return False
        if 0x10 <= number <= 0xFF:
            creator = found.text()
            self._creators[group << 8 | number] = creator
            return (group, creator) in _creators()
        creator = self._creators.get(group << 8 | number >> 8, "")
        vr = _signatures().get((group, creator, number & 0xFF))
        if vr is None or found.vr not in (vr, "UN", ""):
            return False
        if vr in ("DS", "IS"):
            return is_number(stripped(found._replace(vr=vr)))
        return vr in ("US", "SS", "UL", "SL", "FL", "FD") or not holds_address(found.text())


@cache
def _signatures() -> Mapping[tuple[int, str, int], str]:
    """(group, creator, place in the block) -> VR."""
    rows = json.loads(_FILE.read_bytes())["signatures"]
    return MappingProxyType({(int(group, 16), creator, int(place, 16)): vr for group, creator, place, vr, _ in rows})


@cache
def _creators() -> frozenset[tuple[int, str]]:
    return frozenset((group, creator) for group, creator, _ in _signatures())

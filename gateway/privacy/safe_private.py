"""Private attributes that are known to hold no identity, and the search for them in one level of a data set.

PS3.15 E.3.10 and Table E.3.10-1 (Retain Safe Private), as data (data/safe_private.json). A private attribute is
known by group, creator and its place in the creator's block; a creator stays only beside one that is kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import NamedTuple

from gateway.privacy.dataset import DataSet, Element

_LONGEST_CREATOR = 64


class Signature(NamedTuple):
    """Group, creator, and element number within the creator's block."""

    group: int
    creator: str
    number: int


@cache
def safe_private() -> Mapping[Signature, str]:
    """Signature -> VR of every private attribute that is known to be safe."""
    text = files("gateway.privacy").joinpath("data", "safe_private.json").read_text("utf-8")
    return MappingProxyType(
        {
            Signature(int(group, 16), creator, int(number, 16)): vr
            for group, creator, number, vr, _ in json.loads(text)["signatures"]
        }
    )


def signed(data_set: DataSet, elements: list[Element]) -> Iterator[tuple[Element, Element, str]]:
    """(element, its creator's element, the table's VR) for each safe private attribute of one level."""
    safe = safe_private()
    creators: dict[int, tuple[Element, str]] = {}
    for element in elements:
        group, number = element.tag >> 16, element.tag & 0xFFFF
        if not group & 1:
            continue
        if 0x10 <= number <= 0xFF:
            name = str(data_set.value(element)[:_LONGEST_CREATOR], "latin-1").strip(" \0")
            creators[group << 8 | number] = (element, name)
            continue
        block = creators.get(group << 8 | number >> 8)
        vr = safe.get(Signature(group, block[1], number & 0xFF)) if block is not None else None
        if block is not None and vr is not None and element.sequence is None and element.vr in {vr, "UN"}:
            yield element, block[0], vr

"""What is done with an object, by its kind: whether it may be cleaned at all, and whether its pixels are searched.

Objects whose content is not an image in the plain sense (reports, documents, waveforms, raw data) are not passed by
default; text that a device burns into pixels is looked for wherever it can be. PS3.15 E.3.1, PS3.3 C.7.6.1.1.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

_CROSS_SECTIONS: Final = frozenset({"CT", "MR", "PT", "NM"})
_ORIGINAL: Final = ("ORIGINAL", "PRIMARY")


@dataclass(frozen=True)
class Disposition:
    """`quarantine`: not passed by rule, for `reason`; `search`: a worker looks for text in the pixels first."""

    action: Literal["clean", "quarantine"]
    pixels: Literal["exempt", "search"]
    reason: str


def dispose(
    sop_class_uid: str, modality: str, image_type: tuple[str, ...], burned_in: str, *, has_pixels: bool
) -> Disposition:
    """The rule for one object, from its class and what its cleaned header says."""
    if not has_pixels:
        return Disposition("quarantine", "exempt", "an object without pixels is not passed by default")
    if modality in _CROSS_SECTIONS and image_type[:2] == _ORIGINAL and burned_in != "YES":
        return Disposition("clean", "exempt", "an original cross-section shows no text")
    return Disposition("clean", "search", "this kind of image may show text")

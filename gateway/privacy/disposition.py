"""What is done with an object, by its kind: whether a cleaned header is enough, and whether its pixels are searched.

One table over the storage SOP classes of PS3.4 annex B.5; what it does not name is not passed. PS3.15 E.3.1 (clean
pixel data), PS3.3 C.7.6.1.1.2 (Image Type). A pure function of facts that the cleaned header states.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

Action = Literal["clean", "quarantine"]
Pixels = Literal["exempt", "search"]
_ROOT: Final = "1.2.840.10008.5.1.4."


@dataclass(frozen=True)
class Disposition:
    """`quarantine`: a person with other tools has to look. `search`: text is looked for before a model reads it."""

    action: Action
    pixels: Pixels
    reason: str
    code: str


class Kind(NamedTuple):
    """A family of SOP classes and its rule. `original` exempts what a scanner has computed, nothing derived.

    `classes` are UIDs below 1.2.840.10008.5.1.4, separated by spaces.
    """

    code: str
    action: Action
    pixels: Literal["search", "exempt", "original"]
    why: str
    classes: str


KINDS: Final[tuple[Kind, ...]] = (
    # images
    Kind(
        "cross-section",
        "clean",
        "original",
        "an original image of CT, MR, PET or nuclear medicine is computed, text is not drawn into it",
        "1.1.2 1.1.2.1 1.1.4 1.1.4.1 1.1.20 1.1.128 1.1.130",
    ),
    Kind(
        "converted",
        "clean",
        "search",
        "an image made of others, or in colour, may show text",
        "1.1.2.2 1.1.4.3 1.1.4.4 1.1.128.1",
    ),
    Kind(
        "ultrasound",
        "clean",
        "search",
        "ultrasound systems burn names and times into the picture",
        "1.1.6.1 1.1.6.2 1.1.3.1 1.1.6 1.1.3 1.1.6.3",
    ),
    Kind(
        "capture",
        "clean",
        "search",
        "a captured screen or a scanned paper may show anything",
        "1.1.7 1.1.7.1 1.1.7.2 1.1.7.3 1.1.7.4",
    ),
    Kind(
        "projection",
        "clean",
        "search",
        "a radiograph may bear markers, stamps or a photographed label",
        "1.1.1 1.1.1.1 1.1.1.1.1 1.1.1.2 1.1.1.2.1 1.1.1.3 1.1.1.3.1 1.1.12.1 1.1.12.1.1 1.1.12.2 1.1.12.2.1 "
        "1.1.12.3 1.1.13.1.1 1.1.13.1.2 1.1.13.1.3 1.1.13.1.4 1.1.13.1.5 1.1.481.1 1.1.481.23 1.1.481.24",
    ),
    Kind(
        "visible-light",
        "clean",
        "search",
        "a camera sees labels, and endoscopes write names beside the picture",
        "1.1.77.1.1 1.1.77.1.1.1 1.1.77.1.2 1.1.77.1.2.1 1.1.77.1.3 1.1.77.1.5.1 1.1.77.1.5.2 1.1.77.1.5.4 "
        "1.1.77.1.5.5 1.1.77.1.5.6 1.1.77.1.5.7 1.1.77.1.5.8 1.1.77.1.7 1.1.77.1.8 1.1.77.1.9 1.1.14.1 "
        "1.1.14.2 1.1.80.1 1.1.81.1 1.1.82.1",
    ),
    Kind(
        "whole-slide",
        "clean",
        "search",
        "a slide may bear handwriting",
        "1.1.77.1.6",
    ),
    Kind(
        "photograph",
        "quarantine",
        "search",
        "a photograph may show a face, which the search for text does not find",
        "1.1.77.1.4 1.1.77.1.4.1",
    ),
    Kind(
        "voxel-map",
        "clean",
        "exempt",
        "labels, doses and parameters for each voxel are numbers, not a picture",
        "1.1.66.4 1.1.30 1.1.481.2",
    ),
    # objects without pixels
    Kind(
        "report",
        "clean",
        "exempt",
        "a structured report keeps codes, numbers and references only",
        "1.1.88.11 1.1.88.22 1.1.88.33 1.1.88.34 1.1.88.35 1.1.88.40 1.1.88.50 1.1.88.65 1.1.88.67 1.1.88.68 "
        "1.1.88.69 1.1.88.70 1.1.88.71 1.1.88.72 1.1.88.73 1.1.88.74 1.1.88.75 1.1.88.76 1.1.88.77 1.1.79.1 "
        "1.1.90.1",
    ),
    Kind(
        "key-objects",
        "clean",
        "exempt",
        "a selection keeps its title's code and its references only",
        "1.1.88.59",
    ),
    Kind(
        "presentation-state",
        "clean",
        "exempt",
        "a presentation state keeps its references and values, its graphics and texts are removed",
        " ".join(f"1.1.11.{number}" for number in range(1, 13)),
    ),
    Kind(
        "geometry",
        "clean",
        "exempt",
        "registrations, fiducials and value maps are numbers and references",
        "1.1.66.1 1.1.66.2 1.1.66.3 1.1.66.6 1.1.67 1.1.77.1.5.3 1.1.91.1",
    ),
    Kind(
        "radiotherapy",
        "clean",
        "exempt",
        "structures, plans and records are numbers and references",
        "1.1.481.3 1.1.481.4 1.1.481.5 1.1.481.6 1.1.481.7 1.1.481.8 1.1.481.9",
    ),
    Kind(
        "waveform",
        "clean",
        "exempt",
        "a waveform is samples",
        "1.1.9.1.1 1.1.9.1.2 1.1.9.1.3 1.1.9.1.4 1.1.9.2.1 1.1.9.3.1 1.1.9.5.1 1.1.9.6.1 1.1.9.6.2 1.1.9.7.1 "
        "1.1.9.7.2 1.1.9.7.3 1.1.9.7.4 1.1.9.8.1",
    ),
    Kind(
        "measurement",
        "clean",
        "exempt",
        "ophthalmic measurements are numbers and codes",
        "1.1.78.1 1.1.78.2 1.1.78.3 1.1.78.4 1.1.78.5 1.1.78.6 1.1.78.7 1.1.78.8",
    ),
    # what no header cleaning makes safe
    Kind(
        "document",
        "quarantine",
        "exempt",
        "an encapsulated document carries text that no header rule reaches",
        "1.1.104.1 1.1.104.2",
    ),
    Kind(
        "model",
        "quarantine",
        "exempt",
        "an encapsulated or scanned surface may be a face, and its file carries text",
        "1.1.104.3 1.1.104.4 1.1.104.5 1.1.66.5 1.1.68.1 1.1.68.2",
    ),
    Kind(
        "sound",
        "quarantine",
        "exempt",
        "a voice names people, and is itself an identifier",
        "1.1.9.4.1 1.1.9.4.2 1.1.88.2",
    ),
    Kind(
        "raw",
        "quarantine",
        "exempt",
        "raw data and spectra have no layout that could be read",
        "1.1.66 1.1.4.2",
    ),
)
_BY_CLASS: Final = MappingProxyType({_ROOT + suffix: kind for kind in KINDS for suffix in kind.classes.split()})

_CROSS_SECTIONS: Final = frozenset({"CT", "MR", "PT", "NM"})
_DRAWN: Final = frozenset(
    {"SCREEN SAVE", "SCREENSAVE", "SCREEN_SAVE", "SECONDARY", "DOSE_INFO", "REPORT", "CSA REPORT"}
)
_OFF_SLIDE: Final = frozenset({"LABEL", "OVERVIEW", "MACRO"})
_UNKNOWN: Final = Disposition(
    "quarantine", "search", "this class is private, retired or not known, so nothing is known of its content", "unknown"
)
_SLIDE_LABEL: Final = Disposition(
    "quarantine", "search", "the label of a slide, or a picture that shows it", "slide-label"
)


def dispose(
    sop_class_uid: str, modality: str, image_type: tuple[str, ...], burned_in: str, has_pixels: bool
) -> Disposition:
    """The rule for one object, from its class and its cleaned header; doubt never leads to `exempt`."""
    kind = _BY_CLASS.get(sop_class_uid)
    if kind is None:
        return _UNKNOWN
    types = tuple(value.strip().upper() for value in image_type)
    if kind.code == "whole-slide" and _OFF_SLIDE & set(types):
        return _SLIDE_LABEL
    if kind.action == "quarantine" or not has_pixels:
        return Disposition(kind.action, "search" if has_pixels else "exempt", kind.why, kind.code)
    if burned_in.strip().upper() == "YES":
        return Disposition("clean", "search", "the sender says that text is burned in", "burned-in")
    if kind.pixels == "original" and not _is_computed(modality, types):
        return Disposition("clean", "search", "a derived or captured image may show text", "derived")
    # pixels in a class that has none are searched, whatever they are
    exempt = kind.pixels == "original" or kind.code == "voxel-map"
    return Disposition("clean", "exempt" if exempt else "search", kind.why, kind.code)


def _is_computed(modality: str, types: tuple[str, ...]) -> bool:
    original = types[:2] == ("ORIGINAL", "PRIMARY") and not _DRAWN & set(types)
    return original and modality.strip().upper() in _CROSS_SECTIONS

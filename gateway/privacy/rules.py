"""What happens to each attribute under a profile: PS3.15 Table E.1-1 compiled into one look-up.

The table (edition 2026d) is data; options, the net by VR for unlisted attributes and the choice between
compound codes are here. PS3.15 annex E.1 to E.3, CID 7050. An attribute nobody knows is removed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from gateway.domain.errors import Invalid
from gateway.privacy.dictionary import CHOICES, VR_OF, writable_vr

EDITION = "2026d"


class Option(Enum):
    """The option columns of Table E.1-1, each with its code in CID 7050."""

    RETAIN_SAFE_PRIVATE = "retain_safe_private"
    RETAIN_UIDS = "retain_uids"
    RETAIN_DEVICE_IDENTITY = "retain_device_identity"
    RETAIN_INSTITUTION_IDENTITY = "retain_institution_identity"
    RETAIN_PATIENT_CHARACTERISTICS = "retain_patient_characteristics"
    RETAIN_FULL_DATES = "retain_longitudinal_full_dates"
    RETAIN_MODIFIED_DATES = "retain_longitudinal_modified_dates"
    CLEAN_DESCRIPTORS = "clean_descriptors"
    CLEAN_STRUCTURED_CONTENT = "clean_structured_content"
    CLEAN_GRAPHICS = "clean_graphics"


CID_7050 = MappingProxyType(
    {
        None: ("113100", "Basic Application Confidentiality Profile"),
        Option.CLEAN_GRAPHICS: ("113103", "Clean Graphics Option"),
        Option.CLEAN_STRUCTURED_CONTENT: ("113104", "Clean Structured Content Option"),
        Option.CLEAN_DESCRIPTORS: ("113105", "Clean Descriptors Option"),
        Option.RETAIN_FULL_DATES: (
            "113106",
            "Retain Longitudinal Temporal Information Full Dates Option",
        ),
        Option.RETAIN_MODIFIED_DATES: (
            "113107",
            "Retain Longitudinal Temporal Information Modified Dates Option",
        ),
        Option.RETAIN_PATIENT_CHARACTERISTICS: ("113108", "Retain Patient Characteristics Option"),
        Option.RETAIN_DEVICE_IDENTITY: ("113109", "Retain Device Identity Option"),
        Option.RETAIN_UIDS: ("113110", "Retain UIDs Option"),
        Option.RETAIN_SAFE_PRIVATE: ("113111", "Retain Safe Private Option"),
        Option.RETAIN_INSTITUTION_IDENTITY: ("113112", "Retain Institution Identity Option"),
    }
)
"""Option (None: the basic profile) -> its coded de-identification method."""


@dataclass(frozen=True)
class Profile:
    """A named choice of options on top of the Basic Application Level Confidentiality Profile.

    `allow_list`: only attributes of the object's own IOD that hold no free text stay (allow_list.py), times of day
    are cut to the hour, and an object of an unknown class is refused.
    """

    name: str
    options: frozenset[Option] = field(default_factory=frozenset)
    allow_list: bool = False

    @property
    def methods(self) -> tuple[str, ...]:
        """The CID 7050 codes of what this profile does."""
        return tuple(sorted(CID_7050[option][0] for option in (None, *self.options)))


BASIC = Profile("basic")
INFERENCE = Profile(
    "inference",
    frozenset(
        {
            Option.CLEAN_DESCRIPTORS,
            Option.CLEAN_STRUCTURED_CONTENT,
            Option.CLEAN_GRAPHICS,
            Option.RETAIN_MODIFIED_DATES,
            Option.RETAIN_PATIENT_CHARACTERISTICS,
        }
    ),
)
"""What a model may see. Manufacturer and model name are kept because the table does not list them; serial
numbers and station names go, so the device option, which would keep them, is not claimed."""
EXPORT = Profile("export", frozenset({Option.CLEAN_STRUCTURED_CONTENT, Option.CLEAN_GRAPHICS}), allow_list=True)
"""What may leave for research: no dates, no descriptions, and nothing that its IOD does not name."""


class Action(StrEnum):
    """What is done to one element; a string, because look-ups hash it for every element."""

    KEEP = "keep"
    DESCEND = "descend"  # a sequence: its items are treated element by element
    REMOVE = "remove"
    EMPTY = "empty"
    DUMMY = "dummy"
    UID = "uid"  # replaced by its keyed pseudonym, well-known UIDs excepted
    SHIFT = "shift"  # a date moved by the patient's shift
    HOUR = "hour"  # a time of day cut to the hour
    TIME = "time"  # a time of day (or a date, where dates stay), kept where it is nothing but that
    NUMBER = "number"  # kept where it is nothing but a number
    PLAIN_UID = "plain_uid"  # kept where it is nothing but a UID
    TERM = "term"  # kept where it is a term of PS3.3
    SCAN = "scan"  # text kept where it holds none of this patient's identifiers
    CLEAN = "clean"  # text kept where every word is known to be technical
    AGE = "age"  # an age, capped at 90 years
    CHARSET = "charset"  # kept where it names defined character sets
    PATIENT_ID = "patient_id"
    ACCESSION = "accession"
    STAMP = "stamp"  # written by the engine itself
    BY_TYPE = "by_type"  # a compound code: chosen by the attribute's type in the IOD


_TEXT = frozenset({"CS", "LO", "SH", "ST", "LT", "UC", "UT"})
_DATES = frozenset({"DA", "DT"})
_NUMERIC = frozenset(["AT", "FL", "FD", "SL", "SS", "UL", "US", "SV", "UV", "OD", "OF", "OL", "OV"])

_TEXT_VALUE = 0x0040A160
_ACCESSION = 0x00080050

_BINARY_KEPT = frozenset(
    {0x7FE00010, 0x7FE00020, 0x7FE00030, 0x7FE00040, 0x00283006}
    | {0x00281201, 0x00281202, 0x00281203, 0x00281204, 0x00281211, 0x00281212, 0x00281213}
    | {0x00281221, 0x00281222, 0x00281223, 0x00281224, 0x00281408, 0x00660023, 0x00660024, 0x00660025}
    | {0x00660029, 0x00660103, 0x00701808, 0x54000110, 0x54000112, 0x5400100A, 0x54001010}
)
"""Unlisted OB and OW that hold samples, look-up tables or meshes; every other binary value is removed."""

_CLASS_UIDS = frozenset(
    {0x00080016, 0x0008001A, 0x0008001B, 0x00080062, 0x0008010C, 0x00081150, 0x0008115A, 0x00083002}
    | {0x00080117, 0x0040A992, 0x04000010, 0x04000401, 0x00020002, 0x0008030D}
)
"""UIDs that name a class, a syntax or a coding scheme, never an instance."""

_OWN = MappingProxyType(
    {
        0x00080005: Action.CHARSET,
        _ACCESSION: Action.ACCESSION,
        0x00100010: Action.PATIENT_ID,
        0x00100020: Action.PATIENT_ID,
        0x00120062: Action.STAMP,
        0x00120063: Action.STAMP,
        0x00120064: Action.STAMP,
        0x00280303: Action.STAMP,
    }
)
"""Attributes with a treatment of their own: pseudonyms in place of dummies, and the stamps."""

_NEVER_EMPTY = frozenset({0x00080100, 0x00080102, 0x00080104, 0x00080119, 0x00080120})
"""Code values, schemes and meanings: Type 1 wherever they stand (PS3.3 8.8), so what may not stay gets a dummy."""

_TERMS = frozenset({0x0040A010, 0x0040A040, 0x0040A050})
"""Relationship Type, Value Type and Continuity of Content: the frame of a report, never searched for words."""

_BASIC = MappingProxyType(
    {
        "X": Action.REMOVE,
        "Z": Action.EMPTY,
        "D": Action.DUMMY,
        "U": Action.UID,
        "X/Z/U*": Action.DESCEND,
    }
)
"""Simple codes; U* keeps the references with their UIDs replaced, at every attribute type."""


@dataclass(frozen=True)
class Rules:
    """A compiled profile: look-ups by tag, and by VR where an element's VR is not the dictionary's."""

    profile: Profile
    actions: Mapping[int, Action]
    fallback: Mapping[int, Action]
    by_vr: Mapping[str, Action]
    compound: Mapping[int, str]
    retained: frozenset[int]

    def action(self, tag: int, vr: str) -> Action:
        """What to do with an element, by its tag and the VR it came with."""
        known = CHOICES.get(tag)
        if known is None:
            return Action.REMOVE
        if vr in known:
            return self.actions[tag]
        return self.mismatched(tag, vr)

    def mismatched(self, tag: int, vr: str) -> Action:
        """The action for an element whose explicit VR is not the one PS3.6 gives its tag."""
        if tag in self.fallback:
            return self.fallback[tag]
        return self.by_vr.get(vr, Action.REMOVE) if vr != "SQ" else Action.REMOVE

    def chosen(self, tag: int, sop_class: str, *, nested: bool) -> Action:
        """A compound code resolved: D or Z for Type 1, Z or D for Type 2, else the first code (PS3.15 E.1.1)."""
        codes = self.compound[tag].split("/")
        wanted = {"1": "DZ", "2": "ZD"}.get(_attribute_types(sop_class, nested).get(tag, ""), "")
        return _BASIC[next((code for code in wanted if code in codes), codes[0])]


@cache
def published_table() -> Mapping[str, object]:
    """The file of PS3.15 tables as it was published (data/ps315_SOURCE.md)."""
    text = files("gateway.privacy").joinpath("data", "ps315_2026d.json").read_text("utf-8")
    return MappingProxyType(json.loads(text))


@dataclass(frozen=True)
class Row:
    """One row of Table E.1-1 with an exact tag."""

    tag: int
    name: str
    basic: str
    options: Mapping[Option, str]


@cache
def table_rows() -> tuple[Row, ...]:
    """The rows with exact tags; repeating groups and private attributes are removed by being unknown."""
    raw = published_table()["rules"]
    assert isinstance(raw, list)  # noqa: S101 - the file's hash is pinned by a test
    return tuple(
        Row(int(row["tag"], 16), row["name"], row["basic"], {Option(key): code for key, code in row["options"].items()})
        for row in raw
        if len(row["tag"]) == 8 and all(char in "0123456789ABCDEF" for char in row["tag"])
    )


@cache
def _iod_types() -> Mapping[str, Mapping[str, object]]:
    text = files("gateway.privacy").joinpath("data", "iod_types.json").read_text("utf-8")
    return MappingProxyType(json.loads(text))


def _attribute_types(sop_class: str, nested: bool) -> Mapping[int, str]:
    known = _iod_types()["classes"]
    return _types_of_iod(str(known[sop_class]), nested) if sop_class in known else {}


@cache
def _types_of_iod(iod: str, nested: bool) -> Mapping[int, str]:
    types = _iod_types()["iods"][iod]
    assert isinstance(types, dict)  # noqa: S101 - our own file
    return {int(tag, 16): code for tag, code in types["nested" if nested else "root"].items()}


@cache
def compile_rules(profile: Profile) -> Rules:
    """The profile as look-ups; raises Invalid for options that exclude each other."""
    options = profile.options
    if {Option.RETAIN_FULL_DATES, Option.RETAIN_MODIFIED_DATES} <= options:
        raise Invalid("full and modified dates exclude each other (PS3.15 E.3.6)")
    by_vr = _net(profile)
    actions = {tag: _unlisted(tag, by_vr) for tag in VR_OF}
    fallback = dict.fromkeys(_NEVER_EMPTY, Action.DUMMY)
    compound: dict[int, str] = {}
    for row in table_rows():
        basic = _BASIC.get(row.basic, Action.BY_TYPE)
        if basic is Action.BY_TYPE:
            compound[row.tag] = row.basic
        fallback[row.tag] = basic
        actions[row.tag] = _with_options(row, profile, basic)
    if Option.CLEAN_STRUCTURED_CONTENT in options:
        # outside a content item, whose own rules are in content_items.py
        actions[_TEXT_VALUE] = Action.CLEAN if Option.CLEAN_DESCRIPTORS in options else Action.EMPTY
    actions.update(_OWN)
    if profile.allow_list:
        actions[_ACCESSION] = Action.EMPTY  # nothing outside the house is to be joined by it
    retained = frozenset(tag for tag in fallback.keys() - _NEVER_EMPTY if actions[tag] is Action.SCAN)
    return Rules(profile, actions, fallback, by_vr, compound, retained)


def _dates(profile: Profile) -> dict[str, Action]:
    """What becomes of dates and times that are moved with the patient's shift."""
    return {"DA": Action.SHIFT, "DT": Action.SHIFT, "TM": Action.HOUR if profile.allow_list else Action.TIME}


def _net(profile: Profile) -> dict[str, Action]:
    """What becomes of an unlisted attribute, by VR."""
    options = profile.options
    net = dict.fromkeys(_NUMERIC, Action.KEEP) | dict.fromkeys(_TEXT, Action.SCAN)
    net |= dict.fromkeys(("DS", "IS"), Action.NUMBER) | dict.fromkeys(("AE", "PN", "AS"), Action.EMPTY)
    net |= dict.fromkeys(("OB", "OW", "UR", "UN"), Action.REMOVE)
    net["SQ"] = Action.DESCEND
    net["UI"] = Action.PLAIN_UID if Option.RETAIN_UIDS in options else Action.UID
    if Option.RETAIN_MODIFIED_DATES in options:
        net |= _dates(profile)
    elif Option.RETAIN_FULL_DATES in options:
        net |= {"DA": Action.TIME, "DT": Action.TIME, "TM": Action.TIME}
    else:
        net |= {"DA": Action.EMPTY, "DT": Action.EMPTY, "TM": Action.EMPTY}
    return net


def _unlisted(tag: int, by_vr: Mapping[str, Action]) -> Action:
    group = tag >> 16
    if group == 0x0004 or group & 1 or 0x5000 <= group <= 0x50FF or 0x6000 <= group <= 0x60FF:
        return Action.REMOVE
    if tag in _BINARY_KEPT:
        return Action.KEEP
    if tag in _CLASS_UIDS:
        return Action.PLAIN_UID
    if tag in _TERMS:
        return Action.TERM
    choices = CHOICES[tag]
    if choices <= _NUMERIC | {"OW"} and choices & _NUMERIC:
        return Action.KEEP
    return by_vr[writable_vr(tag)]


def _with_options(row: Row, profile: Profile, basic: Action) -> Action:
    """The row's action under the options: modified dates, then K, then the cleaning options."""
    chosen = {option: code for option, code in row.options.items() if option in profile.options}
    vr = writable_vr(row.tag)
    if Option.RETAIN_MODIFIED_DATES in chosen:
        return _dates(profile).get(vr, basic)
    if "K" in chosen.values():
        return _kept(row.tag, vr)
    if Option.CLEAN_STRUCTURED_CONTENT in chosen:
        return Action.DESCEND
    if Option.CLEAN_GRAPHICS in chosen:
        return Action.REMOVE  # drawings can be handwriting; PS3.15 E.3.3 lets all of them go
    if "C" in chosen.values() and vr in _TEXT:
        return Action.CLEAN
    return basic


def _kept(tag: int, vr: str) -> Action:
    if vr in _DATES or vr == "TM":
        return Action.TIME
    special = {"UI": Action.PLAIN_UID, "AS": Action.AGE, "SQ": Action.DESCEND, "AE": Action.SCAN}
    numbers = dict.fromkeys(("DS", "IS"), Action.NUMBER) | dict.fromkeys(_NUMERIC, Action.KEEP)
    return (special | numbers | dict.fromkeys(_TEXT | {"UR", "PN"}, Action.SCAN)).get(vr, Action.KEEP)

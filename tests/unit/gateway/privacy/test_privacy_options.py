"""Every row of Table E.1-1 under every option and sensible combinations, at three depths, in three encodings.

What must come out is read here anew from the published JSON (its hash is pinned), without the compiled rules: an
expectation for each row, by its columns alone. The result is read back by pydicom.
"""

from __future__ import annotations

import hashlib
import io
import json
import random
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.datadict import DicomDictionary

import gateway.privacy
from gateway.privacy.dataset import EXPLICIT, EXPLICIT_BIG, IMPLICIT, Encoding
from gateway.privacy.engine import deidentify
from gateway.privacy.pseudonyms import Pseudonymiser
from gateway.privacy.rules import Option, Profile, compile_rules

FILE = Path(gateway.privacy.__file__).parent / "data" / "ps315_2026d.json"
SHA256 = "600ec53ad601eb6f69aab203625cd3538c79b943e053b21fb5769c94af3792fd"
SYNTAX = {IMPLICIT: "1.2.840.10008.1.2", EXPLICIT: "1.2.840.10008.1.2.1", EXPLICIT_BIG: "1.2.840.10008.1.2.2"}
FULL, MODIFIED = "retain_longitudinal_full_dates", "retain_longitudinal_modified_dates"
STRUCTURED, GRAPHICS = "clean_structured_content", "clean_graphics"
NEWER = {
    "SQ": "00081301 00081302 00081303 00081304 00100011 00100014 00100015 00100041 00100043 00100044 00100046",
    "LT": "00100012 00100013 00100016 00100042 00100045",
    "DT": "0040A034 0040A035 0040B034 0040B036",
    "UR": "00100047 0040E012",
    "UC": "00102162",
    "LO": "0040B03B 3004007F",
    "SH": "0040B03F",
}
"""Rows that pydicom 3.0.2 does not know: VR by PS3.6 2026d."""
REPEATING = {
    0x50020022: ("LO", b"CANARYCURVE"),
    0x60003000: ("OW", b"CANARYOVERLAY1"),
    0x60024000: ("LT", b"CANARYOVERLAY2"),
}
LATER_VRS = {int(tag, 16): vr for vr, tags in NEWER.items() for tag in tags.split()}

pytestmark = pytest.mark.filterwarnings("ignore:VR lookup failed")


def published_rows() -> dict[int, dict[str, Any]]:
    content = FILE.read_bytes()
    assert hashlib.sha256(content).hexdigest() == SHA256
    exact = [row for row in json.loads(content)["rules"] if len(row["tag"]) == 8 and "x" not in row["tag"]]
    rows = {int(row["tag"], 16): row for row in exact}
    return {tag: row for tag, row in rows.items() if tag >> 16 not in (0x0000, 0x0002, 0x0004)}


ROWS = published_rows()
VRS = {tag: LATER_VRS.get(tag) or str(DicomDictionary[tag][0]).split(" or ", maxsplit=1)[0] for tag in ROWS}
NUMBERS = {tag: number for number, tag in enumerate(sorted(ROWS))}


def canary(tag: int) -> Any:
    """A value of the row's VR that occurs nowhere else, and that every option for its row can keep."""
    number, vr, text = NUMBERS[tag], VRS[tag], b"CANARY%08X" % tag
    if vr == "SQ":
        inner = {0x00081155: ("UI", b"1.2.3.999.%d" % tag)}
        return [inner if ROWS[tag]["basic"] == "X/Z/U*" else {0x00080104: ("LO", text)}]
    day = (date(1931, 1, 1) + timedelta(number)).strftime("%Y%m%d").encode()
    values = {
        "DA": day,
        "DT": day + b"081530",
        "TM": b"08%02d%02d.%06d" % (number % 60, number // 60, tag % 999983),
        "UI": b"1.2.3.999.%d" % tag,
        "IS": b"77%d" % number,
        "DS": b"77.%d" % number,
        "AS": b"051Y",
        "US": b"CY",
        "AE": b"CAE%08X" % tag,
    }
    if vr in ("OB", "OW", "UN", "FL", "FD", "UL", "AT", "SL"):
        return b"CN" + tag.to_bytes(4, "big") + b"RY"
    return values.get(vr, text)


def planted(encoding: Encoding, make: Any) -> bytes:
    """All 652 attributes at the root, in an item, and in an item of an item."""
    everything = {tag: (VRS[tag], canary(tag)) for tag in ROWS} | REPEATING
    block = {0x00110010: ("LO", b"CREATOR"), 0x00111001: ("LO", b"CANARYPRIVATE")}
    inside = everything | block
    deeper = {0x00082218: ("SQ", [inside]), 0x52009230: ("SQ", [{0x00189114: ("SQ", [inside])}])}
    return bytes(make(everything | deeper, encoding))


def levels(result: pydicom.Dataset) -> list[pydicom.Dataset]:
    return [result, result[0x00082218][0], result[0x52009230][0][0x00189114][0]]


def raw(element: pydicom.DataElement, big: bool) -> bytes:
    value = element.value
    if isinstance(value, int) and element.VR == "US":
        return value.to_bytes(2, "big" if big else "little")
    if isinstance(value, bytes):
        return value
    return b"" if value is None else str(value).encode()


def seen(level: pydicom.Dataset, tag: int, shift: int, big: bool) -> str:
    """What became of an attribute: X, Z, D, U, kept, moved."""
    if tag not in level:
        return "X"
    element, before = level[tag], canary(tag)
    if VRS[tag] == "SQ":  # a newer one, in Implicit VR, is bytes to pydicom
        inside = str(element.value[0] if element.VR == "SQ" and len(element.value) else element.value or "")
        return "Z" if not inside else "kept" if "CANARY" in inside or ".999." in inside else "D"
    value = raw(element, big)
    if value == before or (before in value and len(before) > 4):
        return "kept"
    if not value.strip(b"\0 "):
        return "Z" if value == b"" else "D"
    if VRS[tag] in ("DA", "DT"):
        year, month, day = int(before[:4]), int(before[4:6]), int(before[6:8])
        moved = (date(year, month, day) - timedelta(shift)).strftime("%Y%m%d").encode() + before[8:]
        return "moved" if value == moved else "D"
    return "U" if VRS[tag] == "UI" and value.startswith(b"2.25.") else "D"


ALLOWED = {"X": {"X"}, "Z": {"Z", "D"}, "D": {"D", "U"}, "U": {"U"}, "U*": {"D", "U"}}
"""A dummy does for an empty value, a keyed UID for a dummy one, and U* are references with replaced UIDs."""
OWN = {0x00100010: {"D"}, 0x00100020: {"D"}, 0x00080050: {"D"}}
"""Pseudonyms stand for the patient's name and number and the accession number."""


def expected(tag: int, options: frozenset[str]) -> set[str]:
    """The published row under these options, by its columns alone."""
    row, vr = ROWS[tag], VRS[tag]
    basic = set().union(*(ALLOWED[part] for part in row["basic"].split("/")))
    chosen: Mapping[str, str] = {name: code for name, code in row["options"].items() if name in options}
    if MODIFIED in chosen:
        return {"DA": {"moved"}, "DT": {"moved"}, "TM": {"kept"}}.get(vr, basic)
    if "K" in chosen.values():
        return {"kept"}
    if STRUCTURED in chosen:  # not a content item: none is left; preparation and waveforms have coded entries
        return {0x0040A730: {"X"}, 0x00400555: {"Z"}}.get(tag, {"kept"})
    if GRAPHICS in chosen:
        return {"X"}
    return OWN.get(tag, basic) | ({"Z"} if tag in OWN else set())


NAMES = sorted(option.value for option in Option)
COMPATIBLE = frozenset(NAMES) - {FULL}
CHOICES: dict[str, frozenset[str]] = {"basic": frozenset()} | {name: frozenset([name]) for name in NAMES}
CHOICES |= {
    "all with modified dates": COMPATIBLE,
    "all with full dates": frozenset(NAMES) - {MODIFIED},
    "inference": frozenset({"clean_descriptors", STRUCTURED, GRAPHICS, MODIFIED, "retain_patient_characteristics"}),
    "device with modified dates": frozenset({"retain_device_identity", MODIFIED}),
    "device with full dates": frozenset({"retain_device_identity", FULL}),
    "descriptors and characteristics": frozenset({"clean_descriptors", "retain_patient_characteristics"}),
    "uids with institution": frozenset({"retain_uids", "retain_institution_identity"}),
}
_DRAW = random.Random(315)
CHOICES |= {f"drawn {number}": frozenset(_DRAW.sample(sorted(COMPATIBLE), 4)) for number in range(8)}


@pytest.mark.parametrize("name", CHOICES)
def test_every_row_is_treated_as_its_columns_say(name: str, make: Any, pseudonymiser: Pseudonymiser) -> None:
    """For each choice of options, all 652 attributes at three depths in three encodings come out as the table says."""
    options = CHOICES[name]
    rules = compile_rules(Profile(name, frozenset(map(Option, options))))
    wrong: dict[str, str] = {}
    for encoding, syntax in SYNTAX.items():
        out = b"".join(deidentify(planted(encoding, make), syntax, rules, lambda key: pseudonymiser).parts)
        result = pydicom.dcmread(io.BytesIO(out))
        for depth, level in enumerate(levels(result)):
            assert not set(REPEATING) & {int(tag) for tag in level.keys()}  # noqa: SIM118 - elements, not tags
            assert not any(int(tag) >> 16 & 1 for tag in level.keys())  # noqa: SIM118
            for tag in ROWS:
                found = seen(level, tag, pseudonymiser.date_shift_days, encoding.big)
                if found not in expected(tag, options):
                    wrong[f"{syntax} depth {depth} {tag:08X} {VRS[tag]} {ROWS[tag]['basic']}"] = found
        if not options:
            assert b"CANARY" not in out
            assert b".999." not in out
    assert wrong == {}


@pytest.mark.parametrize("name", ["basic", "inference", "all with full dates"])
def test_an_unknown_vr_carries_nothing(name: str, make: Any, pseudonymiser: Pseudonymiser) -> None:
    """Every attribute sent with VR UN is treated by the basic profile, whatever the options: its bytes do not stay."""
    plain = {tag: canary(tag) for tag in ROWS if not isinstance(canary(tag), list)}
    needed = {0x00080016, 0x00080018, 0x0020000D, 0x0020000E}
    data = make({tag: ("UN", value) for tag, value in plain.items() if tag not in needed})
    rules = compile_rules(Profile(name, frozenset(map(Option, CHOICES[name]))))
    out = b"".join(deidentify(data, SYNTAX[EXPLICIT], rules, lambda key: pseudonymiser).parts)
    left = [f"{tag:08X}" for tag, value in plain.items() if len(value) > 4 and value != b"051Y" and value in out]
    assert left == []


def test_there_are_652_attributes() -> None:
    """What is planted is what the table lists and a data set can carry."""
    assert len(ROWS) + len(REPEATING) == 652

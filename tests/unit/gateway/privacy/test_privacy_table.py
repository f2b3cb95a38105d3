"""PS3.15 Table E.1-1 row by row: every attribute, at three depths, in both kinds of VR, read back by pydicom."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from datetime import date
from importlib.resources import files
from typing import Any

import pydicom
import pytest

from gateway.privacy.dataset import EXPLICIT, IMPLICIT, Encoding
from gateway.privacy.dictionary import writable_vr
from gateway.privacy.engine import deidentify
from gateway.privacy.pseudonyms import Pseudonymiser
from gateway.privacy.rules import BASIC, Profile, Row, compile_rules, table_rows

SYNTAX = {IMPLICIT: "1.2.840.10008.1.2", EXPLICIT: "1.2.840.10008.1.2.1"}
ROWS = [row for row in table_rows() if row.tag >> 16 not in (0x0000, 0x0002, 0x0004)]
REPEATING = {
    0x50020022: ("LO", b"CANARYCURVE"),
    0x60003000: ("OW", b"CANARYOVERLAY1"),
    0x60024000: ("LT", b"CANARYOVERLAY2"),
}
"""The three rows of repeating groups, which with the exact ones make 652."""

pytestmark = pytest.mark.filterwarnings("ignore:VR lookup failed")


def canary(row: Row) -> tuple[str, Any]:
    """A value of the row's VR that occurs nowhere else."""
    number = ROWS.index(row)
    vr = writable_vr(row.tag)
    if vr == "SQ" and row.basic == "X/Z/U*":
        return vr, [{0x00081155: ("UI", b"1.2.3.999.%d" % row.tag)}]
    if vr == "SQ":
        return vr, [{0x00080104: ("LO", b"CANARY%08X" % row.tag)}]
    day = date.fromordinal(date(1931, 1, 1).toordinal() + number).strftime("%Y%m%d").encode()
    values = {
        "DA": day,
        "DT": day + b"081530",
        "TM": b"08%02d%02d.%06d" % (number % 60, number // 60, row.tag % 999983),
        "UI": b"1.2.3.999.%d" % row.tag,
        "IS": b"77%d" % number,
        "DS": b"77.%d" % number,
        "AS": b"051Y",
        "US": b"CY",
        "AE": b"CAE%08X" % row.tag,
    }
    binary = dict.fromkeys(("OB", "OW", "UN", "FL", "FD", "UL", "AT", "SL"), b"CN" + row.tag.to_bytes(4, "big") + b"RY")
    return vr, (values | binary).get(vr, b"CANARY%08X" % row.tag)


def planted(depth: int, encoding: Encoding, make: Callable[..., bytes], bare: Callable[..., bytes]) -> bytes:
    """All rows at one depth; deeper ones stand in sequences that the table does not list, beside a private block."""
    everything = {row.tag: canary(row) for row in ROWS} | REPEATING
    if depth == 0:
        return make(everything, encoding)
    block = {0x00110010: ("LO", b"CREATOR"), 0x00111001: ("LO", b"CANARYPRIVATE")}
    if depth == 1:
        return make({0x00082218: ("SQ", [everything | block])}, encoding)
    return make({0x52009230: ("SQ", [{0x00189114: ("SQ", [everything | block])}])}, encoding)


def at_depth(data_set: pydicom.Dataset, depth: int) -> pydicom.Dataset:
    if depth == 0:
        return data_set
    return data_set[0x00082218][0] if depth == 1 else data_set[0x52009230][0][0x00189114][0]


def plain(element: pydicom.DataElement) -> bytes:
    value = element.value
    if isinstance(value, int) and element.VR == "US":
        return value.to_bytes(2, "little")
    if isinstance(value, bytes):
        return value
    return b"" if value is None else str(value).encode()


def outcome(result: pydicom.Dataset, row: Row, before: Any) -> str:
    """Which code of the table the result shows for a row: X, Z, D, U, U* or kept."""
    if row.tag not in result:
        return "X"
    element = result[row.tag]
    if element.VR == "SQ":
        if len(element.value) == 0:
            return "Z"
        shown = str(element.value[0])
        return "kept" if "CANARY" in shown or ".999." in shown else "D"
    value = plain(element)
    if value == b"":
        return "Z"
    if value.startswith(b"2.25.") and element.VR == "UI":
        return "U"
    return "kept" if value == before or (isinstance(before, bytes) and before in value) else "D"


def accepted(code: str) -> set[str]:
    """Outcomes that fulfil a code; a dummy fulfils Z, a keyed UID a D of VR UI, U* keeps references replaced."""
    wider = {"X": {"X"}, "Z": {"Z", "D"}, "D": {"D", "U"}, "U": {"U"}, "U*": {"D", "U"}}
    return set().union(*(wider[part] for part in code.split("/")))


def run(data: bytes, encoding: Encoding, profile: Profile, pseudonymiser: Pseudonymiser) -> bytes:
    done = deidentify(data, SYNTAX[encoding], compile_rules(profile), lambda key: pseudonymiser)
    return b"".join(done.parts)


def test_the_table_is_the_published_one() -> None:
    """The rules are compiled from the 2026d table whose hash is known."""
    content = files("gateway.privacy").joinpath("data", "ps315_2026d.json").read_bytes()
    assert hashlib.sha256(content).hexdigest() == ("600ec53ad601eb6f69aab203625cd3538c79b943e053b21fb5769c94af3792fd")
    assert len(ROWS) + len(REPEATING) == 652
    assert len(table_rows()) == 653


@pytest.mark.parametrize("encoding", [IMPLICIT, EXPLICIT], ids=["implicit", "explicit"])
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_every_row_is_treated_as_the_basic_profile_says(
    depth: int, encoding: Encoding, make: Any, bare: Any, pseudonymiser: Pseudonymiser
) -> None:
    """Under the basic profile each attribute of the table gets the action its row names."""
    out = run(planted(depth, encoding, make, bare), encoding, BASIC, pseudonymiser)
    result = at_depth(pydicom.dcmread(io.BytesIO(out)), depth)
    wrong = {
        f"{row.tag:08X} {row.basic}": outcome(result, row, canary(row)[1])
        for row in ROWS
        if outcome(result, row, canary(row)[1]) not in accepted(row.basic)
    }
    assert wrong == {}
    assert not set(REPEATING) & {int(tag) for tag in result.keys()}  # noqa: SIM118 - elements, not tags
    assert b"CANARY" not in out
    assert b".999." not in out

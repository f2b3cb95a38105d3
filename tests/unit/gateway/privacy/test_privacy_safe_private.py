"""Retain Safe Private: signatures that are known to be safe stay with their creator, everything else private goes."""

from __future__ import annotations

import io
import struct
from typing import Any

import pydicom
import pytest

from gateway.privacy.dataset import EXPLICIT, IMPLICIT, Encoding
from gateway.privacy.engine import deidentify, restore
from gateway.privacy.pseudonyms import Pseudonymiser
from gateway.privacy.rules import EXPORT, INFERENCE, Option, Profile, compile_rules
from gateway.privacy.safe_private import Signature, safe_private

SYNTAX = {IMPLICIT: "1.2.840.10008.1.2", EXPLICIT: "1.2.840.10008.1.2.1"}
SAFE = Profile("safe", frozenset({Option.RETAIN_SAFE_PRIVATE}))
BLOCK = {
    0x00190010: ("LO", b"SIEMENS MR HEADER"),
    0x0019100C: ("IS", b"800"),
    0x0019100E: ("FD", struct.pack("<3d", 1, 0, 0)),
    0x00191099: ("LO", b"CANARY unknown"),
    0x00210010: ("LO", b"SIEMENS MR HEADER"),
    0x0021100C: ("IS", b"800"),
    0x00290010: ("LO", b"CANARY CREATOR"),
    0x0029100C: ("IS", b"800"),
    0x20050010: ("LO", b"Philips MR Imaging DD 001"),
    0x20050012: ("LO", b"CANARY LONE"),
    0x2005100E: ("FL", struct.pack("<f", 2.5)),
}
KEPT = {0x00190010, 0x0019100C, 0x0019100E, 0x20050010, 0x2005100E}


def private(level: Any) -> set[int]:
    return {int(tag) for tag in level.keys() if int(tag) >> 16 & 1}  # noqa: SIM118 - elements, not tags


@pytest.mark.parametrize("encoding", [IMPLICIT, EXPLICIT], ids=["implicit", "explicit"])
def test_a_safe_element_stays_with_its_creator(encoding: Encoding, make: Any, pseudonymiser: Pseudonymiser) -> None:
    """At the root and nested, what the table knows stays in its block; a creator without one goes too."""
    data = make(BLOCK | {0x00082218: ("SQ", [BLOCK])}, encoding)
    done = deidentify(data, SYNTAX[encoding], compile_rules(SAFE), lambda key: pseudonymiser)
    out = b"".join(done.parts)
    result = pydicom.dcmread(io.BytesIO(out))
    for level in (result, result[0x00082218][0]):
        assert private(level) == KEPT
    assert result[0x0019100C].value == 800
    assert b"CANARY" not in out
    assert restore(out, done.removed) == data
    assert "113111" in done.record.methods


@pytest.mark.parametrize("profile", [INFERENCE, EXPORT], ids=["inference", "export"])
def test_no_profile_of_ours_keeps_private_attributes(profile: Profile, make: Any, pseudonymiser: Pseudonymiser) -> None:
    """The option is off unless asked for."""
    done = deidentify(make(BLOCK), SYNTAX[EXPLICIT], compile_rules(profile), lambda key: pseudonymiser)
    assert private(pydicom.dcmread(io.BytesIO(b"".join(done.parts)))) == set()


@pytest.mark.parametrize(
    "hostile",
    [
        {0x0019100C: ("IS", b"12 Main St")},
        {0x0019100C: ("LO", b"800")},
        {0x0019100D: ("CS", b"MRN-4711-X")},
        {0x0019100E: ("FD", b"SMITH")},
        {0x0019100C: ("SQ", [{0x00100010: ("PN", b"A^B")}])},
    ],
    ids=["text in a number", "another VR", "an identifier", "another size", "a sequence"],
)
def test_a_value_that_is_not_what_the_table_says_goes(
    hostile: dict[int, Any], make: Any, pseudonymiser: Pseudonymiser
) -> None:
    """A safe signature does not carry another kind of value, nor this patient's identifiers."""
    data = make({0x00190010: ("LO", b"SIEMENS MR HEADER")} | hostile)
    done = deidentify(data, SYNTAX[EXPLICIT], compile_rules(SAFE), lambda key: pseudonymiser)
    assert private(pydicom.dcmread(io.BytesIO(b"".join(done.parts)))) == set()


def test_the_table_is_the_committed_one() -> None:
    """85 signatures, in odd groups, none a sequence."""
    assert len(safe_private()) == 85
    assert all(signature.group & 1 and signature.number <= 0xFF for signature in safe_private())
    assert safe_private()[Signature(0x7053, "Philips PET Private Group", 0x00)] == "DS"
    assert "SQ" not in safe_private().values()

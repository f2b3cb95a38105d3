"""Files for the checker's tests: a clean object element by element, and what the checker is told about it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from unit.gateway.privacy.conftest import build

from gateway.domain.identity import StudyIdentity
from gateway.privacy.checker.check import check
from gateway.privacy.checker.marks import MEANINGS
from gateway.privacy.checker.read import Limits
from gateway.privacy.checker.residue import Residue
from gateway.privacy.checker.verdict import INFERENCE_METHODS, Claim, Verdict
from gateway.privacy.dataset import EXPLICIT
from gateway.privacy.part10 import file_header
from gateway.privacy.pseudonyms import Pseudonymiser

Elements = Mapping[int, tuple[str, Any]]
WHO = Pseudonymiser(b"s" * 32, b"d" * 32)
CT = "1.2.840.10008.5.1.4.1.1.2"
SYNTAX = "1.2.840.10008.1.2.1"
STUDY, SERIES, INSTANCE = (WHO.uid(f"1.2.826.0.1.77.{number}") for number in (1, 2, 3))
BASIC_METHODS = frozenset({"113100"})
TEMPORAL = {BASIC_METHODS: b"REMOVED", INFERENCE_METHODS: b"MODIFIED"}


def claim(methods: frozenset[str] = INFERENCE_METHODS, syntax: str = SYNTAX) -> Claim:
    return Claim(methods, WHO.patient_id(), STUDY, SERIES, INSTANCE, CT, syntax)


def code(value: str, meaning: str | None = None) -> Elements:
    shown = MEANINGS[value] if meaning is None else meaning
    return {0x00080100: ("SH", value.encode()), 0x00080102: ("SH", b"DCM"), 0x00080104: ("LO", shown.encode())}


def clean(methods: frozenset[str] = INFERENCE_METHODS) -> dict[int, tuple[str, Any]]:
    """The elements of an object that passes."""
    return {
        0x00080005: ("CS", b"ISO_IR 192"),
        0x00080008: ("CS", b"ORIGINAL\\PRIMARY"),
        0x00080016: ("UI", CT.encode()),
        0x00080018: ("UI", INSTANCE.encode()),
        0x00080050: ("SH", WHO.accession("A1").encode()),
        0x00080060: ("CS", b"CT"),
        0x00100010: ("PN", WHO.patient_id().encode()),
        0x00100020: ("LO", WHO.patient_id().encode()),
        0x00120062: ("CS", b"YES"),
        0x00120063: ("LO", b"dxgate PS3.15 2026d inference"),
        0x00120064: ("SQ", [code(value) for value in sorted(methods)]),
        0x0020000D: ("UI", STUDY.encode()),
        0x0020000E: ("UI", SERIES.encode()),
        0x00280010: ("US", b"\4\0"),
        0x00280303: ("CS", TEMPORAL[methods]),
        0x7FE00010: ("OW", bytes(32)),
    }


def at_depth(depth: int, elements: Elements) -> Elements:
    """The elements in the root, or inside one or two sequences that the table does not list."""
    if depth == 0:
        return elements
    item = elements if depth == 1 else {0x00189114: ("SQ", [elements])}
    return {0x00082218 if depth == 1 else 0x52009230: ("SQ", [item])}


def part10(elements: Elements) -> bytes:
    return file_header(CT, INSTANCE, SYNTAX) + build(elements, EXPLICIT)


def judged(
    file: bytes, about: Claim | None = None, identity: StudyIdentity | None = None, limits: Limits | None = None
) -> Verdict:
    return check(io.BytesIO(file), len(file), about or claim(), Residue(identity) if identity else None, limits)


def problems(elements: Elements, about: Claim | None = None, identity: StudyIdentity | None = None) -> set[str]:
    """What the checker says of a clean object with these elements in place of its own."""
    methods = (about or claim()).methods
    return {str(problem) for problem in judged(part10({**clean(methods), **elements}), about, identity).problems}


def identity(**known: str) -> StudyIdentity:
    """A patient; everything that is not named is unknown."""
    fields = dict.fromkeys(StudyIdentity.__dataclass_fields__, "")
    return StudyIdentity(**(fields | known))

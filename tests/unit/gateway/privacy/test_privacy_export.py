"""What a research export keeps, withholds and lists: rules, faces, inventory, domains of recipients."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable

import pytest

from gateway.privacy.allow_list import allowed_tags
from gateway.privacy.engine import deidentify
from gateway.privacy.export_rules import EXPORTABLE, export_rules
from gateway.privacy.faces import may_show_face
from gateway.privacy.inventory import HEADER, MOST_VALUES, Inventory, cell
from gateway.privacy.part10 import file_header
from gateway.privacy.pseudonyms import Pseudonymiser, recipient_domain
from gateway.privacy.rules import Action

EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
ROOT_KEY = b"r" * 32


@pytest.mark.parametrize("part", ["HEAD", "BRAIN", "FACE", "SKULL", "NECK", "WHOLEBODY", "CSPINE", "", "KOPF", "head"])
@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_a_cross_section_that_may_show_a_face_is_known(modality: str, part: str) -> None:
    """CT and MR of the head, of an unknown body part and of none at all are held to show a face."""
    assert may_show_face(modality, part)


@pytest.mark.parametrize(("modality", "part"), [("CT", "CHEST"), ("MR", "Knee "), ("CT", "L-SPINE"), ("US", "HEAD")])
def test_other_objects_show_no_face(modality: str, part: str) -> None:
    """Body parts without a face may leave, and so may modalities from which no face is built."""
    assert not may_show_face(modality, part)


def test_of_the_patient_sex_and_age_alone_stay(make: Callable[..., bytes], pseudonymiser: Pseudonymiser) -> None:
    """Size, weight, ethnic group and the like go, though the option would keep them; sex and age stay."""
    given = {
        0x00100040: ("CS", b"F"),
        0x00101010: ("AS", b"040Y"),
        0x00101020: ("DS", b"1.71"),
        0x00101030: ("DS", b"71.5"),
        0x00102160: ("SH", b"SAMI"),
        0x001021A0: ("CS", b"YES"),
    }
    rules = export_rules("shifted")
    kept = b"".join(deidentify(make(given), EXPLICIT_LITTLE, rules, lambda _: pseudonymiser).parts)
    assert b"040Y" in kept
    assert not any(value in kept for value in (b"1.71", b"71.5", b"SAMI"))


@pytest.mark.parametrize("dates", ["removed", "shifted"])
def test_no_time_of_day_leaves(dates: str, make: Callable[..., bytes], pseudonymiser: Pseudonymiser) -> None:
    """Times would let two recipients match their copies, so none is kept, in TM or in DT."""
    given = {
        0x00080020: ("DA", b"20240517"),
        0x00080030: ("TM", b"101503"),
        0x00080032: ("TM", b"101504"),
        0x0008002A: ("DT", b"20240517101505"),
    }
    rules = export_rules(dates)  # type: ignore[arg-type]
    kept = b"".join(deidentify(make(given), EXPLICIT_LITTLE, rules, lambda _: pseudonymiser).parts)
    assert b"10150" not in kept
    assert b"20240517" not in kept
    moved = str(pseudonymiser.shift_date("20240517")).encode()
    assert (moved in kept) is (dates == "shifted")


def test_methods_name_what_is_done_to_dates() -> None:
    """Modified dates (113107) are claimed only where dates are shifted."""
    removed, shifted = (set(export_rules(dates).profile.methods) for dates in ("removed", "shifted"))  # type: ignore[arg-type]
    assert shifted - removed == {"113107"}
    assert removed >= {"113100", "113103", "113104"}


def test_no_rule_keeps_a_time() -> None:
    """The compiled look-up has no action that lets a time of day pass."""
    for dates in ("removed", "shifted"):
        rules = export_rules(dates)  # type: ignore[arg-type]
        assert Action.TIME not in {rules.actions[tag] for tag in (0x00080030, 0x00080031, 0x00080032, 0x00080033)}


def test_kinds_that_never_leave() -> None:
    """Reports, documents, presentation states, raw data, waveforms, secondary captures: none is on the list."""
    for suffix in ("88.11", "104.1", "11.1", "66", "9.1.1", "7", "88.59", "77.1.6"):
        assert f"1.2.840.10008.5.1.4.1.1.{suffix}" not in EXPORTABLE


def test_kinds_that_leave_have_an_allow_list() -> None:
    """For each exportable class it is known which attributes may stay."""
    assert all(allowed_tags(sop_class) for sop_class in EXPORTABLE)


def test_two_recipients_have_nothing_in_common() -> None:
    """Patient id, UIDs and accession numbers differ between recipients and from ours; spelling does not matter."""
    secret = b"s" * 32
    domains = [ROOT_KEY, *(recipient_domain(ROOT_KEY, name) for name in ("University A", "University B"))]
    made = [Pseudonymiser(secret, domain) for domain in domains]
    assert len({one.patient_id() for one in made}) == 3
    assert len({one.uid("2.25.77") for one in made}) == 3
    assert len({one.accession("ABC") for one in made}) == 3
    shifts = [{Pseudonymiser(bytes([n]) * 32, domain).date_shift_days for n in range(8)} for domain in domains]
    assert len(set(map(frozenset, shifts))) == 3
    assert recipient_domain(ROOT_KEY, " university a") == domains[1]


FORMULAS = ("=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "  =1", "|x", "%x")


@pytest.mark.parametrize("value", FORMULAS)
def test_a_cell_is_no_formula(value: str) -> None:
    """What a spreadsheet would run is shown as text; plain numbers stay numbers."""
    assert cell(value).startswith("'")


@pytest.mark.parametrize("value", ["-3.5", "+2", "1e-3", "-1.5E+2", "CHEST", "a=b"])
def test_an_ordinary_cell_is_left_alone(value: str) -> None:
    """Numbers with a sign and ordinary text are not changed."""
    assert cell(value) == value


def test_a_cell_is_short_and_in_one_line() -> None:
    """Long values are clipped and control characters written out, so that a row stays a row."""
    assert cell("x" * 500) == "x" * 120 + "…"
    assert cell("a\r\nb\x00") == "a\\x0d\\x0ab\\x00"


def inventory_of(*data_sets: bytes) -> dict[tuple[str, str], int]:
    found = Inventory()
    for data_set in data_sets:
        found.add(file_header("1.2.840.10008.5.1.4.1.1.2", "2.25.1", EXPLICIT_LITTLE) + data_set)
    rows = list(csv.reader(io.StringIO(found.to_csv().decode())))
    assert tuple(rows[0]) == HEADER
    return {(row[1], row[3]): int(row[4]) for row in rows[1:]}


def test_the_inventory_counts_each_value_once_for_each_object(make: Callable[..., bytes]) -> None:
    """Text, numbers and values inside sequences are counted; samples and our own UIDs are not spelled out."""
    shared = {
        0x00081030: ("LO", b"=HYPERLINK(1)"),
        0x00280010: ("US", (512).to_bytes(2, "little")),
        0x0020000D: ("UI", b"2.25.77"),
        0x00081140: ("SQ", [{0x00080104: ("LO", b"Breast")}]),
        0x7FE00010: ("OW", bytes(64)),
    }
    counts = inventory_of(make(shared), make({**shared, 0x00080060: ("CS", b"MR")}))
    assert counts["(0008,1030)", "'=HYPERLINK(1)"] == 2
    assert counts["(0028,0010)", "512"] == 2
    assert counts["(0020,000D)", "(pseudonymous UID)"] == 2
    assert counts["(0008,1140)/(0008,0104)", "Breast"] == 2
    assert counts["(7FE0,0010)", "(binary)"] == 2
    assert counts["(0008,0060)", "CT"] == counts["(0008,0060)", "MR"] == 1


def test_an_attribute_of_endless_values_is_bounded(make: Callable[..., bytes]) -> None:
    """After so many distinct values the rest is counted in one row, and nothing is lost from the count."""
    objects = [make({0x00200013: ("IS", str(number).encode())}) for number in range(MOST_VALUES + 7)]
    counts = {value: count for (tag, value), count in inventory_of(*objects).items() if tag == "(0020,0013)"}
    assert counts["(further values)"] == 7
    assert sum(counts.values()) == MOST_VALUES + 7

"""Structured reports: every row of Table E.3.4-1 under every option, and what stays of what the table leaves open."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pydicom
import pytest

import gateway.privacy
from gateway.privacy.dataset import EXPLICIT, IMPLICIT
from gateway.privacy.engine import Deidentified, deidentify, restore
from gateway.privacy.pseudonyms import Pseudonymiser
from gateway.privacy.rules import INFERENCE, Option, Profile, compile_rules

FILE = Path(gateway.privacy.__file__).parent / "data" / "ps315_2026d.json"
ROWS = json.loads(FILE.read_bytes())["content_items"]
EXPLICIT_LE = "1.2.840.10008.1.2.1"
SR = {0x00080016: ("UI", b"1.2.840.10008.5.1.4.1.1.88.33"), 0x0040A040: ("CS", b"CONTAINER")}
FULL, MODIFIED = "retain_longitudinal_full_dates", "retain_longitudinal_modified_dates"
IMAGE_UID = b"1.2.3.999.5"


def code(value: str, scheme: str = "DCM", meaning: str = "Meaning") -> tuple[str, list[dict[int, Any]]]:
    item = {
        0x00080100: ("SH", value.encode()),
        0x00080102: ("SH", scheme.encode()),
        0x00080104: ("LO", meaning.encode()),
    }
    return "SQ", [item]


def content(
    value_type: str, concept: Any = None, *, children: list[Any] | None = None, text: str = ""
) -> dict[int, Any]:
    """One content item with a value that can be recognised."""
    reference = {0x00081150: ("UI", b"1.2.840.10008.5.1.4.1.1.2"), 0x00081155: ("UI", IMAGE_UID)}
    measured = {0x0040A30A: ("DS", b"42"), 0x004008EA: code("a", "UCUM")}
    values = {
        "TEXT": {0x0040A160: ("UT", (text or "CANARY text").encode())},
        "PNAME": {0x0040A123: ("PN", b"Zebra^Paul")},
        "DATE": {0x0040A121: ("DA", b"20240229")},
        "TIME": {0x0040A122: ("TM", b"101112")},
        "DATETIME": {0x0040A120: ("DT", b"20240229101112")},
        "UIDREF": {0x0040A124: ("UI", b"1.2.3.999.7")},
        "CODE": {0x0040A168: code("F", "DCM")},
        "NUM": {0x0040A300: ("SQ", [measured])},
        "CONTAINER": {0x0040A050: ("CS", b"SEPARATE")},
    }
    images = {name: {0x00081199: ("SQ", [reference])} for name in ("IMAGE", "COMPOSITE", "WAVEFORM")}
    item = {0x0040A010: ("CS", b"CONTAINS"), 0x0040A040: ("CS", value_type.encode())} | (values | images)[value_type]
    item |= {0x0040A043: concept or code("1", "99X")}
    return item | ({0x0040A730: ("SQ", children)} if children else {})


def report(make: Any, items: list[Any], **more: Any) -> bytes:
    return bytes(make(SR | {0x00080060: ("CS", b"SR"), 0x0040A730: ("SQ", items)} | more.get("root", {})))


def run(data: bytes, pseudonymiser: Pseudonymiser, profile: Profile = INFERENCE) -> Deidentified:
    return deidentify(data, EXPLICIT_LE, compile_rules(profile), lambda key: pseudonymiser)


def tree(done: Deidentified) -> Any:
    return pydicom.dcmread(io.BytesIO(b"".join(done.parts))).get("ContentSequence", [])


def outcome(item: Any, value_type: str, shifted: str) -> str:
    """kept, moved, replaced."""
    now = {
        "TEXT": item.get("TextValue"),
        "PNAME": item.get("PersonName"),
        "DATE": item.get("Date"),
        "TIME": item.get("Time"),
        "DATETIME": item.get("DateTime"),
        "UIDREF": item.get("UID"),
    }
    if value_type in {"IMAGE", "COMPOSITE", "WAVEFORM"}:
        uid = item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        return "kept" if uid == IMAGE_UID.decode() else "replaced"
    if value_type in {"NUM", "CODE", "CONTAINER"}:
        return "kept"
    before = {"TEXT": "CANARY text", "PNAME": "Zebra^Paul", "DATE": "20240229", "TIME": "101112"}
    before |= {"DATETIME": "20240229101112", "UIDREF": "1.2.3.999.7"}
    if str(now[value_type]) == before[value_type]:
        return "kept"
    return "moved" if str(now[value_type]).startswith(shifted) else "replaced"


def expected(row: dict[str, Any], options: frozenset[str]) -> str:
    """The published row under the options: gone, kept, moved or replaced."""
    chosen = {name: value for name, value in row["options"].items() if name in options}
    if MODIFIED in chosen:
        return "kept" if row["value_type"] == "TIME" else "moved"
    if "K" in chosen.values():
        holds_uid = row["value_type"] in {"IMAGE", "COMPOSITE", "WAVEFORM"}
        return "kept" if not holds_uid or "retain_uids" in chosen else "replaced"
    return "gone" if row["basic"] == "X" else "replaced"  # a text of unknown words is not kept by clean descriptors


NAMES = sorted(option.value for option in Option if option is not Option.CLEAN_STRUCTURED_CONTENT)
CHOICES = [frozenset[str]()] + [frozenset([name]) for name in NAMES] + [frozenset(NAMES) - {FULL}]


def test_every_row_of_the_content_table_under_every_option(make: Any, pseudonymiser: Pseudonymiser) -> None:
    """Each of the 214 rows comes out as its columns say, under no, one and all options beside this one."""
    shifted = pseudonymiser.shift_date("20240229")
    assert shifted is not None
    assert len(ROWS) == 214
    for options in CHOICES:
        profile = Profile("one", frozenset(map(Option, options)) | {Option.CLEAN_STRUCTURED_CONTENT})
        items = [content(row["value_type"], code(row["code"], row["scheme"], str(n))) for n, row in enumerate(ROWS)]
        left = {
            int(item.ConceptNameCodeSequence[0].CodeMeaning): item
            for item in tree(run(report(make, items), pseudonymiser, profile))
        }
        wrong = {
            f"{row['code']} {row['scheme']} {row['value_type']} {row['basic']}": found
            for number, row in enumerate(ROWS)
            if (found := outcome(left[number], row["value_type"], shifted) if number in left else "gone")
            != expected(row, options)
        }
        assert wrong == {}, sorted(options)


def test_findings_in_codes_and_numbers_reach_a_model(make: Any, pseudonymiser: Pseudonymiser) -> None:
    """Codes, numbers, technical words and the tree around them stay; sentences and names are replaced."""
    finding = content("CODE", code("121071"), children=[content("NUM"), content("TEXT", text="LEFT LUNG")])
    named = [content("TEXT", text="seen with Mr Smith"), content("PNAME")]
    items = tree(run(report(make, [content("CONTAINER", children=[finding, *named])]), pseudonymiser))
    inner = items[0].ContentSequence
    assert inner[0].ConceptCodeSequence[0].CodeValue == "F"
    assert inner[0].ContentSequence[0].MeasuredValueSequence[0].NumericValue == 42
    assert inner[0].ContentSequence[1].TextValue == "LEFT LUNG"
    assert (inner[1].TextValue, str(inner[2].PersonName)) == ("REMOVED", "REMOVED")


def test_an_identifier_in_a_code_or_a_technical_text_does_not_stay(make: Any, pseudonymiser: Pseudonymiser) -> None:
    """The patient's own name is looked for in meanings and texts whose words are all known."""
    items = [content("TEXT", text="CHEST PA"), content("CODE", code("1", "99X", "of Chest"))]
    done = run(report(make, items, root={0x00100010: ("PN", b"Chest^Jo")}), pseudonymiser)
    assert b"CHEST" not in b"".join(done.parts).upper()


def test_references_by_position_still_meet_their_item(make: Any, pseudonymiser: Pseudonymiser) -> None:
    """Where items refer to others by position, an empty comment stands in for one that is taken out."""
    target = content("NUM")
    pointer = {0x0040A010: ("CS", b"INFERRED FROM"), 0x0040DB73: ("UL", b"\1\0\0\0\2\0\0\0")}
    items = [content("TEXT", code("121106")), target, content("CODE", code("2", "99X"), children=[pointer])]
    left = tree(run(report(make, items), pseudonymiser))
    assert [item.ValueType for item in left] == ["TEXT", "NUM", "CODE"]
    assert left[0].TextValue == "REMOVED"
    assert list(left[2].ContentSequence[0].ReferencedContentItemIdentifier) == [1, 2]
    without = tree(run(report(make, items[:2]), pseudonymiser))
    assert [item.ValueType for item in without] == ["NUM"]


def test_a_tree_without_items_is_absent(make: Any, pseudonymiser: Pseudonymiser) -> None:
    """Content Sequence is never left empty: PS3.3 has it with items or not at all."""
    inner = content("CONTAINER", children=[content("TEXT", code("121106"))])
    (left,) = tree(run(report(make, [inner]), pseudonymiser))
    assert "ContentSequence" not in left
    assert tree(run(report(make, [content("TEXT", code("121106"))]), pseudonymiser)) == []


@pytest.mark.parametrize(("age", "stays"), [(b"42", True), (b"90", True), (b"91", False), (b"old", False)])
def test_an_age_past_90_is_not_told(age: bytes, stays: bool, make: Any, pseudonymiser: Pseudonymiser) -> None:
    """Subject Age stays with patient characteristics, up to the age at which it tells who somebody is."""
    item = content("NUM", code("121033")) | {0x0040A300: ("SQ", [{0x0040A30A: ("DS", age)}])}
    assert len(tree(run(report(make, [item]), pseudonymiser))) == int(stays)


def test_a_value_type_nobody_knows_is_removed(make: Any, pseudonymiser: Pseudonymiser) -> None:
    """An item of an unknown kind, or of none, does not stay; a text outside its item's type is not kept either."""
    strange = content("TEXT") | {0x0040A040: ("CS", b"HOLOGRAM")}
    nameless = {0x0040A160: ("UT", b"CANARY")}
    wrong = content("NUM") | {0x0040A160: ("UT", b"CANARY")}
    done = run(report(make, [strange, nameless, wrong]), pseudonymiser)
    assert [item.ValueType for item in tree(done)] == ["NUM"]
    assert b"CANARY" not in b"".join(done.parts)


@pytest.mark.parametrize("syntax", [EXPLICIT_LE, "1.2.840.10008.1.2"])
def test_a_cleaned_report_is_restored_bit_for_bit(syntax: str, make: Any, pseudonymiser: Pseudonymiser) -> None:
    """Removed, replaced and corrected items come back exactly."""
    items = [content(row["value_type"], code(row["code"], row["scheme"])) for row in ROWS[:40]]
    elements = SR | {0x0040A730: ("SQ", [content("CONTAINER", children=items), *items])}
    data = make(elements, IMPLICIT if syntax == "1.2.840.10008.1.2" else EXPLICIT)
    done = deidentify(data, syntax, compile_rules(INFERENCE), lambda key: pseudonymiser)
    assert restore(done.parts, done.removed) == data

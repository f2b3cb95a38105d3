"""The export profile: what its IOD does not name does not leave, and neither does a class that nobody has listed."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pydicom
import pytest

from gateway.domain.errors import Unsupported
from gateway.privacy.allow_list import allowed_tags, restricted
from gateway.privacy.dictionary import VR_OF, writable_vr
from gateway.privacy.disposition import KINDS
from gateway.privacy.engine import deidentify
from gateway.privacy.pseudonyms import Pseudonymiser
from gateway.privacy.rules import EXPORT, Action, Option, Profile, compile_rules, table_rows
from gateway.privacy.stamps import PixelMethod

EXPLICIT_LE = "1.2.840.10008.1.2.1"
CT, ECG, PDF = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.9.1.1", "1.2.840.10008.5.1.4.1.1.104.1"
MODIFIED = Profile("export", EXPORT.options | {Option.RETAIN_MODIFIED_DATES}, allow_list=True)


def run(data: bytes, pseudonymiser: Pseudonymiser, profile: Profile = EXPORT, **more: Any) -> pydicom.Dataset:
    done = deidentify(data, EXPLICIT_LE, compile_rules(profile), lambda key: pseudonymiser, **more)
    return pydicom.dcmread(io.BytesIO(b"".join(done.parts)))


@pytest.mark.parametrize("uid", [b"1.2.3.4", PDF.encode(), b"1.2.840.10008.5.1.4.1.1.66"])
def test_a_class_that_is_not_listed_is_refused(uid: bytes, make: Any, pseudonymiser: Pseudonymiser) -> None:
    """Private classes, documents and raw data raise Unsupported."""
    with pytest.raises(Unsupported):
        run(make({0x00080016: ("UI", uid)}), pseudonymiser)


def test_listed_are_the_classes_that_are_cleaned() -> None:
    """Every class on the list has the rule `clean`; what is quarantined is not on it."""
    for kind in KINDS:
        for suffix in kind.classes.split():
            listed = allowed_tags(f"1.2.840.10008.5.1.4.{suffix}") is not None
            assert not listed or kind.action == "clean", suffix


def test_what_the_iod_does_not_name_is_removed(make: Any, pseudonymiser: Pseudonymiser) -> None:
    """An ultrasound attribute in a CT, free text, dates, descriptions and names go; technique and codes stay."""
    elements = {
        0x00080020: ("DA", b"20240229"),
        0x00080030: ("TM", b"101112"),
        0x0008103E: ("LO", b"AX CHEST"),
        0x00080070: ("LO", b"ACME"),
        0x00180050: ("DS", b"5.0"),
        0x00181030: ("LO", b"CHEST ROUTINE"),
        0x00181160: ("SH", b"CANARY"),
        0x00181020: ("LO", b"CANARY"),
        0x00185000: ("SH", b"10"),
        0x00186060: ("FL", b"\0\0\0\0"),
        0x00204000: ("LT", b"CANARY"),
        0x00400555: ("SQ", []),
        0x00280010: ("US", b"\0\2"),
        0x00201040: ("LO", b"CANARY"),
    }
    result = run(make(elements), pseudonymiser)
    assert (result.Manufacturer, result.SliceThickness, result.Rows) == ("ACME", 5, 512)
    assert (result.StudyDate, result.StudyTime) == ("", "")
    assert result.PatientIdentityRemoved == "YES"
    for tag in (0x0008103E, 0x00181030, 0x00185000, 0x00186060, 0x00204000):
        assert tag not in result
    assert "CANARY" not in str(result)
    assert [item.CodeValue for item in result.DeidentificationMethodCodeSequence] == ["113100", "113103", "113104"]


@pytest.mark.parametrize("uid", [CT, ECG, "1.2.840.10008.5.1.4.1.1.4.1", "1.2.840.10008.5.1.4.1.1.88.33"])
def test_no_rule_of_an_export_keeps_free_text_or_time(uid: str) -> None:
    """Over every attribute of PS3.6: kept are numbers, terms and listed technical texts; no date, name or address."""
    rules = restricted(compile_rules(EXPORT), uid)
    kept = {tag for tag in VR_OF if rules.actions[tag] in (Action.SCAN, Action.KEEP, Action.TIME, Action.SHIFT)}
    assert not {tag for tag in kept if writable_vr(tag) in {"DA", "DT", "TM", "PN", "AE", "UR", "ST", "LT", "UT", "UC"}}
    assert len({tag for tag in kept if writable_vr(tag) in {"LO", "SH"}}) <= 8
    assert not kept & {row.tag for row in table_rows()}
    assert len(kept) > 50


def test_chosen_dates_are_shifted_and_times_cut_to_the_hour(make: Any, pseudonymiser: Pseudonymiser) -> None:
    """With modified dates the day is the patient's shifted one, and no time of day is finer than an hour."""
    elements = {
        0x00080020: ("DA", b"20240229"),
        0x00080030: ("TM", b"10:11:12.5"),
        0x0008002A: ("DT", b"20240229101112.5"),
        0x00080031: ("TM", b"SMITH"),
    }
    result = run(make(elements), pseudonymiser, MODIFIED)
    day = pseudonymiser.shift_date("20240229")
    assert (result.StudyDate, str(result.StudyTime)) == (day, "100000")
    assert str(result.AcquisitionDateTime) == f"{day}10"
    assert str(result.get("SeriesTime", "")) == ""


def test_what_was_done_to_pixels_is_stamped_when_told(make: Any, pseudonymiser: Pseudonymiser) -> None:
    """Codes 113101 and 113102 and their answers are written when the caller says so, in place of what stood there."""
    data = make({0x00280301: ("CS", b"YES"), 0x00280302: ("CS", b"YES")})
    plain = run(data, pseudonymiser)
    told = run(data, pseudonymiser, pixels=frozenset(PixelMethod))
    assert (plain.BurnedInAnnotation, plain.RecognizableVisualFeatures) == ("YES", "YES")
    assert (told.BurnedInAnnotation, told.RecognizableVisualFeatures) == ("NO", "NO")
    codes = [item.CodeValue for item in told.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113103", "113104", "113101", "113102"]
    assert [int(tag) for tag in told.keys()] == sorted(int(tag) for tag in told.keys())  # noqa: SIM118


def test_the_lists_are_what_the_tool_makes(tmp_path: Path) -> None:
    """The tool that made the list reads highdicom's tables; on a small pair of them it makes what it says."""
    standard = tmp_path / "standard"
    standard.mkdir()
    tables = {
        "sop_class_iod_map.json": {CT: "ct", PDF: "pdf"},
        "iod_module_map.json": {"ct": [{"key": "m"}], "pdf": [{"key": "m"}]},
        "module_attribute_map.json": {
            "m": [
                {"keyword": "SliceThickness", "type": "2", "path": []},
                {"keyword": "ImageComments", "type": "3", "path": []},
                {"keyword": "FilterType", "type": "3", "path": []},
                {"keyword": "RescaleType", "type": "1C", "path": []},
            ]
        },
    }
    for name, table in tables.items():
        (standard / name).write_text(json.dumps(table))
    out = tmp_path / "out.json"
    root = Path(__file__).resolve().parents[4]
    subprocess.run(
        [sys.executable, "deploy/tools/iod_attributes.py", standard, out],
        cwd=root,
        check=True,
        env={"PYTHONPATH": str(root)},
    )
    made = json.loads(out.read_text())
    assert made["classes"] == {CT: "ct"}
    assert made["modules"] == {"m": "00180050 00204000 00281054"}
    assert made["texts"] == "00281054"

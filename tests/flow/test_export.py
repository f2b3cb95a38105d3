"""A research export of real studies out of a real vault: what leaves, what stays, and what a crash leaves behind."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pydicom
import pytest
from harness.exports import DAY, Given, cleared_studies, export, patients, request
from harness.gateway_process import REPOSITORY
from harness.studies import PLANTED, traces
from sqlalchemy import delete, update
from wire.fhir_rest.hospital import PASSWORD, Hospital, open_hospital

from gateway import wiring
from gateway.cli import main
from gateway.domain.errors import Conflict, Invalid, Missing
from gateway.domain.export import ExportRequest, Selection
from gateway.flow.choose_studies import ERASED, SUPPRESSED
from gateway.privacy.checker.verdict import Facts, Problem, Verdict
from gateway.privacy.keyring import Purpose
from gateway.privacy.pseudonyms import Pseudonymiser
from gateway.storage.tables import instance, vault_patient

HEAD = {"Modality": "CT", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2", "BodyPartExamined": "HEAD"}


@pytest.fixture
def hospital(tmp_path: Path, sqlite_template: Path) -> Iterator[Hospital]:
    opened = open_hospital(tmp_path / "home", sqlite_template)
    yield opened
    opened.database.close()


def files_of(folder: Path) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(path) for path in sorted(folder.glob("dicom/*/*/*/*.dcm"))]


def everything(folder: Path) -> bytes:
    return b"".join(path.read_bytes() + str(path).encode() for path in folder.rglob("*") if path.is_file())


def test_a_copy_is_whole_and_names_nobody(hospital: Hospital, tmp_path: Path) -> None:
    """Files, manifest, checksums, inventory and report are there, and neither identity nor our pseudonyms."""
    studies = cleared_studies(hospital, tmp_path / "in", patients(5))
    done = export(hospital, request(studies, k=5), tmp_path / "out")
    folder = tmp_path / "out"
    found = files_of(folder)
    assert (len(found), done.plan.objects, done.plan.withheld) == (10, 10, {})
    sums = dict(reversed(line.split("  ")) for line in (folder / "SHA256SUMS").read_text().splitlines())
    assert len(sums) == 13
    assert all(hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest for name, digest in sums.items())
    told = json.loads((folder / "manifest.json").read_text())
    assert (told["export"], told["exported"]["patients"], told["k_anonymity"]["smallest_group"]) == (done.id, 5, 5)
    bytes_out = everything(folder)
    with hospital.database.read() as unit:
        rows = [unit.studies.get(study) for study in studies]
        ours = {word for row in rows for word in (row.patient, row.study_uid, row.id)}
        ours |= {one.sop_instance_uid for row in rows for one in unit.studies.instances(row.id)}
    planted = {b"MRN-0-77182", DAY.encode(), b"19801122", *traces(PLANTED[0])}
    assert not [word for word in planted | {word.encode() for word in ours} if word in bytes_out]
    assert {image.PatientAge for image in found} == {"040Y"}
    assert not any("PatientSize" in image for image in found)
    assert {(image.StudyDate, image.AccessionNumber) for image in found} == {("", "")}


def test_references_and_patients_stay_together(hospital: Hospital, tmp_path: Path) -> None:
    """Two studies of one patient are one patient in the copy, each with its own study UID and series."""
    studies = cleared_studies(hospital, tmp_path / "in", [Given("MRN-1", {}), Given("MRN-1", {}), Given("MRN-2", {})])
    export(hospital, request(studies), tmp_path / "out")
    found = files_of(tmp_path / "out")
    assert len({image.PatientID for image in found}) == 2
    assert len({image.StudyInstanceUID for image in found}) == 3
    assert len({image.SOPInstanceUID for image in found}) == 6
    assert len({(image.StudyInstanceUID, image.SeriesInstanceUID) for image in found}) == 3


def test_two_recipients_cannot_match_their_copies(hospital: Hospital, tmp_path: Path) -> None:
    """Nothing per-patient or per-object is shared between two recipients; the same recipient gets the same again."""
    studies = cleared_studies(hospital, tmp_path / "in", patients(4))
    for name, recipient in (("a", "University A"), ("b", "University B"), ("again", "university a")):
        export(hospital, request(studies, recipient, dates="shifted"), tmp_path / name)

    def identifying(folder: str) -> set[str]:
        words = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
        images = files_of(tmp_path / folder)
        return {str(getattr(image, word)) for image in images for word in words} | {
            str(one.PatientName) for one in images
        }

    assert not identifying("a") & identifying("b")
    assert identifying("a") == identifying("again")
    shifts = [sorted(image.StudyDate for image in files_of(tmp_path / name)) for name in ("a", "b")]
    assert shifts[0] != shifts[1]
    assert DAY not in shifts[0] + shifts[1]
    assert all(image.get("StudyTime", "") == "" for image in files_of(tmp_path / "a"))


def test_the_key_table_leads_back_and_does_not_leave(hospital: Hospital, tmp_path: Path) -> None:
    """Sealed in the home folder, it leads each patient and study of its export to ours, and of no other export."""
    studies = cleared_studies(hospital, tmp_path / "in", patients(2))
    first = export(hospital, request(studies), tmp_path / "a")
    second = export(hospital, request(studies, "University B"), tmp_path / "b")
    keys = wiring.export_keys(hospital.settings)
    with hospital.database.read() as unit:
        known = {unit.studies.get(study).study_uid for study in studies}
        people = {unit.studies.get(study).patient for study in studies}
    images = files_of(tmp_path / "a")
    assert {keys.internal(first.id, str(one.StudyInstanceUID)) for one in images} == known
    assert {keys.internal(first.id, str(one.PatientID)) for one in images} == people
    with pytest.raises(Missing):
        keys.internal(second.id, str(images[0].PatientID))
    sealed = hospital.settings.home / "exports" / f"{first.id}.sealed"
    assert sealed.stat().st_mode & 0o777 == 0o600
    assert not any(word.encode() in sealed.read_bytes() for word in people | known)


def test_what_may_not_leave_is_withheld_and_counted(hospital: Hospital, tmp_path: Path) -> None:
    """Unsettled, uncleared, exempt, of a kind that never leaves, a head CT, an erased patient: each has its reason."""
    fine, *_ = cleared_studies(hospital, tmp_path / "fine", patients(1))
    exempt, *_ = cleared_studies(hospital, tmp_path / "exempt", patients(1), pixels="exempt")
    head, *_ = cleared_studies(hospital, tmp_path / "head", patients(1, **HEAD))
    capture = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7", "Modality": "OT"}
    captured, *_ = cleared_studies(hospital, tmp_path / "capture", patients(1, **capture))
    open_study, *_ = cleared_studies(hospital, tmp_path / "open", patients(1), settled=False)
    asked = request([fine, exempt, head, captured, open_study])
    plan = wiring.choose_studies(hospital.settings, hospital.database)(asked)
    assert [one.study.id for one in plan.studies] == [fine]
    assert plan.withheld == {
        "CT or MR that may show a face": 2,
        "kind of object not on the allow-list": 2,
        "pixels not searched for text": 2,
        "the study is not complete": 2,
    }
    allowed = request([fine, exempt], allow_unsearched_pixels=True)
    assert export(hospital, allowed, tmp_path / "out").plan.objects == 4
    assert "not searched" in (tmp_path / "out" / "report.md").read_text()


def test_a_rotated_and_retired_identity_key_loses_no_export(hospital: Hospital, tmp_path: Path) -> None:
    """While a key table rests on a former key it cannot be retired; after the rotation it can, and names lead back."""
    studies = cleared_studies(hospital, tmp_path / "in", patients(1))
    done = export(hospital, request(studies), tmp_path / "out")
    keys = replace(wiring.rotate_keys(hospital.settings), pause=lambda seconds: None)
    former = wiring.key_ring(hospital.settings, "identity.json").current[Purpose.IDENTITY]
    rewrap, keys = keys, replace(keys, tables=Held(keys.tables))
    keys.rotate(Purpose.IDENTITY, "test")
    with pytest.raises(Conflict, match="still serves 1"):
        keys.retire(former, "test")
    rewrap.rotate(Purpose.IDENTITY, "test")
    rewrap.retire(former, "test")
    (patient,) = {str(image.PatientID) for image in files_of(tmp_path / "out")}
    with hospital.database.read() as unit:
        assert wiring.export_keys(hospital.settings).internal(done.id, patient) == unit.studies.get(studies[0]).patient


@dataclass(frozen=True)
class Held:
    """Tables that a rotation could not reach."""

    tables: Any

    def counts(self) -> Any:
        return self.tables.counts()

    def rewrap(self, ring: Any) -> tuple[int, int]:
        return 0, 0


@pytest.mark.parametrize("state", ["unchecked", "masking", "held", "quarantined", "rejected"])
def test_an_uncleared_object_stays_behind(hospital: Hospital, tmp_path: Path, state: str) -> None:
    """An object in any state but `cleared` does not leave with the cleared ones of its study."""
    study_id, *_ = cleared_studies(hospital, tmp_path / "in", patients(1))
    with hospital.database.begin("test") as unit:
        one, other = unit.studies.instances(study_id)
        unit._transaction.execute(update(instance).where(instance.c.id == one.id).values(clearance=state))
        unit.commit()
    plan = wiring.choose_studies(hospital.settings, hospital.database)(request([study_id]))
    assert [each.id for each in plan.studies[0].instances] == [other.id]
    assert plan.withheld == {"not cleared by the checker": 1}


def test_a_quarantined_study_stays_behind(hospital: Hospital, tmp_path: Path) -> None:
    """A study that was put aside does not leave beside one that is complete."""
    study_id, *_ = cleared_studies(hospital, tmp_path / "in", patients(1))
    aside, *_ = cleared_studies(hospital, tmp_path / "aside", patients(1), settled=False)
    with hospital.database.begin("test") as unit:
        unit.studies.move(aside, "receiving", "quarantine")
        unit.commit()
    plan = wiring.choose_studies(hospital.settings, hospital.database)(request([study_id, aside]))
    assert plan.withheld == {"the study is not complete": 2}


def test_small_groups_are_left_out(hospital: Hospital, tmp_path: Path) -> None:
    """The one patient of another age is suppressed and counted, and alone he cannot be exported at all."""
    studies = cleared_studies(hospital, tmp_path / "in", patients(6))
    done = export(hospital, request(studies, k=5), tmp_path / "out")
    assert (done.plan.objects, done.plan.withheld, done.plan.smallest_group) == (10, {SUPPRESSED: 2}, 5)
    with pytest.raises(Conflict, match="fewer patients than k"):
        export(hospital, request(studies[5:], k=2), tmp_path / "alone")
    assert not (tmp_path / "alone").exists()


def test_a_file_that_the_checker_refuses_stops_everything(
    hospital: Hospital, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One failing file of many: no folder, no key table, no audit row of an export."""
    studies = cleared_studies(hospital, tmp_path / "in", patients(2))
    seen = []

    def refuses_the_third(*arguments: Any) -> Verdict:
        seen.append(arguments)
        return Verdict((Problem("identity", "(0010,4000)"),) if len(seen) == 3 else (), Facts())

    monkeypatch.setattr("gateway.flow.check_copy.check", refuses_the_third)
    with pytest.raises(Conflict, match="the checker found: identity"):
        export(hospital, request(studies), tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "in"]
    assert not list(hospital.settings.home.glob("exports/*"))
    assert hospital.events("export:make") == hospital.events("study:export") == []


@pytest.mark.parametrize("what", ["uid", "patient_id"])
def test_our_own_pseudonym_in_a_copy_is_found(
    hospital: Hospital, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Were the second cleaning to keep this gateway's UIDs or patient pseudonyms, nothing would be released."""
    studies = cleared_studies(hospital, tmp_path / "in", patients(1))
    with hospital.database.read() as unit:
        patient = unit.studies.get(studies[0]).patient
    kept = {"uid": lambda self, original: original, "patient_id": lambda self: patient}[what]
    monkeypatch.setattr(Pseudonymiser, what, kept)
    with pytest.raises(Conflict, match="nothing was exported"):
        export(hospital, request(studies), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_object_under_another_name_than_its_own_is_not_released(
    hospital: Hospital, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checker holds the copy against the names that it must have, not against those that it says of itself."""
    studies = cleared_studies(hospital, tmp_path / "in", patients(1))
    uid = Pseudonymiser.uid
    lied = iter(["2.25.1", "2.25.2"])
    monkeypatch.setattr(Pseudonymiser, "uid", lambda self, original: next(lied, None) or uid(self, original))
    with pytest.raises(Conflict, match="the checker found"):
        export(hospital, request(studies), tmp_path / "out")


def test_a_stored_object_that_was_swapped_does_not_leave(hospital: Hospital, tmp_path: Path) -> None:
    """An object whose content is not the one that was cleared stops the export."""
    study, *_ = cleared_studies(hospital, tmp_path / "in", patients(1))
    with hospital.database.begin("test") as unit:
        one, other = unit.studies.instances(study)
        unit._transaction.execute(update(instance).where(instance.c.id == one.id).values(digest=other.digest))
        unit.commit()
    with pytest.raises(Invalid, match="not the one that was cleared"):
        export(hospital, request([study]), tmp_path / "out")


def test_an_export_is_audited(hospital: Hospital, tmp_path: Path) -> None:
    """One row for the export and one for each study, with recipient and purpose, and no identity was opened."""
    studies = cleared_studies(hospital, tmp_path / "in", patients(2))
    opened = len(hospital.events("identity:open"))
    done = export(hospital, request(studies), tmp_path / "out")
    (row,) = hospital.events("export:make")
    assert (row.subject_id, row.actor, row.details["recipient"]) == (done.id, "cli:test", "University A")
    assert {each.subject_id for each in hospital.events("study:export")} == set(studies)
    assert len(hospital.events("identity:open")) == opened


def test_an_existing_folder_is_refused(hospital: Hospital, tmp_path: Path) -> None:
    """Neither a folder that is there nor one that another export is building is written into."""
    studies = cleared_studies(hospital, tmp_path / "in", patients(1))
    (tmp_path / "out").mkdir()
    with pytest.raises(Conflict, match="exists"):
        export(hospital, request(studies), tmp_path / "out")
    (tmp_path / ".other.part").mkdir()
    with pytest.raises(Conflict, match="running or was interrupted"):
        export(hospital, request(studies), tmp_path / "other")
    assert (tmp_path / ".other.part").is_dir()


def test_an_erased_patient_is_withheld(hospital: Hospital, tmp_path: Path) -> None:
    """What the vault has forgotten gets no pseudonym in any domain."""
    gone, stays = cleared_studies(hospital, tmp_path / "in", patients(2))
    with hospital.database.begin("test") as unit:
        patient = unit.studies.get(gone).patient
        unit._transaction.execute(delete(vault_patient).where(vault_patient.c.pseudonym == patient))
        unit.commit()
    plan = wiring.choose_studies(hospital.settings, hospital.database)(request([gone, stays]))
    assert ([one.study.id for one in plan.studies], plan.withheld) == ([stays], {ERASED: 2})


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(modality="US"), 3),
        (Selection(modality="MR"), 0),
        (Selection(body_part="BREAST", modality="US"), 3),
        (Selection(body_part="CHEST"), 0),
    ],
)
def test_studies_are_chosen_by_what_they_are(
    hospital: Hospital, tmp_path: Path, selection: Selection, expected: int
) -> None:
    """Modality and body part join by AND; where nothing fits the export says so."""
    cleared_studies(hospital, tmp_path / "in", patients(3), instances=1)
    choose = wiring.choose_studies(hospital.settings, hospital.database)
    asked = ExportRequest(selection, "University A", "reader study", k=1)
    if expected:
        assert len(choose(asked).studies) == expected
    else:
        with pytest.raises(Conflict, match="no study fits"):
            choose(asked)


def test_a_choice_is_by_name_or_by_kind(hospital: Hospital) -> None:
    """Nothing chosen would be everything, and a mixture says two things, so both are refused; so are empty words."""
    choose = wiring.choose_studies(hospital.settings, hospital.database)
    for selection in (Selection(), Selection(patients=("X",), modality="CT")):
        with pytest.raises(Invalid, match="choose studies"):
            choose(ExportRequest(selection, "A", "b"))
    for recipient, purpose in (("", "x"), ("x", " "), ("a\nb", "x"), ("x" * 201, "y")):
        with pytest.raises(Invalid, match="printable"):
            choose(ExportRequest(Selection(modality="CT"), recipient, purpose))
    with pytest.raises(Invalid, match="k is"):
        choose(ExportRequest(Selection(modality="CT"), "A", "b", k=0))


def test_the_command_exports_and_leads_back(
    hospital: Hospital, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`dxgate export`, then `dxgate identity open` with a name of the copy, as an officer would type it."""
    monkeypatch.setenv("DXGATE_GATEWAY_HOME", str(hospital.settings.home))
    cleared_studies(hospital, tmp_path / "in", patients(5), instances=1)
    hospital.add_person("o.fficer", "privacy-officer")
    words = ["export", "--out", str(tmp_path / "out"), "--modality", "us", "--recipient", "University A"]
    assert main([*words, "--purpose", "reader study"]) == 2  # no terminal to ask at
    assert "say --yes" in capsys.readouterr().err
    assert main([*words, "--purpose", "reader study", "--yes"]) == 0
    told = capsys.readouterr().out
    export_id = told.split("export ")[-1].split(":")[0]
    (image, *_) = files_of(tmp_path / "out")
    monkeypatch.setattr("sys.stdin", io_of(PASSWORD))
    asked = ["--person", "o.fficer", "--purpose", "PATSFTY", "--reason", "finding", "--password-stdin", "--json"]
    assert main(["identity", "open", str(image.PatientID), "--export", export_id, *asked]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["kind"] == "patient"
    assert found["identity"]["patient_id"].startswith("MRN-")
    assert "accession_number" not in found["identity"]


def io_of(line: str) -> Any:
    return io.StringIO(line + "\n")


SLOW = """
import sys, time
from gateway.flow.check_copy import CheckCopy
whole = CheckCopy.__call__
def slowly(*arguments):
    names = whole(*arguments)
    print("checked", flush=True)
    time.sleep(0.2)
    return names
CheckCopy.__call__ = slowly
from gateway.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_killed_export_leaves_nothing_that_looks_whole(hospital: Hospital, tmp_path: Path) -> None:
    """kill -9 in the middle: no folder under the export's name, no checksums, no key table, no audit row."""
    studies = cleared_studies(hospital, tmp_path / "in", patients(3))
    target = tmp_path / "out"
    words = ["--home", str(hospital.settings.home), "export", "--out", str(target), "--k", "1", "--yes"]
    words += ["--recipient", "A", "--purpose", "b", *(word for study in studies for word in ("--study", study))]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(
        [sys.executable, "-c", SLOW, *words], stdout=subprocess.PIPE, text=True, env=environment, cwd=tmp_path
    ) as child:
        assert child.stdout is not None
        count = sum(1 for _ in zip(iter(lambda: _next_checked(child.stdout), None), range(3), strict=False))
        child.send_signal(signal.SIGKILL)
    assert count == 3
    assert not target.exists()
    left = tmp_path / ".out.part"
    assert list(left.rglob("*.dcm"))
    assert not (left / "SHA256SUMS").exists()
    assert not list(hospital.settings.home.glob("exports/*.sealed"))
    assert hospital.events("export:make") == []
    with pytest.raises(Conflict, match="interrupted"):
        export(hospital, request(studies), target)


def _next_checked(lines: Any) -> str | None:
    deadline = time.monotonic() + 60
    for line in lines:
        if line.strip() == "checked":
            return str(line)
        assert time.monotonic() < deadline
    return None


def test_dicomqc_finds_no_identity_in_a_copy(hospital: Hospital, tmp_path: Path) -> None:
    """A stranger's verifier scans the folder and reports no error."""
    studies = cleared_studies(hospital, tmp_path / "in", patients(2))
    export(hospital, request(studies), tmp_path / "out")
    pytest.importorskip("dicomqc")
    program = Path(sys.executable).with_name("dicomqc")
    done = subprocess.run(
        [program, "scan", str(tmp_path / "out" / "dicom")], capture_output=True, text=True, timeout=60, check=False
    )
    assert "Files scanned: 4\nErrors: 0\n" in done.stdout  # it warns of every pseudonym that is not of its own form

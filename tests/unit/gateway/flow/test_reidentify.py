"""Leading a pseudonym back: who may, for what, how often, and what the audit trail says of it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from harness.exports import cleared_studies, export, patients, request
from harness.studies import PLANTED
from sqlalchemy import delete
from wire.fhir_rest.hospital import PASSWORD, Hospital, open_hospital

from gateway import wiring
from gateway.cli import main
from gateway.domain.access import Person, Role
from gateway.domain.errors import Forbidden, Invalid, Missing
from gateway.domain.ids import PersonId, StudyId
from gateway.domain.reidentification import LONGEST_REASON, MAY_REIDENTIFY, PURPOSES, Reidentified
from gateway.domain.study import Study
from gateway.flow.opening_quota import TooManyOpenings, hour_of
from gateway.flow.reidentify import Asked, Reidentify
from gateway.storage.tables import vault_patient

NOON = datetime(2026, 11, 25, 12, 30, tzinfo=UTC)


@pytest.fixture
def hospital(tmp_path: Path, sqlite_template: Path) -> Iterator[Hospital]:
    opened = open_hospital(tmp_path / "home", sqlite_template)
    yield opened
    opened.database.close()


@pytest.fixture
def study(hospital: Hospital, tmp_path: Path) -> Study:
    """One study of a patient whose identity is planted."""
    study_id, *_ = cleared_studies(hospital, tmp_path / "in", patients(1), instances=1)
    with hospital.database.read() as unit:
        return unit.studies.get(StudyId(study_id))


def person(role: Role = "privacy-officer", name: str = "o.fficer") -> Person:
    return Person(PersonId(f"id-{name}"), name, "hash", role, True, NOON)


def step(hospital: Hospital, most: int = 20, now: datetime = NOON) -> Reidentify:
    vault, keys = wiring.vault(hospital.settings, hospital.database), wiring.export_keys(hospital.settings)
    return Reidentify(hospital.database, vault, keys, most, now=lambda: now)


def asked(name: str, purpose: str = "PATSFTY", reason: str = "recall of a device", **rest: Any) -> Asked:
    return Asked(name, purpose, reason, **rest)


def test_a_patient_pseudonym_gives_the_patient_alone(hospital: Hospital, study: Study) -> None:
    """Name, number, birth date and sex, but nothing of a study that nobody asked for."""
    found = step(hospital)(person(), asked(study.patient))
    assert (found.kind, found.patient) == ("patient", study.patient)
    assert (found.identity.patient_id, found.identity.patient_name) == ("MRN-0-77182", PLANTED[0].name)
    assert (found.identity.birth_date, found.identity.sex) == ("19801122", "F")
    of_study = (found.identity.accession_number, found.identity.study_instance_uid, found.identity.study_date)
    assert of_study == ("", "", "")


def test_a_study_pseudonym_gives_the_study(hospital: Hospital, study: Study) -> None:
    """The pseudonymous Study Instance UID leads to the original study with its accession number."""
    found = step(hospital)(person(), asked(study.study_uid))
    assert found.kind == "study"
    assert found.identity.accession_number == "MRN-0-77182"
    assert found.identity.study_instance_uid.startswith("1.2.826")


def test_names_of_an_export_lead_back_through_its_key_table(hospital: Hospital, study: Study, tmp_path: Path) -> None:
    """With the export's id both its patient id and its study UID are known; without it neither is."""
    done = export(hospital, request([study.id]), tmp_path / "out")
    (folder,) = (tmp_path / "out" / "dicom").iterdir()
    (inner,) = folder.iterdir()
    assert step(hospital)(person(), asked(folder.name, export_id=done.id)).identity.patient_id == "MRN-0-77182"
    assert step(hospital)(person(), asked(inner.name, export_id=done.id)).kind == "study"
    for name in (folder.name, inner.name):
        with pytest.raises(Missing):
            step(hospital)(person(), asked(name))
    with pytest.raises(Missing):
        step(hospital)(person(), asked(study.patient, export_id=done.id))
    with pytest.raises(Invalid, match="export id"):
        step(hospital)(person(), asked(folder.name, export_id="../keys/identity"))


def test_an_answer_has_no_text_form(hospital: Hospital, study: Study) -> None:
    """Neither repr nor str of what was found can carry it into a log."""
    found = step(hospital)(person(), asked(study.patient))
    assert repr(found) == str(found) == "<Reidentified>"


def test_every_opening_is_on_record(hospital: Hospital, study: Study) -> None:
    """identity:release names the pseudonym, the person, his role, the purpose and the reason."""
    step(hospital)(person(), asked(study.study_uid))
    (row,) = hospital.events("identity:release")
    assert (row.subject_id, row.actor) == (study.patient, "person:o.fficer")
    assert row.details == {
        "purpose": "PATSFTY",
        "reason": "recall of a device",
        "role": "privacy-officer",
        "asked": study.study_uid,
    }
    assert hospital.events("identity:open")[0].details["purpose"] == "release"


@pytest.mark.parametrize("role", get_args(Role))
@pytest.mark.parametrize("purpose", [*PURPOSES, "HRESCH", ""])
def test_roles_and_purposes_are_those_of_the_table(hospital: Hospital, study: Study, role: Role, purpose: str) -> None:
    """Over all roles and purposes, what the table allows is released and everything else refused and audited."""
    step_now = step(hospital)
    if purpose in MAY_REIDENTIFY.get(role, ()):
        assert isinstance(step_now(person(role), asked(study.patient, purpose)), Reidentified)
        return
    opened = len(hospital.events("identity:open"))
    with pytest.raises((Forbidden, Invalid)):
        step_now(person(role), asked(study.patient, purpose))
    (row,) = hospital.events("identity:refuse")
    assert (row.subject_id, row.details["role"]) == ("id-o.fficer", role)
    assert len(hospital.events("identity:open")) == opened


def test_no_administrator_leads_anything_back() -> None:
    """Who runs the machine and who reads the audit have no purpose at all."""
    assert "admin" not in MAY_REIDENTIFY
    assert "auditor" not in MAY_REIDENTIFY


@pytest.mark.parametrize("reason", ["", "   ", "x" * (LONGEST_REASON + 1)])
def test_a_reason_is_asked_for(hospital: Hospital, study: Study, reason: str) -> None:
    """Without a reason, or with one that is too long, nothing is opened."""
    with pytest.raises(Invalid, match="reason"):
        step(hospital)(person(), asked(study.patient, reason=reason))


def test_what_was_asked_in_vain_is_not_written_down(hospital: Hospital, study: Study) -> None:
    """A patient's name typed in the place of a pseudonym is refused and does not reach the trail."""
    with pytest.raises(Missing):
        step(hospital)(person(), asked("Quillfeather^Zebulon"))
    (row,) = hospital.events("identity:refuse")
    assert row.details["refused"] == "missing"
    assert "Quillfeather" not in str(row)


def test_a_person_has_a_share_for_each_hour(hospital: Hospital, study: Study) -> None:
    """The share is the person's own, questions in vain count too, and the next hour begins anew."""
    few = step(hospital, most=2)
    few(person(), asked(study.patient))
    with pytest.raises(Missing):
        few(person(), asked("no such pseudonym"))
    with pytest.raises(TooManyOpenings) as refused:
        few(person(), asked(study.patient))
    assert refused.value.seconds == 1801
    assert hospital.events("identity:refuse")[0].details["refused"] == "busy"
    few(person(name="another"), asked(study.patient))
    step(hospital, most=2, now=NOON + timedelta(hours=1))(person(), asked(study.patient))


def test_the_hour_begins_on_the_hour() -> None:
    """Windows are clock hours, the same in every process."""
    assert hour_of(NOON) == NOON.replace(minute=0)


def test_an_erased_patient_is_not_found_again(hospital: Hospital, study: Study) -> None:
    """With the vault's row gone there is nothing to open, and the refusal is audited."""
    with hospital.database.begin("test") as unit:
        unit._transaction.execute(delete(vault_patient))
        unit.commit()
    with pytest.raises(Missing, match="erased"):
        step(hospital)(person(), asked(study.patient))
    assert len(hospital.events("identity:refuse")) == 1


def test_the_command_asks_for_name_and_password(
    hospital: Hospital, study: Study, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong password opens nothing and is audited; the right one of the wrong role opens nothing either."""
    monkeypatch.setenv("DXGATE_GATEWAY_HOME", str(hospital.settings.home))
    hospital.add_person("o.fficer", "privacy-officer")
    hospital.add_person("root", "admin")
    words = ["identity", "open", study.patient, "--purpose", "TREAT", "--reason", "finding", "--password-stdin"]

    def run(name: str, password: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(password + "\n"))
        code = main([*words, "--person", name])
        told = capsys.readouterr()
        return code, told.out + told.err

    assert run("o.fficer", "wrong") == (1, "dxgate: unknown name or wrong password\n")
    assert len(hospital.events("person:reject")) == 1
    code, told = run("root", PASSWORD)
    assert (code, "may not" in told) == (1, True)
    code, told = run("o.fficer", PASSWORD)
    assert (code, "MRN-0-77182" in told) == (0, True)
    assert study.patient not in told

"""The console in a real browser: a person signs in, reads a study and signs out, wide and narrow, without complaint."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser.chromium import chromium
from harness.exports import cleared_studies, patients
from wire.fhir_rest.hospital import PASSWORD, PLANTED, add_study, open_hospital, serving

pytestmark = pytest.mark.peer("chromium")


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_a_person_signs_in_and_reads_a_study(tmp_path: Path, sqlite_template: Path, width: int, height: int) -> None:
    """Sign-in, list, study with heat map and sign-out work; nothing overflows and the browser logs no error."""
    hospital = open_hospital(tmp_path / "home", sqlite_template)
    hospital.add_person("a.physician", "physician")
    study = add_study(hospital, tmp_path / "study", PLANTED[2], instances=1)
    with serving(hospital.services) as base, chromium(tmp_path / "profile") as tab:
        tab.size(width, height, mobile=width < 500)
        tab.open(f"{base}/console")
        assert tab.run("document.activeElement.id") == "name"
        tab.type("#name", "a.physician")
        tab.type("#password", PASSWORD)
        tab.submit("main button")
        assert tab.run("location.pathname") == "/console/studies"
        assert PLANTED[2].patient_id not in tab.run("document.body.innerText")
        assert tab.run("document.documentElement.scrollWidth") <= width
        tab.submit(f"a[href$='{study}']")
        assert PLANTED[2].patient_id in tab.run("document.body.innerText")
        tab.run("document.querySelector('.images img').scrollIntoView()")
        assert tab.run("document.querySelector('.images img').decode().then(() => true)", wait=True)
        assert tab.run("document.documentElement.scrollWidth") <= width
        assert tab.run("getComputedStyle(document.querySelector('.chip')).borderRadius") == "10px"
        assert tab.problems == []
        tab.submit(".who button")
        assert tab.run("location.pathname") == "/console/login"
        assert tab.run("document.cookie") == ""


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
def test_an_officer_leads_a_pseudonym_back(tmp_path: Path, sqlite_template: Path, width: int, height: int) -> None:
    """The Identity form is filled in and answered; reloading asks for a new question, and nothing overflows."""
    hospital = open_hospital(tmp_path / "home", sqlite_template)
    hospital.add_person("o.fficer", "privacy-officer")
    study_id, *_ = cleared_studies(hospital, tmp_path / "in", patients(1), instances=1)
    with hospital.database.read() as unit:
        patient = unit.studies.get(study_id).patient
    with serving(hospital.services) as base, chromium(tmp_path / "profile") as tab:
        tab.size(width, height, mobile=width < 500)
        tab.open(f"{base}/console")
        tab.type("#name", "o.fficer")
        tab.type("#password", PASSWORD)
        tab.submit("main button")
        tab.submit("nav a[href='/console/identity']")
        assert tab.run("document.documentElement.scrollWidth") <= width
        tab.picture(tmp_path / "form.png")
        tab.type("#pseudonym", patient)
        tab.run("document.querySelector('#purpose').value = 'PATSFTY'")
        tab.type("#reason", "recall of a device")
        tab.submit("main button")
        assert "MRN-0-77182" in tab.run("document.body.innerText")
        assert tab.run("document.documentElement.scrollWidth") <= width
        tab.picture(tmp_path / "answer.png")
        assert tab.problems == []
        tab.submit("main a.button")
        assert "MRN-0-77182" not in tab.run("document.body.innerText")

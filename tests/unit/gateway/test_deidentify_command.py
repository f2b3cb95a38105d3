"""`dxgate deidentify`: copies of all three formats that join, never overwrite, and say nothing of the originals."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from harness.commands import run_command
from harness.studies import PLANTED, planted_study

from gateway import cli

WHO = PLANTED[0]
ISSUER = "DXGATE-DEMO"  # as the demo's images say it
SYSTEM = "http://hospital.example/mrn"
ISSUERS = ("--issuer", f"{SYSTEM}={ISSUER}", "--issuer", f"HOSP={ISSUER}")
MESSAGE = (
    "MSH|^~\\&|RIS|HOSP|GW|HOSP|20240229081530||ORU^R01|4711|P|2.5.1\r"
    f"PID|||{WHO.patient_id}^^^HOSP^MR||{WHO.name}||19510317|M\r"
    f"OBR|1|PL-1|{WHO.accession}|24627-2^CT^LN|||{{day}}\r"
    "OBX|1|EI|113014^DICOM Study^DCM||{uid}||||||F\r"
)


@pytest.fixture(scope="module", autouse=True)
def own_umask() -> Iterator[None]:
    """Commands narrow the umask of their process, which here is the one of all tests."""
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home on which `dxgate init` has run."""
    made = tmp_path_factory.mktemp("deidentify") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DXGATE_GATEWAY_HOME", str(made))
        patch.setattr("gateway.logging.configure", lambda *_: None)
        assert cli.main(["init"]) == 0
    return made


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One patient's image, order result and record, under names that tell who it is."""
    folder = tmp_path_factory.mktemp("inputs")
    uid = planted_study(folder / "study", WHO, 1)
    image = next((folder / "study").rglob("*.dcm")).rename(folder / f"{WHO.name}.dcm")
    day = str(pydicom.dcmread(image, stop_before_pixels=True).StudyDate)
    written = f"{day[:4]}-{day[4:6]}-{day[6:]}"
    files = {
        "patient.json": json.dumps(
            {
                "resourceType": "Patient",
                "id": "p-1",
                "identifier": [{"system": SYSTEM, "value": WHO.patient_id}],
                "name": [{"text": WHO.name.replace("^", " ")}],
            }
        ),
        "record.ndjson": "\n".join(
            json.dumps(one)
            for one in (
                {
                    "resourceType": "ImagingStudy",
                    "status": "available",
                    "subject": {"reference": "Patient/p-1"},
                    "started": written,
                    "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{uid}"}, {"value": WHO.accession}],
                },
                {
                    "resourceType": "Encounter",
                    "status": "finished",
                    "class": {"code": "IMP"},
                    "subject": {"reference": "Patient/p-1"},
                },
            )
        ),
        "result.hl7": MESSAGE.format(day=day, uid=uid),
    }
    for name, text in files.items():
        (folder / name).write_text(text, newline="")
    return {"image": image, **{name.split(".")[0]: folder / name for name in files}}


def run(home: Path, *words: str, stdin: str = "") -> tuple[int, Any, str]:
    """The command in a process of its own: its exit code, its JSON, and all that it said."""
    told = ("--home", str(home), "deidentify", "--json", *ISSUERS, *words)
    done = run_command(told, os.environ, stdin)
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stdout + done.stderr


def facts(folder: Path, results: list[dict[str, Any]]) -> dict[str, tuple[str, str, str, str]]:
    """Patient, accession number, study UID and study day that each format's copy tells."""
    found = {}
    for result in results:
        path = folder / result["copy"]
        if result["kind"] == "dicom":
            image = pydicom.dcmread(path, stop_before_pixels=True)
            found["dicom"] = (image.PatientID, image.AccessionNumber, image.StudyInstanceUID, image.StudyDate)
        elif result["kind"] == "hl7":
            lines = [line.split("|") for line in path.read_bytes().decode().split("\r") if line]
            pid, obr, obx = (next(line for line in lines if line[0] == name) for name in ("PID", "OBR", "OBX"))
            found["hl7"] = (pid[3].split("^")[0], obr[3], obx[5], obr[7])
        elif result["documents"] == 2:
            study, _ = (json.loads(line) for line in path.read_text().splitlines())
            uid, number = (one["value"] for one in study["identifier"])
            found["study"] = ("", number, uid.removeprefix("urn:oid:"), study["started"].replace("-", ""))
        else:
            found["patient"] = (json.loads(path.read_text())["identifier"][0]["value"], "", "", "")
    return found


def test_one_patient_joins_over_three_formats_and_two_processes(
    home: Path, inputs: dict[str, Path], tmp_path: Path
) -> None:
    """Identifier, accession number, study UID and day are the same in every format, through one vault."""
    first = ("--out", str(tmp_path / "one"), str(inputs["image"]), str(inputs["patient"]), str(inputs["record"]))
    code, results, _ = run(home, *first)
    assert code == 0
    found = facts(tmp_path / "one", results)
    code, results, _ = run(home, "--out", str(tmp_path / "two"), str(inputs["result"]))
    assert code == 0
    found |= facts(tmp_path / "two", results)
    assert found["hl7"] == found["dicom"]
    assert found["study"][1:] == found["dicom"][1:]
    assert found["patient"][0] == found["dicom"][0]


def test_nothing_that_leaves_names_the_patient(home: Path, inputs: dict[str, Path], tmp_path: Path) -> None:
    """Neither copies nor their names nor what the command says hold name, number, accession number or input path."""
    _, _, said = run(home, "--out", str(tmp_path / "out"), *map(str, inputs.values()))
    secrets = (*WHO.name.split("^"), WHO.patient_id, WHO.accession)
    written = b"".join(path.name.encode() + path.read_bytes() for path in (tmp_path / "out").iterdir())
    for secret in secrets:
        assert secret.encode() not in written
        assert secret not in said
    assert str(inputs["image"].parent) not in said
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "out").iterdir()} == {0o600}


def test_a_throw_away_key_joins_within_one_run_only(tmp_path: Path, inputs: dict[str, Path]) -> None:
    """Without rings or a database, and different the next time."""
    seen = []
    for name in ("one", "two"):
        words = ("--throw-away", "--out", str(tmp_path / name), *map(str, inputs.values()))
        code, results, _ = run(tmp_path / "no-home", *words)
        assert code == 0
        found = facts(tmp_path / name, results)
        assert found["hl7"] == found["dicom"]
        seen.append(found["dicom"])
    assert seen[0] != seen[1]


def test_nothing_is_overwritten(home: Path, inputs: dict[str, Path], tmp_path: Path) -> None:
    """The second time the copy is there already: refused, and left as it is."""
    words = ("--out", str(tmp_path), str(inputs["result"]))
    _, results, _ = run(home, *words)
    copy = tmp_path / results[0]["copy"]
    copy.write_bytes(b"mine")
    code, results, _ = run(home, *words)
    assert code == 1
    assert "not overwritten" in results[0]["refused"]
    assert copy.read_bytes() == b"mine"


def test_a_refused_file_does_not_stop_the_others(home: Path, inputs: dict[str, Path], tmp_path: Path) -> None:
    """Exit code 1, a reason for each, and copies of the rest."""
    bad = tmp_path / "bad.json"
    bad.write_text('{"resourceType":"Coverage"}')
    plain = tmp_path / "note.txt"
    plain.write_text("Smith")
    code, results, _ = run(
        home, "--out", str(tmp_path / "out"), str(bad), str(plain), str(tmp_path / "gone"), str(inputs["result"])
    )
    assert code == 1
    assert [bool(result["refused"]) for result in results] == [True, True, True, False]
    assert len(list((tmp_path / "out").iterdir())) == 1


def test_whose_a_file_is_can_be_told(home: Path, inputs: dict[str, Path], tmp_path: Path) -> None:
    """A resource without its patient takes the one on standard input, which no list of processes shows."""
    words = ("--out", str(tmp_path), str(inputs["record"]))
    assert run(home, *words)[0] == 1
    code, results, _ = run(home, *words, "--patient-key", "-", stdin=f"{ISSUER}|{WHO.patient_id}\n")
    assert code == 0
    _, both, _ = run(home, "--out", str(tmp_path / "again"), str(inputs["image"]))
    assert facts(tmp_path, results)["study"][2] == facts(tmp_path / "again", both)["dicom"][2]


def test_profiles_and_dates_are_carried_out(home: Path, inputs: dict[str, Path], tmp_path: Path) -> None:
    """Export without dates has none; DICOM under export goes another way and says which."""
    words = ("--profile", "export", "--dates", "remove", "--out", str(tmp_path))
    code, results, _ = run(home, *words, str(inputs["result"]), str(inputs["image"]))
    assert code == 1
    assert "dxgate export" in results[1]["refused"]
    obr = next(
        line for line in (tmp_path / results[0]["copy"]).read_bytes().decode().split("\r") if line.startswith("OBR")
    )
    assert obr.split("|")[7:8] in ([], [""])


def test_what_was_done_is_told_as_a_table(
    home: Path,
    inputs: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Counts by action for each file, and that nobody has looked at the pixels."""
    monkeypatch.setenv("DXGATE_GATEWAY_HOME", str(home))
    monkeypatch.setattr("gateway.logging.configure", lambda *_: None)
    assert cli.main(["deidentify", "--out", str(tmp_path), str(inputs["result"]), str(inputs["image"])]) == 0
    said = capsys.readouterr().out
    assert re.search(r"^patient-id +1$", said, re.MULTILINE)
    assert "Pixels of DICOM files were not searched" in said


@pytest.mark.parametrize("words", [("--issuer", "x"), ("--patient-key", "H|")])
def test_wrong_words_are_told_so(words: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Usage errors are exit code 2."""
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    monkeypatch.setattr("gateway.logging.configure", lambda *_: None)
    assert cli.main(["deidentify", "--throw-away", "--out", str(tmp_path / "o"), *words, "f"]) == 2

"""A whole run with identity planted in six scripts: it is found nowhere outside the vault, in no encoding.

What is searched: every file of the home folder and of the temporary folder, what a worker can open with its keys,
the memory of workers and of the broker, what /proc shows, and everything that was printed.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pydicom
import pytest
from fhirpy import SyncFHIRClient
from harness.planted_run import PlantedRun, nothing_in, planted_run
from harness.reports import reported
from harness.send import store
from harness.six_scripts import BORN, PATIENTS, Patient, image, objects
from harness.traces import broker_memory, found_in, needles, process_memory, process_texts

from gateway import wiring


@dataclass
class Searched:
    """The run, what its commands have printed, and the bytes that must be nowhere."""

    run: PlantedRun
    printed: str
    sought: set[bytes]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Searched]:
    """Twelve objects of six patients, and one that is refused."""
    folder = tmp_path_factory.mktemp("planted")
    with planted_run(folder, {}) as run:
        for patient in PATIENTS:
            run.send(patient, *objects(patient))
        _send_what_is_refused(run, folder / "refused")
        run.wait_until_decided()
        fhir = SyncFHIRClient(run.gateway.fhir_url, authorization=f"Bearer {run.gateway.token()}")
        reported(fhir, identifier=PATIENTS[0].accession)
        words = [word for patient in PATIENTS for word in patient.words]
        yield Searched(run, _said(run), needles([*words, BORN, *run.uids()]))


def _send_what_is_refused(run: PlantedRun, folder: Path) -> None:
    """Refusals are where programs like to print what they did not understand."""
    folder.mkdir()
    broken = image(PATIENTS[0])
    del broken.StudyInstanceUID
    broken.save_as(folder / "no-study.dcm", enforce_file_format=True)
    assert store(run.gateway.dicom_port, [folder / "no-study.dcm"]) != [0]


def _said(run: PlantedRun) -> str:
    """What an operator reads who looks at what was received."""
    with run.database.read() as unit:
        studies = [study.id for study in unit.studies.newest(2)]
    shown = [run.gateway.command("study", "show", number) for number in studies]
    return "\n".join([*shown, run.gateway.command("held", "list"), run.gateway.command("doctor")])


@pytest.mark.parametrize("patient", PATIENTS, ids=lambda patient: patient.script)
def test_the_search_finds_what_was_sent(searched: Searched, patient: Patient) -> None:
    """Every planted word stands in the sent files, and the search finds it there in the bytes of its character set."""
    content = b"".join(path.read_bytes() for path in searched.run.sent[patient])
    for word in patient.words:
        assert found_in(content, needles([word], [patient.codec])), word
    assert found_in(content, needles([patient.name.split("^")[0].split("=")[0]], ["utf-16-le"]))


@pytest.mark.parametrize("patient", PATIENTS, ids=lambda patient: patient.script)
def test_identity_comes_back_through_the_vault(searched: Searched, patient: Patient) -> None:
    """The run has received every patient: the vault knows each by the identifier that was sent."""
    run = searched.run
    vault = wiring.vault(run.settings, run.database)
    with run.database.begin("test") as unit:
        (pseudonym,) = vault.patients(unit, None, patient.patient_id)
        studies = map(unit.studies.get, unit.studies.ids_by_patient(pseudonym))
        (study,) = [one for one in studies if one.kind == "images"]
        identity = vault.study_identity(unit, study, "check", "test")
    assert identity.patient_name == patient.name
    assert identity.accession_number == patient.accession


def test_no_file_holds_identity(searched: Searched) -> None:
    """Database, write-ahead log, blobs, broker files, keys, anchors, logs and temporary files: nothing."""
    files = searched.run.files()
    names = {path.name for path in files}
    assert {"dxgate.sqlite", "dxgate.sqlite-wal"} <= names
    assert len(names) > 2 * len(PATIENTS)
    for path in files:
        nothing_in(path.name, path.read_bytes(), searched.sought)
        nothing_in("a file's name", str(path.relative_to(searched.run.gateway.home.parent)).encode(), searched.sought)


def test_nothing_that_is_printed_holds_identity(searched: Searched) -> None:
    """Logs at level debug, refusals among them, and what the commands print."""
    log = searched.run.gateway.log.read_bytes()
    assert len(log) > 1000
    nothing_in("the log", log, searched.sought)
    nothing_in("the output of commands", searched.printed.encode(), searched.sought)


def test_what_a_worker_can_open_holds_no_identity(searched: Searched) -> None:
    """Every object that is not in quarantine, opened with the worker's keys: no word in any encoding, no overlay."""
    instances = [one for patient in PATIENTS for one in searched.run.instances(patient)]
    opened = [one for one in instances if one.clearance != "quarantined"]
    assert len(opened) >= len(PATIENTS)
    for instance in opened:
        plain = searched.run.opened(instance)
        assert plain[128:132] == b"DICM"
        nothing_in(f"an object of modality {instance.modality}", plain, searched.sought)
        header = pydicom.dcmread(io.BytesIO(plain))
        assert not [one for one in header.iterall() if one.tag.is_private or 0x6000 <= one.tag.group < 0x6100]


def test_no_process_shows_identity(searched: Searched) -> None:
    """Environment, command line and deleted open files of every process of the gateway."""
    assert searched.run.gateway.process is not None
    top = psutil.Process(searched.run.gateway.process.pid)
    texts = [text for one in (top, *top.children(recursive=True)) for text in process_texts(one)]
    assert len(texts) >= 10
    for where, content in texts:
        nothing_in(where, content, searched.sought)


def test_the_broker_holds_no_identity(searched: Searched) -> None:
    """Every key of the broker, dumped and in clear."""
    (socket,) = searched.run.gateway.home.rglob("*.sock")
    memory = broker_memory(socket)
    assert memory
    nothing_in("the broker", memory, searched.sought)


@pytest.mark.parametrize(("role", "known"), [("worker", b"breast-ultrasound-detail"), ("broker", b"_kombu.binding")])
def test_no_identity_in_the_memory_of(searched: Searched, role: str, known: bytes) -> None:
    """Workers and broker hold no planted word in their memory, in the encodings that a program would hold it in."""
    processes = searched.run.gateway.children()[role]
    words = [word for patient in PATIENTS for word in patient.words]
    plain = {word.encode(codec) for word in words for codec in ("utf-8", "utf-16-le", "gb18030")}
    for process in processes:
        memory = process_memory(process)
        assert known in memory, "the memory that was read is not the process's"
        nothing_in(f"the memory of a {role}", memory, plain)

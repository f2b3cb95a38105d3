"""A gateway on a fresh SQLite file with real studies received, analysed and reported: what a web test looks at.

Everything is the product's own but the model: an answer that is known beforehand stands in for inference.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import uvicorn
from fixtures_report import BENIGN, MALIGNANT, QUESTION, model, png
from harness.studies import PLANTED, Planted, planted_study

from gateway import config, wiring
from gateway.config import Settings
from gateway.domain.access import Client, Person
from gateway.domain.clearance import PixelFinding
from gateway.domain.finding import Label
from gateway.domain.ids import ClientId, ModelId, PersonId, StudyId, new_id
from gateway.domain.prediction import Prediction, ScoredImage
from gateway.domain.report import Report, report_id
from gateway.flow.compose import ComposeReport
from gateway.flow.infer import RunTask
from gateway.flow.receive import ReceivedObject
from gateway.flow.secret_hash import hash_secret
from gateway.flow.settle import SettleStudies
from gateway.privacy import keyring
from gateway.privacy.keyring import Purpose
from gateway.servers.web.serve import configuration, port_of
from gateway.servers.web.services import WebServices
from gateway.storage.database import SqlDatabase
from gateway.storage.group_commit import GroupCommitter

SECRET = "correct horse battery staple"
PASSWORD = "a long enough password"
ISSUER = "1.2.36.146.595.217.0.1"
_HASHES: dict[str, str] = {}


def stored(secret: str) -> str:
    """Hashing costs a fifth of a second, once is enough."""
    return _HASHES.setdefault(secret, hash_secret(secret))


@dataclass
class KnownAnswer:
    """Implements Inference: every image is malignant with the given probability, with a grey heat map."""

    probability: float = 0.87
    heat_map: bytes = field(default_factory=png)

    def predict(self, model_id: ModelId, instances: Any, priority: str = "routine") -> Prediction:
        labels = (Label("benign", BENIGN, 1 - self.probability), Label("malignant", MALIGNANT, self.probability))
        images = tuple(
            ScoredImage(
                sop_instance_uid=str(pydicom.dcmread(BytesIO(one), stop_before_pixels=True).SOPInstanceUID),
                labels=labels,
                decided="malignant",
                explanation="What speaks most for it lies in rows 40 to 96 of 480.",
                heat_map=self.heat_map,
            )
            for one in instances
        )
        return Prediction(QUESTION, labels[1], "Malignant neoplasm of breast.", 0.4375, images, "CPU", "onnxruntime 1")


@dataclass
class Hospital:
    """Ready services with their database; `studies` are ids in the order of arrival."""

    settings: Settings
    database: SqlDatabase
    services: WebServices
    studies: list[StudyId] = field(default_factory=list)
    inference: KnownAnswer = field(default_factory=KnownAnswer)

    def add_client(self, name: str = "ehr", *scopes: str, networks: tuple[str, ...] = (), active: bool = True) -> None:
        granted = scopes or ("system/*.rs",)
        client = Client(ClientId(new_id()), "fhir", name, stored(SECRET), granted, networks, active, datetime.now(UTC))
        with self.database.begin("test") as unit:
            unit.access.add_client(client)
            unit.commit()

    def add_person(self, name: str, role: Any, active: bool = True) -> None:
        with self.database.begin("test") as unit:
            unit.access.add_person(Person(PersonId(new_id()), name, stored(PASSWORD), role, active, datetime.now(UTC)))
            unit.commit()

    def receive(self, folder: Path) -> StudyId:
        """Every file of the folder through the receive step; the study's id."""
        commits = GroupCommitter(self.database, "receive")
        step = wiring.receive(self.settings, self.database, commits)
        for path in sorted(folder.glob("*.dcm")):
            step(received_object(path))
        commits.stop()
        with self.database.read() as unit:
            found = unit.studies.newest(1)[0].id
        if found not in self.studies:
            self.studies.append(found)
        return found

    def analyse(self, study_id: StudyId, destinations: Sequence[str] = ()) -> Report:
        """Settles the study and runs its tasks to a report."""
        with self.database.read() as unit:
            study = unit.studies.get(study_id)
        self.clear(study_id)
        SettleStudies(self.database).settle(study, "operator")
        with self.database.read() as unit:
            tasks = unit.tasks.of_study(study_id, study.revision)
        run = RunTask(
            database=self.database,
            blobs=self.services.reports.blobs,
            seal=self.services.reports.seal,
            inference=self.inference,
            compose=ComposeReport(tuple(destinations)),
            hold=lambda task: nullcontext(),
            worker="worker-1",
            lease=timedelta(seconds=30),
            max_attempts=3,
        )
        assert [run(task.id) for task in tasks] == ["done"] * len(tasks)
        wiring.file_reports(self.settings, self.database)()
        with self.database.read() as unit:
            return unit.reports.get(report_id(study_id))

    def clear(self, study_id: StudyId) -> None:
        """Every object passes the checker; a search for text in pixels, where one is due, finds none."""
        check, now = wiring.check(self.settings, self.database), datetime.now(UTC)
        check()
        with self.database.begin("worker-1") as unit:
            for one in unit.studies.instances(study_id):
                task = unit.pixel_tasks.claim(one.id, "worker-1", now, now + timedelta(seconds=30))
                if task is not None:
                    unit.pixel_tasks.finish(task, PixelFinding(1, 1, (), 0.0, None, ("test",), "CPU"), None, None)
            unit.commit()
        check()
        with self.database.read() as unit:
            states = {one.clearance_reason or one.clearance for one in unit.studies.instances(study_id)}
        assert states == {"cleared"}

    def events(self, event: str) -> list[Any]:
        """Audit entries of one event, newest first."""
        with self.database.read() as unit:
            return [row.entry for row in unit.audit.newest(limit=500, event=event)]


def received_object(path: Path) -> ReceivedObject:
    """The data set of a Part 10 file as a peer would send it."""
    image = pydicom.dcmread(path)
    meta = image.file_meta
    raw = path.read_bytes()
    start = 132 + 12 + int.from_bytes(raw[140:144], "little")  # preamble, prefix, group length element, group 2
    return ReceivedObject(
        sop_class_uid=str(meta.MediaStorageSOPClassUID),
        sop_instance_uid=str(meta.MediaStorageSOPInstanceUID),
        transfer_syntax_uid=str(meta.TransferSyntaxUID),
        dataset=raw[start:],
        sender="MODALITY",
    )


def open_hospital(
    home: Path,
    template: Path,
    subscriptions: dict[str, Any] | None = None,
    database: str = "",
    models: dict[str, Any] | None = None,
    **web: Any,
) -> Hospital:
    """Fresh keys and database, one active model, no study; `database` is a URL where it is not SQLite."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    told = {"web": {"port": 0, **web}, "subscriptions": subscriptions or {}, "database": {"url": database}}
    told["models"] = models or {}
    settings = config.load({"DXGATE_GATEWAY_HOME": str(home)}, **told).settings
    keyring.create(settings.key_folder)
    shutil.copy(template, home / "dxgate.sqlite")
    os.chmod(home / "dxgate.sqlite", 0o600)
    opened = wiring.database(settings)
    services = web_services(settings, opened)
    with opened.begin("worker-1") as unit:
        unit.models.announce(model())
        unit.commit()
    return Hospital(settings, opened, services)


def web_services(settings: Settings, database: SqlDatabase) -> WebServices:
    """What one web process works with."""
    vault = wiring.vault(settings, database)
    return WebServices(
        settings=settings,
        database=database,
        vault=vault,
        reports=wiring.read_reports(settings, database),
        reidentify=wiring.reidentify(settings, database),
        record=wiring.record(settings, vault),
        commits=GroupCommitter(database, "web"),
        page_key=wiring.all_keys(settings).key(Purpose.TOKENS).key,
        review=wiring.review(settings, database),
        fetch_keys=wiring.key_set_fetch(settings),
        elsewhere=wiring.sign_in_elsewhere(settings, database),
    )


def add_study(hospital: Hospital, folder: Path, planted: Planted = PLANTED[0], instances: int = 2) -> StudyId:
    """A planted study with an issuer of its patient id, received and reported."""
    planted_study(folder, planted, instances)
    for path in folder.glob("*.dcm"):
        image = pydicom.dcmread(path)
        image.IssuerOfPatientID = ISSUER
        image.save_as(path)
    study = hospital.receive(folder)
    hospital.analyse(study)
    return study


@contextmanager
def serving(services: WebServices) -> Iterator[str]:
    """The web server on a loopback port; its address."""
    server = uvicorn.Server(configuration(services))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    started = threading.Event()
    for _ in range(500):
        if server.started or started.wait(0.02):
            break
    assert server.started
    try:
        yield f"http://127.0.0.1:{port_of(server)}"
    finally:
        server.should_exit = True
        thread.join(20)

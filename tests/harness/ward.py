"""A small gateway inside one process: real database, real blobs and seals, a model of our choice."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from harness.rows import AT, arrival, model, receive

from gateway.domain.errors import GatewayError
from gateway.domain.finding import Code, Label
from gateway.domain.ids import ModelId, StudyId, TaskId
from gateway.domain.model import ServedModel
from gateway.domain.prediction import Prediction, ScoredImage
from gateway.domain.record import InputDocument
from gateway.domain.report import Delivery
from gateway.domain.study import Priority, Study
from gateway.domain.task import Task
from gateway.flow.compose import ComposeReport
from gateway.flow.infer import RunTask
from gateway.flow.settle import SettleStudies
from gateway.ports import ReportDocument
from gateway.storage.blobs_folder import FolderBlobs
from gateway.storage.database import SqlDatabase

QUESTION = Code("http://snomed.info/sct", "SCT", "254837009", "Malignant neoplasm of breast")


class OpenSeal:
    """An ObjectSeal that hides nothing; sealing has its own suite."""

    def seal(self, pseudonym: str, object_id: str, parts: Iterable[bytes | memoryview]) -> list[bytes]:
        return [f"{pseudonym}|{object_id}|".encode(), *(bytes(part) for part in parts)]

    def open(self, pseudonym: str, object_id: str, sealed: bytes) -> bytes:
        head = f"{pseudonym}|{object_id}|".encode()
        assert sealed.startswith(head)
        return sealed[len(head) :]


@dataclass
class ScriptedInference:
    """Answers, or raises, what the test tells it; remembers what it was given."""

    failure: Exception | None = None
    before: Callable[[], None] = lambda: None
    seen: list[bytes] = field(default_factory=list)

    def predict(self, model_id: ModelId, instances: Iterable[bytes], priority: Priority = "routine") -> Prediction:
        self.seen = list(instances)
        self.before()
        if self.failure is not None:
            raise self.failure
        label = Label("malignant", QUESTION, 0.9)
        image = ScoredImage("2.25.1", (label,), "malignant", "Bright region", heat_map=b"PNG")
        return Prediction(QUESTION, label, "Suspicious", 0.5, (image,), "CPUExecutionProvider", "test")

    def predict_record(self, model_id: ModelId, document: InputDocument) -> Prediction:
        raise AssertionError("no record was planned for")


@dataclass
class ScriptedOutlet:
    """Acknowledges, or raises the errors it was given, one for each attempt."""

    failures: list[GatewayError] = field(default_factory=list)
    sent: list[tuple[Delivery, ReportDocument]] = field(default_factory=list)

    def send(self, delivery: Delivery, document: ReportDocument) -> str:
        if self.failures:
            raise self.failures.pop(0)
        self.sent.append((delivery, document))
        return "created"


@dataclass
class Ward:
    """Time stands still at `now` until the test moves it."""

    database: SqlDatabase
    folder: Path
    now: datetime = AT
    destinations: tuple[str, ...] = ("ehr",)
    inference: ScriptedInference = field(default_factory=ScriptedInference)

    def __post_init__(self) -> None:
        self.blobs = FolderBlobs(self.folder)
        self.seal = OpenSeal()
        self.compose = ComposeReport(self.destinations)

    def clock(self) -> datetime:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def announce(self, *models: ServedModel) -> None:
        with self.database.begin("worker") as unit:
            for one in models or (model(),):
                unit.models.announce(one)
            unit.commit()

    def push(self, study: str = "s1", instance: str = "i1", content: bytes = b"pixels", **changes: object) -> StudyId:
        """One instance, stored and committed at the present time."""
        what = arrival(study, instance, content, at=self.now, **changes)  # type: ignore[arg-type]
        key = what.instance.blob_key
        self.blobs.put(key, self.seal.seal(what.patient, key, [content]))
        with self.database.begin("receive") as unit:
            receive(unit, what, self.now)
            unit.commit()
        return what.instance.study_id

    def settle(self) -> int:
        self.wait(21)
        return SettleStudies(self.database, self.clock)()

    def study(self, study_id: StudyId) -> Study:
        with self.database.read() as unit:
            return unit.studies.get(study_id)

    def tasks(self, study_id: StudyId) -> list[Task]:
        with self.database.read() as unit:
            return unit.tasks.of_study(study_id, unit.studies.get(study_id).revision)

    def runner(self, worker: str = "worker:1", **changes: object) -> RunTask:
        made = RunTask(
            database=self.database,
            blobs=self.blobs,
            seal=self.seal,
            inference=self.inference,
            compose=self.compose,
            hold=lambda task: nullcontext(),
            worker=worker,
            lease=timedelta(seconds=30),
            max_attempts=3,
            now=self.clock,
        )
        return replace(made, **changes)  # type: ignore[arg-type]

    def run(self, task_id: TaskId) -> str:
        return self.runner()(task_id)

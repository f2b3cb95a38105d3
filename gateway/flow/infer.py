"""infer: a worker claims one task, runs the model on the sealed study and writes the finding.

It sees pseudonyms and de-identified pixels alone. Finding, task state and report are one transaction guarded by
the fencing token, so a worker that was thought dead can come back and change nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from gateway.domain.errors import Category, Conflict, Fault, GatewayError
from gateway.domain.finding import Finding, ImageFinding, Provenance
from gateway.domain.ids import FindingId, TaskId, derive_id
from gateway.domain.model import ServedModel
from gateway.domain.prediction import Prediction, ScoredImage
from gateway.domain.sealed_files import heat_map
from gateway.domain.study import Instance, Study
from gateway.domain.task import Task, attempts_since_retry
from gateway.flow.agree import CompareReports
from gateway.flow.compose import ComposeReport
from gateway.formats import record_document
from gateway.ports import BlobStore, Database, Inference, ObjectSeal, UnitOfWork

Outcome = Literal["done", "refused", "failed", "released", "not ours"]
FIRST_PAUSE = timedelta(seconds=1)  # before the second attempt; it doubles with each
_REFUSALS = frozenset({Category.UNSUPPORTED, Category.INVALID})


@dataclass(frozen=True)
class RunTask:
    """The body of the Celery task. `hold` keeps the lease alive while the block runs."""

    database: Database
    blobs: BlobStore
    seal: ObjectSeal
    inference: Inference
    compose: ComposeReport
    hold: Callable[[Task], AbstractContextManager[None]]
    worker: str
    lease: timedelta
    max_attempts: int
    compare: CompareReports = field(default_factory=CompareReports)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def __call__(self, task_id: TaskId) -> Outcome:
        task = self._claim(task_id)
        if task is None:
            return "not ours"
        if attempts_since_retry(task) > self.max_attempts:
            return self._end(task, "fail", f"given up after {self.max_attempts} attempts")
        with self.hold(task):
            try:
                finding = self._analyse(task)
            except GatewayError as error:
                if error.category in _REFUSALS:
                    return self._end(task, "refuse", str(error))
                return self._end(task, "release", f"{error.category.value}: {error}")
            except Exception as error:
                return self._end(task, "release", f"fault: {type(error).__name__}")
            return self._finish(task, finding)

    def _claim(self, task_id: TaskId) -> Task | None:
        now = self.now()
        with self.database.begin(self.worker) as unit:
            task = unit.tasks.claim(task_id, self.worker, now, now + self.lease)
            if task is not None:
                unit.commit()
        return task

    def _analyse(self, task: Task) -> Finding:
        with self.database.read() as unit:
            study = unit.studies.get(task.study_id)
            model = unit.models.get(task.model_id)
            cleared = [one for one in unit.studies.instances(study.id) if one.clearance == "cleared"]
        instances = model.applies_to.given(cleared)
        if study.kind == "record":
            digests, prediction = self._from_record(task, study)
        else:
            prediction = self.inference.predict(task.model_id, self._files(study, instances), task.priority)
            digests = tuple(instance.read_digest.hex() for instance in instances)
        images = tuple(self._keep_picture(task, study, image) for image in prediction.images)
        return _finding(
            task=task,
            study=study,
            model=model,
            digests=digests,
            prediction=prediction,
            images=images,
            worker=self.worker,
            at=self.now(),
        )

    def _from_record(self, task: Task, study: Study) -> tuple[tuple[str, ...], Prediction]:
        with self.database.read() as unit:
            given = unit.records.input(study.id, task.revision, task.model_id)
        content = self.seal.open(study.patient, given.blob_key, self.blobs.get(given.blob_key))
        if hashlib.sha256(content).digest() != given.digest:
            raise Fault("the gathered input is not the one that was planned for")
        prediction = self.inference.predict_record(task.model_id, record_document.decode(content))
        return (given.digest.hex(),), prediction

    def _files(self, study: Study, instances: Sequence[Instance]) -> Iterator[bytes]:
        """One at a time, so that a study of a thousand slices never stands in memory whole."""
        for instance in instances:
            yield self.seal.open(study.patient, instance.blob_key, self.blobs.get(instance.blob_key))

    def _keep_picture(self, task: Task, study: Study, image: ScoredImage) -> ImageFinding:
        key = None
        if image.heat_map is not None:
            key = heat_map(task.id, task.attempt, image.sop_instance_uid)
            self.blobs.put(key, self.seal.seal(study.patient, key, [image.heat_map]))
        return ImageFinding(
            sop_instance_uid=image.sop_instance_uid,
            labels=image.labels,
            decided=image.decided,
            explanation=image.explanation,
            heat_map=key,
            refusal_code=image.refusal_code,
            refusal=image.refusal,
            distance=image.distance,
        )

    def _finish(self, task: Task, finding: Finding) -> Outcome:
        with self.database.begin(self.worker) as unit:
            study = unit.studies.lock(task.study_id)
            if task.model_id in unit.governance.stopped():
                return self._set_aside(unit, task)
            if not unit.tasks.finish(task, finding):
                return "not ours"
            self.compare.of_finding(unit, study, finding)
            self._follow(unit, study, task)
            unit.commit()
        return "done"

    def _set_aside(self, unit: UnitOfWork, task: Task) -> Outcome:
        """Its model was stopped meanwhile: whatever came of it is dropped, and the task waits."""
        if not unit.tasks.set_aside(task, "the model was stopped while this ran"):
            return "not ours"
        unit.commit()
        return "released"

    def _follow(self, unit: UnitOfWork, study: Study, task: Task) -> None:
        """No report waits for a model in the shadow."""
        follow = self.compose.after_shadow if task.shadow else self.compose
        follow(unit, study, self.now())

    def _end(self, task: Task, event: Literal["refuse", "fail", "release"], reason: str) -> Outcome:
        tried = attempts_since_retry(task)
        if event == "release" and tried >= self.max_attempts:
            event = "fail"
        with self.database.begin(self.worker) as unit:
            study = unit.studies.lock(task.study_id)
            if task.model_id in unit.governance.stopped():
                return self._set_aside(unit, task)
            if not unit.tasks.end(task, event, reason, until=self.now() + FIRST_PAUSE * (1 << min(tried, 10))):
                return "not ours"
            if event != "release":
                self._follow(unit, study, task)
            unit.commit()
        outcomes: dict[str, Outcome] = {"refuse": "refused", "fail": "failed", "release": "released"}
        return outcomes[event]


def _finding(
    *,
    task: Task,
    study: Study,
    model: ServedModel,
    digests: tuple[str, ...],
    prediction: Prediction,
    images: tuple[ImageFinding, ...],
    worker: str,
    at: datetime,
) -> Finding:
    if task.revision != study.revision:
        raise Conflict("the study has been revised since the task was planned")
    return Finding(
        id=FindingId(derive_id("finding", task.id)),
        task_id=task.id,
        study_id=task.study_id,
        revision=task.revision,
        question=prediction.question,
        decided=prediction.decided,
        conclusion=prediction.conclusion,
        threshold=prediction.threshold,
        images=images,
        made_by=Provenance(
            model_id=model.id,
            model_name=model.name,
            model_version=model.version,
            model_sha256=model.sha256,
            provider=prediction.provider,
            runtime=prediction.runtime,
            worker=worker,
            input_digests=digests,
        ),
        created_at=at,
        answer=prediction.answer,
    )

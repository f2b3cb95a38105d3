"""mask: a worker claims the search of one object's pixels, overwrites what shows text and stores the new object.

What was removed is sealed to the vault's public key, under the patient's own key, so that a worker can never open it
and erasing the patient destroys it. New content, deposit and state are guarded by the fencing token; the earlier
content is deleted when the row names the new one. A crash in between leaves a sealed blob that no row names and no
model is ever given.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from gateway.domain.clearance import MaskedContent, PixelFinding, PixelTask
from gateway.domain.errors import Category, Erased, GatewayError
from gateway.domain.ids import BlobKey, InstanceId
from gateway.domain.sealed_files import PIXEL_FILES, pixel_file
from gateway.domain.study import Instance, Study
from gateway.ports import BlobStore, Database, ObjectSeal, PixelSearch, SearchedPixels
from gateway.privacy.masked_file import TRANSFER_SYNTAX, replace_pixels
from gateway.privacy.removed_pixels import RemovedPixels, seal_removed

log = logging.getLogger(__name__)
Outcome = Literal["done", "held", "failed", "released", "not ours"]
FIRST_PAUSE: Final = timedelta(seconds=1)  # before the second attempt; it doubles with each
_HOPELESS: Final = frozenset({Category.UNSUPPORTED, Category.INVALID})


@dataclass(frozen=True)
class _Searched:
    """What one attempt has stored and is about to commit."""

    instance: Instance
    finding: PixelFinding
    masked: MaskedContent | None = None
    preview: BlobKey | None = None

    @property
    def blobs(self) -> list[BlobKey]:
        made = [self.masked.blob_key, self.masked.removed_pixels_key] if self.masked else []
        return [*made, self.preview] if self.preview else made


@dataclass(frozen=True)
class MaskPixels:
    """The body of the Celery task. `public_key` is the current public half of the deposit pair."""

    database: Database
    blobs: BlobStore
    seal: ObjectSeal
    search: PixelSearch
    public_key: Callable[[], bytes]
    hold: Callable[[PixelTask], AbstractContextManager[None]]
    worker: str
    lease: timedelta
    max_attempts: int
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def __call__(self, instance_id: InstanceId) -> Outcome:
        task = self._claim(instance_id)
        if task is None:
            return "not ours"
        if _tried(task) > self.max_attempts:
            return self._end(task, "fail", f"given up after {self.max_attempts} attempts")
        with self.hold(task):
            try:
                searched = self._search(task)
            except GatewayError as error:
                if error.category in _HOPELESS or isinstance(error, Erased):
                    return self._end(task, "fail", str(error))
                return self._end(task, "release", f"{error.category.value}: {error}")
            except Exception as error:
                return self._end(task, "release", f"fault: {type(error).__name__}")
            return self._finish(task, searched)

    def _claim(self, instance_id: InstanceId) -> PixelTask | None:
        now = self.now()
        with self.database.begin(self.worker) as unit:
            task = unit.pixel_tasks.claim(instance_id, self.worker, now, now + self.lease)
            if task is not None:
                unit.commit()
        return task

    def _search(self, task: PixelTask) -> _Searched:
        with self.database.read() as unit:
            study = unit.studies.get(task.study_id)
            instance = unit.clearances.get(task.id)
        file = self.seal.open(study.patient, instance.blob_key, self.blobs.get(instance.blob_key))
        found = self.search.search(file, task.asked)
        if found.finding.doubt is None:
            masked = self._store(task, study, instance, file, found)
            return _Searched(instance, found.finding, masked)
        if found.preview is None:
            return _Searched(instance, found.finding)
        key = pixel_file("preview", task.id, task.attempt)
        self.blobs.put(key, self.seal.seal(study.patient, key, [found.preview]))
        return _Searched(instance, found.finding, preview=key)

    def _store(
        self, task: PixelTask, study: Study, instance: Instance, file: bytes, found: SearchedPixels
    ) -> MaskedContent:
        """The object with its new pixels, or with its own and the mark that they were searched; first the deposit."""
        replaced = replace_pixels(file, found.pixel_data, found.changes)
        digest = hashlib.sha256()
        for part in replaced.parts:
            digest.update(part)
        content = pixel_file("masked-content", task.id, task.attempt)
        removed = pixel_file("removed-pixels", task.id, task.attempt)
        lost = RemovedPixels(replaced.removed, instance.removed_pixels_key)
        deposit = seal_removed(lost, self.public_key(), instance.id, digest.digest())
        self.blobs.put(removed, self.seal.seal(study.patient, removed, deposit))
        self.blobs.put(content, self.seal.seal(study.patient, content, replaced.parts))
        return MaskedContent(
            blob_key=content,
            size=sum(len(part) for part in replaced.parts),
            digest=digest.digest(),
            transfer_syntax_uid=str(found.changes.get(TRANSFER_SYNTAX, instance.transfer_syntax_uid)),
            removed_pixels_key=removed,
        )

    def _finish(self, task: PixelTask, searched: _Searched) -> Outcome:
        with self.database.begin(self.worker) as unit:
            unit.studies.lock(task.study_id)
            ours = unit.pixel_tasks.finish(task, searched.finding, searched.masked, searched.preview)
            if ours:
                unit.commit()
        if not ours:
            self._delete(searched.blobs)
            return "not ours"
        replaced = [searched.instance.blob_key] if searched.masked else []
        self._delete([*replaced, *_left_behind(task)])
        return "held" if searched.finding.doubt else "done"

    def _delete(self, keys: list[BlobKey]) -> None:
        """A store that is out at this moment does not undo what was decided."""
        for key in keys:
            try:
                self.blobs.delete(key)
            except GatewayError as error:
                log.warning("blob not deleted", extra={"fields": {"blob": key, "kind": error.category.value}})

    def _end(self, task: PixelTask, event: Literal["fail", "release"], reason: str) -> Outcome:
        tried = _tried(task)
        if event == "release" and tried >= self.max_attempts:
            event = "fail"
        until = self.now() + FIRST_PAUSE * (1 << min(tried, 10))
        with self.database.begin(self.worker) as unit:
            unit.studies.lock(task.study_id)
            if not unit.pixel_tasks.end(task, event, reason, until=until):
                return "not ours"
            unit.commit()
        return "failed" if event == "fail" else "released"


def _tried(task: PixelTask) -> int:
    return task.attempt - task.retried_at


def _left_behind(task: PixelTask) -> list[BlobKey]:
    """What attempts since the last decision may have stored before they were cut off."""
    attempts = range(task.retried_at + 1, task.attempt)
    return [pixel_file(kind, task.id, attempt) for attempt in attempts for kind in PIXEL_FILES]

"""One piece of work for a worker: one model on one revision of one study, held by lease and fencing token."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gateway.domain.ids import ModelId, StudyId, TaskId, derive_id
from gateway.domain.study import Priority


@dataclass(frozen=True)
class Task:
    """`attempt` is the fencing token: only the holder of the current attempt may finish the task."""

    id: TaskId
    study_id: StudyId
    revision: int
    model_id: ModelId
    state: str
    attempt: int
    priority: Priority
    created_at: datetime
    owner: str | None = None
    lease_until: datetime | None = None
    published_at: datetime | None = None
    reason: str | None = None


def task_id(study_id: StudyId, revision: int, model_id: ModelId) -> TaskId:
    return TaskId(derive_id("task", study_id, str(revision), model_id))

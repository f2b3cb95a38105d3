"""One piece of work for a worker: one model on one revision of one study, held by lease and fencing token."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gateway.domain.ids import ModelId, StudyId, TaskId, derive_id
from gateway.domain.study import Priority


@dataclass(frozen=True)
class Task:
    """`attempt` is the fencing token: only the holder of the current attempt may finish the task.

    A shadow task was planned for a model in the shadow: its finding is kept and never reported.
    `retried_at` is the attempt at which an operator last gave the task back; attempts are counted from there.
    """

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
    retried_at: int = 0
    shadow: bool = False


def attempts_since_retry(task: Task) -> int:
    return task.attempt - task.retried_at


def task_id(study_id: StudyId, revision: int, model_id: ModelId) -> TaskId:
    return TaskId(derive_id("task", study_id, str(revision), model_id))

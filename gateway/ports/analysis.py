"""The models that workers have announced, the tasks that are planned for them, and what people decide about them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Literal, Protocol

from gateway.domain.acceptance import Acceptance
from gateway.domain.finding import Finding
from gateway.domain.governance import Approval, Stop
from gateway.domain.ids import FindingId, ModelId, StudyId, TaskId
from gateway.domain.model import ServedModel
from gateway.domain.study import Study
from gateway.domain.task import Task


class Models(Protocol):
    """Models that workers have announced."""

    def announce(self, model: ServedModel) -> None:
        """Insert or refresh; an active model retires the other active versions of its name."""
        ...

    def activate(self, model_id: str) -> bool:
        """Makes it the active version of its name and retires the others; False where it is active already.

        Conflict where it was recalled.
        """
        ...

    def retire(self, model_id: str) -> bool:
        """A recall: no work is planned for it any more, and a corrected version may become active by itself."""
        ...

    def decide(self, model_id: str, state: Literal["shadow", "retired"]) -> bool:
        """A person lets it run without being reported, or not at all; False where it is in that state already."""
        ...

    def previous(self, name: str) -> ServedModel:
        """The version that was active last before the one that is; Missing where there was none."""
        ...

    def active(self) -> list[ServedModel]: ...

    def running(self) -> list[ServedModel]:
        """The active models and those in the shadow."""
        ...

    def wanted(self) -> frozenset[ModelId]:
        """Those that a task may come for: the running ones, and those that an open task was planned for."""
        ...

    def get(self, model_id: str) -> ServedModel: ...

    def all(self) -> list[ServedModel]: ...


class Tasks(Protocol):
    """Work for the workers. Every change is guarded by state and attempt."""

    def plan(self, study: Study, models: Sequence[ServedModel], at: datetime) -> list[Task]: ...

    def get(self, task_id: TaskId) -> Task: ...

    def of_study(self, study_id: StudyId, revision: int) -> list[Task]: ...

    def claim(self, task_id: TaskId, owner: str, now: datetime, lease_until: datetime) -> Task | None:
        """The task with the next attempt, or None where it is done or another holds a living lease."""
        ...

    def renew(self, task: Task, lease_until: datetime) -> bool: ...

    def finish(self, task: Task, finding: Finding) -> bool:
        """Done, with its finding; False where the attempt is no longer ours, and nothing is written then."""
        ...

    def end(
        self, task: Task, event: Literal["refuse", "fail", "release"], reason: str, until: datetime | None = None
    ) -> bool:
        """Ends the attempt; a released task is not announced again before `until` (None: at once)."""
        ...

    def set_aside(self, task: Task, reason: str) -> bool:
        """Back to where it waits, and what it has tried is not counted: it is not the task's fault."""
        ...

    def retry(self, task_id: TaskId) -> bool:
        """A failed or refused task goes back to work, due at once; False where it is neither."""
        ...

    def withdraw_open(self, study_id: StudyId, before_revision: int) -> int: ...

    def unheld(self, now: datetime, published_before: datetime, limit: int) -> list[Task]:
        """Tasks that nobody is known to hold: never published, hint lost, or lease expired; STAT first."""
        ...

    def mark_published(self, task_ids: Sequence[TaskId], at: datetime) -> None: ...

    def findings(self, study_id: StudyId, revision: int) -> list[Finding]: ...

    def finding(self, finding_id: FindingId) -> Finding: ...

    def count_open(self) -> int: ...


class Governance(Protocol):
    """Stopped models, approvals that wait for a second person, and what models have said."""

    def stop(self, made: Stop) -> bool:
        """From now on no task of the model is claimed or ended with an answer; False where it is stopped already."""
        ...

    def resume(self, model_id: ModelId) -> bool:
        """False where it was not stopped."""
        ...

    def stopped(self) -> frozenset[ModelId]:
        """Models that must not speak now, recalled ones too; no other is committed before this one ends."""
        ...

    def stop_of(self, model_id: ModelId) -> Stop | None: ...

    def stops(self) -> list[Stop]:
        """Oldest first."""
        ...

    def waiting(self) -> dict[ModelId, int]:
        """Open tasks by model."""
        ...

    def approve(self, made: Approval) -> Approval | None:
        """None where this is the first; else the first, which may be another person's, and nothing is changed."""
        ...

    def approvals(self) -> list[Approval]: ...

    def withdraw_approval(self, model_id: ModelId) -> None: ...

    def accept(self, made: Acceptance) -> None:
        """Keeps an acceptance run; audited."""
        ...

    def acceptances(self, model: ServedModel, limit: int = 20, *, judged: bool = False) -> list[Acceptance]:
        """Of exactly this name, version and digest, the newest first; `judged`: those that passed or missed."""
        ...

    def answers(self, since: datetime, before: datetime) -> Iterator[tuple[Finding, bool]]:
        """Findings made in this time, page by page, and whether each was made in the shadow."""
        ...

    def sample(self, model_id: ModelId, since: datetime, before: datetime, limit: int) -> Iterator[Finding]:
        """What the model said in this time, at most `limit`, by ids, which say nothing of what was found or when."""
        ...

    def left_out(self, model_id: ModelId, since: datetime, limit: int) -> list[StudyId]:
        """Studies that the model has answered about, and whose report is not there yet or was written from then on."""
        ...

    def ends(self, since: datetime, before: datetime) -> list[tuple[ModelId, str, int]]:
        """Tasks planned in this time: model, state, count."""
        ...

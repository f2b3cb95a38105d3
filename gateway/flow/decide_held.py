"""decide held: a person's word on an object that was held or quarantined, guarded by its state and audited.

A released object goes back to the checker, for its header is judged anyway; a rejected one is never read; one to be
masked goes to a worker with the boxes that the person has drawn. Who may decide is checked by the caller (console,
command line): privacy officers and administrators.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from gateway.domain.clearance import Box, Pixels
from gateway.domain.errors import Conflict, GatewayError, Invalid, Missing
from gateway.domain.ids import BlobKey, InstanceId
from gateway.domain.study import Instance
from gateway.ports import BlobStore, Database, UnitOfWork

log = logging.getLogger(__name__)
LONGEST_REASON: Final = 200
MOST_BOXES: Final = 1000
MAY_DECIDE: Final = frozenset({"admin", "privacy-officer"})
"""Roles of people who may decide."""


@dataclass(frozen=True)
class DecideHeld:
    """`person` is the actor of the audit row; `reason` is kept with the decision and must not name a patient."""

    database: Database
    blobs: BlobStore
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def release(self, instance_id: InstanceId, person: str, reason: str) -> None:
        """A held object shows nobody: it is cleared once the checker has passed its header. Conflict elsewhere."""
        self._decide(instance_id, person, "release", reason, pixels="released")

    def reject(self, instance_id: InstanceId, person: str, reason: str) -> None:
        """A held or quarantined object is never read by a model."""
        self._decide(instance_id, person, "reject", reason)

    def mask(self, instance_id: InstanceId, person: str, boxes: tuple[Box, ...], reason: str) -> None:
        """A worker overwrites these boxes; then the checker looks at the object again."""
        if not 0 < len(boxes) <= MOST_BOXES:
            raise Invalid(f"1 to {MOST_BOXES} boxes can be masked")
        if any(box.width <= 0 or box.height <= 0 or box.left < 0 or box.top < 0 or box.frame < -1 for box in boxes):
            raise Invalid("a box lies inside the picture and has a width and a height")
        self._decide(instance_id, person, "mask", reason, boxes=boxes)

    def recheck(self, instance_id: InstanceId, person: str, reason: str) -> None:
        """A quarantined object goes to the checker again, as after an update of the rules."""
        self._decide(instance_id, person, "recheck", reason)

    def _decide(
        self,
        instance_id: InstanceId,
        person: str,
        event: Literal["release", "reject", "mask", "recheck"],
        reason: str,
        *,
        pixels: Pixels | None = None,
        boxes: tuple[Box, ...] | None = None,
    ) -> None:
        said = _said(reason)
        with self.database.begin(person) as unit:
            instance = unit.clearances.get(instance_id)
            study = unit.studies.lock(instance.study_id)
            if event == "recheck" and instance.clearance != "quarantined":
                raise Conflict(f"an instance that is {instance.clearance} is not quarantined")
            if not unit.clearances.decide(instance, event, said, pixels=pixels):
                raise Conflict("somebody else has decided meanwhile")
            preview = _preview(unit, instance)
            if boxes is not None:
                unit.pixel_tasks.plan(instance, study.priority, self.now(), asked=boxes)
            unit.commit()
        if preview is not None:
            self._forget(preview)

    def _forget(self, preview: BlobKey) -> None:
        """The picture has served; a store that is out at this moment must not undo the decision."""
        try:
            self.blobs.delete(preview)
        except GatewayError as error:
            log.warning("preview not deleted", extra={"fields": {"blob": preview, "kind": error.category.value}})


def _said(reason: str) -> str:
    text = " ".join(reason.split())
    if not text or len(text) > LONGEST_REASON or not text.isprintable():
        raise Invalid(f"a decision needs a reason of 1 to {LONGEST_REASON} characters")
    return text


def _preview(unit: UnitOfWork, instance: Instance) -> BlobKey | None:
    try:
        return unit.pixel_tasks.get(instance.id).preview_key
    except Missing:
        return None

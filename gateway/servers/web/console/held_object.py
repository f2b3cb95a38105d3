"""A held object's page: what the detectors have seen, where, and what a person may decide about it.

Its picture may show the patient's name: it is what the decision is about. Only who may decide sees it, and every
view is audited by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.domain.clearance import PixelTask
from gateway.domain.errors import Missing
from gateway.domain.ids import BlobKey, InstanceId
from gateway.domain.study import Instance, Study
from gateway.flow.decide_held import LONGEST_REASON
from gateway.ports import UnitOfWork
from gateway.servers.web.console.held_form import MOST_DRAWN, SIDES, Filled
from gateway.servers.web.console.page import SCRIPT_POLICY, Picture, View, Visit
from gateway.servers.web.console.proposed_boxes import Proposals, proposals
from gateway.servers.web.console.rights import may, require

OFFERED: Final[dict[str, tuple[str, ...]]] = {
    "held": ("mask", "release", "reject"),
    "quarantined": ("recheck", "reject"),
}
"""What a person may decide in which state; the safest first, for it is what the Enter key sends."""
UNSEEN: Final = ("reject",)
"""All that may be decided where there is no picture to look at."""
_ROWS = 20
_LARGEST = 65_535  # Rows and Columns are US


@dataclass(frozen=True)
class HeldObject:
    """An object as it stands when somebody looks at it, or decides."""

    instance: Instance
    study: Study
    task: PixelTask | None

    @property
    def proposed(self) -> Proposals:
        finding = self.task.finding if self.task else None
        return proposals(finding.boxes if finding else ())

    @property
    def columns(self) -> int:
        return _size(self.instance.header.get("Columns"))

    @property
    def rows(self) -> int:
        return _size(self.instance.header.get("Rows"))

    @property
    def frames(self) -> int:
        return _size(self.instance.header.get("NumberOfFrames")) or 1

    @property
    def preview(self) -> BlobKey | None:
        """The picture, while the object is held; afterwards it is deleted."""
        if self.task is None or self.instance.clearance != "held" or not (self.columns and self.rows):
            return None
        return self.task.preview_key

    @property
    def offered(self) -> tuple[str, ...]:
        offered = OFFERED.get(self.instance.clearance, ())
        return UNSEEN if self.instance.clearance == "held" and self.preview is None else offered

    @property
    def seen(self) -> str:
        """Changes with everything that a decision rests on: state, content, and what the last search has found."""
        return f"{self.instance.clearance}.{self.task.attempt if self.task else 0}.{self.instance.blob_key}"


def find_object(unit: UnitOfWork, name: str) -> HeldObject:
    """Missing where there is no such object."""
    instance = unit.clearances.get(InstanceId(name[:64]))
    try:
        task = unit.pixel_tasks.get(instance.id)
    except Missing:
        task = None
    return HeldObject(instance, unit.studies.get(instance.study_id), task)


def form_name(found: HeldObject) -> str:
    """What the form's token is bound to: it fits no other object, and not this one once it has changed."""
    return f"held {found.instance.id} {found.seen}"


def held_object(visit: Visit) -> View:
    require(visit.person, "list held objects")
    return held_view(visit, find_object(visit.unit, visit.path["instance"]), Filled(), "")


def held_view(visit: Visit, found: HeldObject, given: Filled, problem: str) -> View:
    decides = may(visit.person, "decide about held objects")
    data = {
        "object": found,
        "instance": found.instance,
        "study": found.study,
        "finding": found.task.finding if found.task else None,
        "proposed": found.proposed,
        "offered": found.offered if decides else (),
        "shows_picture": decides and found.preview is not None,
        "given": given,
        "sides": dict(zip(SIDES, given.sides, strict=True)),
        "problem": problem,
        "token": visit.form_token(form_name(found)),
        "timeline": visit.unit.audit.newest(limit=_ROWS, subject_id=found.instance.id),
        "longest_reason": LONGEST_REASON,
        "most_drawn": MOST_DRAWN,
    }
    return View("held_object.html", found.instance.id, data, policy=SCRIPT_POLICY)


def held_picture(visit: Visit) -> Picture:
    """The preview of a held object; each look at it is audited before the picture leaves."""
    require(visit.person, "decide about held objects")
    found = find_object(visit.unit, visit.path["instance"])
    if found.preview is None:
        raise Missing("there is no such picture")
    visit.unit.audit.record("held:view", found.instance.id, visit.actor, study=found.study.id)
    return Picture(found.study.patient, found.preview)


def _size(value: str | int | None) -> int:
    return value if isinstance(value, int) and 0 < value <= _LARGEST else 0

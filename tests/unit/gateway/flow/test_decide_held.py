"""A person's decision about a held or quarantined object: where it leads, what it needs, what it leaves behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness.intake import Intake, image, ultrasound

from gateway.domain.clearance import Box
from gateway.domain.errors import Conflict, Invalid, Missing
from gateway.domain.ids import InstanceId
from gateway.flow.decide_held import LONGEST_REASON, DecideHeld
from gateway.storage.database import SqlDatabase

OLGA = "person:olga"
BOX = Box(-1, 0, 0, 2, 1, "person")


@pytest.fixture
def intake(sqlite_database: SqlDatabase, tmp_path: Path) -> Intake:
    return Intake(sqlite_database, tmp_path)


@pytest.fixture
def decide(intake: Intake) -> DecideHeld:
    return DecideHeld(intake.database, intake.blobs, intake.clock)


@pytest.fixture
def held(intake: Intake) -> InstanceId:
    """An ultrasound image about which the search was in doubt."""
    instance_id = intake.receive(ultrasound())
    intake.check()
    intake.searched(instance_id, doubt="text near the edge")
    assert intake.instance(instance_id).clearance == "held"
    return instance_id


def preview_exists(intake: Intake, instance_id: InstanceId) -> bool:
    with intake.database.read() as unit:
        key = unit.pixel_tasks.get(instance_id).preview_key
    return key in set(intake.blobs.keys())


def test_a_released_object_is_checked_and_cleared(intake: Intake, decide: DecideHeld, held: InstanceId) -> None:
    """Release sends it to the checker with the person's word on its pixels; its header is judged once more."""
    decide.release(held, OLGA, "a ruler, no text")
    assert intake.instance(held).clearance == "unchecked"
    intake.check()
    one = intake.instance(held)
    assert (one.clearance, one.pixels) == ("cleared", "released")


def test_a_rejected_object_is_never_read(intake: Intake, decide: DecideHeld, held: InstanceId) -> None:
    """Reject is final; the reason stays with the object."""
    decide.reject(held, OLGA, "a whole page of text")
    one = intake.instance(held)
    assert (one.clearance, one.clearance_reason) == ("rejected", "a whole page of text")
    with pytest.raises(Conflict):
        decide.release(held, OLGA, "after all")


def test_boxes_of_a_person_go_to_a_worker(intake: Intake, decide: DecideHeld, held: InstanceId) -> None:
    """A held object that a person wants masked is planned with exactly those boxes."""
    decide.mask(held, OLGA, (BOX,), "name at the top")
    with intake.database.read() as unit:
        task = unit.pixel_tasks.get(held)
    assert (task.state, task.asked) == ("todo", (BOX,))
    assert intake.instance(held).clearance == "masking"


@pytest.mark.parametrize("decision", ["release", "reject", "mask"])
def test_the_preview_is_deleted_with_the_decision(
    intake: Intake, decide: DecideHeld, held: InstanceId, decision: str
) -> None:
    """The picture that the person has seen is gone from the store once it is decided."""
    assert preview_exists(intake, held)
    more = ((BOX,),) if decision == "mask" else ()
    getattr(decide, decision)(held, OLGA, *more, "decided")
    assert not preview_exists(intake, held)


def test_a_decision_is_audited_with_person_and_reason(intake: Intake, decide: DecideHeld, held: InstanceId) -> None:
    """Who decided what and why stands in the trail."""
    decide.release(held, OLGA, "  a ruler,\n no text ")
    with intake.database.read() as unit:
        (row,) = unit.audit.newest(limit=9, event="instance:release")
    assert (row.entry.actor, row.entry.subject_id) == (OLGA, held)
    assert row.entry.details["reason"] == "a ruler, no text"


@pytest.mark.parametrize("reason", ["", "  ", "x" * (LONGEST_REASON + 1), "bell\a"])
def test_a_decision_needs_a_reason(intake: Intake, decide: DecideHeld, held: InstanceId, reason: str) -> None:
    """Without a short printable reason nothing is decided."""
    with pytest.raises(Invalid):
        decide.release(held, OLGA, reason)
    assert intake.instance(held).clearance == "held"


@pytest.mark.parametrize("boxes", [(), (Box(-1, 0, 0, 0, 5, "person"),), (Box(-2, 0, 0, 5, 5, "person"),)])
def test_a_mask_needs_boxes(decide: DecideHeld, held: InstanceId, boxes: tuple[Box, ...]) -> None:
    """No box, an empty one or one on no frame is refused."""
    with pytest.raises(Invalid):
        decide.mask(held, OLGA, boxes, "name at the top")


def test_what_is_not_held_is_not_released(intake: Intake, decide: DecideHeld) -> None:
    """A cleared object cannot be decided about, and an unknown one is missing."""
    instance_id = intake.receive(image())
    intake.check()
    for refused in (decide.release, decide.reject, decide.recheck):
        with pytest.raises(Conflict):
            refused(instance_id, OLGA, "because")
    with pytest.raises(Missing):
        decide.release(InstanceId("0" * 32), OLGA, "because")


def test_an_object_under_search_is_not_rechecked(intake: Intake, decide: DecideHeld) -> None:
    """Recheck is for quarantined objects; it does not take an object away from a worker."""
    instance_id = intake.receive(ultrasound())
    intake.check()
    with pytest.raises(Conflict):
        decide.recheck(instance_id, OLGA, "because")
    assert intake.instance(instance_id).clearance == "masking"


def test_a_quarantined_object_is_checked_again(intake: Intake, decide: DecideHeld) -> None:
    """After the cause is gone a recheck clears it."""
    instance_id = intake.receive(image(ConvolutionKernel="ABCDEFGHIJKL"))
    intake.replace(instance_id, b"ABCDEFGHIJKL", b"MRN-QX-77182")
    intake.check()
    assert intake.instance(instance_id).clearance == "quarantined"
    intake.replace(instance_id, b"MRN-QX-77182", b"ABCDEFGHIJKL")
    decide.recheck(instance_id, OLGA, "new rules")
    intake.check()
    assert intake.instance(instance_id).clearance == "cleared"

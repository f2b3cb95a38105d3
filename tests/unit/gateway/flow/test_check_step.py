"""The check step over a real engine, vault, database and blobs: what is cleared, masked, held back and tried again."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from harness.intake import Intake, image, ultrasound
from harness.rows import model

from gateway.domain.errors import Missing, Unavailable
from gateway.domain.ids import BlobKey
from gateway.domain.model import AppliesTo
from gateway.flow.check import TRY_AGAIN_AFTER, CheckInstances
from gateway.flow.privacy_record import privacy_record
from gateway.flow.settle import SettleStudies
from gateway.storage.database import SqlDatabase

HARMLESS = "ABCDEFGHIJKL"
"""Twelve characters in an attribute that the table does not list; as long as the planted identifier."""
IDENTIFIER = "MRN-QX-77182"


@pytest.fixture
def intake(sqlite_database: SqlDatabase, tmp_path: Path) -> Intake:
    return Intake(sqlite_database, tmp_path)


@dataclass
class Broken:
    """Files of which the named ones cannot be read at present."""

    intake: Intake
    out: Sequence[str]
    error: Exception

    def open(self, pseudonym: str, key: BlobKey, size: int) -> BinaryIO:
        if key in self.out:
            raise self.error
        return self.intake.files.open(pseudonym, key, size)


def audited(intake: Intake, event: str) -> list[dict[str, Any]]:
    with intake.database.read() as unit:
        return [dict(row.entry.details) for row in unit.audit.newest(limit=100, event=event)]


def test_a_clean_cross_section_is_cleared(intake: Intake) -> None:
    """An original CT slice that the engine has cleaned passes, and no worker has to search its pixels."""
    first, second = intake.receive(image()), intake.receive(image())
    assert intake.check() == 2
    for one in (intake.instance(first), intake.instance(second)):
        assert (one.clearance, one.pixels, one.clearance_reason) == ("cleared", "exempt", None)
    assert intake.check() == 0


def test_the_row_says_what_the_engine_did(intake: Intake) -> None:
    """Profile, edition, methods and counts are recorded with the object, and the checker holds it against them."""
    instance_id = intake.receive(image())
    done = intake.instance(instance_id).deidentification
    assert done is not None
    assert (done.profile, done.edition) == ("inference", "2026d")
    assert {"113100", "113105", "113107", "113108"} <= set(done.methods)
    assert done.counts["uid"] >= 3
    with intake.database.read() as unit:
        record = privacy_record(unit, intake.instance(instance_id).study_id)
    assert (record.profiles, record.actions) == (("inference",), dict(sorted(done.counts.items())))


def test_identity_is_opened_once_for_a_study_and_audited(intake: Intake) -> None:
    """However many objects and batches, one opening of the vault with the purpose `check`."""
    for _ in range(3):
        intake.receive(image())
        intake.check()
    (opening,) = audited(intake, "identity:open")
    assert opening["purpose"] == "check"


def test_an_ultrasound_image_goes_to_the_search_for_text(intake: Intake) -> None:
    """Its pixels may show a name: a pixel task is planned, and after a clean search the checker clears it."""
    instance_id = intake.receive(ultrasound())
    intake.check()
    assert intake.instance(instance_id).clearance == "masking"
    intake.searched(instance_id)
    assert intake.instance(instance_id).clearance == "unchecked"
    intake.check()
    one = intake.instance(instance_id)
    assert (one.clearance, one.pixels) == ("cleared", "clean")


def test_what_was_left_is_quarantined_with_a_reason_that_names_no_value(intake: Intake) -> None:
    """A patient identifier in an attribute that nobody lists is found by the search for the study's identity."""
    instance_id = intake.receive(image(ConvolutionKernel=HARMLESS))
    intake.replace(instance_id, HARMLESS.encode(), IDENTIFIER.encode())
    intake.check()
    one = intake.instance(instance_id)
    assert one.clearance == "quarantined"
    assert one.clearance_reason == "the checker found: identity at (0018,1210)"
    assert "77182" not in str(audited(intake, "instance:quarantine"))


def test_one_bad_object_does_not_block_its_neighbours(intake: Intake) -> None:
    """Damage in one file quarantines that one; those before and after it in the batch are cleared."""
    ids = [intake.receive(image()) for _ in range(3)]
    intake.replace(ids[1], b"DICM", b"MCID")
    assert intake.check() == 3
    assert [intake.instance(one).clearance for one in ids] == ["cleared", "quarantined", "cleared"]


def test_a_fault_of_the_checker_quarantines(intake: Intake, caplog: pytest.LogCaptureFixture) -> None:
    """An error that nobody expected is no reason to pass: the object is held back with the kind of error alone."""
    good, bad = intake.receive(image()), intake.receive(image())
    error = ZeroDivisionError("Quillfeather")
    checker = CheckInstances(intake.database, intake.vault, Broken(intake, [bad], error), intake.clock)
    with caplog.at_level(logging.CRITICAL):
        checker()
    assert intake.instance(good).clearance == "cleared"
    one = intake.instance(bad)
    assert (one.clearance, one.clearance_reason) == ("quarantined", "could not be checked: ZeroDivisionError")


def test_an_outage_of_the_blob_store_is_waited_out(intake: Intake) -> None:
    """While the store is out nothing is decided and the chore fails; afterwards the objects are cleared."""
    instance_id = intake.receive(image())
    broken = Broken(intake, [instance_id], Unavailable("the disk is out"))
    checker = CheckInstances(intake.database, intake.vault, broken, intake.clock)
    with pytest.raises(Unavailable):
        checker()
    assert intake.instance(instance_id).clearance == "unchecked"
    broken.out = []
    intake.now += TRY_AGAIN_AFTER
    assert checker() == 1
    assert intake.instance(instance_id).clearance == "cleared"


def test_unreadable_objects_do_not_stand_in_the_way_of_others(intake: Intake) -> None:
    """With a batch of one, an object that cannot be read at present lets the next one pass."""
    first, second = intake.receive(image()), intake.receive(image())
    checker = CheckInstances(
        intake.database, intake.vault, Broken(intake, [first], Unavailable("bad sector")), intake.clock
    )
    with pytest.raises(Unavailable):
        checker(limit=1)
    assert checker(limit=1) == 1
    assert [intake.instance(one).clearance for one in (first, second)] == ["unchecked", "cleared"]


def test_killed_before_its_commit_the_check_is_done_again(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash between reading and committing leaves the objects unchecked; the next round decides the same, once."""
    instance_id = intake.receive(ultrasound())

    class Killed(BaseException):
        pass

    def killed(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr("gateway.storage.pixel_tasks.SqlPixelTasks.plan", killed)
        with pytest.raises(Killed):
            intake.check()
    assert intake.instance(instance_id).clearance == "unchecked"
    assert CheckInstances(intake.database, intake.vault, intake.files, intake.clock)() == 1
    assert intake.instance(instance_id).clearance == "masking"
    assert len(audited(intake, "instance:mask")) == 1


def test_an_object_replaced_meanwhile_is_not_decided_about(intake: Intake) -> None:
    """A verdict counts only for the content it was made about."""
    instance_id = intake.receive(image())
    stale = intake.instance(instance_id)
    intake.check()
    with intake.database.begin("check") as unit:
        assert not unit.clearances.decide(stale, "quarantine", "late")
    assert intake.instance(instance_id).clearance == "cleared"


def test_urgent_studies_are_checked_first(intake: Intake) -> None:
    """An object of a STAT study overtakes those that came before it."""
    routine = intake.receive(image("1.2.826.0.1.99.1"))
    stat = intake.receive(image("1.2.826.0.1.99.2", RequestedProcedurePriority="STAT"))
    assert intake.check(limit=1) == 1
    assert intake.instance(stat).clearance == "cleared"
    assert intake.instance(routine).clearance == "unchecked"


def test_an_erased_patient_is_not_cleared(intake: Intake) -> None:
    """Where the identity cannot be opened any more it cannot be searched for, so the object does not pass."""
    instance_id = intake.receive(image())

    class Erased:
        def __getattr__(self, name: str) -> Any:
            return getattr(intake.vault, name)

        def study_identity(self, *_: object) -> Any:
            raise Missing("this patient was erased")

    CheckInstances(intake.database, Erased(), intake.files, intake.clock)()
    one = intake.instance(instance_id)
    assert one.clearance == "quarantined"
    assert one.clearance_reason == "could not be checked: the study's identity cannot be opened"


def test_a_study_settles_with_its_cleared_objects_and_again_when_one_is_released(intake: Intake) -> None:
    """It waits for the search, settles without the held object, and takes it up in its next revision."""
    with intake.database.begin("worker:1") as unit:
        unit.models.announce(model(applies_to=AppliesTo(("CT", "US"))))
        unit.commit()
    slice_id, view_id = intake.receive(image()), intake.receive(ultrasound())
    study_id = intake.instance(slice_id).study_id
    intake.check()
    intake.now += timedelta(seconds=60)
    settle = SettleStudies(intake.database, intake.clock)
    assert settle() == 0
    intake.searched(view_id, doubt="text near the edge")
    assert settle() == 1
    with intake.database.begin("person:olga") as unit:
        assert unit.clearances.decide(unit.clearances.get(view_id), "release", "nothing there", pixels="released")
        unit.commit()
    assert intake.study(study_id).state == "analysing"
    intake.check()
    assert intake.instance(view_id).clearance == "cleared"
    study = intake.study(study_id)
    assert (study.state, study.revision) == ("receiving", 2)


def test_a_study_of_which_nothing_passes_settles_without_a_task(intake: Intake) -> None:
    """No model reads what is quarantined; the study rests as settled until something is released."""
    with intake.database.begin("worker:1") as unit:
        unit.models.announce(model(applies_to=AppliesTo(("CT",))))
        unit.commit()
    instance_id = intake.receive(image(ConvolutionKernel=HARMLESS))
    intake.replace(instance_id, HARMLESS.encode(), IDENTIFIER.encode())
    intake.check()
    intake.now += timedelta(seconds=60)
    assert SettleStudies(intake.database, intake.clock)() == 0
    assert intake.study(intake.instance(instance_id).study_id).state == "settled"

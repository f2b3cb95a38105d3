"""The mask step over real engine, vault, seals, blobs and database: done once, sealed for the vault, never blocking."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from harness.burned_text import speckle, write_text
from harness.intake import Intake
from harness.searched import as_file, compressed, search, shot
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import JPEGBaseline8Bit, RLELossless

from gateway.domain.clearance import Box, PixelFinding
from gateway.domain.errors import Invalid, Missing, Unavailable
from gateway.domain.ids import BlobKey, InstanceId
from gateway.domain.study import Instance
from gateway.flow.decide_held import DecideHeld
from gateway.flow.mask import MaskPixels
from gateway.flow.restore import RestoreObject
from gateway.ports import SearchedPixels
from gateway.privacy import keyring
from gateway.privacy.keyring import Purpose
from gateway.privacy.part10 import split
from gateway.privacy.removed_pixels import bound_to
from gateway.privacy.vault import Vault
from gateway.storage.database import SqlDatabase

TEXT = "QUILLFEATHER ZEBULON"


def scan(text: str = TEXT) -> np.ndarray:
    frame = np.zeros((200, 320), np.uint8)
    frame[50:190, 40:280] = speckle(np.random.default_rng(1), 140, 240)
    write_text(frame, text, (20, 12), 16, 255)
    return frame


def jpeg(frame: np.ndarray) -> Dataset:
    written = io.BytesIO()
    Image.fromarray(frame).save(written, "JPEG", quality=90)
    return compressed(shot(frame), JPEGBaseline8Bit, [written.getvalue()])


@dataclass
class Scripted:
    """A search that raises, or does something and then searches like the real one."""

    failure: Exception | None = None
    before: Callable[[], None] = lambda: None
    doubt: str | None = None
    asked: list[Sequence[Box] | None] = field(default_factory=list)

    def search(self, file: bytes, asked: Sequence[Box] | None) -> SearchedPixels:
        self.asked.append(asked)
        self.before()
        if self.failure is not None:
            raise self.failure
        if self.doubt is not None:
            finding = PixelFinding(1, 1, (), 0.0, self.doubt, ("top-hat",), "CPUExecutionProvider")
            return SearchedPixels(finding, None, {}, b"PNG of a doubt")
        return search().search(file, asked)


class Ward(Intake):
    """An intake with a worker for pixels, which holds the objects ring alone."""

    def __init__(self, database: SqlDatabase, folder: Path) -> None:
        super().__init__(database, folder)
        self.ring = self.seal._ring

    def worker(self, searching: Any = None, name: str = "worker:1", **changes: Any) -> MaskPixels:
        made = MaskPixels(
            database=self.database,
            blobs=self.blobs,
            seal=self.seal,
            search=searching or search(),
            public_key=lambda: self.ring.key(Purpose.DEPOSIT_PUBLIC).key,
            hold=lambda task: nullcontext(),
            worker=name,
            lease=timedelta(seconds=30),
            max_attempts=3,
            now=self.clock,
        )
        return replace(made, **changes)

    def sent(self, what: Dataset) -> InstanceId:
        """Received and checked: it waits for the search of its pixels."""
        received = self.receive(what)
        self.check()
        assert self.instance(received).clearance == "masking"
        return received

    def restored(self, instance_id: InstanceId) -> bytes:
        instance = self.instance(instance_id)
        with self.database.begin("delivery") as unit:
            study = unit.studies.get(instance.study_id)
            made = RestoreObject(self.vault, self.blobs, self.seal)(unit, study, instance, "delivery", "delivery")
            unit.commit()
        return made.dataset

    def shown(self, instance_id: InstanceId) -> np.ndarray:
        return pydicom.dcmread(io.BytesIO(self.plain(instance_id))).pixel_array

    def stored(self) -> set[BlobKey]:
        return set(self.blobs.keys())

    def row_keys(self, instance: Instance) -> set[BlobKey]:
        return {key for key in (instance.blob_key, instance.removed_pixels_key) if key}


@pytest.fixture
def ward(sqlite_database: SqlDatabase, tmp_path: Path) -> Ward:
    return Ward(sqlite_database, tmp_path)


FORMS: dict[str, Callable[[], Dataset]] = {
    "native": lambda: shot(scan()),
    "clean": lambda: shot(scan("")),
    "JPEG": lambda: jpeg(scan()),
    "clean JPEG": lambda: jpeg(scan("")),
    "RLE": lambda: _rle(scan()),
}


def _rle(frame: np.ndarray) -> Dataset:
    what = shot(frame)
    what.compress(RLELossless)
    return what


@pytest.mark.parametrize("form", FORMS)
def test_a_searched_object_is_cleared_and_can_be_rebuilt_bit_for_bit(ward: Ward, form: str) -> None:
    """Received, masked, checked again, cleared; and from what is kept the vault rebuilds what the modality sent."""
    what = FORMS[form]()
    original = bytes(split(as_file(what))[1])
    instance_id = ward.sent(what)
    assert ward.worker()(instance_id) == "done"
    ward.check()
    instance = ward.instance(instance_id)
    assert (instance.clearance, instance.clearance_reason) == ("cleared", None)
    assert instance.pixels == ("clean" if form.startswith("clean") else "masked")
    stored = pydicom.dcmread(io.BytesIO(ward.plain(instance_id)))
    assert stored.BurnedInAnnotation == "NO"
    assert str(stored.file_meta.TransferSyntaxUID) == instance.transfer_syntax_uid
    assert instance.size == len(ward.plain(instance_id))
    assert ward.restored(instance_id) == original


def test_the_object_as_received_is_no_longer_there(ward: Ward) -> None:
    """Of what was stored only the masked object and the deposit remain."""
    instance_id = ward.sent(shot(scan()))
    before = ward.instance(instance_id)
    ward.worker()(instance_id)
    after = ward.instance(instance_id)
    assert ward.stored() == ward.row_keys(after)
    assert before.blob_key != after.blob_key


def test_a_worker_cannot_open_what_it_removed(ward: Ward) -> None:
    """Under the worker's own ring the deposit stays shut; under the vault's it opens, at its own place only."""
    instance_id = ward.sent(shot(scan()))
    ward.worker()(instance_id)
    instance = ward.instance(instance_id)
    assert instance.removed_pixels_key
    deposit = ward.seal.open(
        ward.study(instance.study_id).patient,
        instance.removed_pixels_key,
        ward.blobs.get(instance.removed_pixels_key),
    )
    bound = bound_to(instance.id, instance.read_digest)
    assert ward.vault.open_deposit(deposit, bound)
    with pytest.raises(Invalid):
        ward.vault.open_deposit(deposit, bound_to(InstanceId("another"), instance.read_digest))
    with pytest.raises(Missing):
        Vault(ward.ring, ward.database)
    with pytest.raises(Missing):
        ward.ring.key(Purpose.DEPOSIT_PRIVATE)


def test_every_opening_of_an_original_is_audited(ward: Ward) -> None:
    """Rebuilding an object opens identity, and the trail says so."""
    instance_id = ward.sent(shot(scan()))
    ward.worker()(instance_id)
    ward.restored(instance_id)
    with ward.database.read() as unit:
        (row,) = unit.audit.newest(limit=1, event="identity:open")
    assert (row.entry.actor, row.entry.details["purpose"]) == ("delivery", "delivery")


def test_a_doubt_holds_the_object_with_a_sealed_picture(ward: Ward) -> None:
    """The object stays as it was, the picture is for a person, and a model does not get it."""
    instance_id = ward.sent(shot(scan()))
    before = ward.instance(instance_id)
    assert ward.worker(Scripted(doubt="unclear"))(instance_id) == "held"
    after = ward.instance(instance_id)
    assert (after.clearance, after.clearance_reason, after.blob_key) == ("held", "unclear", before.blob_key)
    with ward.database.read() as unit:
        task = unit.pixel_tasks.get(instance_id)
    assert task.preview_key is not None
    sealed = ward.blobs.get(task.preview_key)
    assert b"PNG" not in sealed
    assert ward.seal.open(ward.study(after.study_id).patient, task.preview_key, sealed) == b"PNG of a doubt"


def test_what_a_person_draws_is_masked_and_can_be_undone(ward: Ward) -> None:
    """Held, masked by hand, cleared; the deposits of both maskings lead back to what was received."""
    what = shot(scan())
    original = bytes(split(as_file(what))[1])
    instance_id = ward.sent(what)
    ward.worker()(instance_id)
    with ward.database.begin("check") as unit:
        assert unit.clearances.decide(unit.clearances.get(instance_id), "hold", "a second look")
        unit.commit()
    box = Box(0, 100, 90, 40, 30, "person")
    DecideHeld(ward.database, ward.blobs, ward.clock).mask(instance_id, "officer", (box,), "a label in the picture")
    assert ward.worker()(instance_id) == "done"
    ward.check()
    assert ward.instance(instance_id).clearance == "cleared"
    assert ward.shown(instance_id)[90:120, 100:140].max() == 0
    assert ward.shown(instance_id)[120:180, 60:260].max() > 0
    assert ward.restored(instance_id) == original


def test_pixels_that_cannot_be_decoded_hold_the_object_at_once(ward: Ward) -> None:
    """A poison object ends with a reason after one attempt; the next one is searched as ever."""
    poison = compressed(shot(scan()), JPEGBaseline8Bit, [b"\xff\xd8no picture\xff\xd9"])
    instance_id, sound = ward.receive(poison), ward.receive(shot(scan(), SeriesDescription="two"))
    ward.check()
    assert ward.worker()(instance_id) == "failed"
    held = ward.instance(instance_id)
    assert held.clearance == "held"
    assert (held.clearance_reason or "").startswith("its pixels could not be searched: pixel data")
    assert ward.worker()(sound) == "done"


def test_a_failing_search_is_tried_again_and_then_held(ward: Ward) -> None:
    """Three attempts with growing pauses, then a person; no text of the exception is kept."""
    instance_id = ward.sent(shot(scan()))
    worker = ward.worker(Scripted(failure=RuntimeError("QUILLFEATHER")))
    outcomes = []
    for pause in (0, 3, 6):
        ward.now += timedelta(seconds=pause)
        outcomes.append(worker(instance_id))
    assert outcomes == ["released", "released", "failed"]
    held = ward.instance(instance_id)
    assert held.clearance == "held"
    assert held.clearance_reason == "its pixels could not be searched: fault: RuntimeError"
    assert worker(instance_id) == "not ours"


def test_a_store_that_is_out_releases_the_search(ward: Ward) -> None:
    """The disk is full: nothing is decided, and a later attempt does it."""
    instance_id = ward.sent(shot(scan()))
    full = Scripted(failure=Unavailable("the disk is full"))
    assert ward.worker(full)(instance_id) == "released"
    assert ward.instance(instance_id).clearance == "masking"
    ward.now += timedelta(seconds=5)
    assert ward.worker()(instance_id) == "done"


def test_a_worker_thought_dead_changes_nothing(ward: Ward) -> None:
    """Its lease ran out and another has finished: what it comes back with is thrown away, blobs and all."""
    instance_id = ward.sent(shot(scan()))

    def meanwhile() -> None:
        ward.now += timedelta(seconds=60)
        assert ward.worker(name="worker:2")(instance_id) == "done"

    assert ward.worker(Scripted(before=meanwhile))(instance_id) == "not ours"
    after = ward.instance(instance_id)
    assert ward.stored() == ward.row_keys(after)
    ward.check()
    assert ward.instance(instance_id).clearance == "cleared"


def test_a_worker_killed_before_its_commit_leaves_nothing_behind(ward: Ward) -> None:
    """The next attempt finishes, and deletes what the killed one had stored."""
    instance_id = ward.sent(shot(scan()))

    class Killed(BaseException):
        pass

    class Dying(MaskPixels):
        def _finish(self, *_: object) -> Any:
            raise Killed

    dying = Dying(**{name: getattr(ward.worker(), name) for name in MaskPixels.__dataclass_fields__})
    with pytest.raises(Killed):
        dying(instance_id)
    assert len(ward.stored()) == 3
    assert ward.worker()(instance_id) == "not ours"  # the lease still runs
    ward.now += timedelta(seconds=31)
    assert ward.worker()(instance_id) == "done"
    assert ward.stored() == ward.row_keys(ward.instance(instance_id))


def test_an_altered_object_is_not_rebuilt(ward: Ward) -> None:
    """A stored file that is not the one of the row gives no original."""
    instance_id = ward.sent(shot(scan()))
    ward.worker()(instance_id)
    ward.replace(instance_id, b"ACME", b"ACMF")
    with pytest.raises(Invalid, match="row names"):
        ward.restored(instance_id)


def test_a_search_that_nobody_planned_is_nobodys(ward: Ward) -> None:
    """A ring for an object that waits for no search does nothing."""
    instance_id = ward.receive(shot(scan()))
    assert ward.worker()(instance_id) == "not ours"


def test_the_worker_ring_has_what_the_step_needs(tmp_path: Path) -> None:
    """objects.json alone: the public half is there, the private one is not."""
    keyring.create(tmp_path / "keys")
    ring = keyring.load(tmp_path / "keys", keyring.OBJECTS_FILE)
    assert len(ring.key(Purpose.DEPOSIT_PUBLIC).key) == 32
    assert Purpose.DEPOSIT_PRIVATE not in ring.current

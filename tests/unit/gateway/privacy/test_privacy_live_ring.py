"""Rings in a running process: a changed file is noticed, soon and cheaply, and a broken one does no harm."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from gateway.domain.errors import Forbidden, GatewayError, Missing, Unavailable
from gateway.privacy import keyring
from gateway.privacy.keyring import OBJECTS_FILE, KeyRing, Purpose, create, load, save
from gateway.privacy.live_ring import LOOK_SECONDS, RETRY_SECONDS, LiveRing
from gateway.privacy.providers.file import FileProvider


class Process:
    """A live ring with a clock that the test moves; counts how often the file was opened."""

    def __init__(self, folder: Path) -> None:
        self.now, self.loads = 0.0, 0
        self.failure: GatewayError | None = None
        self.folder = folder
        self.ring = LiveRing([folder / OBJECTS_FILE], self.load, clock=lambda: self.now)

    def load(self) -> KeyRing:
        self.loads += 1
        if self.failure:
            raise self.failure
        return load(self.folder, OBJECTS_FILE)


@pytest.fixture
def process(tmp_path: Path) -> Process:
    create(tmp_path / "keys")
    return Process(tmp_path / "keys")


def rotate(folder: Path) -> tuple[str, str]:
    """The former and the new current key of objects."""
    before = load(folder, OBJECTS_FILE)
    after = before.with_new_key(Purpose.OBJECTS)
    save(folder, OBJECTS_FILE, after, FileProvider())
    return before.current[Purpose.OBJECTS], after.current[Purpose.OBJECTS]


def test_the_new_current_key_is_used_within_a_second(process: Process) -> None:
    """Before the second is over the process may use the former key, after it never."""
    former, new = rotate(process.folder)
    process.now = LOOK_SECONDS - 0.01
    assert process.ring.key(Purpose.OBJECTS).kid == former
    process.now = LOOK_SECONDS
    assert process.ring.key(Purpose.OBJECTS).kid == new
    assert process.ring.by_id(former)


def test_an_unknown_key_id_looks_at_once(process: Process) -> None:
    """A row that another process has wrapped under the new key opens without waiting."""
    _, new = rotate(process.folder)
    assert process.ring.by_id(new).kid == new
    with pytest.raises(Missing):
        process.ring.by_id("objects-ffffffffffff")


def test_unchanged_files_are_not_opened_again(process: Process) -> None:
    """Neither time nor unknown ids make a process open a ring that is as it was."""
    for second in range(50):
        process.now = float(second)
        process.ring.key(Purpose.OBJECTS)
        with pytest.raises(Missing):
            process.ring.by_id(f"objects-{second:012x}")
    assert process.loads == 1


def test_a_provider_that_is_away_leaves_the_process_at_work(process: Process, caplog: pytest.LogCaptureFixture) -> None:
    """It goes on with what it has, warns once, tries again after a pause, and takes up what opens then."""
    former, new = rotate(process.folder)
    process.failure = Unavailable("Vault is sealed or in maintenance")
    with caplog.at_level(logging.WARNING):
        for second in range(1, int(RETRY_SECONDS)):
            process.now = float(second)
            assert process.ring.key(Purpose.OBJECTS).kid == former
    assert process.loads == 2
    assert len(caplog.records) == 1
    process.failure = None
    process.now = 1 + RETRY_SECONDS
    assert process.ring.key(Purpose.OBJECTS).kid == new


def test_a_refused_secret_is_tried_once(process: Process) -> None:
    """A wrong PIN or passphrase is not tried again before the file changes: an HSM would lock itself."""
    former, _ = rotate(process.folder)
    process.failure = Forbidden("the HSM refuses the PIN")
    for second in range(1, 100):
        process.now = float(second)
        assert process.ring.key(Purpose.OBJECTS).kid == former
    assert process.loads == 2
    process.failure = None
    _, newest = rotate(process.folder)
    process.now = 200.0
    assert process.ring.key(Purpose.OBJECTS).kid == newest


def test_nothing_is_confirmed_under_a_destroyed_key(process: Process) -> None:
    """Even a process that cannot open the changed ring sees in its header that its key is gone."""
    former, new = rotate(process.folder)
    process.ring.confirm(former)
    after = load(process.folder, OBJECTS_FILE).without(former)
    save(process.folder, OBJECTS_FILE, after, FileProvider("a passphrase that this process lacks"))
    with pytest.raises(Unavailable, match="retired"):
        process.ring.confirm(former)
    process.ring.confirm(new)


def test_a_process_does_not_start_without_its_ring(process: Process) -> None:
    """`insist`, which every start runs, raises what the file says: open to others, or gone."""
    process.ring.insist()
    (process.folder / OBJECTS_FILE).chmod(0o644)
    with pytest.raises(Forbidden):
        process.ring.insist()
    (process.folder / OBJECTS_FILE).unlink()
    with pytest.raises(Missing):
        process.ring.insist()


def test_a_ring_that_vanishes_under_a_process_is_missed_by_nobody_but_the_log(process: Process) -> None:
    """What was opened stays open until the process ends."""
    kid = process.ring.key(Purpose.OBJECTS).kid
    (process.folder / OBJECTS_FILE).unlink()
    process.now = 5.0
    assert process.ring.key(Purpose.OBJECTS).kid == kid


def test_a_live_ring_has_no_text_form(process: Process) -> None:
    """Nothing of a key is in its repr or in that of what it gives."""
    shown: Any = repr(process.ring) + repr(process.ring.key(Purpose.OBJECTS))
    key = process.ring.key(Purpose.OBJECTS).key
    assert key.hex() not in shown
    assert repr(key) not in shown
    assert keyring.OBJECTS_FILE not in shown

"""Rotation on both databases: rows are wrapped anew, nothing is lost, and being killed anywhere is no harm.

The short form runs in the suite; `make rotate-storm` rotates under load for longer (DXGATE_TEST_ROTATE_ROUNDS).
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from harness.gateway_process import wait_for
from harness.keyed_gateway import KeyedGateway, ct_object
from harness.rows import AT
from sqlalchemy import create_engine, make_url, text

from gateway import wiring
from gateway.domain.errors import Busy, Conflict, Missing
from gateway.domain.sealed_files import pixel_file
from gateway.flow import rotate_keys
from gateway.flow.rotate_keys import RotateKeys
from gateway.privacy import keyring, private_file
from gateway.privacy.deposit import open_deposit, seal_deposit
from gateway.privacy.keyring import IDENTITY_FILE, OBJECTS_FILE, Purpose
from gateway.privacy.pseudonyms import IdentityKey
from gateway.privacy.vault import Vault
from gateway.storage.audit_verify import verify_database
from gateway.storage.unit_of_work import SqlUnitOfWork

LEASE = timedelta(minutes=5)
ROUNDS = int(os.environ.get("DXGATE_TEST_ROTATE_ROUNDS", "1"))


@pytest.fixture
def gateway(database_url: str, tmp_path: Path) -> Iterator[KeyedGateway]:
    opened = KeyedGateway(tmp_path / "home", database_url)
    yield opened
    opened.close()


def rotation(gateway: KeyedGateway) -> RotateKeys:
    """Without the pause for processes that have not looked yet; where there are some, the test says so."""
    return RotateKeys(gateway.database, gateway.settings.key_folder, gateway.providers, pause=lambda _: None)


def fill(gateway: KeyedGateway, patients: int) -> None:
    receive = gateway.receiver()
    for number in range(patients):
        assert receive(ct_object(f"MRN-{number}")) == "new"


def ring(gateway: KeyedGateway, name: str = OBJECTS_FILE) -> keyring.KeyRing:
    return wiring.key_ring(gateway.settings, name)


def test_rotation_wraps_every_row_anew(gateway: KeyedGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """No row rests on the former keys, every object opens, and patients keep their pseudonyms."""
    monkeypatch.setattr(rotate_keys, "BATCH", 2)
    fill(gateway, 5)
    before = {patient for patient, _ in gateway.instances()}
    keys = rotation(gateway)
    for purpose, name in ((Purpose.OBJECTS, OBJECTS_FILE), (Purpose.IDENTITY, IDENTITY_FILE)):
        former = ring(gateway, name).current[purpose]
        done = keys.rotate(purpose, "officer")
        assert (done.is_new, done.rewrapped, done.failed) == (True, 5, 0)
        usage = keys.usage(ring(gateway, name))
        assert (usage[former], usage[done.kid]) == (0, 5)
        keys.retire(former, "officer")
        with pytest.raises(Missing):
            ring(gateway, name).by_id(former)
    assert gateway.open_all() == 5
    fill(gateway, 5)  # the same patients, by a process that has seen nothing of it before
    assert {patient for patient, _ in gateway.instances()} == before


def test_rotation_is_audited_and_the_chain_verifies(gateway: KeyedGateway) -> None:
    """Rotate, rewrap and retire stand in the trail; rows chained under the former audit key verify beside new ones."""
    fill(gateway, 1)
    keys = rotation(gateway)
    former = ring(gateway).current[Purpose.OBJECTS]
    keys.rotate(Purpose.OBJECTS, "officer")
    keys.retire(former, "officer")
    audit = keys.rotate(Purpose.AUDIT, "officer")
    fill(gateway, 2)
    verdict = verify_database(gateway.database, wiring.audit_keys(gateway.settings))
    assert verdict.sound
    with gateway.database.read() as unit:
        rows = list(unit.audit.rows())
    events = [row.entry.event for row in rows if row.entry.event.startswith("key:")]
    assert events == ["key:rotate", "key:rewrap", "key:retire", "key:rotate"]
    assert rows[-1].key_id == audit.kid != rows[0].key_id


def test_a_key_in_use_is_not_destroyed(gateway: KeyedGateway) -> None:
    """Current keys, keys with rows and audit keys with rows are refused, with the count."""
    fill(gateway, 2)
    keys = rotation(gateway)
    first = ring(gateway)
    with pytest.raises(Conflict, match="not a former key"):
        keys.retire(first.current[Purpose.OBJECTS], "officer")
    keyring.save(
        gateway.settings.key_folder,
        OBJECTS_FILE,
        first.with_new_key(Purpose.OBJECTS),
        gateway.providers(OBJECTS_FILE),
    )
    with pytest.raises(Conflict, match="2 rows"):
        keys.retire(first.current[Purpose.OBJECTS], "officer")
    keys.rotate(Purpose.AUDIT, "officer")
    with pytest.raises(Conflict, match="audit rows"):
        keys.retire(first.current[Purpose.AUDIT], "officer")
    with pytest.raises(Missing):
        keys.retire("objects-ffffffffffff", "officer")


def test_a_staged_key_is_the_next_one(gateway: KeyedGateway) -> None:
    """Staged first, copied to every machine, then used: the rotation takes the staged key."""
    fill(gateway, 1)
    keys = rotation(gateway)
    staged = keys.stage(Purpose.OBJECTS, "officer")
    assert ring(gateway).current[Purpose.OBJECTS] != staged
    done = keys.rotate(Purpose.OBJECTS, "officer")
    assert (done.kid, done.is_new, done.rewrapped) == (staged, True, 1)


def test_a_new_deposit_pair_stands_in_both_rings(gateway: KeyedGateway) -> None:
    """What was sealed to the former pair still opens, and its private half stays while one such file is left."""
    fill(gateway, 1)
    ((patient, instance),) = gateway.instances()
    objects, identity = ring(gateway), ring(gateway, IDENTITY_FILE)
    former = identity.current[Purpose.DEPOSIT_PRIVATE]
    key = pixel_file("removed-pixels", instance.id, 2)  # of two attempts, the first of which stored nothing
    deposit = seal_deposit([b"pixels"], objects.key(Purpose.DEPOSIT_PUBLIC).key, key.encode())
    gateway.blobs.put(key, gateway.fresh_seal().seal(patient, key, deposit))
    with gateway.database.begin("test") as unit:
        unit.clearances.decide(instance, "mask")
        unit.pixel_tasks.plan(instance, "routine", AT)
        for attempt in (1, 2):
            assert unit.pixel_tasks.claim(instance.id, "worker", AT + attempt * LEASE, AT + (attempt + 1) * LEASE)
        unit.commit()
    keys = wiring.rotate_keys(gateway.settings)
    done = keys.rotate_deposit("officer")
    now = ring(gateway, IDENTITY_FILE)
    assert (done.is_new, done.kid) == (True, now.current[Purpose.DEPOSIT_PRIVATE])
    assert ring(gateway).seals_for(now)
    opened = gateway.fresh_seal().open(patient, key, gateway.blobs.get(key))
    assert open_deposit(opened, now.by_id(former).key, key.encode()) == b"pixels"
    with pytest.raises(Conflict, match="1 deposits"):
        keys.retire(former, "officer")
    gateway.blobs.delete(key)
    keys.retire(former, "officer")
    with pytest.raises(Missing):
        ring(gateway, IDENTITY_FILE).by_id(former)


def test_half_a_rotation_of_the_pair_is_finished(gateway: KeyedGateway) -> None:
    """Killed between the two files: the next run completes the pair and makes no third."""
    half = ring(gateway, IDENTITY_FILE).with_private_key()
    keyring.save(gateway.settings.key_folder, IDENTITY_FILE, half, gateway.providers(IDENTITY_FILE))
    done = rotation(gateway).rotate_deposit("officer")
    assert (done.is_new, done.kid) == (False, half.current[Purpose.DEPOSIT_PRIVATE])
    assert ring(gateway).seals_for(ring(gateway, IDENTITY_FILE))


def test_two_commands_do_not_meet(gateway: KeyedGateway) -> None:
    """While one changes the keys another is told to wait."""
    with private_file.one_at_a_time(gateway.settings.key_folder), pytest.raises(Busy):
        rotation(gateway).rotate(Purpose.OBJECTS, "officer")


def test_a_row_that_does_not_open_stops_no_rotation(gateway: KeyedGateway) -> None:
    """It is counted and left as it is; the others are wrapped anew."""
    fill(gateway, 3)
    with gateway.database.begin("test") as unit:
        pseudonym, cell = unit.key_rows.outside("objects", "", 1)[0]
        assert unit.key_rows.rewrap("objects", pseudonym, cell, cell[:-1] + bytes((cell[-1] ^ 1,)))
        unit.commit()
    done = rotation(gateway).rotate(Purpose.OBJECTS, "officer")
    assert (done.rewrapped, done.failed) == (2, 1)


def killed_at(step: int, home: Path, url: str) -> None:
    """In a forked process: rotates, and is killed before the step of this number that would be durable."""
    left = [step]

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*words: Any, **named: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*words, **named)

        return call

    gateway = KeyedGateway(home, url)
    rotate_keys.BATCH = 2  # type: ignore[misc]
    os.fsync = counted(os.fsync)
    Path.replace = counted(Path.replace)  # type: ignore[method-assign]
    SqlUnitOfWork.commit = counted(SqlUnitOfWork.commit)  # type: ignore[method-assign]
    rotation(gateway).rotate(Purpose.IDENTITY, "officer")
    os._exit(0)


def test_killed_at_any_step_and_run_again_it_finishes(sqlite_url: str, tmp_path: Path) -> None:
    """SIGKILL before every fsync, rename and commit in turn: the next run ends with one new key and no row lost."""
    gateway = KeyedGateway(tmp_path / "home", sqlite_url)
    fill(gateway, 5)
    processes = multiprocessing.get_context("fork")
    step, killed, pseudonyms = 0, 0, {patient for patient, _ in gateway.instances()}
    while True:
        keys_before = set(ring(gateway, IDENTITY_FILE).kids(Purpose.IDENTITY))
        child = processes.Process(target=killed_at, args=(step, gateway.home, sqlite_url))
        child.start()
        child.join(60)
        if child.exitcode == 0:
            break
        assert child.exitcode == -signal.SIGKILL
        killed += 1
        step += 1
        done = rotation(gateway).rotate(Purpose.IDENTITY, "officer")
        after = ring(gateway, IDENTITY_FILE)
        assert len(set(after.kids(Purpose.IDENTITY)) - keys_before) == 1
        assert rotation(gateway).usage(after)[done.kid] == 5
        vault = Vault(ring(gateway).joined(after), gateway.database)
        assert {vault.patient(IdentityKey("", f"MRN-{number}")).pseudonym for number in range(5)} == pseudonyms
    assert killed >= 7  # file, rename, folder, audit row, three batches
    gateway.close()


def test_objects_arrive_while_keys_are_rotated(gateway: KeyedGateway) -> None:
    """Three senders never stop while both keys are rotated and the former ones destroyed, again and again."""
    stop, sent, failures = threading.Event(), [0, 0, 0], []

    def send(place: int) -> None:
        receive = gateway.receiver()
        while not stop.is_set():
            try:
                receive(ct_object(f"MRN-{place}-{sent[place] // 3}"))
                sent[place] += 1
            except Exception as error:
                failures.append(error)
                return

    senders = [threading.Thread(target=send, args=(place,)) for place in range(3)]
    for sender in senders:
        sender.start()
    keys = wiring.rotate_keys(gateway.settings)
    for purpose, name in ((Purpose.OBJECTS, OBJECTS_FILE), (Purpose.IDENTITY, IDENTITY_FILE)) * ROUNDS:
        former = ring(gateway, name).current[purpose]
        assert keys.rotate(purpose, "officer").failed == 0
        keys.retire(former, "officer")
    stop.set()
    for sender in senders:
        sender.join(30)
    assert failures == []
    assert min(sent) > 5
    assert gateway.open_all() == sum(sent)
    seen = Vault(ring(gateway).joined(ring(gateway, IDENTITY_FILE)), gateway.database)
    for place in range(3):
        assert seen.patient(IdentityKey("", f"MRN-{place}-0")).pseudonym in {name for name, _ in gateway.instances()}


@pytest.mark.peer("postgresql")
def test_a_batch_that_the_database_ends_is_tried_again(postgres_url: str, tmp_path: Path) -> None:
    """PostgreSQL ends a rotation's transaction to free one that holds its rows the other way round: nothing is lost."""
    gateway = KeyedGateway(tmp_path / "home", postgres_url)
    fill(gateway, 2)
    first, last = sorted({patient for patient, _ in gateway.instances()})
    engine = create_engine(make_url(postgres_url).set(drivername="postgresql+psycopg"))
    hold = text("SELECT 1 FROM patient WHERE pseudonym = :one FOR UPDATE")
    ended = text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    done: list[rotate_keys.Rotation] = []
    try:
        with engine.connect() as other:
            other.execute(hold, {"one": last})
            turning = threading.Thread(target=lambda: done.append(rotation(gateway).rotate(Purpose.OBJECTS, "officer")))
            turning.start()
            wait_for(lambda: other.execute(waiting).scalar(), 30, "the rotation to wait", pause=0.01)
            other.execute(hold, {"one": first})  # now each waits for the other
            other.commit()
        turning.join(30)
        assert [(one.rewrapped, one.failed) for one in done] == [(2, 0)]
        assert gateway.open_all() == 2
        gateway.close()
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as after:
            wait_for(lambda: after.execute(ended).scalar(), 30, "the count of what was ended")
    finally:
        engine.dispose()

"""Kill -9 of any process at random moments: nothing acknowledged is lost, nothing is reported twice.

The short form runs in the suite; `make chaos` runs the long one (DXGATE_TEST_CHAOS_STUDIES).
"""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pydicom
import pytest
from harness.gateway_process import GatewayProcess, wait_for
from harness.send import store
from harness.studies import Planted, planted_study
from sqlalchemy import ColumnElement, Engine, Table, create_engine, func, select

from gateway.storage import tables

INSTANCES = 4
LONG = int(os.environ.get("DXGATE_TEST_CHAOS_STUDIES", "0"))


def send_until_all_succeed(port: int, folder: Path, acknowledged: set[str]) -> None:
    """What a PACS does: sends again, from the first refused or unanswered instance on, until all are accepted."""
    waiting = sorted(folder.glob("*.dcm"))
    deadline = time.monotonic() + 180
    while waiting and time.monotonic() < deadline:
        try:
            statuses = store(port, waiting)
        except (AssertionError, OSError, RuntimeError, ValueError):
            time.sleep(0.3)
            continue
        accepted = [path for path, status in zip(waiting, statuses, strict=True) if status == 0]
        acknowledged.update(str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in accepted)
        waiting = [path for path in waiting if path not in accepted]
    assert not waiting, "a sender could not get rid of its study"


def kill_at_random(gateway: GatewayProcess, chance: random.Random, kills: int, over: threading.Event) -> list[str]:
    """SIGKILL to one process of a random role, `kills` times, until told that the senders are done."""
    killed = []
    while len(killed) < kills and not over.is_set():
        time.sleep(chance.uniform(0.4, 1.6))
        roles = gateway.children()
        role = chance.choice(["dicom", "web", "sweep", "worker", "broker"])
        for process in roles.get(role, []):
            with suppress(psutil.Error):
                process.send_signal(signal.SIGKILL)
                killed.append(role)
    return killed


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("studies", "kills"), [(LONG, LONG * 2) if LONG else (4, 6)])
def test_nothing_acknowledged_is_lost_and_every_study_is_reported_exactly_once(
    tmp_path: Path, studies: int, kills: int
) -> None:
    """Under SIGKILL of every role each acknowledged instance is stored and each study has one report, sent once."""
    delivered = tmp_path / "delivered"
    delivered.mkdir()
    destinations = json.dumps([{"name": "archive", "kind": "folder", "url": str(delivered)}])
    settings = {
        "DXGATE_DESTINATIONS": destinations,
        "DXGATE_WORKER_LEASE_SECONDS": "4",
        "DXGATE_SWEEP_REPUBLISH_SECONDS": "4",
        "DXGATE_WORKER_MAX_ATTEMPTS": "50",
        "DXGATE_STUDY_QUIET_SECONDS": "6",
    }
    chance = random.Random(20261123)
    gateway = GatewayProcess(tmp_path / "home", settings).start()
    try:
        acknowledged: list[set[str]] = [set() for _ in range(studies)]
        senders = []
        for number in range(studies):
            folder = tmp_path / "in" / str(number)
            planted_study(folder, Planted(f"Chaos^{number}", f"C-{number}", f"ACC{number}", "ISO_IR 100"), INSTANCES)
            target = (gateway.dicom_port, folder, acknowledged[number])
            senders.append(threading.Thread(target=send_until_all_succeed, args=target, daemon=True))
        for sender in senders:
            sender.start()
        killed = kill_at_random(gateway, chance, kills, threading.Event())
        for sender in senders:
            sender.join(240)
        assert len(killed) >= kills
        assert all(len(one) == INSTANCES for one in acknowledged)
        database = create_engine(f"sqlite:///{gateway.home / 'dxgate.sqlite'}")
        images = tables.study.c.kind == "images"
        reported = tables.study.c.state == "reported"
        wait_for(lambda: _count(database, tables.study, images, reported) == studies, 240, "reports")
        underway = tables.delivery.c.state.in_(("pending", "sending"))
        wait_for(lambda: _count(database, tables.delivery, underway) == 0, 60, "deliveries")
        assert _count(database, tables.instance) == studies * INSTANCES
        assert _count(database, tables.study, images) == studies
        assert _count(database, tables.report, tables.report.c.status == "preliminary") == studies
        found = _found_on_images(database)
        assert len(found) == len(set(found)), "one revision was answered twice"
        assert _current(database, images) <= set(found), "the last revision of a study was not answered"
        assert _count(database, tables.report_version) <= studies + len(found)
        assert len({path.name.split("-")[0] for path in delivered.glob("*.json")}) == studies
        told = json.loads(gateway.command("audit", "verify", "--json"))
        assert told["rows"] > studies * INSTANCES
    finally:
        gateway.stop()


def _count(engine: Engine, table: Table, *conditions: ColumnElement[bool]) -> int:
    with engine.connect() as connection:
        return int(connection.execute(select(func.count()).select_from(table).where(*conditions)).scalar_one())


def _found_on_images(engine: Engine) -> list[tuple[str, int]]:
    """Study and revision of every finding on images; what a record is asked besides is another matter."""
    asked = (
        select(tables.task.c.study_id, tables.task.c.revision)
        .join_from(tables.finding, tables.task, tables.finding.c.task_id == tables.task.c.id)
        .join(tables.study, tables.study.c.id == tables.task.c.study_id)
        .where(tables.study.c.kind == "images")
    )
    with engine.connect() as connection:
        return [(str(study), int(revision)) for study, revision in connection.execute(asked)]


def _current(engine: Engine, *conditions: ColumnElement[bool]) -> set[tuple[str, int]]:
    asked = select(tables.study.c.id, tables.study.c.revision).where(*conditions)
    with engine.connect() as connection:
        return {(str(study), int(revision)) for study, revision in connection.execute(asked)}

"""Kill -9 in the middle of a batch: every task in it belongs to somebody else afterwards, and is finished once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from harness.gateway_process import REPOSITORY, wait_for
from harness.packs import BREAST
from harness.studies import demo_files
from harness.ward import Ward
from sqlalchemy import create_engine, select

from gateway.config import load
from gateway.storage import tables
from gateway.storage.database import SqlDatabase
from models import registry
from workers.engine import Engine, load_models

STUDIES = 3


def test_every_task_of_a_batch_is_finished_by_another_worker(
    sqlite_database: SqlDatabase, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three studies met in one batch when their worker died; another one reports each of them exactly once."""
    monkeypatch.setattr(registry, "BUILT_IN", tmp_path / "one")
    shutil.copytree(BREAST, tmp_path / "one" / BREAST.name)
    loaded = load_models(load({"DXGATE_WORKER_DEVICE": "cpu"}).settings)
    database = sqlite_database
    ward = Ward(database, tmp_path / "blobs")
    ward.announce(*(replace(one, state="active") for one in loaded.served))
    images = [path.read_bytes() for path in demo_files()]
    studies = [
        ward.push(f"s{number}", f"i{number}-{place}", content)
        for number in range(STUDIES)
        for place, content in enumerate(images)
    ][:: len(images)]
    ward.settle()
    tasks = [task.id for study in studies for task in ward.tasks(study)]
    assert len(tasks) == STUDIES
    marker = tmp_path / "in-batch"
    program = [sys.executable, str(REPOSITORY / "tests" / "harness" / "batching_worker.py")]
    words = [sqlite_url, str(tmp_path / "blobs"), str(tmp_path / "one"), str(marker), ward.now.isoformat(), *tasks]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "tests")])}
    with (tmp_path / "log").open("wb") as log:
        worker = subprocess.Popen([*program, *words], env=environment, stdout=log, stderr=log)
    try:
        wait_for(lambda: marker.exists() and marker.read_text(), 60, f"the batch; log: {tmp_path / 'log'}")
        assert int(marker.read_text()) > len(images), "images of more than one task are in it"
        with database.read() as unit:
            assert {unit.tasks.get(task).owner for task in tasks} == {"worker:dies"}
    finally:
        worker.kill()
        worker.wait(20)
    another = ward.runner(worker="worker:lives", inference=Engine(loaded.shelf))
    assert {another(task) for task in tasks} == {"not ours"}, "the dead one's lease is respected until it ends"
    ward.wait(31)
    assert [another(task) for task in tasks] == ["done"] * STUDIES
    assert [another(task) for task in tasks] == ["not ours"] * STUDIES
    with database.read() as unit:
        made = [unit.tasks.get(task) for task in tasks]
    assert {(task.state, task.attempt) for task in made} == {("done", 2)}
    with create_engine(sqlite_url).connect() as connection:
        findings = connection.execute(select(tables.finding.c.task_id)).scalars().all()
    assert sorted(findings) == sorted(tasks)

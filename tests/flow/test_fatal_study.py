"""A study that ends its worker process: it alone is given up, and those that ran beside it are answered."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from harness.crashing_worker import POISON
from harness.gateway_process import REPOSITORY
from harness.ward import Ward

from gateway.domain.lifecycle import OPEN_TASK_STATES
from gateway.storage.database import SqlDatabase

ROUNDS = 8


def test_who_ran_beside_a_fatal_study_is_answered(
    sqlite_database: SqlDatabase, sqlite_url: str, tmp_path: Path
) -> None:
    """Four tasks, one of them fatal, meet in one worker, which is started again after each death: three are done by
    the next attempt or the one after it, and the fatal one has failed when its attempts are used up."""
    ward = Ward(sqlite_database, tmp_path / "blobs")
    ward.announce()
    contents = [b"sound-1", POISON, b"sound-2", b"sound-3"]
    studies = [ward.push(f"s{place}", f"i{place}", content) for place, content in enumerate(contents)]
    ward.settle()
    tasks = [task.id for study in studies for task in ward.tasks(study)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "tests")])}
    program = [sys.executable, str(REPOSITORY / "tests" / "harness" / "crashing_worker.py"), sqlite_url]
    deaths = 0
    for _ in range(ROUNDS):
        words = [*program, str(tmp_path / "blobs"), ward.now.isoformat(), *tasks]
        ran = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert ran.returncode in (0, 9), ran.stderr
        deaths += ran.returncode == 9
        ward.wait(31)
        with sqlite_database.read() as unit:
            ended = [unit.tasks.get(task) for task in tasks]
        if not {task.state for task in ended} & set(OPEN_TASK_STATES):
            break
    assert [task.state for task in ended] == ["done", "failed", "done", "done"]
    assert deaths == 3
    assert all(task.attempt == 2 for task in ended if task.state == "done"), "who waited for a turn lost no attempt"

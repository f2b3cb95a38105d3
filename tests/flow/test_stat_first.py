"""STAT behind two hundred routine tasks: broker, Celery and its arguments are those of a worker."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from harness.gateway_process import REPOSITORY, wait_for

from gateway import broker
from gateway.config import load
from gateway.domain.errors import Unavailable
from gateway.domain.ids import TaskId
from gateway.outlets.celery_queue import CeleryDoorbell

ROUTINE, THREADS = 200, 2


def test_a_stat_task_waits_for_those_that_run_and_for_no_other(tmp_path: Path) -> None:
    """It is rung for while the worker is busy with two hundred that came before; no more tasks begin before it than the
    worker had in hand at that moment: one for each thread, and one that was on its way to each."""
    settings = load({"DXGATE_GATEWAY_HOME": str(tmp_path)}).settings
    record = tmp_path / "record"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "tests")])}
    program = [sys.executable, str(REPOSITORY / "tests" / "harness" / "recording_worker.py")]

    def came() -> list[str]:
        return record.read_text().split() if record.exists() else []

    def answers() -> bool:
        try:
            broker.ping(settings.broker_socket)
        except Unavailable:
            return False
        return True

    server = subprocess.Popen(broker.prepare(tmp_path, settings.broker_socket), stdout=subprocess.DEVNULL)
    try:
        wait_for(answers, 30, "the broker")
        doorbell = CeleryDoorbell(settings.broker_url)
        for number in range(ROUTINE):
            doorbell.ring(TaskId(f"routine-{number}"), "routine")
        with (tmp_path / "log").open("wb") as log:
            worker = subprocess.Popen([*program, settings.broker_url, str(record)], env=environment, stderr=log)
        try:
            wait_for(lambda: len(came()) >= 5, 60, f"the first tasks; log: {tmp_path / 'log'}")
            before = len(came())
            doorbell.ring(TaskId("urgent"), "stat")
            after = len(came())
            wait_for(lambda: len(came()) == ROUTINE + 1, 60, "all tasks")
        finally:
            worker.terminate()
            worker.wait(30)
    finally:
        server.kill()
        server.wait(10)
    order = came()
    assert sorted(order) == sorted([*(f"routine-{number}" for number in range(ROUTINE)), "urgent"])
    assert before <= order.index("urgent") <= after + 2 * THREADS
    assert order.index("urgent") < ROUTINE // 2, "it has overtaken most of what came before it"

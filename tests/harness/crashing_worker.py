"""A worker process that one study kills, for a test that starts it again and again.

    python crashing_worker.py DATABASE_URL BLOBS NOW TASK [TASK ...]

Its threads hold all tasks at once where they may, and only then is one of them answered or fatal.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from harness.ward import ScriptedInference, Ward

from gateway.domain.ids import ModelId, TaskId
from gateway.domain.prediction import Prediction
from gateway.domain.study import Priority
from gateway.storage.audit_trail import AuditKey
from gateway.storage.database import SqlDatabase
from workers.turns import InTurn, Turns

POISON = b"poison"


@dataclass
class Fatal(ScriptedInference):
    """Waits for company, then dies of `POISON` and answers everything else."""

    together: threading.Barrier = field(default_factory=lambda: threading.Barrier(1))

    def predict(self, model_id: ModelId, instances: Iterable[bytes], priority: Priority = "routine") -> Prediction:
        given = list(instances)
        with suppress(threading.BrokenBarrierError):
            self.together.wait(0.3)
        if POISON in given:
            os._exit(9)
        with suppress(threading.BrokenBarrierError):
            self.together.wait(0.3)  # nobody is answered before the fatal one had its say
        return super().predict(model_id, given, priority)


def main() -> None:
    url, blobs, now, *tasks = sys.argv[1:]
    ward = Ward(SqlDatabase(url, AuditKey("test-1", b"k" * 32)), Path(blobs), now=datetime.fromisoformat(now))
    run = ward.runner(worker=f"worker:{os.getpid()}", inference=Fatal(together=threading.Barrier(len(tasks))))
    in_turn = InTurn(ward.database, Turns(), lambda unit, task: unit.tasks.get(task), run, ward.clock)
    with ThreadPoolExecutor(len(tasks)) as pool:
        list(pool.map(in_turn, map(TaskId, tasks)))


if __name__ == "__main__":
    main()

"""A worker process that is stuck in the middle of a batch of several tasks, for a test that kills it there.

    python batching_worker.py DATABASE_URL BLOBS PACKS MARKER NOW TASK [TASK ...]

Writes the number of images of the batch into MARKER and then computes for ever.
"""

from __future__ import annotations

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

from harness.ward import Ward

from gateway.config import load
from gateway.domain.ids import TaskId
from gateway.storage.audit_trail import AuditKey
from gateway.storage.database import SqlDatabase
from models import registry
from models.runtime import session
from models.runtime.providers import CPU
from workers.engine import Engine, load_models


def main() -> None:
    url, blobs, packs, marker, now, *tasks = sys.argv[1:]
    registry.BUILT_IN = Path(packs)
    session.BATCH[CPU] = 64  # as on a GPU: tasks meet
    loaded = load_models(load({"DXGATE_WORKER_DEVICE": "cpu", "DXGATE_WORKER_BATCH_WAIT_MS": "1000"}).settings)
    gathered = threading.Event()

    def stuck(self: session.Session, batch: session.Floats) -> session.Answer:
        Path(marker).write_text(str(len(batch)))
        gathered.wait(600)
        raise SystemExit(1)

    session.Session.run = stuck  # type: ignore[method-assign]
    ward = Ward(SqlDatabase(url, AuditKey("test-1", b"k" * 32)), Path(blobs), now=datetime.fromisoformat(now))
    run = ward.runner(worker="worker:dies", inference=Engine(loaded.shelf))
    with ThreadPoolExecutor(len(tasks)) as pool:
        list(pool.map(run, map(TaskId, tasks)))
    time.sleep(600)


if __name__ == "__main__":
    main()

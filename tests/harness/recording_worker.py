"""Celery as a worker runs it, with tasks that only write down when they came.

python recording_worker.py BROKER_URL RECORD
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

from gateway.config import load
from gateway.outlets.celery_queue import INFER, celery_app
from workers.run import _arguments


def main() -> None:
    url, record = sys.argv[1], Path(sys.argv[2])
    settings = load({"DXGATE_WORKER_THREADS": "2"}).settings
    app, turn = celery_app(url), threading.Lock()

    @app.task(name=INFER)  # type: ignore[untyped-decorator]
    def infer(task_id: str) -> None:
        with turn, record.open("a") as out:
            out.write(f"{task_id}\n")
        time.sleep(0.02)

    app.worker_main(_arguments(settings, "worker:test"))


if __name__ == "__main__":
    main()

"""Images per second of a worker, end to end, beside a bare ONNX Runtime loop at its best batch size, in one run.

Receives and seals demonstration studies in a temporary home, then measures on the same model and processor:
the bare loop over ready tensors; opening, decoding and preparing alone; whole tasks (`RunTask`: claim by lease, unseal,
decode, prepare, batch, score, draw and seal heat maps, write the finding and the report); and whole tasks rung through
Celery and the embedded broker. Checking and the search for text have benches of their own. Rows for BENCHMARKS.md.

    python deploy/bench/bench_inference.py [--device cuda --threads 16] [--studies 60 --images 8]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import pydicom
from harness.keyed_gateway import KeyedGateway
from harness.studies import Planted, planted_study
from sqlalchemy import update

from gateway import broker, wiring
from gateway.config import Settings
from gateway.domain.errors import GatewayError
from gateway.domain.ids import TaskId
from gateway.flow.infer import RunTask
from gateway.flow.receive import ReceivedObject
from gateway.flow.settle import SettleStudies
from gateway.outlets.celery_queue import INFER, celery_app
from gateway.privacy.part10 import split
from gateway.storage import tables
from models.runtime.decode_pool import DecodePool
from models.runtime.preprocess import prepare, read
from models.runtime.session import MAX_BATCH, Session
from workers.engine import Engine, Loaded, load_models
from workers.run import announce, run_task

NAME = "bench"
MODEL = "breast-ultrasound-detail-cnn"
BARE_SECONDS = 2.0


@dataclass(frozen=True)
class Scene:
    """A gateway full of studies that wait for their tasks."""

    home: KeyedGateway
    settings: Settings
    loaded: Loaded
    task: RunTask
    images: int

    def plan(self, folder: Path, studies: int) -> list[TaskId]:
        """New studies, received, sealed, cleared by decree, settled; their tasks."""
        receive = self.home.receiver()
        for number in range(studies):
            target = folder / str(number)
            planted_study(target, Planted(f"Bench^{number}", f"B-{number}", f"ACCB{number}", "ISO_IR 100"), self.images)
            for path in sorted(target.glob("*.dcm")):
                receive(_received(path))
        with self.home.database.outside_transactions() as connection:
            connection.execute(update(tables.instance).values(clearance="cleared", pixels="exempt"))
        settle = SettleStudies(self.home.database, lambda: datetime.now(UTC) + timedelta(hours=1))
        while settle(limit=500):
            pass
        with self.home.database.read() as unit:
            far = datetime.now(UTC) + timedelta(hours=1)
            return [task.id for task in unit.tasks.unheld(far, far, 100_000)]

    def session(self) -> Session:
        model = next((model for model in self.loaded.served if model.name == MODEL), None)
        if model is None:
            raise SystemExit(dict(self.loaded.refused).get(MODEL, f"{MODEL} is not there"))
        with self.loaded.shelf.use(model.id) as predictor:
            return predictor.session


def _received(path: Path) -> ReceivedObject:
    data = path.read_bytes()
    header = pydicom.dcmread(path, stop_before_pixels=True)
    syntax = str(header.file_meta.TransferSyntaxUID)
    return ReceivedObject(str(header.SOPClassUID), str(header.SOPInstanceUID), syntax, split(data)[1], "BENCH")


def bare(session: Session) -> tuple[float, int]:
    """Images per second of the graph alone over ready tensors, and the batch size that gave it."""
    best, rule = (0.0, 1), session.manifest.input
    for size in (1, 2, 4, 8, 16, 32, MAX_BATCH):
        batch = np.random.default_rng(1).integers(0, 256, (size, rule.height, rule.width, 1)).astype(np.float32)
        session.run(batch)
        done, started = 0, time.perf_counter()
        while time.perf_counter() - started < BARE_SECONDS:
            session.run(batch)
            done += size
        best = max(best, (done / (time.perf_counter() - started), size))
    return best


def prepared(scene: Scene, threads: int) -> float:
    """Images per second that are unsealed, decoded and prepared, without any model."""
    seal, rule = wiring.object_seal(scene.settings, scene.home.database), scene.session().manifest.input
    found = scene.home.instances()

    def one(item: int) -> None:
        patient, instance = found[item % len(found)]
        prepare(read(seal.open(patient, instance.blob_key, scene.home.blobs.get(instance.blob_key))), rule)

    return _rate(one, range(len(found)), threads)


def _rate(work: Callable[[int], object], items: Sequence[int], threads: int) -> float:
    with ThreadPoolExecutor(threads) as pool:
        started = time.perf_counter()
        list(pool.map(work, items))
        return len(items) / (time.perf_counter() - started)


def whole(scene: Scene, tasks: Sequence[TaskId], threads: int) -> float:
    """Images per second of whole tasks, as many at a time as a worker holds."""
    with ThreadPoolExecutor(threads) as pool:
        started = time.perf_counter()
        outcomes = set(pool.map(scene.task, tasks))
        seconds = time.perf_counter() - started
    if outcomes != {"done"}:
        raise SystemExit(f"tasks ended as {outcomes}")
    return len(tasks) * scene.images / seconds


def rung(scene: Scene, tasks: Sequence[TaskId], threads: int) -> float:
    """The same through the embedded broker and Celery's threads pool."""
    from celery.contrib.testing.worker import start_worker

    app, left, done = celery_app(scene.settings.broker_url), len(tasks), threading.Event()
    turn = threading.Lock()

    @app.task(name=INFER)
    def infer(task_id: str) -> None:
        nonlocal left
        scene.task(TaskId(task_id))
        with turn:
            left -= 1
            if left == 0:
                done.set()

    with (
        _broker(scene.settings),
        start_worker(app, pool="threads", concurrency=threads, perform_ping_check=False, queues=["routine"]),
    ):
        started = time.perf_counter()
        for task in tasks:
            app.send_task(INFER, args=[task], queue="routine")
        if not done.wait(600):
            raise SystemExit("the broker's tasks did not end")
        return len(tasks) * scene.images / (time.perf_counter() - started)


@contextmanager
def _broker(settings: Settings) -> Iterator[None]:
    process = subprocess.Popen(broker.prepare(settings.home, settings.broker_socket), stdout=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with suppress(GatewayError):
                broker.ping(settings.broker_socket, 0.2)
                break
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def scene(home: Path, device: str, threads: int, images: int, wait_ms: float) -> Iterator[Scene]:
    from gateway.storage.migrate import upgrade

    home.mkdir(mode=0o700)
    url = f"sqlite:///{home / 'dxgate.sqlite'}"
    upgrade(url)
    gateway = KeyedGateway(home, url)
    worker = gateway.settings.worker.model_copy(
        update={"device": device, "threads": threads, "batch_wait_ms": wait_ms, "lease_seconds": 300.0}
    )
    settings = gateway.settings.model_copy(update={"worker": worker})
    decode = DecodePool(min(threads, 4), 30.0)
    loaded = load_models(settings, decode)
    announce(gateway.database, loaded, NAME)
    task = run_task(settings, gateway.database, Engine(loaded.shelf), NAME)
    try:
        yield Scene(gateway, settings, loaded, task, images)
    finally:
        decode.close()
        gateway.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="images per second: bare loop, preparation, whole tasks, Celery")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--studies", type=int, default=40)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--wait-ms", type=float, default=5.0)
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="dxg") as folder,
        scene(Path(folder) / "h", arguments.device, arguments.threads, arguments.images, arguments.wait_ms) as made,
    ):
        session = made.session()
        speed, batch = bare(session)
        first = made.plan(Path(folder) / "first", arguments.studies)
        ready = prepared(made, arguments.threads)
        tasks = whole(made, first, arguments.threads)
        model = next(model for model in made.loaded.served if model.name == MODEL)
        with made.loaded.shelf.use(model.id) as predictor:
            mean = statistics.mean(predictor.batcher.sizes)
        second = made.plan(Path(folder) / "second", arguments.studies)
        celery = rung(made, second, arguments.threads)
    print("| provider | threads | bare loop images/s (batch) | unseal to tensor | whole tasks | mean batch | Celery |")
    print("|---|---|---|---|---|---|---|")
    print(
        f"| {session.provider} | {arguments.threads} | {speed:.0f} ({batch}) | {ready:.0f} | {tasks:.0f} | {mean:.1f} "
        f"| {celery:.0f} |"
    )


if __name__ == "__main__":
    main()

"""Runs one worker process: loads and announces its models, then takes tasks from Celery until it is stopped.

Threads pool, because an ONNX session must not cross a fork and releases the GIL while it computes; one process
per device. SIGTERM lets running tasks finish.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from dataclasses import replace
from datetime import timedelta
from functools import partial

from celery.signals import worker_ready

from gateway import wiring
from gateway.config import Settings
from gateway.domain.acceptance import Limits
from gateway.domain.ids import InstanceId, TaskId
from gateway.domain.model import ServedModel
from gateway.flow.compose import ComposeReport
from gateway.flow.govern import not_accepted
from gateway.flow.infer import RunTask
from gateway.flow.mask import MaskPixels
from gateway.outlets.celery_queue import INFER, MASK, QUEUES, celery_app
from gateway.ports import Database, PixelSearch, UnitOfWork
from gateway.privacy.keyring import Purpose
from gateway.readiness import mark_ready
from models.promotion import in_place_of
from models.runtime.decode_pool import DecodePool
from workers.engine import POLICIES, Engine, Loaded, load_models
from workers.in_service import InService, wanted_models
from workers.lease import HoldLease, renew_pixel_task, renew_task
from workers.pixel_search import load_pixel_search
from workers.recycle import Recycle
from workers.reload import Reload
from workers.turns import InTurn, Turns

log = logging.getLogger(__name__)


def run(settings: Settings) -> None:
    """Blocks until SIGTERM."""
    name = f"worker:{socket.gethostname()}:{os.getpid()}"
    decode = DecodePool(_decoders(settings), settings.worker.decode_seconds)
    database = wiring.database(settings)
    loaded = load_models(settings, decode, wanted=wanted_models(database))
    asked = wiring.acceptance_asked(settings)
    announce(database, loaded, name, asked)
    in_service = InService(database, name, loaded.shelf, loaded.records)
    in_service()
    recycle = Recycle(settings.worker.max_tasks, settings.worker.max_memory_mib)
    engine = Engine(loaded.shelf, loaded.records, broken=lambda: recycle.because("device"))
    task = run_task(settings, database, engine, name)
    search = load_pixel_search(settings, POLICIES[settings.worker.device], decode)
    mask = mask_pixels(settings, database, search, name)
    turns = Turns()
    run_infer = InTurn(database, turns, lambda unit, task_id: unit.tasks.get(task_id), task)
    run_mask = InTurn(database, turns, lambda unit, instance_id: unit.pixel_tasks.get(instance_id), mask)
    app = celery_app(settings.broker_url)

    @app.task(name=INFER)  # type: ignore[untyped-decorator]
    def infer(task_id: str) -> None:
        outcome = run_infer(TaskId(task_id))
        log.info("task ended", extra={"fields": {"task": task_id, "outcome": outcome}})
        recycle(outcome)

    @app.task(name=MASK)  # type: ignore[untyped-decorator]
    def mask_object(instance_id: str) -> None:
        outcome = run_mask(InstanceId(instance_id))
        log.info("pixels searched", extra={"fields": {"instance": instance_id, "outcome": outcome}})
        recycle(outcome)

    def ready(**_: object) -> None:
        mark_ready(settings.home, "worker")

    worker_ready.connect(ready, weak=False)
    stop = threading.Event()
    told = partial(announce, database, worker=name, asked=asked)
    reload = Reload(settings, database, decode, loaded, told, in_service)
    threading.Thread(target=reload.run, args=(stop,), name="reload", daemon=True).start()
    try:
        app.worker_main(_arguments(settings, name))
    finally:
        stop.set()
        decode.close()


def _decoders(settings: Settings) -> int:
    return settings.worker.decoders or min(settings.worker.threads, os.cpu_count() or 1)


def announce(database: Database, loaded: Loaded, worker: str, asked: Limits | None = None) -> None:
    """Writes what this worker serves as rows, and what it refuses into the audit trail.

    `asked`: the limits of the acceptance run without which nothing activates itself.
    """
    with database.begin(worker) as unit:
        for model in loaded.served:
            unit.models.announce(_in_its_place(unit, _accepted(unit, model, asked)))
        for package, reason in loaded.refused:
            log.error("model refused", extra={"fields": {"package": package, "reason": reason}})
            unit.audit.record("model:refuse", package, worker, reason=reason)
        unit.commit()


def _accepted(unit: UnitOfWork, model: ServedModel, asked: Limits | None) -> ServedModel:
    """A draft where it would start active and needs an acceptance run first; one that was active before goes on."""
    if asked is None or model.state != "active" or _was_active(unit, model):
        return model
    return replace(model, state="draft") if not_accepted(unit, model, asked) else model


def _was_active(unit: UnitOfWork, model: ServedModel) -> bool:
    return any(one.activated_at is not None for one in unit.models.all() if one.id == model.id)


def _in_its_place(unit: UnitOfWork, model: ServedModel) -> ServedModel:
    """The model that starts active retires the one whose question it answers; a draft where a person wants that one."""
    former = in_place_of().get(model.name)
    if model.state != "active" or former is None:
        return model
    for other in [one for one in unit.models.active() if one.name == former]:
        if other.decided_by is not None:
            return replace(model, state="draft")
        unit.models.retire(other.id)
    return model


def run_task(settings: Settings, database: Database, engine: Engine, worker: str) -> RunTask:
    lease = timedelta(seconds=settings.worker.lease_seconds)
    return RunTask(
        database=database,
        blobs=wiring.blobs(settings),
        seal=wiring.object_seal(settings, database),
        inference=engine,
        compose=ComposeReport(tuple(destination.name for destination in settings.destinations)),
        hold=HoldLease(database, worker, renew_task, lease, timedelta(seconds=settings.worker.timeout_seconds)),
        worker=worker,
        lease=lease,
        max_attempts=settings.worker.max_attempts,
    )


def mask_pixels(settings: Settings, database: Database, search: PixelSearch, worker: str) -> MaskPixels:
    lease = timedelta(seconds=settings.worker.lease_seconds)
    return MaskPixels(
        database=database,
        blobs=wiring.blobs(settings),
        seal=wiring.object_seal(settings, database),
        search=search,
        public_key=lambda: wiring.object_keys(settings).key(Purpose.DEPOSIT_PUBLIC).key,
        hold=HoldLease(database, worker, renew_pixel_task, lease, timedelta(seconds=settings.worker.timeout_seconds)),
        worker=worker,
        lease=lease,
        max_attempts=settings.worker.max_attempts,
    )


def _arguments(settings: Settings, name: str) -> list[str]:
    return [
        "--quiet",
        "worker",
        "--pool=threads",
        f"--concurrency={settings.worker.threads}",
        f"--queues={','.join(QUEUES)}",
        f"--hostname={name.replace(':', '-')}@%h",
        "--without-gossip",
        "--without-mingle",
        "--loglevel=WARNING",
    ]

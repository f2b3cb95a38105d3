"""`dxgate up`: which roles this machine runs, in which order, and what is said when they are ready."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import sysconfig
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Final

from gateway import __version__, broker
from gateway.child import Role
from gateway.commands.setup import ADMIN_PASSWORD_FILE
from gateway.config import LoadedSettings, Settings
from gateway.domain.errors import Unavailable
from gateway.readiness import notify_systemd, ready_file, run_folder
from gateway.supervisor import Supervisor, only_one

_STOP_MARGIN_SECONDS = 15.0
_ROOT: Final = str(Path(__file__).resolve().parents[2])
SHARED: Final = (  # what at least two roles import, the long ones one by one; none of it starts a thread
    "sqlalchemy",
    "pydantic",
    "cryptography.x509",
    "numpy",
    "pydicom",
    "PIL.Image",
    "httpx",
    "gateway.config",
    "gateway.storage.database",
    "gateway.wiring.intake",
    "gateway.wiring.sweeper",
    "gateway.privacy.vault",
    "gateway.storage.anchor",
    "gateway.storage.blobs_folder",
    "gateway.storage.group_commit",
    "gateway.storage.object_seal",
    "celery.app.base",
    "kombu.transport.redis",
    "gateway.outlets.celery_queue",
    "gateway.formats.fhir.render",
    "gateway.formats.fhir.wire.check",
    "gateway.formats.fhir.subscription.notification",
    "gateway.flow.privacy_record",
    "gateway.flow.subscribe.watch",
    "gateway.flow.bulk.import_lines",
    "gateway.flow.record.watch",
    "gateway.flow.record.open",
    "gateway.outlets.bulk_source",
    "gateway.privacy.documents",
)


def up(loaded: LoadedSettings, _arguments: argparse.Namespace) -> int:
    settings = loaded.settings
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.environ.update(_environment())  # before anything is preloaded that reads it
    if not sys.flags.safe_path and sys.path[0] in ("", str(Path.cwd())):
        sys.path[0] = _ROOT  # never modules of the current folder, in forks as in interpreters (-P)
    with only_one(run_folder(settings.home) / "up.lock"):
        _remove_old_signs(settings.home)
        announce = _announcement(settings, time.monotonic())
        asyncio.run(Supervisor(stages(settings), preload=SHARED).run(announce))
    return 0


def stages(settings: Settings) -> list[list[Role]]:
    """The roles of one machine; the servers and the worker lean on the broker and on what `init` makes."""
    first = [_role(settings, "init", "init", once=True, ready_seconds=120.0)]
    if not settings.broker.url:
        first.insert(0, _broker(settings))
    processes = settings.dicom.processes
    names = ["dicom"] if processes == 1 else [f"dicom-{number}" for number in range(1, processes + 1)]
    servers = [_role(settings, name, "serve", "dicom", sign="dicom") for name in names]
    servers += [_role(settings, "web", "serve", "web"), _role(settings, "sweep", "sweep")]
    return [first, [*servers, *_workers(settings)]]


def _workers(settings: Settings) -> list[Role]:
    """One for each device; models are verified and warmed before a worker is ready."""
    count, first = settings.worker.processes, settings.worker.device_number
    if count == 1:
        return [_role(settings, "worker", "worker", ready_seconds=180.0)]
    return [
        _role(
            settings,
            f"worker-{number + 1}",
            "worker",
            sign="worker",
            ready_seconds=180.0,
            environment={"DXGATE_WORKER_DEVICE_NUMBER": str(first + number)},
        )
        for number in range(count)
    ]


def _broker(settings: Settings) -> Role:
    socket_path = settings.broker_socket

    def answers(_pid: int) -> bool:
        try:
            broker.ping(socket_path, timeout=0.2)
        except Unavailable:
            return False
        return True

    return Role("broker", tuple(broker.prepare(settings.home, socket_path)), answers)


def _role(
    settings: Settings,
    name: str,
    *words: str,
    sign: str = "",
    once: bool = False,
    ready_seconds: float = 30.0,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Role:
    def file(pid: int) -> Path:
        return ready_file(settings.home, sign or name, pid)

    return Role(
        name,
        (sys.executable, "-P", "-m", "gateway.cli", *words),  # -P: never modules of the current folder
        is_ready=lambda pid: file(pid).exists(),
        forget=lambda pid: file(pid).unlink(missing_ok=True),
        once=once,
        ready_seconds=ready_seconds,
        grace_seconds=_STOP_MARGIN_SECONDS,
        environment=environment,
        run=lambda: int(import_module("gateway.cli").main(words)),
    )


def _environment() -> dict[str, str]:
    """What roles get beside the environment that we were given, which has the last word."""
    found = {
        "MALLOC_ARENA_MAX": "2",  # an arena of glibc for each thread costs more memory than it brings here
        "OPENBLAS_NUM_THREADS": "1",  # a pool of threads, made at import, would forbid the supervisor to fork
        "NOSETPS": "1",  # Celery names its process; here every process bears the name of its role
    }
    found = {name: os.environ.get(name, value) for name, value in found.items()}
    if _ROOT not in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):  # run from a checkout
        found["PYTHONPATH"] = os.pathsep.join(filter(None, (_ROOT, os.environ.get("PYTHONPATH"))))
    return found


def _remove_old_signs(home: Path) -> None:
    for sign in run_folder(home).glob("*.ready"):
        sign.unlink(missing_ok=True)


def _announcement(settings: Settings, started: float) -> Callable[[], None]:
    def announce() -> None:
        lines = [
            f"dxgate {__version__} is ready after {time.monotonic() - started:.1f} s",
            f"  DICOM    {settings.dicom.ae_title} at {settings.dicom.host}:{settings.dicom.port}",
            f"  FHIR     {settings.base_url}/fhir",
            f"  console  {settings.base_url}/console",
            f"  home     {settings.home}",
        ]
        password = settings.home / ADMIN_PASSWORD_FILE
        if password.exists():
            lines.append(f"  sign in  as admin with the password in {password}; delete the file once it is known")
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()
        notify_systemd("READY=1")

    return announce

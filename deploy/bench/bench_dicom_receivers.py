"""The C-STORE receivers that are measured side by side, each started in a folder of its own and stopped again.

Every peer is given what makes it fastest: large PDUs, TCP_NODELAY where it knows the switch, processes per
association where it would serve one at a time. Peers bind every interface, as they cannot do otherwise.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

REPOSITORY = Path(__file__).resolve().parents[2]
_READY_SECONDS = 60.0


@dataclass(frozen=True)
class Receiver:
    """A running receiver: where it listens, its process, and how it is stopped."""

    port: int
    process: psutil.Process
    stop: Callable[[], None]

    def cpu_seconds(self) -> float:
        """CPU used so far by the receiver and its children, ended ones included."""
        return sum(self.cpu_by_process().values())

    def cpu_by_process(self) -> dict[str, float]:
        """The same, apart by what each process is there for; a role's process bears its name, `dxgate dicom-1`."""
        found: dict[str, float] = {}
        for process in [self.process, *self.process.children(recursive=True)]:
            try:
                times, words = process.cpu_times(), process.cmdline()
            except psutil.NoSuchProcess:
                continue
            used = times.user + times.system
            if process.pid == self.process.pid:
                used += times.children_user + times.children_system
            title = " ".join(words).split()
            role = title[1].partition("-")[0] if title[:1] == ["dxgate"] and len(title) > 1 else "other"
            found[role] = found.get(role, 0.0) + used
        return found


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_transport(workdir: Path) -> Receiver:
    """dxgate's transport alone; each object written and fdatasync'ed before its answer."""
    return _start_transport(workdir, "fdatasync")


def start_transport_cached(workdir: Path) -> Receiver:
    """dxgate's transport alone; each object written to the page cache, as the peers do."""
    return _start_transport(workdir, "nosync")


def start_dxgate(workdir: Path) -> Receiver:
    """The whole gateway as its users start it: de-identified, sealed, committed and durable before the answer."""
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DXGATE_")}
    environment |= {
        "DXGATE_GATEWAY_HOME": str(workdir / "home"),
        "DXGATE_DICOM_PORT": str(port),
        "DXGATE_WEB_PORT": str(free_port()),
        "DXGATE_DICOM_PROCESSES": "2",
    }
    command = [str(Path(sys.executable).with_name("dxgate")), "up"]
    receiver = _started(command, port, workdir, environment)
    log, deadline = workdir.parent / f"{workdir.name}.log", time.monotonic() + _READY_SECONDS
    while b" is ready after " not in log.read_bytes():  # the port answers before the other roles have started
        if time.monotonic() > deadline:
            receiver.stop()
            raise SystemExit(f"dxgate did not get ready, see {log}")
        time.sleep(0.1)
    return receiver


def start_pynetdicom(workdir: Path) -> Receiver:
    """pynetdicom's own storescp application, PDU size unlimited."""
    port = free_port()
    command = [sys.executable, "-m", "pynetdicom", "storescp", "-q", "-pdu", "0", "-ba", "127.0.0.1"]
    return _started([*command, "-od", str(workdir), str(port)], port, workdir, _with_nodelay())


def start_dcmtk(workdir: Path) -> Receiver:
    """DCMTK's storescp, a process per association; it writes plain files and never flushes them."""
    port = free_port()
    command = [_program("storescp"), "--fork", "-dhl", "-pdu", "131072", "-od", str(workdir), str(port)]
    return _started(command, port, workdir, _with_nodelay())


def start_orthanc(workdir: Path) -> Receiver:
    """Orthanc with its SQLite index and plain storage folder."""
    port = free_port()
    configuration = {
        "Name": "bench",
        "StorageDirectory": str(workdir / "storage"),
        "IndexDirectory": str(workdir / "storage"),
        "DicomPort": port,
        "DicomAet": "ORTHANC",
        "DicomCheckCalledAet": False,
        "DicomAlwaysAllowStore": True,
        "UnknownSopClassAccepted": True,
        "MaximumPduLength": 131072,
        "HttpServerEnabled": False,
        "Plugins": [],
    }
    path = workdir / "orthanc.json"
    path.write_text(json.dumps(configuration), "utf-8")
    return _started([_program("Orthanc"), str(path)], port, workdir, _with_nodelay())


RECEIVERS: dict[str, Callable[[Path], Receiver]] = {
    "dxgate": start_dxgate,
    "transport only": start_transport,
    "transport only, page cache": start_transport_cached,
    "pynetdicom storescp": start_pynetdicom,
    "DCMTK storescp": start_dcmtk,
    "Orthanc": start_orthanc,
}


def is_available(name: str) -> bool:
    """Whether the program behind a receiver is installed here."""
    needed = {"DCMTK storescp": "storescp", "Orthanc": "Orthanc"}.get(name)
    return needed is None or shutil.which(needed, path=_SEARCH_PATH) is not None


_SEARCH_PATH = os.environ.get("PATH", "") + ":/usr/sbin"


def _program(name: str) -> str:
    path = shutil.which(name, path=_SEARCH_PATH)
    if path is None:
        raise SystemExit(f"{name} is not installed")
    return path


def _with_nodelay() -> dict[str, str]:
    return {**os.environ, "TCP_NODELAY": "1"}


def _start_transport(workdir: Path, durability: str) -> Receiver:
    script = Path(__file__).with_name("bench_dicom_transport.py")
    port = free_port()
    command = [sys.executable, str(script), str(port), str(workdir), durability]
    return _started(command, port, workdir, {**os.environ, "PYTHONPATH": str(REPOSITORY)})


def _started(command: list[str], port: int, workdir: Path, environment: dict[str, str]) -> Receiver:
    with (workdir.parent / f"{workdir.name}.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=environment, cwd=workdir, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )

    def stop() -> None:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)

    deadline = time.monotonic() + _READY_SECONDS
    while subprocess.run([_program("echoscu"), "127.0.0.1", str(port)], capture_output=True, check=False).returncode:
        if process.poll() is not None or time.monotonic() > deadline:
            stop()
            raise SystemExit(f"{command[0]} did not get ready, see {log.name}")
        time.sleep(0.1)
    return Receiver(port, psutil.Process(process.pid), stop)

"""Checks every part of an installation; each finding is one line that ends with what to do about it.

It runs beside a working gateway and beside one that does not start, so no check may depend on another.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from gateway import broker
from gateway.config import Settings
from gateway.domain.errors import GatewayError, Missing, Unavailable
from gateway.readiness import run_folder

Level = Literal["ok", "warn", "fail"]
OLDEST_PYTHON = (3, 11)
LOW_DISK_BYTES = 10 << 30
NO_DISK_BYTES = 1 << 30
RUNTIME_WHEELS = ("onnxruntime", "onnxruntime-gpu")
REMOTE_FILE_SYSTEMS = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "lustre", "glusterfs", "fuse.sshfs")
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronized


@dataclass(frozen=True)
class Check:
    """One finding about one part."""

    part: str
    level: Level
    said: str


def examine(settings: Settings) -> Iterator[Check]:
    """Run every check; one that breaks is itself a failed check."""
    for part, check in _CHECKS.items():
        try:
            for level, said in check(settings):
                yield Check(part, level, said)
        except GatewayError as error:
            yield Check(part, "fail", str(error))
        except Exception as error:
            yield Check(part, "fail", f"the check itself broke: {type(error).__name__}")


Findings = Iterator[tuple[Level, str]]


def python(_settings: Settings) -> Findings:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info >= OLDEST_PYTHON:
        yield "ok", version
    else:
        yield "fail", f"{version} is too old; install 3.11 or newer"


def home(settings: Settings) -> Findings:
    place = _existing(settings.home)
    if not os.access(place, os.W_OK | os.X_OK):
        yield "fail", f"{place} is not writable for user {os.getuid()}; change its owner or set gateway.home"
        return
    kind = file_system_of(place, Path("/proc/self/mounts").read_text("utf-8", "replace"))
    if kind in REMOTE_FILE_SYSTEMS and settings.database_url.startswith("sqlite"):
        yield "fail", f"{place} lies on {kind}, where SQLite loses data; move it to a local disk or use PostgreSQL"
    elif settings.home.exists() and stat.S_IMODE(settings.home.stat().st_mode) & 0o077:
        yield "warn", f"{settings.home} is open to other users; chmod 700"
    else:
        yield "ok", f"{settings.home} on {kind}"


def disk(settings: Settings) -> Findings:
    free = shutil.disk_usage(_existing(settings.home)).free
    said = f"{free / (1 << 30):.1f} GiB free"
    if free < NO_DISK_BYTES:
        yield "fail", f"{said}; studies will be refused, make room now"
    elif free < LOW_DISK_BYTES:
        yield "warn", f"{said}; make room before studies are refused"
    else:
        yield "ok", said


def ports(settings: Settings) -> Findings:
    for name, host, port in (
        ("DICOM", settings.dicom.host, settings.dicom.port),
        ("web", settings.web.host, settings.web.port),
    ):
        if is_running(settings, "dicom" if name == "DICOM" else name):
            yield "ok", f"{name} port {port} is ours"
            continue
        try:
            with socket.create_server((host, port)):
                yield "ok", f"{name} port {port} is free"
        except OSError as error:
            section = "dicom" if name == "DICOM" else "web"
            yield (
                "fail",
                f"{name} port {port} on {host}: {error.strerror}; stop the other program or set {section}.port",
            )


def address(settings: Settings) -> Findings:
    if not settings.web.base_url and reachable(settings.web.host) != settings.web.host:
        yield "warn", f"reports and links name {settings.base_url}; set web.base_url to the address that clients use"
    else:
        yield "ok", f"reports and links name {settings.base_url}"


def database(settings: Settings) -> Findings:
    from gateway import wiring

    current, newest = wiring.schema_revisions(settings)
    if current == newest:
        yield "ok", f"reachable, schema {current} is the newest"
    elif not current:
        yield "warn", "not made yet; `dxgate up` or `dxgate migrate` makes it"
    else:
        yield "fail", f"schema is {current}, this version needs {newest}; run `dxgate migrate`"


def message_broker(settings: Settings) -> Findings:
    if settings.broker.url:
        _ping_url(settings.broker.url)
        yield "ok", "the configured broker answers PING"
        return
    program = broker.find_program()
    try:
        broker.ping(settings.broker_socket)
        yield "ok", f"answers PING on {settings.broker_socket}"
    except Unavailable:
        if is_running(settings, "worker"):
            yield "fail", "the gateway runs, but its embedded broker does not answer; look at the lines of `broker`"
        else:
            yield "ok", f"not running; `dxgate up` starts {program.name}"


def keys(settings: Settings) -> Findings:
    from gateway.privacy import keyring
    from gateway.privacy.providers.choose import provider_for

    for name in keyring.FILES:
        try:
            keyring.load(settings.key_folder, name, provider_for(settings.keys, name))
            yield "ok", f"{name} opens by the provider {settings.keys.provider}"
        except Missing as error:
            if (settings.key_folder / name).exists():
                raise  # the key over the ring is missing, and with it all that the ring opens
            yield "warn", f"{error} in {settings.key_folder}"
    if settings.keys.provider == "file" and not settings.keys.passphrase:
        yield "warn", "file permissions alone protect the key rings; set keys.passphrase or another keys.provider"


def runtime(_settings: Settings) -> Findings:
    found = [name for name in RUNTIME_WHEELS if _version(name)]
    if len(found) == 2:
        yield "fail", "onnxruntime and onnxruntime-gpu overwrite each other; uninstall both, install one extra again"
    elif found:
        yield "ok", f"{found[0]} {_version(found[0])}"
    else:
        yield "fail", "no ONNX Runtime; install the extra `cpu` or `gpu`"


def device(settings: Settings) -> Findings:
    count = cuda_devices()
    has_wheel = _version("onnxruntime-gpu") is not None
    if settings.worker.device == "cuda" and not (count and has_wheel):
        lacking = "no CUDA device" if not count else "no onnxruntime-gpu"
        yield "fail", f"worker.device is cuda, but there is {lacking}; the worker will not start"
    elif count and has_wheel and settings.worker.device != "cpu" and settings.worker.device_number >= count:
        yield "fail", f"worker.device_number is {settings.worker.device_number}, but there are {count} CUDA device(s)"
    elif count and not has_wheel and settings.worker.device == "auto":
        yield "warn", f"{count} CUDA device(s) idle: install the extra `gpu` instead of `cpu`, or set worker.device=cpu"
    else:
        yield "ok", f"{count} CUDA device(s), worker.device={settings.worker.device}"


def models(settings: Settings) -> Findings:
    from models.package import trusted_keys
    from models.registry import find

    extra = [Path(folder).expanduser() for folder in settings.models.folders]
    keys_folder = settings.models.trusted_keys
    trusted = (*trusted_keys(), *trusted_keys(Path(keys_folder).expanduser())) if keys_folder else None
    packages, rejected = find(extra, trusted)
    for package in packages:
        yield "ok", f"{package.manifest.name} {package.manifest.version} verified"
    for refusal in rejected:
        yield "fail", f"{refusal.folder.name}: {refusal.reason}"
    if not packages:
        yield "warn", "no model package; studies are stored, but not analysed"


def stopped(settings: Settings) -> Findings:
    from gateway import wiring

    current, newest = wiring.schema_revisions(settings)
    if current != newest or not _has_keys(settings):
        yield "ok", "not asked; tables or keys are not there yet"  # which is for their own checks to say
        return
    with wiring.database(settings).read() as unit:
        waiting, running = unit.governance.waiting(), {model.id for model in unit.models.running()}
        stops = [stop for stop in unit.governance.stops() if stop.model_id in running or stop.model_id in waiting]
        names = {model.id: f"{model.name} {model.version}" for model in unit.models.all()}
    for stop in stops:
        waits = f"{waiting.get(stop.model_id, 0)} task(s) wait"
        said = f"{names[stop.model_id]} is stopped ({stop.reason}); {waits}"
        yield "warn", f"{said}: `dxgate model resume`, or `dxgate recall --mark`"
    if not stops:
        yield "ok", "no stopped model holds anything up"


def dicom(settings: Settings) -> Findings:
    if not is_running(settings, "dicom"):
        yield "ok", "not running here"
        return
    if settings.dicom.tls_certificate:
        yield "warn", "TLS is required on the port, so C-ECHO was not tried; try it with a client certificate"
        return
    from pynetdicom import AE

    client = AE("DXGATE-DOCTOR")
    client.acse_timeout = client.dimse_timeout = client.network_timeout = client.connection_timeout = 5
    client.add_requested_context("1.2.840.10008.1.1")  # Verification SOP Class, PS3.4 A.4
    association = client.associate(
        reachable(settings.dicom.host), settings.dicom.port, ae_title=settings.dicom.ae_title
    )
    if not association.is_established:
        known_only = settings.dicom.peers == "known"
        yield (
            ("warn", "the port answers, but knows no AE title DXGATE-DOCTOR; `dxgate client add dicom` adds it")
            if known_only
            else ("fail", "the DICOM port accepts no association; look at the lines of `dicom`")
        )
        return
    status = association.send_c_echo()
    association.release()
    yield ("ok", "answers C-ECHO") if status and status.Status == 0 else ("fail", "C-ECHO was not answered")


def web(settings: Settings) -> Findings:
    if not is_running(settings, "web"):
        yield "ok", "not running here"
        return
    import httpx

    if settings.web.tls_client_required:
        yield "ok", "running; not asked, because web.tls_client_required lets in only who has a certificate"
        return
    scheme = "https" if settings.web.tls_certificate else "http"
    address = f"{scheme}://{reachable(settings.web.host)}:{settings.web.port}/readyz"
    try:
        answer = httpx.get(address, timeout=5, verify=False)  # noqa: S501 - our own port, by its address
        document = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        yield "fail", f"/readyz is not answered ({type(error).__name__}); look at the lines of `web`"
        return
    if answer.status_code != 200:
        yield "fail", f"/readyz answers {answer.status_code}; the lines above say which part is out"
    elif not document.get("active_models"):
        yield "warn", "ready, but no model is active; look at the lines of `worker`"
    else:
        yield "ok", f"ready, {document['active_models']} active model(s)"


def clock(_settings: Settings) -> Findings:
    if sys.platform != "linux":
        yield "ok", "not examined on this system"
        return
    buffer = ctypes.create_string_buffer(512)  # struct timex with modes = 0: only read
    state = ctypes.CDLL(None).adjtimex(buffer)
    if state == _TIME_ERROR:
        yield "warn", "not synchronized; run chrony or systemd-timesyncd, report times depend on it"
    elif state < 0:
        yield "warn", "the kernel does not tell whether it is synchronized; make sure that the host is"
    else:
        yield "ok", "synchronized"


_CHECKS: dict[str, Callable[[Settings], Findings]] = {
    "python": python,
    "home": home,
    "disk": disk,
    "ports": ports,
    "address": address,
    "database": database,
    "broker": message_broker,
    "keys": keys,
    "runtime": runtime,
    "device": device,
    "models": models,
    "stopped": stopped,
    "dicom": dicom,
    "web": web,
    "clock": clock,
}


def _has_keys(settings: Settings) -> bool:
    from gateway import wiring

    try:
        wiring.object_keys(settings)
    except Missing:
        return False
    return True


def is_running(settings: Settings, role: str) -> bool:
    """Whether a living process has said here that it is ready in this role."""
    signs = run_folder(settings.home).glob(f"{role}-*.ready")
    return any(Path(f"/proc/{sign.stem.rpartition('-')[2]}").exists() for sign in signs)


def file_system_of(path: Path, mounts: str) -> str:
    """Type of the file system that holds `path`, by the text of /proc/self/mounts (proc(5))."""
    best, kind = "", "unknown"
    for line in mounts.splitlines():
        _, point, found, *_ = line.split(" ")
        point = point.replace("\\040", " ")
        if len(point) >= len(best) and path.resolve().is_relative_to(point):
            best, kind = point, found
    return kind


def cuda_devices() -> int:
    """CUDA devices that the driver can use; 0 without a driver."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def reachable(host: str) -> str:
    """The address by which a client on this machine reaches a server that listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _ping_url(url: str) -> None:
    import redis

    try:
        redis.Redis.from_url(url, socket_connect_timeout=2, socket_timeout=2).ping()
    except redis.RedisError as error:
        raise Unavailable(f"the configured broker does not answer ({type(error).__name__}); check broker.url") from None

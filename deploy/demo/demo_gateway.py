"""The gateway of the demonstration: `dxgate up` on a fresh home, on ports that are free."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

from gateway.config import Settings, load
from gateway.domain.errors import Conflict
from gateway.readiness import run_folder
from gateway.supervisor import only_one

REPOSITORY = Path(__file__).resolve().parents[2]
READY_SECONDS = 120.0
STOP_SECONDS = 40.0


def free_port(wanted: int) -> int:
    """The wanted port, or the next one above it that nobody listens on."""
    for port in range(wanted, wanted + 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no free port from {wanted} on")


class DemoGateway:
    """One run of `dxgate up`; its lines go to `log`."""

    def __init__(self, home: Path, quiet_seconds: float) -> None:
        _clear(home)
        self.log = home.with_suffix(".log")
        clean = {name: value for name, value in os.environ.items() if not name.startswith("DXGATE_")}
        self._environment = clean | {
            "DXGATE_GATEWAY_HOME": str(home),
            "DXGATE_DICOM_PORT": str(free_port(11112)),
            "DXGATE_WEB_PORT": str(free_port(8080)),
            "DXGATE_STUDY_QUIET_SECONDS": str(quiet_seconds),
        }
        self.settings: Settings = load(self._environment).settings
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Start and wait until it is ready and a model is active; returns the seconds that took."""
        began = time.monotonic()
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gateway.cli", "up"],
                env=self._environment,
                cwd=REPOSITORY,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() - began > READY_SECONDS:
                raise RuntimeError(f"the gateway did not start; the end of {self.log}:\n{self._last_lines()}")
            time.sleep(0.1)
        return time.monotonic() - began

    def wait(self) -> None:
        """Returns when the gateway has ended by itself."""
        if self._process is not None:
            self._process.wait()

    def stop(self) -> float:
        """Stop cleanly; returns the seconds that took."""
        began = time.monotonic()
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        return time.monotonic() - began

    def add_client(self, name: str) -> str:
        """Add a FHIR client that may read everything; returns its secret."""
        scope = ["client", "add", "fhir", name, "--scope", "system/*.rs", "--json"]
        done = subprocess.run(
            [sys.executable, "-m", "gateway.cli", *scope],
            env=self._environment,
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip())
        return str(json.loads(done.stdout)["secret"])

    def _is_ready(self) -> bool:
        try:
            answer = httpx.get(f"{self.settings.base_url}/readyz", timeout=2)
            return answer.status_code == 200 and answer.json().get("active_models", 0) > 0
        except (httpx.HTTPError, ValueError):
            return False

    def _last_lines(self) -> str:
        return "\n".join(self.log.read_text("utf-8", "replace").splitlines()[-15:])


def _clear(home: Path) -> None:
    """Remove what an earlier demonstration left, unless it still runs."""
    if home.exists():
        try:
            with only_one(run_folder(home) / "up.lock"):
                pass
        except Conflict:
            raise RuntimeError("a demonstration is still running; stop it with Ctrl-C first") from None
        shutil.rmtree(home)
    home.mkdir(mode=0o700, parents=True)

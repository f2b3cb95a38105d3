"""A whole dxgate as its users start it: `dxgate up` in a folder of its own, on free loopback ports."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
from harness.commands import REPOSITORY, CommandProcess, run_command, start_command
from harness.ports import free_port
from harness.sqlite_tables import lay_tables


def wait_for(condition: Any, seconds: float, what: str, pause: float = 0.1) -> Any:
    """The first true answer of `condition`; AssertionError that names `what` where it never comes."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = condition()
        if answer:
            return answer
        time.sleep(pause)
    raise AssertionError(f"waited {seconds:.0f} s in vain for {what}")


@dataclass
class GatewayProcess:
    """Start, drive and stop one gateway. `settings` are extra environment variables."""

    home: Path
    settings: dict[str, str] = field(default_factory=dict)
    dicom_port: int = field(default_factory=free_port)
    web_port: int = field(default_factory=free_port)
    process: CommandProcess | subprocess.Popen[bytes] | None = None
    secret: str = ""
    new_interpreter: bool = False
    """Starts as a person does who types the command: from nothing, not in a fork of what has been imported."""

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.web_port}"

    @property
    def fhir_url(self) -> str:
        return f"{self.base_url}/fhir"

    @property
    def environment(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("DXGATE_")}
        return clean | {
            "DXGATE_GATEWAY_HOME": str(self.home),
            "DXGATE_DICOM_PORT": str(self.dicom_port),
            "DXGATE_WEB_PORT": str(self.web_port),
            "DXGATE_STUDY_QUIET_SECONDS": "1.5",
            "DXGATE_STUDY_QUIET_SECONDS_STAT": "1",
            "DXGATE_WORKER_DEVICE": "cpu",
            **self.settings,
        }

    @property
    def log(self) -> Path:
        return self.home.parent / f"{self.home.name}.log"

    def start(self, seconds: float = 120) -> GatewayProcess:
        self.process = self._typed() if self.new_interpreter else self._forked()
        wait_for(self.is_ready, seconds, f"the gateway to be ready (log: {self.log})")
        return self

    def _forked(self) -> CommandProcess:
        if "DXGATE_DATABASE_URL" not in self.settings:
            lay_tables(self.home)
        return start_command(["up"], self.environment, self.log)

    def _typed(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "gateway.cli", "up"],
                env=self.environment,
                cwd=REPOSITORY,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text("utf-8", "replace")[-3000:]
        try:
            answer = httpx.get(f"{self.base_url}/readyz", timeout=2)
        except httpx.HTTPError:
            return False
        return answer.status_code == 200 and answer.json().get("active_models", 0) > 0

    def stop(self, seconds: float = 30) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def command(self, *arguments: str, stdin: str | None = None) -> str:
        done = run_command(arguments, self.environment, stdin or "")
        assert done.returncode == 0, f"{arguments}: {done.stderr[-2000:]}"
        return done.stdout

    def token(self) -> str:
        """A bearer token of a client that may read everything; the client is made at the first call."""
        if not self.secret:
            told = json.loads(self.command("client", "add", "fhir", "ehr", "--scope", "system/*.rs", "--json"))
            self.secret = told["secret"]
        answer = httpx.post(
            f"{self.base_url}/auth/token", data={"grant_type": "client_credentials"}, auth=("ehr", self.secret)
        )
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    def children(self) -> dict[str, list[psutil.Process]]:
        """Processes of the gateway by role, found by their command lines."""
        assert self.process is not None
        found: dict[str, list[psutil.Process]] = {}
        for child in psutil.Process(self.process.pid).children(recursive=True):
            try:
                line = " ".join(child.cmdline())
            except psutil.Error:
                continue
            for role, words in _ROLES.items():
                if words in line:
                    found.setdefault(role, []).append(child)
                    break
        return found

    def files(self) -> Iterator[Path]:
        """Every file that the gateway keeps or writes, its log included."""
        yield self.log
        for path in sorted(self.home.rglob("*")):
            if path.is_file():
                yield path


_ROLES = {
    "dicom": "dxgate dicom",
    "web": "dxgate web",
    "sweep": "dxgate sweep",
    "worker": "dxgate worker",
    "broker": "valkey",
}

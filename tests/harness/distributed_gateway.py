"""dxgate on many hosts, played on one: each role a process of its own, workers with homes and keys of their own."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from harness.commands import CommandProcess, start_command
from harness.gateway_process import GatewayProcess, wait_for

from gateway.readiness import ready_file

SERVERS = {"dicom-1": ("serve", "dicom"), "dicom-2": ("serve", "dicom"), "web": ("serve", "web"), "sweep": ("sweep",)}
WORKERS = ("worker-1", "worker-2")


@dataclass
class DistributedGateway(GatewayProcess):
    """`worker_url` is the database as the role of the workers sees it."""

    worker_url: str = ""
    roles: dict[str, CommandProcess] = field(default_factory=dict)

    def worker_home(self, name: str) -> Path:
        return self.home.parent / name

    def worker_environment(self, name: str) -> dict[str, str]:
        own = {"DXGATE_GATEWAY_HOME": str(self.worker_home(name)), "DXGATE_DATABASE_URL": self.worker_url}
        return self.environment | own

    def start(self, seconds: float = 120) -> DistributedGateway:
        """All roles but `init` and `migrate`, which the test runs as an operator would."""
        for name, words in SERVERS.items():
            self._run(name, words, self.environment)
        for name in WORKERS:
            keys = self.worker_home(name) / "keys"
            keys.mkdir(parents=True, mode=0o700)
            shutil.copy(self.home / "keys" / "objects.json", keys)
            self._run(name, ("worker",), self.worker_environment(name))
        wait_for(self.is_ready, seconds, f"all roles to be ready (logs: {self.home.parent})")
        return self

    def is_ready(self) -> bool:
        for name, process in self.roles.items():
            assert process.poll() is None, f"{name} ended: {self.log_of(name).read_text('utf-8', 'replace')[-3000:]}"
            home = self.worker_home(name) if name in WORKERS else self.home
            if not ready_file(home, name.partition("-")[0], process.pid).exists():
                return False
        try:
            return httpx.get(f"{self.base_url}/readyz", timeout=5).status_code == 200
        except httpx.HTTPError:  # on a busy machine
            return False

    def stop(self, seconds: float = 30) -> int:
        """The worst exit status of all roles."""
        for process in self.roles.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        try:
            return max((process.wait(seconds) for process in self.roles.values()), default=0)
        finally:
            for process in self.roles.values():
                process.kill()

    def log_of(self, name: str) -> Path:
        return self.home.parent / f"{name}.log"

    def files(self) -> Iterator[Path]:
        """Every file that the gateway keeps or writes on any of its hosts."""
        for path in sorted(self.home.parent.rglob("*")):
            if path.is_file():
                yield path

    def _run(self, name: str, words: tuple[str, ...], environment: dict[str, str]) -> None:
        self.roles[name] = start_command(words, environment, self.log_of(name))

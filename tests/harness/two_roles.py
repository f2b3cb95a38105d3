"""The two roles that a subscription needs, web and sweep, as processes of their own that can be killed."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from harness.commands import CommandProcess, run_command, start_command
from harness.gateway_process import wait_for
from harness.ports import free_port
from harness.sqlite_tables import lay_tables

ROLES = {"web": ("serve", "web"), "sweep": ("sweep",)}


@dataclass
class TwoRoles:
    """`settings` are extra environment variables."""

    home: Path
    settings: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    running: dict[str, CommandProcess] = field(default_factory=dict)
    http: httpx.Client = field(default_factory=httpx.Client)

    @property
    def fhir_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/fhir"

    @property
    def environment(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("DXGATE_")}
        own = {"DXGATE_GATEWAY_HOME": str(self.home), "DXGATE_WEB_PORT": str(self.port)}
        return clean | own | self.settings

    def command(self, *words: str) -> str:
        done = run_command(words, self.environment)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    def prepare(self) -> None:
        """Keys, tables, and a client that may do everything."""
        if "DXGATE_DATABASE_URL" not in self.settings:
            lay_tables(self.home)
        self.command("init")
        told = json.loads(self.command("client", "add", "fhir", "ehr", "--scope", "system/*.cruds", "--json"))
        self.http = httpx.Client(auth=("ehr", told["secret"]), timeout=30)

    def start(self, *roles: str) -> None:
        for role in roles or ROLES:
            log = self.home.parent / f"{role}.log"
            self.running[role] = start_command(ROLES[role], self.environment, log)
        wait_for(self._is_up, 60, "the web role to answer")

    def _is_up(self) -> bool:
        try:
            return httpx.get(f"{self.fhir_url}/metadata", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        """As a power cut: no role gets to tidy up."""
        for process in self.running.values():
            process.send_signal(signal.SIGKILL)
            process.wait(10)
        self.running.clear()

    def send(self, method: str, path: str, resource: dict[str, Any] | None = None) -> httpx.Response:
        headers = {"Content-Type": "application/fhir+json"} if resource is not None else {}
        return self.http.request(method, f"{self.fhir_url}/{path}", json=resource, headers=headers)

    def create(self, resource: dict[str, Any]) -> dict[str, Any]:
        answer = self.send("POST", resource["resourceType"], resource)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

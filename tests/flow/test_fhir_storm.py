"""The web process is killed inside transactions: each of them is there whole or not at all, and what was answered is.

One round here; `make fhir-storm` runs many.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from harness.commands import REPOSITORY, CommandProcess, start_command
from harness.gateway_process import wait_for
from harness.ports import free_port
from wire.fhir_rest.hospital import SECRET, Hospital, web_services
from wire.fhir_rest.writing import entry, observation, patient

from gateway import config, wiring
from gateway.privacy import keyring

ROUNDS = int(os.environ.get("DXGATE_TEST_STORM_ROUNDS", "1"))
ENTRIES = 10
SYSTEM = "urn:storm"
MANY = 50


@dataclass
class Storm:
    """A gateway's home folder, its web process, and which transactions were sent and answered."""

    home: Path
    database_url: str
    port: int = field(default_factory=free_port)
    numbers: Any = field(default_factory=count)
    sent: set[str] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)
    token: str = ""

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def open(self) -> Hospital:
        """The database with a client that may write."""
        self.home.mkdir(mode=0o700)
        settings = config.load({name: self.environment[name] for name in self._own}).settings
        keyring.create(settings.key_folder)
        database = wiring.database(settings)
        hospital = Hospital(settings, database, web_services(settings, database))
        hospital.add_client("ehr", "system/*.cruds")
        return hospital

    _own = ("DXGATE_GATEWAY_HOME", "DXGATE_DATABASE_URL", "DXGATE_WEB_PORT")

    @property
    def environment(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("DXGATE_")}
        own = (str(self.home), self.database_url, str(self.port))
        return clean | {"PYTHONPATH": str(REPOSITORY)} | dict(zip(self._own, own, strict=True))

    def start(self) -> CommandProcess:
        process = start_command(["serve", "web"], self.environment, Path(os.devnull))
        wait_for(lambda: process.poll() is not None or self._listens(), 60, "the web server")
        assert process.poll() is None
        return process

    def _listens(self) -> bool:
        try:
            return httpx.get(f"{self.base}/fhir/metadata", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def sign_in(self) -> None:
        """One token serves for all rounds: grants outlive the process."""
        if not self.token:
            form = {"grant_type": "client_credentials"}
            answer = httpx.post(f"{self.base}/auth/token", data=form, auth=("ehr", SECRET), timeout=30)
            self.token = str(answer.json()["access_token"])

    def post(self) -> None:
        """Transactions one after the other, until the server is gone."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/fhir+json"}
        with httpx.Client(base_url=self.base, headers=headers, timeout=30) as http:
            while True:
                marker = f"{threading.get_ident()}-{next(self.numbers)}"
                self.sent.add(marker)
                try:
                    answer = http.post("/fhir", json=transaction(marker))
                except httpx.HTTPError:
                    return
                assert answer.status_code == 200, answer.text
                self.answered.add(marker)


def transaction(marker: str) -> dict[str, Any]:
    """A patient and nine observations, each with the marker as identifier."""
    identifier, urn = [{"system": SYSTEM, "value": marker}], "urn:uuid:0b9c8b1e-4a3b-4c5d-8e6f-001122334455"
    entries = [entry("POST", "Patient", patient(identifier=identifier), urn)]
    entries += [entry("POST", "Observation", observation(urn, identifier=identifier)) for _ in range(ENTRIES - 1)]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def found(hospital: Hospital, marker: str) -> int:
    criteria = (("identifier", f"{SYSTEM}|{marker}"),)
    with hospital.database.read() as unit:
        keys = [
            key for kind in ("Patient", "Observation") for key in unit.resource_index.matching(kind, criteria, MANY)
        ]
        return len(unit.resources.of_keys(keys))


@pytest.mark.timeout(1800 if ROUNDS > 1 else 120)
def test_a_killed_server_leaves_all_or_nothing(database_url: str, tmp_path: Path) -> None:
    """SIGKILL at random moments: 10 resources or none of each transaction, 10 of each that was answered."""
    storm = Storm(tmp_path / "home", database_url)
    hospital = storm.open()
    chance = random.Random(os.urandom(8))
    for _ in range(ROUNDS):
        process = storm.start()
        storm.sign_in()
        before = len(storm.answered)
        clients = [threading.Thread(target=storm.post) for _ in range(3)]
        for client in clients:
            client.start()
        wait_for(lambda before=before: len(storm.answered) > before, 60, "the first answer", pause=0.005)
        time.sleep(chance.uniform(0, 0.5))
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        for client in clients:
            client.join(60)
    counts = {marker: found(hospital, marker) for marker in storm.sent}
    assert set(counts.values()) <= {0, ENTRIES}
    assert {counts[marker] for marker in storm.answered} == {ENTRIES}
    assert len(storm.sent) > len(storm.answered)  # some were under way
    hospital.database.close()

"""One gateway with two reported studies, served on loopback, for all tests of the FHIR endpoint."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from wire.fhir_rest.hospital import PLANTED, SECRET, Hospital, add_study, open_hospital, serving
from wire.fhir_rest.jobs import Kind


@dataclass(frozen=True)
class Ward:
    """A served hospital and a client that may read everything."""

    hospital: Hospital
    base: str
    http: httpx.Client

    def token(self, name: str, scope: str | None = None) -> httpx.Response:
        form = {"grant_type": "client_credentials"} | ({"scope": scope} if scope else {})
        return httpx.post(f"{self.base}/auth/token", data=form, auth=(name, SECRET))

    def get(self, path: str, **options: object) -> httpx.Response:
        return self.http.get(f"/fhir/{path}", **options)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def ward(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Ward]:
    folder = tmp_path_factory.mktemp("ward")
    hospital = open_hospital(folder / "home", sqlite_template)
    hospital.add_client("ehr", "system/*.rs", "system/AuditEvent.rs")
    hospital.add_client("reports-only", "system/DiagnosticReport.rs")
    hospital.add_client("searcher", "system/DiagnosticReport.s", "system/Patient.read")
    hospital.add_client("elsewhere", networks=("192.0.2.0/24",))
    hospital.add_client("gone", active=False)
    for number, planted in enumerate(PLANTED[:2]):
        add_study(hospital, folder / f"study-{number}", planted)
    with serving(hospital.services) as base:
        form = {"grant_type": "client_credentials"}
        token = httpx.post(f"{base}/auth/token", data=form, auth=("ehr", SECRET)).json()["access_token"]
        with httpx.Client(base_url=base, headers={"Authorization": f"Bearer {token}"}, timeout=20) as http:
            yield Ward(hospital, base, http)


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.peer("postgresql"))])
def both_kinds(request: pytest.FixtureRequest, sqlite_template: Path) -> Iterator[Kind]:
    """Each kind of database in turn, fresh for a module."""
    if request.param == "sqlite":
        yield Kind(sqlite_template)
        return
    cluster = request.getfixturevalue("postgres_cluster")
    url = cluster.create()
    yield Kind(sqlite_template, url)
    cluster.drop(url)

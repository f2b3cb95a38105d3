"""What the tests of writing share: an empty hospital on either database, served, and a client that may write."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from wire.fhir_rest.hospital import SECRET, Hospital, open_hospital, serving

MRN = "urn:oid:1.2.36.146.595.217.0.1"


@dataclass(frozen=True)
class Writer:
    """A served hospital and a client that may do everything."""

    hospital: Hospital
    http: httpx.Client

    def send(self, method: str, path: str, resource: Any = None, **headers: str) -> httpx.Response:
        """`headers` by their names with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        body = None if resource is None else json.dumps(resource).encode()
        if body is not None:
            named.setdefault("Content-Type", "application/fhir+json")
        return self.http.request(method, f"/fhir/{path}", content=body, headers=named)

    def create(self, resource: dict[str, Any], **headers: str) -> dict[str, Any]:
        answer = self.send("POST", resource["resourceType"], resource, **headers)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def transact(self, *entries: dict[str, Any], kind: str = "transaction") -> httpx.Response:
        return self.send("POST", "", {"resourceType": "Bundle", "type": kind, "entry": list(entries)})


def patient(number: str = "MRN-1", **members: Any) -> dict[str, Any]:
    identifier = [{"system": MRN, "value": number}]
    return {"resourceType": "Patient", "identifier": identifier, "name": [{"family": "Chalmers"}]} | members


def observation(subject: str, value: float | str = "1.20", **members: Any) -> dict[str, Any]:
    code = {"coding": [{"system": "http://loinc.org", "code": "2160-0"}]}
    subject_of = {"reference": subject}
    made = {"resourceType": "Observation", "status": "final", "code": code, "subject": subject_of, "valueString": value}
    return made | members


def entry(method: str, url: str, resource: dict[str, Any] | None = None, full_url: str = "", **asked: str) -> Any:
    made: dict[str, Any] = {"request": {"method": method, "url": url} | asked}
    if resource is not None:
        made["resource"] = resource
    if full_url:
        made["fullUrl"] = full_url
    return made


@contextmanager
def writer(
    home: Path, template: Path, database: str = "", models: dict[str, Any] | None = None, **web: Any
) -> Iterator[Writer]:
    hospital = open_hospital(home, template, database=database, models=models, **web)
    hospital.add_client("ehr", "system/*.cruds")
    with serving(hospital.services) as base:
        form = {"grant_type": "client_credentials"}
        token = httpx.post(f"{base}/auth/token", data=form, auth=("ehr", SECRET)).json()["access_token"]
        with httpx.Client(base_url=base, headers={"Authorization": f"Bearer {token}"}, timeout=30) as http:
            yield Writer(hospital, http)

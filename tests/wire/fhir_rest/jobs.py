"""What the tests of jobs share: a served hospital on either database, whose jobs are run when the test says so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wire.fhir_rest.writing import Writer, writer

from gateway import wiring
from gateway.flow.bulk.run_jobs import RunJobs

ASYNC = {"Prefer": "respond-async"}


@dataclass(frozen=True)
class Kind:
    """A kind of database: `template` of SQLite, or the `url` of a fresh database of PostgreSQL."""

    template: Path
    url: str = ""


@dataclass
class Ward:
    """A served hospital whose jobs are run when the test says so."""

    ehr: Writer
    jobs: RunJobs

    def begin(self, path: str, method: str = "GET", resource: Any = None, prefer: str = "respond-async") -> str:
        """The path of the status of a job."""
        answer = self.ehr.send(method, path, resource, Prefer=prefer)
        assert answer.status_code == 202, answer.text
        return self.local(answer.headers["content-location"])

    def lease_runs_out(self, status: str) -> None:
        """As if the process that held the job had been gone for a while."""
        with self.ehr.hospital.database.begin("test") as unit:
            job = unit.bulk_jobs.get(status.rpartition("/")[2])
            assert job is not None
            unit.bulk_jobs.progress(job, {"lease_until": None})
            unit.commit()

    def is_due(self, status: str) -> None:
        """As if the pause after a failed attempt were over."""
        with self.ehr.hospital.database.begin("test") as unit:
            job = unit.bulk_jobs.get(status.rpartition("/")[2])
            assert job is not None
            unit.bulk_jobs.progress(job, {"due_at": job.created_at})
            unit.commit()

    def local(self, url: str) -> str:
        base = f"{self.ehr.hospital.services.fhir_base}/"
        assert url.startswith(base)
        return url.removeprefix(base)

    def manifest(self, status: str) -> dict[str, Any]:
        """Of a job that is run now."""
        waiting = self.ehr.send("GET", status)
        assert (waiting.status_code, "x-progress" in waiting.headers) == (202, True)
        while self.jobs():
            pass
        done = self.ehr.send("GET", status)
        assert done.status_code == 200, done.text
        found: dict[str, Any] = done.json()
        return found

    def lines(self, file: dict[str, Any]) -> list[dict[str, Any]]:
        answer = self.ehr.send("GET", self.local(file["url"]), Accept="application/fhir+ndjson")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/fhir+ndjson")
        found = [json.loads(line) for line in answer.text.splitlines()]
        if "count" in file:
            assert len(found) == file["count"]
        return found

    def exported(self, path: str) -> dict[str, list[dict[str, Any]]]:
        """Type to resources."""
        found: dict[str, list[dict[str, Any]]] = {}
        for file in self.manifest(self.begin(path))["output"]:
            found.setdefault(file["type"], []).extend(self.lines(file))
        return found

    def upload(self, *lines: Any) -> str:
        body = b"\n".join(one if isinstance(one, bytes) else json.dumps(one).encode() for one in lines)
        headers = ASYNC | {"Content-Type": "application/fhir+ndjson"}
        answer = self.ehr.http.post("/fhir/$import", content=body, headers=headers)
        assert answer.status_code == 202, answer.text
        return self.local(answer.headers["content-location"])


@contextmanager
def jobs_of(kind: Kind, home: Path) -> Iterator[Ward]:
    with writer(home, kind.template, database=kind.url) as ehr:
        yield Ward(ehr, wiring.run_jobs(ehr.hospital.settings, ehr.hospital.database))

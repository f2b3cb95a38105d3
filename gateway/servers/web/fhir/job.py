"""Jobs: begun, asked about, ended, their files fetched (R4 3.1.0.7, asynchronous request pattern).

What is begun here is a durable row; the sweeper does the work. A job is visible to the client that began it alone.
"""

from __future__ import annotations

import math
from datetime import timedelta
from email.utils import format_datetime
from typing import Final

import msgspec

from gateway.domain.access import Caller, Client
from gateway.domain.bulk import BulkFile, BulkJob, BulkKind
from gateway.domain.errors import Forbidden, GatewayError, Invalid, Missing
from gateway.domain.ids import new_id
from gateway.flow.bulk.asked import AskedExport, AskedJob, asked_of, asked_request, sealed
from gateway.flow.bulk.deletions import TYPE as DELETIONS
from gateway.flow.bulk.files import BulkFiles
from gateway.flow.bulk.import_lines import input_file
from gateway.flow.grant_access import NotAuthenticated
from gateway.flow.scopes import covers, permits
from gateway.formats.fhir.element import Resource, element, instant
from gateway.formats.fhir.outcome import issue
from gateway.ports import UnitOfWork
from gateway.servers.web.fhir.exchange import Answer, FhirRequest, actor_of, person_of
from gateway.servers.web.fhir.pending import Outcome, Pending
from gateway.servers.web.refusal import Refusal
from gateway.servers.web.services import WebServices

JOB_FILE: Final = "job-file"
NDJSON: Final = "application/fhir+ndjson"
_COUNTED: Final[dict[BulkKind, str]] = {"export": "resources", "import": "lines"}
_MAX_OPEN: Final = 10
_RETRY: Final = "2"
_NEVER: Final = timedelta(days=3650)


def begun(services: WebServices, client: Client, kind: BulkKind, asked: AskedJob, body: bytes = b"") -> Outcome:
    """202 with the address of the status, once the job is durable and what it was asked with still holds."""
    files, job_id, now = _files(services), new_id(), services.clock()
    caller = client if isinstance(client, Caller) else Caller.of(client, "", "")
    asked = msgspec.structs.replace(
        asked, scopes=caller.scopes, person=person_of(caller), address=caller.address, number=caller.request
    )
    house = files.vault.house()
    job = BulkJob(
        id=job_id,
        kind=kind,
        client=client.name,
        state="accepted",
        attempt=0,
        step=0,
        sealed=sealed(house, job_id, asked),
        created_at=now,
        due_at=now,
        lease_until=None,
        expires_at=now + _NEVER,
        error=None,
        grant_hash=caller.grant_hash,
        chain=caller.chain,
    )
    upload = input_file(files, job_id, 0, body) if body else None

    def write(unit: UnitOfWork) -> GatewayError | None:
        if not unit.access.serves(client.name, caller.grant_hash):
            return NotAuthenticated("the access token was taken back")
        if unit.bulk_jobs.count_open(client.name) >= _MAX_OPEN:
            return Refusal(429, "throttled", f"a client has at most {_MAX_OPEN} jobs at a time")
        unit.bulk_jobs.add(job)
        if upload is not None:
            unit.bulk_jobs.add_file(upload)
        types_of = ",".join(asked.types) if isinstance(asked, AskedExport) else ""
        unit.audit.record("bulk:begin", job_id, actor_of(client), kind=kind, types=types_of)
        return None

    def then(refusal: GatewayError | None) -> Answer:
        if refusal is not None:
            if upload is not None:
                files.delete(upload)
            raise refusal
        return Answer(202, None, {"Content-Location": _status_url(services, job_id)})

    return Pending(write, then)


def job_status(services: WebServices, client: Client, request: FhirRequest) -> Answer:
    """202 while it runs, 200 with the manifest when it is done, the reason where it has failed."""
    with services.database.read() as unit:
        job = _own(services, unit, client, request.id, unread=True)
        files = unit.bulk_jobs.files(job.id)
    if job.state == "accepted":
        return Answer(202, None, _progress(services, job))
    if job.state == "failed":
        return Answer(500, issue("exception", f"the job has failed: {job.error or 'unknown'}"))
    return Answer(
        200, _manifest(services, job, files), {"Expires": _http_date(job), "Content-Type": "application/json"}
    )


def _progress(services: WebServices, job: BulkJob) -> dict[str, str]:
    """How far it is, and where an attempt has failed, when the next one comes."""
    told = f"{job.step} {_counted(services, job)}"
    wait = math.ceil((job.due_at - services.clock()).total_seconds())
    if job.failures and job.lease_until is None and wait > 0:
        return {"X-Progress": f"{told}; attempt {job.attempt} failed, the next follows", "Retry-After": str(wait)}
    return {"X-Progress": told, "Retry-After": _RETRY}


def _counted(services: WebServices, job: BulkJob) -> str:
    if job.kind != "request":
        return _COUNTED[job.kind]
    return "entries" if asked_request(_files(services).vault.house(), job).shape == "[base]" else "matches"


def _manifest(services: WebServices, job: BulkJob, files: list[BulkFile]) -> Resource:
    house = _files(services).vault.house()
    base = _status_url(services, job.id)

    def listed(role: str) -> list[Resource]:
        found = [one for one in files if one.role == role]
        return [
            element(type=one.type, url=f"{base}/{one.blob_key}", count=one.count, inputUrl=one.source) for one in found
        ]

    output = listed("output")
    manifest = {
        "transactionTime": instant(job.created_at),
        "request": asked_of(house, job).url,
        "requiresAccessToken": True,
        "output": [one for one in output if job.kind != "export" or one["type"] != DELETIONS],
        "error": listed("error"),
    }
    if job.kind == "export":
        manifest["deleted"] = [one for one in output if one["type"] == DELETIONS]
    return manifest


def job_cancel(services: WebServices, client: Client, request: FhirRequest) -> Outcome:
    """202: nothing of it is done any more, and its files go."""

    def write(unit: UnitOfWork) -> bool:
        job = _own(services, unit, client, request.id, unread=True)
        unit.audit.record("bulk:cancel", job.id, actor_of(client), kind=job.kind, step=job.step)
        return unit.bulk_jobs.end(job.id, "cancelled")

    return Pending(write, lambda _: Answer(202, issue("informational", "cancelled", severity="information")))


def job_file(services: WebServices, client: Client, request: FhirRequest) -> Outcome:
    """One file of a job that is done, in clear for this answer alone; who fetched it is in the trail first.

    The answer to a request holds what its sender was allowed when it was carried out, so he needs all of it still.
    """
    with services.database.read() as unit:
        job = _own(services, unit, client, request.id)
        found = [one for one in unit.bulk_jobs.files(job.id) if one.blob_key == request.version and one.role != "input"]
    if job.state != "done" or not found:
        raise Missing("no such file")
    (file,) = found
    if file.role == "output":
        _allow(services, client, job, file)
    body = _files(services).open(file)

    def write(unit: UnitOfWork) -> None:
        unit.audit.record("bulk:fetch", job.id, actor_of(client), type=file.type, count=file.count)

    return Pending(write, lambda _: Answer(200, None, {"Content-Type": NDJSON}, body))


def _allow(services: WebServices, client: Client, job: BulkJob, file: BulkFile) -> None:
    """Forbidden where the scopes of now do not cover what the file holds; how many lines were imported is no secret."""
    if job.kind == "import":
        return
    is_deletions = job.kind == "export" and file.type == DELETIONS
    if job.kind == "export" and not is_deletions and not permits(client.scopes, file.type, "r"):
        raise Forbidden(f"this needs the scope system/{file.type}.r")
    asked = asked_of(_files(services).vault.house(), job)
    if (job.kind == "request" or is_deletions) and not covers(client.scopes, asked.scopes or ()):
        raise Forbidden("this needs the scopes with which it was asked for")


def _own(services: WebServices, unit: UnitOfWork, client: Client, job_id: str, *, unread: bool = False) -> BulkJob:
    """The client's own; what a person has asked through an app is that person's.

    Where it does not open any more, nobody knows whose: with `unread` the client may ask how it ended, and end it.
    """
    job = unit.bulk_jobs.get(job_id)
    if job is None or job.client != client.name or job.state in ("cancelled", "expired"):
        raise Missing("no such job")
    try:
        person = asked_of(_files(services).vault.house(), job).person
    except Invalid:
        if not unread:
            raise
        return job
    if person != person_of(client):
        raise Missing("no such job")
    return job


def _files(services: WebServices) -> BulkFiles:
    return BulkFiles(services.record.opened.vault, services.reports.blobs)


def _status_url(services: WebServices, job_id: str) -> str:
    return f"{services.fhir_base}/$job/{job_id}"


def _http_date(job: BulkJob) -> str:
    return format_datetime(job.expires_at, usegmt=True)

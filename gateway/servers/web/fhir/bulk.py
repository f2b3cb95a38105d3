"""Bulk data: kick-off of exports and imports, their status, their files (FHIR Bulk Data Access 2.0; R4 async pattern).

What is begun here is a durable row; the sweeper does the work. A job is visible to the client that began it alone.
"""

from __future__ import annotations

from datetime import timedelta
from email.utils import format_datetime
from typing import Any, Final
from urllib.parse import urlencode

from gateway.domain.access import Client
from gateway.domain.bulk import BulkFile, BulkJob, BulkKind
from gateway.domain.errors import Forbidden, GatewayError, Invalid, Missing
from gateway.domain.ids import new_id
from gateway.flow.bulk.asked import AskedExport, AskedImport, asked_export, asked_import, sealed
from gateway.flow.bulk.files import BulkFiles
from gateway.flow.bulk.import_lines import input_file
from gateway.flow.scopes import permits
from gateway.formats.fhir.element import Resource, element, instant
from gateway.formats.fhir.outcome import issue
from gateway.formats.fhir.search.parameters import types
from gateway.formats.fhir.search.read_wanted import Reading
from gateway.formats.fhir.subscription.wish import read_search
from gateway.formats.fhir.wire.issue import refused
from gateway.ports import UnitOfWork
from gateway.servers.web.body import Fields, field
from gateway.servers.web.fhir.date_range import parse
from gateway.servers.web.fhir.exchange import Answer, FhirRequest, actor_of
from gateway.servers.web.fhir.pending import Outcome, Pending
from gateway.servers.web.fhir.resource_body import parsed
from gateway.servers.web.refusal import Refusal
from gateway.servers.web.services import WebServices

BULK_FILE: Final = "bulk-file"
NDJSON: Final = "application/fhir+ndjson"
_FORMATS: Final = frozenset({NDJSON, "application/ndjson", "ndjson", "application/fhir ndjson"})
_NOT_EXPORTED: Final = frozenset({"AuditEvent", "Subscription", "Bundle", "Binary"})
_SERVED: Final = frozenset({"_type", "_since", "_outputFormat", "_typeFilter", "_format"})
_MAX_FILTERS: Final = 20
_MAX_INPUTS: Final = 50
_MAX_OPEN: Final = 10
_RETRY: Final = "2"
_NEVER: Final = timedelta(days=3650)


def export_system(services: WebServices, client: Client, request: FhirRequest) -> Outcome:
    """GET [base]/$export: everything that the client may read."""
    return _export(services, client, request, "system")


def export_patients(services: WebServices, client: Client, request: FhirRequest) -> Outcome:
    """GET [base]/Patient/$export: what belongs to patients."""
    return _export(services, client, request, "patient")


def export_group(services: WebServices, client: Client, request: FhirRequest) -> Outcome:
    """GET [base]/Group/[id]/$export: what belongs to the members of a Group."""
    if not permits(client.scopes, "Group", "r"):
        raise Forbidden("this needs the scope system/Group.r")
    with services.database.read() as unit:
        group = unit.resources.find("Group", request.id)
    if group is None or group.is_deleted:
        raise Missing("no such Group")
    return _export(services, client, request, "group")


def _export(services: WebServices, client: Client, request: FhirRequest, level: Any) -> Outcome:
    _insist_on_async(request)
    for name, _ in request.fields:
        if name not in _SERVED:
            raise Refusal(400, "not-supported", f"$export has no parameter {name[:64]}")
    form = field(request.fields, "_outputFormat")
    if form is not None and form not in _FORMATS:
        raise Refusal(400, "not-supported", f"the only _outputFormat is {NDJSON}")
    since = field(request.fields, "_since")
    filters = tuple(one for name, value in request.fields if name == "_typeFilter" for one in value.split(",") if one)
    kinds = _kinds(client, request.fields)
    _check_filters(services, filters, kinds)
    where = {"system": "$export", "patient": "Patient/$export", "group": f"Group/{request.id}/$export"}[level]
    query = f"?{urlencode(request.fields)}" if request.fields else ""
    asked = AskedExport(
        url=f"{services.fhir_base}/{where}{query}",
        level=level,
        types=kinds,
        group=request.id,
        since=_since(since),
        filters=filters,
    )
    return _begun(services, client, "export", asked)


def _since(told: str | None) -> str:
    if told is None:
        return ""
    start = parse(told).start
    if start is None:
        raise Invalid("_since is an instant")
    return start.isoformat()


def _kinds(client: Client, fields: Fields) -> tuple[str, ...]:
    """The types asked for, each of which the client may read; Forbidden where it asks for one that it may not."""
    named = [one for name, value in fields if name == "_type" for one in value.split(",") if one]
    offered = [kind for kind in types() if kind not in _NOT_EXPORTED]
    for kind in named:
        if kind not in offered:
            raise Refusal(400, "not-supported", "_type names a type that is not exported here")
        if not permits(client.scopes, kind, "r"):
            raise Forbidden(f"this needs the scope system/{kind}.r")
    found = tuple(dict.fromkeys(named or [kind for kind in offered if permits(client.scopes, kind, "r")]))
    if not found:
        raise Forbidden("there is no type that this client may read")
    return found


def _check_filters(services: WebServices, filters: tuple[str, ...], kinds: tuple[str, ...]) -> None:
    if len(filters) > _MAX_FILTERS:
        raise refused("too-costly", f"an export has at most {_MAX_FILTERS} filters", "_typeFilter")
    for one in filters:
        kind, _ = read_search(one, Reading(services.fhir_base, services.clock()), "_typeFilter")
        if kind not in kinds:
            raise refused("value", "a filter is about a type that is not exported", "_typeFilter")


def import_lines(services: WebServices, client: Client, request: FhirRequest) -> Outcome:
    """POST [base]/$import: lines in the body, or a Parameters resource that says where they are."""
    _insist_on_async(request)
    url = f"{services.fhir_base}/$import"
    if request.media_type in (NDJSON, "application/ndjson", "application/x-ndjson"):
        if not request.body.strip():
            raise Invalid("the body holds no line")
        return _begun(services, client, "import", AskedImport(url), request.body)
    return _begun(services, client, "import", AskedImport(url, _inputs(services, parsed(request))))


def _inputs(services: WebServices, sent: Resource) -> tuple[tuple[str, str], ...]:
    """`input` parts with type and url, of hosts that the operator allows."""
    told = [one for one in sent.get("parameter", []) if isinstance(one, dict) and one.get("name") == "input"]
    if sent.get("resourceType") != "Parameters" or not 0 < len(told) <= _MAX_INPUTS:
        text = f"$import takes {NDJSON}, or a Parameters resource with 1 to {_MAX_INPUTS} inputs"
        raise refused("invalid", text, "Parameters.parameter")
    found = []
    for one in told:
        parts = {part.get("name"): part for part in one.get("part", []) if isinstance(part, dict)}
        kind = next((value for key, value in parts.get("type", {}).items() if key.startswith("value")), "")
        url = next((value for key, value in parts.get("url", {}).items() if key.startswith("value")), "")
        if not isinstance(kind, str) or not isinstance(url, str) or not url:
            raise refused("required", "an input has a url, and may have a type", "Parameters.parameter.part")
        try:
            services.check_source(url)
        except GatewayError as error:
            raise refused("business-rule", str(error), "Parameters.parameter.part") from None
        found.append((kind, url))
    return tuple(found)


def _begun(
    services: WebServices, client: Client, kind: BulkKind, asked: AskedExport | AskedImport, body: bytes = b""
) -> Outcome:
    """202 with the address of the status, once the job is durable."""
    files, job_id, now = _files(services), new_id(), services.clock()
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
    )
    upload = input_file(files, job_id, 0, body) if body else None

    def write(unit: UnitOfWork) -> bool:
        if unit.bulk_jobs.count_open(client.name) >= _MAX_OPEN:
            return False
        unit.bulk_jobs.add(job)
        if upload is not None:
            unit.bulk_jobs.add_file(upload)
        types_of = ",".join(asked.types) if isinstance(asked, AskedExport) else ""
        unit.audit.record("bulk:begin", job_id, actor_of(client), kind=kind, types=types_of)
        return True

    def then(begun: bool) -> Answer:
        if not begun:
            if upload is not None:
                files.delete(upload)
            raise Refusal(429, "throttled", f"a client has at most {_MAX_OPEN} jobs at a time")
        return Answer(202, None, {"Content-Location": _status_url(services, job_id)})

    return Pending(write, then)


def job_status(services: WebServices, client: Client, request: FhirRequest) -> Answer:
    """202 while it runs, 200 with the manifest when it is done, the reason where it has failed."""
    with services.database.read() as unit:
        job = _own(unit, client, request.id)
        files = unit.bulk_jobs.files(job.id)
    if job.state == "accepted":
        done = "resources" if job.kind == "export" else "lines"
        return Answer(202, None, {"X-Progress": f"{job.step} {done}", "Retry-After": _RETRY})
    if job.state == "failed":
        return Answer(500, issue("exception", f"the job has failed: {job.error or 'unknown'}"))
    return Answer(
        200, _manifest(services, job, files), {"Expires": _http_date(job), "Content-Type": "application/json"}
    )


def _manifest(services: WebServices, job: BulkJob, files: list[BulkFile]) -> Resource:
    house = _files(services).vault.house()
    url = (asked_export(house, job) if job.kind == "export" else asked_import(house, job)).url
    base = _status_url(services, job.id)

    def listed(role: str) -> list[Resource]:
        found = [one for one in files if one.role == role]
        return [
            element(type=one.type, url=f"{base}/{one.blob_key}", count=one.count, inputUrl=one.source) for one in found
        ]

    return {
        "transactionTime": instant(job.created_at),
        "request": url,
        "requiresAccessToken": True,
        "output": listed("output"),
        "error": listed("error"),
    }


def job_cancel(services: WebServices, client: Client, request: FhirRequest) -> Outcome:
    """202: nothing of it is done any more, and its files go."""

    def write(unit: UnitOfWork) -> bool:
        job = _own(unit, client, request.id)
        unit.audit.record("bulk:cancel", job.id, actor_of(client), kind=job.kind, step=job.step)
        return unit.bulk_jobs.end(job.id, "cancelled")

    return Pending(write, lambda _: Answer(202, issue("informational", "cancelled", severity="information")))


def job_file(services: WebServices, client: Client, request: FhirRequest) -> Outcome:
    """One file of a job that is done, in clear for this answer alone; who fetched it is in the trail first."""
    with services.database.read() as unit:
        job = _own(unit, client, request.id)
        found = [one for one in unit.bulk_jobs.files(job.id) if one.blob_key == request.version and one.role != "input"]
    if job.state != "done" or not found:
        raise Missing("no such file")
    (file,) = found
    if file.role == "output" and not permits(client.scopes, file.type, "r"):
        raise Forbidden(f"this needs the scope system/{file.type}.r")
    body = _files(services).open(file)

    def write(unit: UnitOfWork) -> None:
        unit.audit.record("bulk:fetch", job.id, actor_of(client), type=file.type, count=file.count)

    return Pending(write, lambda _: Answer(200, None, {"Content-Type": NDJSON}, body))


def _own(unit: UnitOfWork, client: Client, job_id: str) -> BulkJob:
    job = unit.bulk_jobs.get(job_id)
    if job is None or job.client != client.name or job.state in ("cancelled", "expired"):
        raise Missing("no such job")
    return job


def _files(services: WebServices) -> BulkFiles:
    return BulkFiles(services.record.opened.vault, services.reports.blobs)


def _insist_on_async(request: FhirRequest) -> None:
    if "respond-async" not in request.headers.get("prefer", "").lower():
        raise Refusal(400, "invalid", "this is done asynchronously: send Prefer: respond-async")


def _status_url(services: WebServices, job_id: str) -> str:
    return f"{services.fhir_base}/$job/{job_id}"


def _http_date(job: BulkJob) -> str:
    return format_datetime(job.expires_at, usegmt=True)

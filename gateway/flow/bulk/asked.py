"""What a bulk job was asked to do, as it lies sealed in its row: filters may name patients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar

import msgspec

from gateway.domain.bulk import BulkJob, BulkKind
from gateway.domain.errors import Fault, Invalid
from gateway.privacy.resource_bodies import open_body, seal_body
from gateway.privacy.vault import PatientRecord

_TABLE = "BulkJob"
T = TypeVar("T")


class AskedExport(msgspec.Struct, frozen=True):
    """`url` is the request as the manifest repeats it; `since` is an instant.

    `dropped` are parameters that a lenient client named and that are not served. `patients` are ids of Patients whose
    records alone are wanted, none for all.

    `scopes`, `person`, `address` and `number` are the caller's, as in every job; no `scopes` stand in jobs of the
    release before.
    """

    url: str
    level: Literal["system", "patient", "group"]
    types: tuple[str, ...]
    group: str = ""
    since: str = ""
    filters: tuple[str, ...] = ()
    elements: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    patients: tuple[str, ...] = ()
    scopes: tuple[str, ...] | None = None
    person: str = ""
    address: str = ""
    number: str = ""


class AskedRequest(msgspec.Struct, frozen=True):
    """A request as it came in, but for its body."""

    url: str
    shape: str
    method: str
    kind: str
    fields: tuple[tuple[str, str], ...]
    lenient: bool
    headers: dict[str, str]
    scopes: tuple[str, ...] | None = None
    person: str = ""
    address: str = ""
    number: str = ""
    compartment: str = ""


class AskedImport(msgspec.Struct, frozen=True):
    """`inputs` are type and address; none where the lines came with the request."""

    url: str
    inputs: tuple[tuple[str, str], ...] = ()
    scopes: tuple[str, ...] | None = None
    person: str = ""
    address: str = ""
    number: str = ""


AskedJob = AskedExport | AskedImport | AskedRequest


def sealed(house: PatientRecord, job_id: str, asked: AskedJob) -> bytes:
    """For the job's row."""
    return seal_body(house, _TABLE, job_id, 1, msgspec.json.encode(asked))


def asked_export(house: PatientRecord, job: BulkJob) -> AskedExport:
    return _asked(house, job, "export", AskedExport)


def asked_import(house: PatientRecord, job: BulkJob) -> AskedImport:
    return _asked(house, job, "import", AskedImport)


def asked_request(house: PatientRecord, job: BulkJob) -> AskedRequest:
    return _asked(house, job, "request", AskedRequest)


def asked_of(house: PatientRecord, job: BulkJob) -> AskedJob:
    """Of whatever kind."""
    readers: dict[BulkKind, Callable[[PatientRecord, BulkJob], AskedJob]]
    readers = {"export": asked_export, "import": asked_import, "request": asked_request}
    return readers[job.kind](house, job)


_FORMS: dict[type, msgspec.json.Decoder[Any]] = {
    form: msgspec.json.Decoder(form) for form in (AskedExport, AskedRequest, AskedImport)
}  # built once, and not by two threads together


def _asked(house: PatientRecord, job: BulkJob, kind: BulkKind, form: type[T]) -> T:
    if job.kind != kind:
        raise Fault(f"this job is no {kind}")
    body = open_body(house, _TABLE, job.id, 1, job.sealed)
    try:
        told: T = _FORMS[form].decode(body)
    except msgspec.MsgspecError:
        raise Invalid("what this job was asked is in no form that is known here") from None
    return told

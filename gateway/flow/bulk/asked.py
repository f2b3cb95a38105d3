"""What a bulk job was asked to do, as it lies sealed in its row: filters may name patients."""

from __future__ import annotations

from typing import Literal

import msgspec

from gateway.domain.bulk import BulkJob
from gateway.domain.errors import Fault
from gateway.privacy.resource_bodies import open_body, seal_body
from gateway.privacy.vault import PatientRecord

_TABLE = "BulkJob"


class AskedExport(msgspec.Struct, frozen=True):
    """`url` is the request as the manifest repeats it; `since` is an instant."""

    url: str
    level: Literal["system", "patient", "group"]
    types: tuple[str, ...]
    group: str = ""
    since: str = ""
    filters: tuple[str, ...] = ()


class AskedImport(msgspec.Struct, frozen=True):
    """`inputs` are type and address; none where the lines came with the request."""

    url: str
    inputs: tuple[tuple[str, str], ...] = ()


def sealed(house: PatientRecord, job_id: str, asked: AskedExport | AskedImport) -> bytes:
    """For the job's row."""
    return seal_body(house, _TABLE, job_id, 1, msgspec.json.encode(asked))


def asked_export(house: PatientRecord, job: BulkJob) -> AskedExport:
    if job.kind != "export":
        raise Fault("an import is no export")
    return msgspec.json.decode(open_body(house, _TABLE, job.id, 1, job.sealed), type=AskedExport)


def asked_import(house: PatientRecord, job: BulkJob) -> AskedImport:
    if job.kind != "import":
        raise Fault("an export is no import")
    return msgspec.json.decode(open_body(house, _TABLE, job.id, 1, job.sealed), type=AskedImport)

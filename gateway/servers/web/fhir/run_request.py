"""run request: carries out one request that is answered later, as its sender (R4 3.1.0.7).

What an entry writes and what is said of it are one transaction, so that a run that was cut off goes on behind the
last entry that it has written, and nothing is written twice. The sender keeps of its scopes what it still has.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import msgspec

from gateway.domain.access import Caller
from gateway.domain.bulk import BulkFile, BulkJob
from gateway.domain.errors import Category, Forbidden, GatewayError
from gateway.flow.bulk.asked import AskedRequest, asked_request
from gateway.flow.bulk.files import BulkFiles
from gateway.flow.bulk.lease import JobEnded, lease_end, renew
from gateway.flow.scopes import ROLE_SCOPES, shared
from gateway.formats.fhir.element import encode
from gateway.ports import UnitOfWork
from gateway.privacy.resource_bodies import open_body, seal_body
from gateway.servers.web.fhir.bundle import Course, Said, bundle
from gateway.servers.web.fhir.exchange import Answer, FhirRequest, refused
from gateway.servers.web.fhir.interactions import find
from gateway.servers.web.fhir.note_interaction import refusals_noted
from gateway.servers.web.fhir.pending import settled
from gateway.servers.web.services import WebServices

_TABLE: Final = "BulkAnswer"
_RENEW_SECONDS: Final = 10.0
_MOST_ANSWER: Final = 64 << 20
"""Bytes of the entries of an answer; it is sealed, and given out, as one."""
_AGAIN: Final = frozenset({Category.UNAVAILABLE, Category.BUSY, Category.FAULT})


@dataclass(frozen=True)
class RunRequest:
    """Carries out one claimed job."""

    services: WebServices
    files: BulkFiles

    def __call__(self, job: BulkJob, now: datetime) -> int:
        """How many entries the answer has; JobEnded where the job was cancelled meanwhile."""
        asked = asked_request(self.files.vault.house(), job)
        caller, body, known = self._found(job, asked)
        try:
            answer = self._answer(job, asked, caller, body, known)
        except GatewayError as error:
            if error.category in _AGAIN:
                raise
            answer = refused(error)
        return self._filed(job, caller, answer)

    def _found(self, job: BulkJob, asked: AskedRequest) -> tuple[Caller, bytes, Mapping[int, bytes]]:
        """Who asks, as far as he still may; the body; what became of entries in a run that was cut off."""
        with self.services.database.read() as unit:
            client = unit.access.client("fhir", job.client)
            person = unit.access.person(asked.person) if asked.person else None
            files, known = unit.bulk_jobs.files(job.id), unit.bulk_jobs.answers(job.id)
        for file in files:
            if file.role != "input":
                self._drop(job, file)
        if client is None or not client.active or (asked.person and (person is None or not person.active)):
            raise Forbidden("who asked is not known any more")
        scopes = shared(client.scopes, asked.scopes, "system" if person is None else "user")
        if person is not None:
            scopes = shared(ROLE_SCOPES[person.role], scopes, "user")
        caller = Caller.of(replace(client, scopes=scopes), asked.address, asked.number, person)
        return caller, b"".join(self.files.open(file) for file in files if file.role == "input"), known

    def _answer(
        self, job: BulkJob, asked: AskedRequest, caller: Caller, body: bytes, known: Mapping[int, bytes]
    ) -> Answer:
        interaction = find(asked.shape, asked.method)
        request = FhirRequest(
            interaction=interaction.name,
            kind=asked.kind,
            id="",
            version="",
            fields=asked.fields,
            lenient=asked.lenient,
            by_post=asked.method == "POST",
            headers=asked.headers,
            body=body,
        )
        if asked.shape == "[base]":
            course = self._course(job, known)
            with refusals_noted(self.services, caller, "operation", "Bundle", ""):
                return settled(self.services, bundle(self.services, caller, request, find, course))
        return settled(self.services, interaction.perform(self.services, caller, request))

    def _course(self, job: BulkJob, known: Mapping[int, bytes]) -> Course:
        """Where what is said of entries is kept, each sealed under the key of the house."""
        house = self.files.vault.house()
        done, renewed, room = set(known), time.monotonic(), _MOST_ANSWER

        def keep(unit: UnitOfWork, said: Mapping[int, Said]) -> None:
            done.update(said)
            if not unit.bulk_jobs.progress(job, {"step": len(done), "lease_until": lease_end()}):
                raise JobEnded
            sealed = {place: seal_body(house, _TABLE, job.id, place, encode_said(one)) for place, one in said.items()}
            unit.bulk_jobs.add_answers(job.id, sealed)

        def go_on() -> None:
            nonlocal renewed
            if time.monotonic() - renewed > _RENEW_SECONDS:
                renewed = time.monotonic()
                renew(self.services.database, job)

        def fits(size: int) -> bool:
            nonlocal room
            if size > room:
                return False
            room -= size
            return True

        opened = {place: msgspec.Raw(open_body(house, _TABLE, job.id, place, one)) for place, one in known.items()}
        return Course(opened, keep, go_on, fits)

    def _filed(self, job: BulkJob, caller: Caller, answer: Answer) -> int:
        """One line: the Bundle that the sender would have had at once, or why there is none."""
        line = encode(answer.resource) if answer.resource is not None else answer.body
        is_refused = answer.status >= 400
        count = 0 if is_refused or not isinstance(answer.resource, dict) else len(answer.resource.get("entry", ()))
        kind = "OperationOutcome" if is_refused else "Bundle"
        file = BulkFile(self.files.store(line + b"\n"), job.id, 0, "error" if is_refused else "output", kind, 1, None)
        with self.services.database.begin(caller.actor) as unit:
            if not unit.bulk_jobs.progress(job, {"step": count}):
                self.files.delete(file)
                raise JobEnded
            unit.bulk_jobs.add_file(file)
            unit.audit.record("bulk:file", job.id, caller.actor, type=kind, count=1)
            unit.commit()
        return count

    def _drop(self, job: BulkJob, file: BulkFile) -> None:
        """JobEnded where the job is held no more: the file may be another's by now."""
        with self.services.database.begin("bulk") as unit:
            if not unit.bulk_jobs.progress(job, {"lease_until": lease_end()}):
                raise JobEnded
            unit.bulk_jobs.drop_file(file)
            unit.commit()
        self.files.delete(file)


def encode_said(said: Said) -> bytes:
    return bytes(said) if isinstance(said, msgspec.Raw) else encode(said)

"""run request: carries out one request that is answered later, as its sender (R4 3.1.0.7).

What an entry writes and what is said of it are one transaction, so that a run that was cut off goes on behind the
last entry that it has written, and nothing is written twice. The sender keeps of its scopes what it still has, and
is looked up before each entry and again in the transaction that writes it. A search is carried out in run_search.py.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from gateway.domain.access import Caller
from gateway.domain.bulk import BulkFile, BulkJob
from gateway.domain.errors import Busy, Category, GatewayError
from gateway.flow.bulk.asked import AskedRequest, asked_request
from gateway.flow.bulk.files import BulkFiles
from gateway.flow.bulk.lease import RENEW_SECONDS, GrantEnded, JobEnded, hold, lease_end, renew
from gateway.flow.bulk.run_jobs import ATTEMPTS
from gateway.flow.bulk.sender import sender
from gateway.flow.scopes import covers
from gateway.formats.fhir.element import encode
from gateway.ports import UnitOfWork
from gateway.privacy.resource_bodies import open_body, seal_body
from gateway.servers.web.fhir.bundle import Course, Said, bundle, so_far
from gateway.servers.web.fhir.exchange import Answer, FhirRequest, refused
from gateway.servers.web.fhir.interactions import find
from gateway.servers.web.fhir.note_interaction import refusals_noted
from gateway.servers.web.fhir.pending import settled
from gateway.servers.web.fhir.run_search import RunSearch
from gateway.servers.web.services import WebServices

_TABLE: Final = "BulkAnswer"
_BUNDLE: Final = "[base]"
_MOST_ANSWER: Final = 64 << 20
"""Bytes of the entries of an answer; it is sealed, and given out, as one."""
_AGAIN: Final = frozenset({Category.UNAVAILABLE, Category.BUSY, Category.FAULT})


@dataclass(frozen=True)
class RunRequest:
    """Carries out one claimed job."""

    services: WebServices
    files: BulkFiles

    def __call__(self, job: BulkJob, now: datetime) -> int:
        """How many entries or matches the answer has; JobEnded where the job was cancelled meanwhile."""
        asked = asked_request(self.files.vault.house(), job)
        with self.services.database.read() as unit:
            caller = sender(unit, job, asked)
        try:
            if asked.shape != _BUNDLE:
                return RunSearch(self.services, self.files, find(asked.shape, asked.method))(job, asked)
            self._forget_earlier(job)
            answer = self._answer(job, asked, caller)
        except GatewayError as error:
            if isinstance(error, GrantEnded) or error.category in _AGAIN:
                raise
            self._forget_earlier(job)
            answer = refused(error)
        return self._filed(job, asked, answer)

    def cut_short(self, job: BulkJob, error: GatewayError) -> bool:
        """Files the answer of a Bundle that goes no further, where something of it is stored; else False."""
        asked = asked_request(self.files.vault.house(), job)
        self._forget_earlier(job)
        known = self._known(job) if asked.shape == _BUNDLE else {}
        if not known:
            return False
        answer = so_far(self.services, _request(asked, self._body(job)), known, error)
        file = self._bundle_file(job, answer)
        with self.services.database.begin("bulk") as unit:
            if not unit.bulk_jobs.progress(job, {"lease_until": lease_end()}):
                self.files.delete(file)
                raise JobEnded
            unit.bulk_jobs.add_file(file)
            unit.audit.record("bulk:file", job.id, f"client:{job.client}", type="Bundle", count=1)
            unit.commit()
        return True

    def _answer(self, job: BulkJob, asked: AskedRequest, caller: Caller) -> Answer:
        course, request = self._course(job, asked, caller), _request(asked, self._body(job))
        with refusals_noted(self.services, caller, "operation", "Bundle", ""):
            return settled(self.services, bundle(self.services, caller, request, find, course))

    def _course(self, job: BulkJob, asked: AskedRequest, caller: Caller) -> Course:
        """Where what is said of entries is kept, each sealed under the key of the house."""
        house, known = self.files.vault.house(), self._known(job)
        done, renewed, room = set(known), time.monotonic(), _MOST_ANSWER

        def keep(unit: UnitOfWork, said: Mapping[int, Said]) -> None:
            done.update(said)
            hold(unit, job, {"step": len(done)})
            if not covers(sender(unit, job, asked).scopes, caller.scopes):
                raise Busy("what the sender may do was changed at this moment")
            sealed = {place: seal_body(house, _TABLE, job.id, place, encode_said(one)) for place, one in said.items()}
            unit.bulk_jobs.add_answers(job.id, sealed)

        def go_on() -> Caller:
            nonlocal renewed, caller
            if time.monotonic() - renewed > RENEW_SECONDS:
                renewed = time.monotonic()
                renew(self.services.database, job)
            with self.services.database.read() as unit:
                caller = sender(unit, job, asked)
            return caller

        def fits(size: int) -> bool:
            nonlocal room
            if size > room:
                return False
            room -= size
            return True

        return Course(known, keep, lambda: self._known(job), go_on, fits, job.failures + 1 >= ATTEMPTS)

    def _known(self, job: BulkJob) -> dict[int, Said]:
        """What became of entries that are written, in this run or one that was cut off."""
        house = self.files.vault.house()
        with self.services.database.read() as unit:
            known = unit.bulk_jobs.answers(job.id)
        return {place: msgspec.Raw(open_body(house, _TABLE, job.id, place, one)) for place, one in known.items()}

    def _body(self, job: BulkJob) -> bytes:
        with self.services.database.read() as unit:
            files = unit.bulk_jobs.files(job.id)
        return b"".join(self.files.open(file) for file in files if file.role == "input")

    def _filed(self, job: BulkJob, asked: AskedRequest, answer: Answer) -> int:
        """One line: the Bundle that the sender would have had at once, or why there is none."""
        file, count = self._bundle_file(job, answer), 0
        if file.role == "output" and isinstance(answer.resource, dict):
            count = len(answer.resource.get("entry", ()))
        try:
            with self.services.database.begin("bulk") as unit:
                hold(unit, job, {"step": count})
                actor = sender(unit, job, asked).actor
                unit.bulk_jobs.add_file(file)
                unit.audit.record("bulk:file", job.id, actor, type=file.type, count=1)
                unit.commit()
        except (JobEnded, GrantEnded):
            self.files.delete(file)
            raise
        return count

    def _bundle_file(self, job: BulkJob, answer: Answer) -> BulkFile:
        line = encode(answer.resource) if answer.resource is not None else answer.body
        is_refused = answer.status >= 400
        kind = "OperationOutcome" if is_refused else "Bundle"
        return BulkFile(self.files.store(line + b"\n"), job.id, 0, "error" if is_refused else "output", kind, 1, None)

    def _forget_earlier(self, job: BulkJob) -> None:
        """The files of a run that was cut off, or of one that may not go on."""
        with self.services.database.read() as unit:
            files = unit.bulk_jobs.files(job.id)
        for file in files:
            if file.role != "input":
                self._drop(job, file)

    def _drop(self, job: BulkJob, file: BulkFile) -> None:
        """JobEnded where the job is held no more: the file may be another's by now."""
        with self.services.database.begin("bulk") as unit:
            if not unit.bulk_jobs.progress(job, {"lease_until": lease_end()}):
                raise JobEnded
            unit.bulk_jobs.drop_file(file)
            unit.commit()
        self.files.delete(file)


def _request(asked: AskedRequest, body: bytes = b"") -> FhirRequest:
    return FhirRequest(
        interaction=find(asked.shape, asked.method).name,
        kind=asked.kind,
        id="",
        version="",
        fields=asked.fields,
        lenient=asked.lenient,
        by_post=asked.method == "POST",
        headers=asked.headers,
        body=body,
    )


def encode_said(said: Said) -> bytes:
    return bytes(said) if isinstance(said, msgspec.Raw) else encode(said)

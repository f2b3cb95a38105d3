"""import: NDJSON lines into the store, a hundred in one transaction; what is refused is told of, line by line.

How far a job has come is committed with the lines themselves, so that one that was cut off goes on where it stopped
and stores no line twice. At the end a Parameters resource for each input says how many lines are stored and refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from gateway.domain.access import Caller, Client
from gateway.domain.bulk import BulkFile, BulkJob
from gateway.domain.errors import Busy, Category, Forbidden, GatewayError
from gateway.flow.bulk.asked import AskedImport, asked_import
from gateway.flow.bulk.files import BulkFiles
from gateway.flow.bulk.lease import GrantEnded, filing, hold
from gateway.flow.bulk.sender import sender
from gateway.flow.record.asked import Asked, Plan
from gateway.flow.record.store import Record
from gateway.flow.record.write import Overtaken
from gateway.flow.scopes import covers, permits
from gateway.formats.fhir.element import Resource, element, encode
from gateway.formats.fhir.outcome import OUTCOMES
from gateway.formats.fhir.wire.check import checked
from gateway.formats.fhir.wire.issue import InvalidResource
from gateway.formats.fhir.wire.json_form import parse_json
from gateway.formats.fhir.wire.supported import SUPPORTED
from gateway.ports import BulkSource, Database

LINES_AT_ONCE: Final = 100
MOST_LINE_BYTES: Final = 8 << 20
_NOT_IMPORTED: Final = frozenset(
    {"AuditEvent", "Subscription", "Bundle", "Parameters", "OperationOutcome", "CapabilityStatement", "MessageHeader"}
)
_AGAIN: Final = frozenset({Category.UNAVAILABLE, Category.BUSY, Category.FAULT})
_ISSUES: Final = 20
_TRIES: Final = 8


@dataclass(frozen=True)
class _Line:
    number: int
    raw: bytes


@dataclass(frozen=True)
class _Work:
    """What lines are imported for: job, what was asked, who asks as far as he still may, the input they stand in."""

    job: BulkJob
    asked: AskedImport
    caller: Caller
    file: BulkFile


@dataclass(frozen=True)
class RunImport:
    """Carries out one claimed job."""

    database: Database
    record: Record
    files: BulkFiles
    source: BulkSource

    def __call__(self, job: BulkJob, now: datetime) -> int:
        """How many lines were looked at, of all inputs together."""
        asked = asked_import(self.files.vault.house(), job)
        with self.database.read() as unit:
            sender(unit, job, asked)
            known = [file for file in unit.bulk_jobs.files(job.id) if file.role == "input"]
        inputs = self._fetched(job, asked, known)
        passed, counted = 0, []
        for file in inputs:
            lines = [
                _Line(passed + place, raw)
                for place, raw in enumerate(self.files.open(file).split(b"\n"))
                if raw.strip()
            ]
            counted.append((file, passed, len(lines)))
            passed += file.count
            todo = [line for line in lines if line.number >= job.step]
            for start in range(0, len(todo), LINES_AT_ONCE):
                with self.database.read() as unit:
                    caller = sender(unit, job, asked)
                self._batch(_Work(job, asked, caller, file), todo[start : start + LINES_AT_ONCE])
        self._report(job, asked, counted)
        return passed

    def _report(self, job: BulkJob, asked: AskedImport, counted: Sequence[tuple[BulkFile, int, int]]) -> None:
        """One line for each input: how many of its lines are stored and how many were refused."""
        with self.database.read() as unit:
            known = unit.bulk_jobs.files(job.id)
        if any(file.role == "output" for file in known):
            return
        errors = [file for file in known if file.role == "error"]
        said = []
        for file, first, lines in counted:
            refused = sum(one.count for one in errors if first <= one.part < first + file.count)
            said.append(_counts(file.source, lines - refused, refused))
        key = self.files.store(b"".join(encode(one) + b"\n" for one in said))
        told = BulkFile(key, job.id, 0, "output", "Parameters", len(said), None)
        with filing(self.database, self.files, job, told):
            pass

    def _fetched(self, job: BulkJob, asked: AskedImport, known: Sequence[BulkFile]) -> list[BulkFile]:
        """The inputs in order; those named by address are brought in first and stay sealed from then on."""
        have = list(known)
        for part, (kind, url) in enumerate(asked.inputs):
            if any(file.part == part for file in have):
                continue
            with self.database.read() as unit:
                sender(unit, job, asked)
            content = self.source.fetch(url)
            file = input_file(self.files, job.id, part, content, kind=kind, source=url)
            with filing(self.database, self.files, job, file):
                pass
            have.append(file)
        return sorted(have, key=lambda file: file.part)

    def _batch(self, work: _Work, lines: Sequence[_Line]) -> None:
        """All lines in one transaction, or the two halves, down to the line that is wrong."""
        asked: list[Asked] = []
        failed: dict[int, Resource] = {}
        for line in lines:
            try:
                asked.append(_asked(work.caller, work.file, line))
            except GatewayError as error:
                failed[line.number] = _outcome(error, line)
        try:
            self._commit(work, lines, asked, failed)
        except GatewayError as error:
            if isinstance(error, GrantEnded) or error.category in _AGAIN:
                raise
            if len(lines) == 1:
                self._commit(work, lines, [], {lines[0].number: _outcome(error, lines[0])})
                return
            half = len(lines) // 2
            self._batch(work, lines[:half])
            self._batch(work, lines[half:])

    def _commit(self, work: _Work, lines: Sequence[_Line], asked: Sequence[Asked], failed: dict[int, Resource]) -> None:
        """Busy, and the job is tried again, where other writers were first too often."""
        told = self._refusals(work, lines, failed)
        for _ in range(_TRIES):
            with self.database.read() as unit:  # planned outside: the first sight of a patient writes by itself
                plan = self.record.plan(unit, asked)
            if self._written(work, lines, plan, told):
                return
        raise Busy("other writers were first")

    def _written(self, work: _Work, lines: Sequence[_Line], plan: Plan, told: BulkFile | None) -> bool:
        """Lines, how far the job has come and what was refused, in one transaction; False where it was overtaken."""
        actor = work.caller.actor
        try:
            with self.database.begin(actor) as unit:
                hold(unit, work.job, {"step": lines[-1].number + 1})
                if not covers(sender(unit, work.job, work.asked).scopes, work.caller.scopes):
                    raise Busy("what the sender may do was changed at this moment")
                if self.record.write(unit, plan, actor) is None:
                    return False
                if told is not None:
                    unit.bulk_jobs.add_file(told)
                refused = 0 if told is None else told.count
                unit.audit.record("bulk:file", work.job.id, actor, stored=len(plan.steps), refused=refused)
                unit.commit()
        except Overtaken:
            return False
        return True

    def _refusals(self, work: _Work, lines: Sequence[_Line], failed: dict[int, Resource]) -> BulkFile | None:
        """An error file; one whose transaction fails is an orphan that the daily sweep deletes."""
        if not failed:
            return None
        key = self.files.store(b"".join(encode(one) + b"\n" for one in failed.values()))
        return BulkFile(key, work.job.id, lines[0].number, "error", "OperationOutcome", len(failed), work.file.source)


def input_file(
    files: BulkFiles, job_id: str, part: int, content: bytes, *, kind: str = "", source: str | None = None
) -> BulkFile:
    """Sealed and stored; `count` is lines, empty ones included, so that numbers go on from file to file."""
    return BulkFile(files.store(content), job_id, part, "input", kind, content.count(b"\n") + 1, source)


def _counts(url: str | None, stored: int, refused: int) -> Resource:
    parameters: list[Resource] = [{"name": "inputUrl", "valueUrl": url}] if url else []
    parameters += [{"name": "stored", "valueInteger": stored}, {"name": "refused", "valueInteger": refused}]
    return {"resourceType": "Parameters", "parameter": parameters}


def _asked(client: Client, file: BulkFile, line: _Line) -> Asked:
    """An update of what has an id, else a create; InvalidResource or Forbidden."""
    resource = parse_json(line.raw, MOST_LINE_BYTES)
    kind = resource.get("resourceType")
    if kind not in SUPPORTED or kind in _NOT_IMPORTED or (file.type and kind != file.type):
        raise Forbidden("a resource of this type is not imported from this input")
    checked(resource, bounded=True)
    has_id = isinstance(resource.get("id"), str)
    needed: tuple[str, ...] = ("c", "u") if has_id else ("c",)
    for letter in needed:
        if not permits(client.scopes, kind, "u" if letter == "u" else "c"):
            raise Forbidden(f"this needs the scope system/{kind}.{letter}")
    return Asked("PUT" if has_id else "POST", kind, resource["id"] if has_id else "", resource=resource)


def _outcome(error: GatewayError, line: _Line) -> Resource:
    """Line numbers begin with 1, over all inputs together."""
    where = f"line {line.number + 1}"
    if isinstance(error, InvalidResource):
        said = [
            element(
                severity=one.severity,
                code=one.code,
                diagnostics=f"{where}: {one.text}",
                expression=[one.expression] if one.expression else None,
            )
            for one in error.issues[:_ISSUES]
        ]
    else:
        said = [element(severity="error", code=OUTCOMES[error.category][1], diagnostics=f"{where}: {error}")]
    return {"resourceType": "OperationOutcome", "issue": said}

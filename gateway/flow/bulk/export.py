"""export: the resources that a job asks for, page by page into sealed NDJSON files (FHIR Bulk Data Access 2.0).

What the client may read when the export runs bounds what it gets. Every page that is opened is in the audit trail
before it is in a file. A job that was cut off begins anew: its earlier files go first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from gateway.domain.access import Caller
from gateway.domain.bulk import BulkFile, BulkJob
from gateway.domain.criterion import Criterion, Place
from gateway.domain.errors import Deleted, Invalid, Missing
from gateway.domain.resource import StoredVersion, resource_key
from gateway.flow.bulk.asked import AskedExport, asked_export
from gateway.flow.bulk.deletions import TYPE, deletions
from gateway.flow.bulk.files import MOST_BYTES, MOST_LINES, BulkFiles
from gateway.flow.bulk.lease import GrantEnded, filing, hold
from gateway.flow.bulk.sender import sender
from gateway.flow.record.at_once import FIRST, MOST_OPENED, MOST_SEALED, at_once
from gateway.flow.record.references import local_name
from gateway.flow.record.store import Record
from gateway.flow.scopes import permits
from gateway.formats.fhir.element import encode
from gateway.formats.fhir.outcome import issue
from gateway.formats.fhir.search.confirms import confirms
from gateway.formats.fhir.search.read_wanted import Reading
from gateway.formats.fhir.search.subset import subset
from gateway.formats.fhir.subscription.wish import read_search
from gateway.formats.fhir.wire.json_form import parse_json
from gateway.ports import Database, UnitOfWork

_PAGE: Final = 200
MAX_MEMBERS: Final = 10_000
_NO_MEMBERS: Final = "patients who are no members of the Group"


@dataclass(frozen=True)
class RunExport:
    """Carries out one claimed job; `base` is this server's own FHIR address."""

    database: Database
    record: Record
    files: BulkFiles
    base: str

    def __call__(self, job: BulkJob, now: datetime) -> int:
        """How many resources were exported; JobEnded where the job was cancelled meanwhile."""
        self.forget_earlier(job)
        asked = asked_export(self.files.vault.house(), job)
        done = 0
        with self.database.read() as unit:
            sender(unit, job, asked)
            owners, strangers = self._owners(unit, asked)
        self._told_of(job, [f"{name} is not served" for name in asked.dropped] + [_NO_MEMBERS] * strangers)
        for kind in asked.types:
            done = self._of_type(job, asked, kind, owners, done)
        return self._deletions(job, asked, owners, done) if asked.since else done

    def _deletions(self, job: BulkJob, asked: AskedExport, owners: frozenset[str] | None, done: int) -> int:
        """What was deleted since, so that a copy can follow."""
        for part in _parts(self._deleted(job, asked, owners)):
            done = self._filed(job, asked, TYPE, part, done)
        return done

    def _deleted(self, job: BulkJob, asked: AskedExport, owners: frozenset[str] | None) -> Iterator[bytes]:
        since = datetime.fromisoformat(asked.since)

        def is_wanted(one: StoredVersion) -> bool:
            return _is_wanted(one, asked, owners, since, self._house)

        for kind in asked.types:
            with self.database.read() as unit:
                self._reader(unit, job, asked, kind)
            yield from deletions(self.database, kind, since, job.created_at, is_wanted)

    def _told_of(self, job: BulkJob, left_out: Sequence[str]) -> None:
        """What a client must know of its export, under `error` of the manifest."""
        if not left_out:
            return
        said = [issue("not-supported", f"left out: {one}", severity="warning") for one in left_out]
        key = self.files.store(b"".join(encode(one) + b"\n" for one in said))
        file = BulkFile(key, job.id, 0, "error", "OperationOutcome", len(said), None)
        with filing(self.database, self.files, job, file):
            pass

    def _of_type(self, job: BulkJob, asked: AskedExport, kind: str, owners: frozenset[str] | None, done: int) -> int:
        for part in _parts(self._lines(job, asked, kind, owners)):
            done = self._filed(job, asked, kind, part, done)
        return done

    def _lines(self, job: BulkJob, asked: AskedExport, kind: str, owners: frozenset[str] | None) -> Iterator[bytes]:
        wanted = [read_search(one, Reading(self.base, job.created_at), "_typeFilter") for one in asked.filters]
        anyof = [criteria for named, criteria in wanted if named == kind]
        since = datetime.fromisoformat(asked.since) if asked.since else None
        elements = _elements(asked, kind)
        for page in self._pages(job, kind):
            chosen = [one for one in page if _is_wanted(one, asked, owners, since, self._house)]
            for body in self._bodies(job, asked, kind, chosen):
                if anyof and not any(confirms(parse_json(body), criteria, self.base) for criteria in anyof):
                    continue
                yield _part_of(body, elements)

    @property
    def _house(self) -> str:
        return self.files.vault.house().pseudonym

    def _pages(self, job: BulkJob, kind: str) -> Iterator[list[StoredVersion]]:
        """All resources of a type that were there when the job was asked for, few at a time where they are heavy."""
        criteria: Sequence[Criterion] = ()
        after: Place | None = None
        until = resource_key(job.created_at + timedelta(milliseconds=1))
        limit = FIRST
        while True:
            with self.database.read() as unit:
                places = unit.resource_index.page(kind, criteria, (), limit=limit, until=until, after=after)
                found = unit.resources.of_keys([place.key for place in places])
            yield [one for one in found if not one.is_deleted]
            if len(places) < limit:
                return
            after = places[-1]
            limit = at_once(found, _PAGE, MOST_SEALED)

    def _bodies(self, job: BulkJob, asked: AskedExport, kind: str, chosen: Sequence[StoredVersion]) -> Iterator[bytes]:
        """All of them, as many together as memory should hold; the sender is asked for where there is none too."""
        while True:
            bodies = self._opened(job, asked, kind, chosen)
            yield from bodies
            chosen = chosen[len(bodies) :]
            if not chosen:
                return

    def _opened(self, job: BulkJob, asked: AskedExport, kind: str, chosen: Sequence[StoredVersion]) -> list[bytes]:
        """The first of them, until they are heavy. GrantEnded where the sender may not read them any more."""
        bodies: list[bytes] = []
        with self.database.begin(f"client:{job.client}") as unit:
            hold(unit, job)
            caller = self._reader(unit, job, asked, kind)
            weight = 0
            for one in chosen:
                bodies.append(self.record.opened.unseen(unit, one))
                weight += len(bodies[-1])
                if weight > MOST_OPENED:
                    break
            self.record.opened.tell(unit, chosen[: len(bodies)], "read", caller.actor)
            unit.commit()
        return bodies

    def _reader(self, unit: UnitOfWork, job: BulkJob, asked: AskedExport, kind: str) -> Caller:
        caller = sender(unit, job, asked)
        if not permits(caller.scopes, kind, "r"):
            raise GrantEnded(f"the sender may not read {kind} any more: nothing was exported")
        return caller

    def _filed(self, job: BulkJob, asked: AskedExport, kind: str, lines: Sequence[bytes], done: int) -> int:
        count = len(lines)
        key = self.files.store(b"\n".join(lines) + b"\n")
        file = BulkFile(key, job.id, done, "output", kind, count, None)
        changes = {"step": done + count}
        with filing(self.database, self.files, job, file, actor=f"client:{job.client}", changes=changes) as unit:
            actor = (sender(unit, job, asked) if kind == TYPE else self._reader(unit, job, asked, kind)).actor
            unit.audit.record("bulk:file", job.id, actor, type=kind, count=count)
        return done + count

    def forget_earlier(self, job: BulkJob) -> None:
        """The files of a run that was cut off, or of one that may not go on."""
        with self.database.read() as unit:
            earlier = unit.bulk_jobs.files(job.id)
        for file in earlier:
            self.files.delete(file)
            with self.database.begin("bulk") as unit:
                unit.bulk_jobs.drop_file(file)
                unit.commit()

    def _owners(self, unit: UnitOfWork, asked: AskedExport) -> tuple[frozenset[str] | None, bool]:
        """Whose records it is about, None for all; and whether patients were named who are no members."""
        named = self._of_patients(unit, asked.patients) if asked.patients else None
        if asked.level != "group":
            return named, False
        members = self._members(unit, asked)
        return (members, False) if named is None else (members & named, not named <= members)

    @staticmethod
    def _of_patients(unit: UnitOfWork, ids: Sequence[str]) -> frozenset[str]:
        found = unit.resources.named([("Patient", own_id) for own_id in ids])
        return frozenset(one.owner for one in found.values() if not one.is_deleted)

    def _members(self, unit: UnitOfWork, asked: AskedExport) -> frozenset[str]:
        """Whose records the Group's active members are."""
        stored = unit.resources.find("Group", asked.group)
        if stored is None:
            raise Missing("there is no such Group")
        if stored.is_deleted:
            raise Deleted("the Group is deleted")
        members = parse_json(self.record.opened.unseen(unit, stored)).get("member", [])
        if len(members) > MAX_MEMBERS:
            raise Invalid(f"the Group has more than {MAX_MEMBERS} members")
        said = [one.get("entity", {}).get("reference", "") for one in members if not one.get("inactive")]
        names = [name for one in said if (name := local_name(one, self.base)) is not None and name[0] == "Patient"]
        return frozenset(one.owner for one in unit.resources.named(names).values() if not one.is_deleted)


def _parts(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    """As many as one file holds, none empty."""
    part: list[bytes] = []
    size = 0
    for line in lines:
        part.append(line)
        size += len(line)
        if size >= MOST_BYTES or len(part) >= MOST_LINES:
            yield part
            part, size = [], 0
    if part:
        yield part


def _elements(asked: AskedExport, kind: str) -> tuple[str, ...]:
    """Those of this type: named with it, or with none. Empty where the whole resource is wanted."""
    named = [one.rpartition(".") for one in asked.elements]
    return tuple(element for of, _, element in named if of in ("", kind))


def _part_of(body: bytes, elements: Sequence[str]) -> bytes:
    return encode(subset(parse_json(body), "false", elements)) if elements else body


def _is_wanted(
    stored: StoredVersion,
    asked: AskedExport,
    owners: frozenset[str] | None,
    since: datetime | None,
    house: str,
) -> bool:
    if since is not None and stored.at < since:
        return False
    if owners is not None:
        return stored.owner in owners
    return asked.level != "patient" or stored.owner != house

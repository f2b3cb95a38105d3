"""run search: the whole result of a search that is answered later, page by page into files (R4 3.1.0.7).

Each line of a file is the searchset of one page, as it would have come at once. Where the next page begins is
committed with a file, so that a run that was cut off, or waits for the next hour's quota, goes on behind it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import msgspec

from gateway.domain.access import Caller
from gateway.domain.bulk import BulkFile, BulkJob
from gateway.domain.errors import Category, GatewayError
from gateway.flow.bulk.asked import AskedRequest
from gateway.flow.bulk.files import MOST_BYTES, MOST_LINES, BulkFiles
from gateway.flow.bulk.lease import RENEW_SECONDS, GrantEnded, JobEnded, hold, renew
from gateway.flow.bulk.sender import sender
from gateway.formats.fhir.element import Resource, encode
from gateway.formats.fhir.outcome import issue
from gateway.formats.fhir.search.query import MAX_COUNT
from gateway.formats.fhir.wire.issue import refused
from gateway.privacy.resource_bodies import open_body, seal_body
from gateway.servers.web.body import Fields
from gateway.servers.web.fhir.compartment import searched_place
from gateway.servers.web.fhir.exchange import FhirRequest
from gateway.servers.web.fhir.interaction import Interaction
from gateway.servers.web.fhir.page_link import PARAMETER, PageLinks, page_links
from gateway.servers.web.fhir.pending import settled
from gateway.servers.web.services import WebServices

MOST_FOUND: Final = 100_000
"""Matches of one search; what is behind them is said to be missing."""
_MOST_PAGE: Final = 64 << 20
_TABLE: Final = "BulkPlace"
_AGAIN: Final = frozenset({Category.UNAVAILABLE, Category.BUSY, Category.FAULT, Category.CONFLICT})


class Place(msgspec.Struct, frozen=True):
    """How far the files go: which there are, the matches in them, and behind which place the next page begins."""

    files: int
    found: int
    fields: tuple[tuple[str, str], ...] = ()
    after: list[Any] | None = None
    is_last: bool = False


_PLACE = msgspec.json.Decoder(Place)


@dataclass
class _Part:
    """Lines that are not in a file yet, and where the page behind them begins."""

    place: Place
    lines: list[bytes] = field(default_factory=list)
    size: int = 0

    @property
    def is_full(self) -> bool:
        return self.size >= MOST_BYTES or len(self.lines) >= MOST_LINES

    def add(self, line: bytes, place: Place) -> None:
        self.lines.append(line)
        self.size += len(line)
        self.place = place


@dataclass(frozen=True)
class RunSearch:
    """Carries out one claimed job that asks for a search."""

    services: WebServices
    files: BulkFiles
    interaction: Interaction

    def __call__(self, job: BulkJob, asked: AskedRequest) -> int:
        """How many matches there are; what was found before an error that may pass is kept for the next attempt."""
        part, renewed = _Part(self._reached(job)), time.monotonic()
        try:
            while not part.place.is_last:
                if time.monotonic() - renewed > RENEW_SECONDS:  # many pages may come before a file is full
                    renewed = time.monotonic()
                    renew(self.services.database, job)
                self._page(job, asked, part)
                if part.is_full or part.place.is_last:
                    part = _Part(self._filed(job, asked, part))
        except (GrantEnded, JobEnded):
            raise
        except GatewayError as error:
            if part.lines and error.category in _AGAIN:
                self._filed(job, asked, part)
            raise
        return part.place.found

    def _page(self, job: BulkJob, asked: AskedRequest, part: _Part) -> None:
        """The next page, as whoever asks may see it now."""
        with self.services.database.read() as unit:
            caller = sender(unit, job, asked)
        fields = self._fields(caller, asked, part.place)
        request = FhirRequest(
            interaction=self.interaction.name,
            kind=asked.kind,
            id="",
            version="",
            fields=fields,
            lenient=asked.lenient,
            by_post=asked.method == "POST",
            headers=asked.headers,
            compartment=asked.compartment,
        )
        bundle = settled(self.services, self.interaction.perform(self.services, caller, request)).resource or {}
        following = _without_next(bundle)
        line = encode(bundle)
        if len(line) > _MOST_PAGE:
            raise refused("too-costly", "one page of the search is too large; ask for smaller ones by _count", "")
        part.add(line, self._behind(caller, asked, part.place, bundle, following))

    def _fields(self, caller: Caller, asked: AskedRequest, place: Place) -> Fields:
        """What was asked, in large pages unless others were; or where the next page begins.

        The link to it is sealed anew, because links live for an hour and jobs may wait longer.
        """
        if place.after is None:
            sized = any(name == "_count" for name, _ in asked.fields)
            return asked.fields if sized else (*asked.fields, ("_count", str(MAX_COUNT)))
        return ((PARAMETER, self._links(caller, asked).seal(place.fields, place.after)),)

    def _links(self, caller: Caller, asked: AskedRequest) -> PageLinks:
        return page_links(self.services, caller, searched_place(asked.compartment, asked.kind))

    def _behind(
        self, caller: Caller, asked: AskedRequest, was: Place, bundle: Resource, following: str | None
    ) -> Place:
        matches = sum(one.get("search", {}).get("mode") == "match" for one in bundle.get("entry", ()))
        found = was.found + matches
        if following is None:
            return Place(was.files, found, is_last=True)
        fields, after = self._links(caller, asked).open(following)
        return Place(was.files, found, fields, after, is_last=found >= MOST_FOUND)

    def _filed(self, job: BulkJob, asked: AskedRequest, part: _Part) -> Place:
        """The lines, and how far they go, in one transaction with a last look at who asks."""
        place = msgspec.structs.replace(part.place, files=part.place.files + 1)
        made = [self._file(job, place, "output", "Bundle", part.lines)]
        if place.is_last and place.after is not None:
            text = f"there are more than {MOST_FOUND} matches, and the rest is not here; narrow the search"
            made.append(self._file(job, place, "error", "OperationOutcome", [encode(issue("too-costly", text))]))
        sealed = seal_body(self.files.vault.house(), _TABLE, job.id, place.files, msgspec.json.encode(place))
        try:
            with self.services.database.begin("bulk") as unit:
                hold(unit, job, {"step": place.found})
                actor = sender(unit, job, asked).actor
                for file in made:
                    unit.bulk_jobs.add_file(file)
                    unit.audit.record("bulk:file", job.id, actor, type=file.type, count=file.count)
                unit.bulk_jobs.add_answers(job.id, {place.files: sealed})
                unit.commit()
        except (GrantEnded, JobEnded):
            for file in made:
                self.files.delete(file)
            raise
        return place

    def _file(self, job: BulkJob, place: Place, role: Any, kind: str, lines: Sequence[bytes]) -> BulkFile:
        key = self.files.store(b"\n".join(lines) + b"\n")
        return BulkFile(key, job.id, place.files, role, kind, len(lines), None)

    def _reached(self, job: BulkJob) -> Place:
        """Where the run before was cut off; the beginning where there was none."""
        with self.services.database.read() as unit:
            known = unit.bulk_jobs.answers(job.id)
        if not known:
            return Place(0, 0)
        number = max(known)
        opened = open_body(self.files.vault.house(), _TABLE, job.id, number, known[number])
        return _PLACE.decode(opened)


def _without_next(bundle: Resource) -> str | None:
    """Takes the link to the next page out, which is in the files itself; what it stands for."""
    links = bundle.get("link", [])
    bundle["link"] = [one for one in links if one["relation"] != "next"]
    found = [one["url"] for one in links if one["relation"] == "next"]
    return parse_qs(urlsplit(found[0]).query)[PARAMETER][0] if found else None

"""search-type: GET [base]/[type]?... and POST [base]/[type]/_search (R4 3.1.0.9, 3.1.1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import urlencode

from gateway.domain.access import Client
from gateway.domain.errors import Invalid
from gateway.domain.ids import ReportId
from gateway.flow.scopes import permits
from gateway.formats.fhir.bundle import searchset
from gateway.formats.fhir.capability import Served
from gateway.formats.fhir.element import Resource
from gateway.formats.fhir.outcome import issue
from gateway.formats.fhir.render import RenderedReport, render
from gateway.servers.web.body import Fields
from gateway.servers.web.fhir import resources
from gateway.servers.web.fhir.criteria import Criteria
from gateway.servers.web.fhir.exchange import Answer, FhirRequest, actor_of
from gateway.servers.web.fhir.note_interaction import note_interaction
from gateway.servers.web.fhir.page_link import PARAMETER, PageLinks, Position
from gateway.servers.web.fhir.pictures import MAX_PICTURES, picture_keys, with_pictures
from gateway.servers.web.fhir.search_page import Hit, Page, Walk
from gateway.servers.web.fhir.search_request import search_request
from gateway.servers.web.noted_reading import NotedReading
from gateway.servers.web.refusal import Refusal
from gateway.servers.web.services import WebServices

MAX_COUNTED = 5000  # reports looked at for _summary=count
_INCLUDED = {
    "DiagnosticReport:subject": "Patient",
    "DiagnosticReport:patient": "Patient",
    "DiagnosticReport:result": "Observation",
    "Provenance:target": "Provenance",
}


def search(services: WebServices, client: Client, request: FhirRequest) -> Answer:
    """A searchset Bundle; Refusal (400) for parameters that are not served."""
    return Answer(200, _Search(services, client, request, request.served).bundle())


class _Search:
    """One search, from parameters to Bundle."""

    def __init__(self, services: WebServices, client: Client, request: FhirRequest, served: Served) -> None:
        self._services, self._client, self._served = services, client, served
        self._links = PageLinks(services.key("page"))
        self._request = request
        fields, self._position = request.fields, Position()
        tokens = [value for name, value in fields if name == PARAMETER]
        if tokens:
            if any(name not in (PARAMETER, "_format") for name, _ in fields) or len(tokens) > 1:
                raise Invalid("a page link takes no other parameters")
            fields, self._position = self._links.open(client.name, served.type, tokens[0])
        self._asked = search_request(served, fields, lenient=request.lenient)

    def bundle(self) -> Resource:
        if self._served.type in resources.OF_THE_HOUSE:
            return self._of_the_house()
        with self._services.reading() as unit:
            criteria = self._asked.criteria(self._services, unit, self._served)
            walk = Walk(self._services, unit, self._served.type, criteria, actor_of(self._client))
            if self._asked.only_count:
                total = _counted(walk)
                self._audit(unit, (), total)
                return self._searchset((), total=total)
            page = walk.page(self._position, self._asked.count)
            provenances = self._provenances(unit, page)
            for hit in page.hits if self._served.type != "Provenance" else ():
                walk.opened(hit.report)
            seen = [document.study.patient for document in walk.documents.values()]
            self._audit(unit, [hit.id for hit in page.hits], None, seen)
        rendered = self._rendered(walk, page)
        included = [*self._included(page, rendered), *(provenances if self._served.type != "Provenance" else ())]
        matches = [_of(hit, self._served.type, rendered, provenances) for hit in page.hits]
        following = self._link(self._asked.fields, page.following) if page.following else None
        whole = page.following is None and self._position == Position()
        return self._searchset(matches, included=included, next_url=following, total=len(matches) if whole else None)

    def _rendered(self, walk: Walk, page: Page) -> dict[ReportId, RenderedReport]:
        """Each report of the page once; with heat maps as long as the page does not hold too many."""
        services, room = self._services, MAX_PICTURES
        organization = services.settings.gateway.organization
        found: dict[ReportId, RenderedReport] = {}
        for hit in page.hits:
            document = walk.documents.get(hit.report.id)
            if document is None or hit.report.id in found:
                continue
            if self._served.type == "DiagnosticReport":
                pictures = len(picture_keys(document.version))
                if pictures <= room:
                    room -= pictures
                    document = with_pictures(services, document)
            found[hit.report.id] = render(document, services.fhir_base, organization)
        return found

    def _included(self, page: Page, rendered: dict[ReportId, RenderedReport]) -> Iterator[Resource]:
        kinds = {_INCLUDED[include] for include in self._asked.includes} - {"Provenance"}
        seen: set[tuple[str, str]] = set()
        for number in dict.fromkeys(hit.report.id for hit in page.hits):
            for kind in sorted(kinds):
                for resource in rendered[number].of_type(kind) if self._may_see(kind) else ():
                    if (kind, resource["id"]) not in seen:
                        seen.add((kind, resource["id"]))
                        yield resource

    def _provenances(self, unit: NotedReading, page: Page) -> list[Resource]:
        """Those that match, or those of the reports that match, newest version first."""
        own = self._served.type == "Provenance"
        if not own and ("Provenance:target" not in self._asked.includes or not self._may_see("Provenance")):
            return []
        wanted = {hit.id for hit in page.hits}
        found = []
        for report in {hit.report.id: hit.report for hit in page.hits}.values():
            for version in reversed(unit.reports.versions(report.id)):
                resource = resources.provenance_of(self._services, unit, report, version)
                if not own or resource["id"] in wanted:
                    found.append(resource)
        return found

    def _may_see(self, kind: str) -> bool:
        return permits(self._client.scopes, kind, "r")

    def _of_the_house(self) -> Resource:
        """Devices, cards and the organisation: few, made from rows of models, without identity."""
        with self._services.reading() as unit:
            criteria = self._asked.criteria(self._services, unit, self._served)
            everything = resources.of_the_house(self._services, unit, self._served.type)
            found = [resource for resource in everything if _fits(criteria, resource)]
            self._audit(unit, [resource["id"] for resource in found], len(found))
        if self._asked.only_count:
            return self._searchset((), total=len(found))
        start = self._position.shown
        page = found[start : start + self._asked.count]
        rest = start + len(page) < len(found)
        following = self._link(self._asked.fields, Position(None, start + len(page))) if rest else None
        return self._searchset(page, next_url=following, total=len(found))

    def _audit(self, unit: NotedReading, ids: Sequence[str], total: int | None, patients: Sequence[str] = ()) -> None:
        note_interaction(
            unit,
            self._client,
            "search",
            self._served.type,
            parameters=[name for name, _ in self._asked.fields],
            patients=patients,
            found=ids,
            count=len(ids) if total is None else total,
        )

    def _searchset(
        self,
        matches: list[Resource] | tuple[Resource, ...],
        *,
        included: list[Resource] | None = None,
        next_url: str | None = None,
        total: int | None = None,
    ) -> Resource:
        return searchset(
            matches,
            self._services.fhir_base,
            self._self_url(),
            included=included or (),
            outcomes=[*self._asked.warnings(), *self._withheld()],
            next_url=next_url,
            total=total,
        )

    def _withheld(self) -> Iterator[Resource]:
        for kind in sorted({_INCLUDED[include] for include in self._asked.includes}):
            if not self._may_see(kind):
                yield issue("forbidden", f"{kind} is not included: no scope for it", severity="warning")

    def _self_url(self) -> str:
        """What was searched for. A search by POST kept its parameters out of the URL, and so does its link."""
        base = f"{self._services.fhir_base}/{self._served.type}"
        if self._request.by_post or self._position != Position():
            return self._link(self._asked.fields, self._position)
        return f"{base}?{urlencode(self._asked.fields)}" if self._asked.fields else base

    def _link(self, fields: Fields, position: Position) -> str:
        token = self._links.seal(self._client.name, self._served.type, fields, position)
        return f"{self._services.fhir_base}/{self._served.type}?{PARAMETER}={token}"


def _of(hit: Hit, kind: str, rendered: dict[ReportId, RenderedReport], provenances: list[Resource]) -> Resource:
    found = provenances if kind == "Provenance" else rendered[hit.report.id].of_type(kind)
    return next(resource for resource in found if resource["id"] == hit.id)


def _fits(criteria: Criteria, resource: Resource) -> bool:
    if criteria.own_ids is not None and resource["id"] not in criteria.own_ids:
        return False
    names = [str(each["name"]).casefold() for each in resource.get("deviceName", ())]
    own = [(str(each.get("system", "")), str(each["value"])) for each in resource.get("identifier", ())]
    return all(any(name.startswith(prefixes) for name in names) for prefixes in criteria.name_prefixes) and all(
        any(token.fits(*each) for token in tokens for each in own) for tokens in criteria.tokens
    )


def _counted(walk: Walk) -> int:
    page = walk.page(Position(), MAX_COUNTED, MAX_COUNTED)
    if page.following is not None:
        raise Refusal(400, "too-costly", f"more than {MAX_COUNTED} reports to count; narrow the search")
    return len(page.hits)

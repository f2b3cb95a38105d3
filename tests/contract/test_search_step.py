"""Searching the store on every database: pages, order, totals, what goes along, and what is withheld."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from harness.indexed import store
from harness.resources import human

from gateway.domain.errors import Forbidden, Invalid, Unsupported
from gateway.domain.resource import Change, StoredVersion
from gateway.flow.record import search
from gateway.flow.record.search import FoundPage, Position, SearchResources
from gateway.formats.fhir.element import Resource, encode
from gateway.formats.fhir.search.query import search_query
from gateway.formats.fhir.search.read_wanted import Reading
from gateway.ports import UnitOfWork
from gateway.storage.database import SqlDatabase

BASE = "https://gateway.example/fhir"


def observation(own_id: str, patient: str, day: int, **members: object) -> Resource:
    return {
        "resourceType": "Observation",
        "id": own_id,
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}], "text": "Body weight"},
        "subject": {"reference": f"Patient/{patient}"},
        "effectiveDateTime": f"2026-03-{day:02}",
        **members,
    }


WARD: list[Resource] = [
    human("p1", "Chalmers", "Peter", managingOrganization={"reference": "Organization/o1"}),
    human("p2", "Chalmersson", "Petra", text={"status": "generated", "div": "<div>Petra</div>"}),
    human("p3", "Charles", "Paul"),
    {"resourceType": "Organization", "id": "o1", "name": "North Clinic", "partOf": {"reference": "Organization/o2"}},
    {"resourceType": "Organization", "id": "o2", "name": "Region", "partOf": {"reference": "Organization/o1"}},
    *(observation(f"a{day}", "p1", day, valueQuantity={"value": day}) for day in range(1, 8)),
    observation("b1", "p2", 9, performer=[{"reference": "Organization/o1"}]),
    {
        "resourceType": "Provenance",
        "id": "v1",
        "target": [{"reference": "Observation/a1"}, {"reference": "Patient/p1"}],
    },
]


@dataclass
class Ward:
    """The ward's resources in a database, and a search over them."""

    database: SqlDatabase
    unit: UnitOfWork
    changes: dict[str, Change]
    opened: list[str] = field(default_factory=list)

    def find(
        self,
        asked: str,
        position: Position | None = None,
        may_read: Callable[[str], bool] = lambda _: True,
        *,
        lenient: bool = False,
    ) -> FoundPage:
        kind, _, text = asked.partition("?")
        fields = [(part.partition("=")[0], part.partition("=")[2]) for part in text.split("&") if part]
        query = search_query(kind, fields, Reading(BASE), lenient=lenient)
        known = {change.stored.key: encode(dict(change.resource or {})) for change in self.changes.values()}

        def opened(stored: StoredVersion) -> bytes:
            self.opened.append(stored.id)
            return known[stored.key]

        step = SearchResources(opened, BASE)
        return step(self.unit, query, may_read=may_read, position=position)

    def add(self, resources: list[Resource]) -> None:
        self.changes |= store(self.unit, resources, start=len(self.changes) + 1)


@contextmanager
def _ward(database: SqlDatabase) -> Iterator[Ward]:
    with database.begin("tester") as unit:
        yield Ward(database, unit, store(unit, WARD))


@pytest.fixture
def ward(database: SqlDatabase) -> Iterator[Ward]:
    with _ward(database) as made:
        yield made


def ids(page: FoundPage) -> list[str]:
    return [shown.stored.id for shown in page.matches]


def part(ward: Ward, asked: str) -> Resource:
    (shown,) = ward.find(asked).matches
    assert shown.part is not None
    return shown.part


def all_pages(ward: Ward, asked: str) -> list[str]:
    found, position = [], None
    for _ in range(20):
        page = ward.find(asked, position)
        found += ids(page)
        if page.following is None:
            return found
        position = page.following
    raise AssertionError("the pages do not end")


def test_pages_follow_each_other_without_gap(ward: Ward) -> None:
    """Three at a time gives the same as all at once, newest first; the last page has no next one."""
    assert (
        all_pages(ward, "Observation?_count=3")
        == ids(ward.find("Observation?"))
        == ["b1", *(f"a{n}" for n in range(7, 0, -1))]
    )
    assert all_pages(ward, "Observation?_count=4&subject=Patient/p1") == [f"a{n}" for n in range(7, 0, -1)]


@pytest.mark.parametrize(
    ("asked", "order"),
    [
        ("Observation?_count=50", ["b1", *(f"a{n}" for n in range(7, 0, -1))]),
        ("Observation?_count=50&_sort=value-quantity", [*(f"a{n}" for n in range(1, 8)), "b1"]),
        ("Observation?_count=50&subject:Patient.name=chalmers", ["b1", *(f"a{n}" for n in range(7, 0, -1))]),
    ],
)
def test_a_heavy_page_opens_no_more_than_it_shows(
    ward: Ward, monkeypatch: pytest.MonkeyPatch, asked: str, order: list[str]
) -> None:
    """Pages that end for their bytes hold each resource once, in order, and open each once: none for a later page."""
    monkeypatch.setattr(search, "MOST_OPENED", 1)
    assert all_pages(ward, asked) == order
    assert sorted(one for one in ward.opened if one[0] in "ab") == sorted(order)


def test_an_include_is_cut_where_something_is_left_out(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    """What passes the bytes of a page is the last that is included, and told of only where more would follow."""
    monkeypatch.setattr(search, "MOST_OPENED", 1)
    whole = ward.find("Patient?_id=p2&_revinclude=Observation:patient")
    assert ([one.stored.id for one in whole.included], whole.is_cut) == (["b1"], False)
    cut = ward.find("Patient?_id=p1&_revinclude=Observation:patient")
    assert (len(cut.included), cut.is_cut) == (1, True)
    assert len(ward.opened) == 4


def test_pages_stand_still_while_others_write(ward: Ward) -> None:
    """What is written after the first page shows on no later page, and moves nothing."""
    first = ward.find("Observation?_count=3&_sort=date")
    assert first.following is not None
    frozen = Position(len(ward.changes), first.following.after)
    ward.add([observation("new", "p1", 2)])
    rest = []
    position: Position | None = frozen
    while position is not None:
        page = ward.find("Observation?_count=3&_sort=date", position)
        rest += ids(page)
        position = page.following
    assert [*ids(first), *rest] == [*(f"a{n}" for n in range(1, 8)), "b1"]
    assert "new" in ids(ward.find("Observation?"))


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("Observation?_sort=date&_count=50", [*(f"a{n}" for n in range(1, 8)), "b1"]),
        ("Observation?_sort=-date&_count=2", ["b1", *(f"a{n}" for n in range(7, 0, -1))]),
        ("Observation?_sort=value-quantity&_count=3", [*(f"a{n}" for n in range(1, 8)), "b1"]),
        ("Observation?_sort=-value-quantity&_count=3", [*(f"a{n}" for n in range(7, 0, -1)), "b1"]),
        ("Observation?_sort=_lastUpdated&_count=3", [*(f"a{n}" for n in range(1, 8)), "b1"]),
        ("Organization?_sort=name&_count=1", ["o1", "o2"]),
        ("Organization?_sort=-name&_count=1", ["o2", "o1"]),
        ("Patient?_sort=-_id&_count=2", ["p3", "p2", "p1"]),
        ("Observation?_sort=-value-quantity,-date&_count=2", [*(f"a{n}" for n in range(7, 0, -1)), "b1"]),
    ],
)
def test_sorted_pages(ward: Ward, asked: str, found: list[str]) -> None:
    """Each order holds over all pages; what has no value comes last."""
    assert all_pages(ward, asked) == found


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("Patient?family=chal", ["p2", "p1"]),
        ("Patient?family=chalmers", ["p2", "p1"]),
        ("Patient?family=chalmerss", ["p2"]),
        ("Patient?name=pet,paul", ["p3", "p2", "p1"]),
        ("Observation?patient.name=peter", [f"a{n}" for n in range(7, 0, -1)]),
        ("Observation?patient.family=chalmerss", ["b1"]),
        ("Observation?patient.organization.name=north&_count=2", ["a7", "a6"]),
        ("Observation?patient.organization.partof.name=reg&_count=2", ["a7", "a6"]),
        ("Patient?_has:Observation:patient:date=2026-03-09", ["p2"]),
        ("Patient?_has:Observation:patient:_has:Provenance:target:_id=v1", ["p1"]),
        ("Organization?_has:Patient:organization:family=chalmers", ["o1"]),
        ("Observation?code:text=body&subject:Patient=p2", ["b1"]),
        ("Observation?performer:missing=false", ["b1"]),
        ("Observation?subject:missing=true", []),
        ("Patient?_id:not=p1", ["p3", "p2"]),
        ("Organization?name:contains=clinic", ["o1"]),
    ],
)
def test_names_and_chains_find_exactly_what_fits(ward: Ward, asked: str, found: list[str]) -> None:
    """Where the index knows beginnings alone, the resource itself decides, also at the far end of a chain."""
    assert ids(ward.find(asked)) == found


def test_total_as_asked(ward: Ward) -> None:
    """accurate counts all pages, none counts nothing, a whole first page needs no asking, _summary=count shows none."""
    assert ward.find("Observation?_count=2&_total=accurate").total == 8
    assert ward.find("Observation?_count=2").total is None
    assert ward.find("Observation?_count=50").total == 8
    assert ward.find("Observation?_count=50&_total=none").total is None
    assert ward.find("Patient?family=chalmers&_summary=count") == FoundPage(total=2)
    assert ward.find("Observation?_count=0") == FoundPage(total=8)


@pytest.mark.parametrize(
    ("asked", "included"),
    [
        ("Observation?_id=a1&_include=Observation:subject", {"p1"}),
        ("Observation?_id=a1&_include=Observation:subject:Patient", {"p1"}),
        ("Observation?_id=b1&_include=*", {"p2", "o1"}),
        ("Observation?_id=b1&_include=Observation:*", {"p2", "o1"}),
        ("Observation?_id=a1&_include=Observation:subject&_include:iterate=Patient:organization", {"p1", "o1"}),
        (
            "Observation?_id=a1&_include=Observation:subject&_include:iterate=Patient:organization"
            "&_include:iterate=Organization:partof",
            {"p1", "o1", "o2"},
        ),
        ("Observation?_id=a1&_revinclude=Provenance:target", {"v1"}),
        ("Patient?_id=p2&_revinclude=Observation:patient", {"b1"}),
        ("Patient?_id=p2&_revinclude=*", {"b1"}),
        ("Patient?_id=p2&_revinclude=Provenance:target", set()),
    ],
)
def test_what_goes_along(ward: Ward, asked: str, included: set[str]) -> None:
    """Includes forth and back, over several rounds with :iterate, a circle included once."""
    assert {shown.stored.id for shown in ward.find(asked).included} == included


def test_nothing_is_told_of_types_without_scope(ward: Ward) -> None:
    """Includes of such a type are left out and named; a chain through it is refused, as its answer would tell."""
    page = ward.find("Observation?_id=a1&_include=Observation:subject", may_read=lambda kind: kind != "Patient")
    assert page.included == ()
    assert page.withheld == {"Patient"}
    for asked in ("Observation?patient.name=peter", "Organization?_has:Patient:organization:active=true"):
        with pytest.raises(Forbidden):
            ward.find(asked, may_read=lambda kind: kind != "Patient")


def test_parts_are_marked(ward: Ward) -> None:
    """_elements and _summary show what was asked and what is mandatory, marked SUBSETTED."""
    shown = part(ward, "Observation?_id=a1&_elements=value")
    assert set(shown) == {"resourceType", "id", "meta", "status", "code", "valueQuantity"}
    assert shown["meta"]["tag"][0]["code"] == "SUBSETTED"
    narrative = part(ward, "Patient?_id=p2&_summary=text")
    assert set(narrative) == {"resourceType", "id", "meta", "text"}
    data = part(ward, "Patient?_id=p2&_summary=data")
    assert "text" not in data
    assert data["name"]


@pytest.mark.parametrize(
    "asked",
    [
        "Patient?_sort=family",
        "Patient?_sort=birthdate",
        "Observation?_sort=code",
        "Patient?nonsense=1",
        "Patient?_filter=name eq x",
        "Patient?name:contains=x",
        "Patient?family=ch",
        "Observation?code:in=http://x",
        "Observation?subject:Patient.nonsense=1",
        "Observation?_include=Observation:code",
        "Patient?_contained=true",
        "Patient?_revinclude=AuditEvent:patient",
        "Patient?_has:AuditEvent:patient:action=R",
    ],
)
def test_what_is_not_served_is_refused_or_told(ward: Ward, asked: str) -> None:
    """Strictly an error; leniently left out of the search, of its own link, and named."""
    with pytest.raises(Unsupported):
        ward.find(asked)
    kind, _, text = asked.partition("?")
    fields = [(text.partition("=")[0], text.partition("=")[2]), ("_count", "5")]
    query = search_query(kind, fields, Reading(BASE), lenient=True)
    assert query.fields == (("_count", "5"),)
    assert len(query.dropped) == 1


@pytest.mark.parametrize(
    "asked",
    [
        "Observation?date=2026-13-01",
        "Observation?_count=many",
        "Observation?value-quantity=heavy",
        "Patient?identifier=a|b|c",
        "Observation?code-value-quantity=1",
        "Observation?_sort=date&_sort=status",
        "Observation?_total=sometimes",
    ],
)
def test_what_is_malformed_is_refused_always(ward: Ward, asked: str) -> None:
    """A wrong value is an error under leniency too."""
    with pytest.raises(Invalid):
        ward.find(asked, lenient=True)

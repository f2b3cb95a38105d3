"""The ResourceIndex port on every database: what is put is found, what is replaced or deleted is not, nothing leaks."""

from __future__ import annotations

from dataclasses import replace

import pytest
from harness.indexed import store
from harness.resources import human
from harness.rows import patient_row
from sqlalchemy import select

from gateway.domain.criterion import AllOf, Chained, InRecord
from gateway.domain.errors import Fault, Invalid
from gateway.domain.resource import Change
from gateway.formats.fhir.element import Resource
from gateway.formats.fhir.search.parameters import parameters
from gateway.formats.fhir.search.read_criterion import criterion
from gateway.formats.fhir.search.read_wanted import Reading
from gateway.storage import index_tables
from gateway.storage.audit_trail import AuditKey
from gateway.storage.database import SqlDatabase

NUMBER = "http://hospital.example/mrn"
PETER = human(
    "peter",
    "Überström",
    "Péter",
    birthDate="1974-12-25",
    identifier=[{"system": NUMBER, "value": "XQ-4711"}],
    telecom=[{"system": "phone", "value": "+4670111222"}],
    address=[{"line": ["Ringgatan 5"], "city": "Vänersborg"}],
)
ANNA = human("anna", "Lindqvist", "Anna", birthDate="1980-03", active=True)
WEIGHT: Resource = {
    "resourceType": "Observation",
    "id": "weight",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
    "subject": {"reference": "Patient/peter", "identifier": {"system": NUMBER, "value": "XQ-4711"}},
    "effectiveDateTime": "2026-03-01T10:00:00+01:00",
    "valueQuantity": {"value": 72.5, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"},
}


@pytest.mark.parametrize(
    ("kind", "criteria", "found"),
    [
        ("Patient", [("identifier", f"{NUMBER}|XQ-4711")], ["peter"]),
        ("Patient", [("identifier", "XQ-4711")], ["peter"]),
        ("Patient", [("identifier", "|XQ-4711")], []),
        ("Patient", [("identifier", f"{NUMBER}|XQ-4711"), ("phone", "+4670111222")], ["peter"]),
        ("Patient", [("identifier", "XQ-4711"), ("phone", "+4670111223")], []),
        ("Observation", [("identifier", "XQ-4711")], []),
        ("Patient", [("family:exact", "Überström")], ["peter"]),
        ("Patient", [("family:exact", "überström")], []),
        ("Patient", [("birthdate", "1974-12-25")], ["peter"]),
        ("Patient", [("birthdate", "gt1974-12-25")], ["anna"]),
        ("Patient", [("birthdate", "lt1990"), ("active", "true")], ["anna"]),
        ("Patient", [("_id", "peter,anna")], ["anna", "peter"]),
        ("Observation", [("subject", "Patient/peter")], ["weight"]),
        ("Observation", [("patient", "peter"), ("status", "final")], ["weight"]),
        ("Observation", [("subject", "https://gateway.example/fhir/Patient/peter")], ["weight"]),
        ("Observation", [("subject:identifier", f"{NUMBER}|XQ-4711")], ["weight"]),
        ("Observation", [("patient.identifier", "XQ-4711")], ["weight"]),
        ("Observation", [("date", "2026-03-01")], ["weight"]),
        ("Observation", [("date", "ge2026-03-02")], []),
        (
            "Observation",
            [("code-value-quantity", "http://loinc.org|29463-7$gt72499|http://unitsofmeasure.org|g")],
            ["weight"],
        ),
        ("Patient", [("_has:Observation:patient:code", "29463-7")], ["peter"]),
    ],
)
def test_what_is_put_is_found(
    database: SqlDatabase, kind: str, criteria: list[tuple[str, str]], found: list[str]
) -> None:
    """Each kind of parameter finds what it names, newest first, and nothing else."""
    with database.begin("tester") as unit:
        store(unit, [PETER, ANNA, WEIGHT])
        keys = unit.resource_index.matching(kind, criteria, 10)
        assert [each.id for each in unit.resources.of_keys(keys)] == found


def test_a_condition_finds_the_newest_and_no_more_than_asked(database: SqlDatabase) -> None:
    """Several that match come newest first, up to the limit."""
    twins = [{**PETER, "id": each} for each in ("first", "second", "third")]
    with database.begin("tester") as unit:
        keys = [change.stored.key for change in store(unit, twins).values()]
        found = unit.resource_index.matching("Patient", [("identifier", "XQ-4711")], 2)
    assert found == sorted(keys, reverse=True)[:2]


def test_a_replaced_resource_is_found_by_its_new_content_alone(database: SqlDatabase) -> None:
    """An update takes the old rows away, and a deletion all of them."""
    with database.begin("tester") as unit:
        was = store(unit, [PETER])["Patient/peter"]
        moved = {**PETER, "identifier": [{"system": NUMBER, "value": "XQ-4712"}]}
        unit.resource_index.put([Change(replace(was.stored, version=2), moved, PETER)])
        assert unit.resource_index.matching("Patient", [("identifier", "XQ-4711")], 10) == []
        assert unit.resource_index.matching("Patient", [("identifier", "XQ-4712")], 10) == [was.stored.key]
        unit.resource_index.put([Change(replace(was.stored, version=3, method="DELETE"), None, moved)])
        assert unit.resource_index.matching("Patient", [("identifier", "XQ-4712")], 10) == []
        assert unit.resource_index.matching("Patient", [("_id", "peter")], 10) == []
        assert all(not unit._transaction.all(select(table)) for table in index_tables.ALL)


def test_the_last_of_several_changes_counts(database: SqlDatabase) -> None:
    """Two changes to one resource in one transaction leave the rows of the second."""
    with database.begin("tester") as unit:
        was = store(unit, [ANNA])["Patient/anna"]
        first, second = ({**ANNA, "active": active} for active in (True, False))
        stored = [replace(was.stored, version=number) for number in (2, 3)]
        unit.resource_index.put([Change(stored[0], first, ANNA), Change(stored[1], second, first)])
        assert unit.resource_index.matching("Patient", [("active", "true")], 10) == []
        assert unit.resource_index.matching("Patient", [("active", "false")], 10) == [was.stored.key]


def test_identity_stands_nowhere_in_clear(database: SqlDatabase) -> None:
    """A patient leaves keyed hashes alone: no text and no date in any table of the index."""
    with database.begin("tester") as unit:
        patients = [change.stored.key for change in store(unit, [PETER, ANNA]).values()]
        rows = {table: unit._transaction.all(select(table)) for table in index_tables.ALL}
        assert {row.key for found in rows.values() for row in found} == set(patients)
        assert len(rows[index_tables.index_string]) > 20
        assert not rows[index_tables.index_text]
        assert not rows[index_tables.index_date]
        values = [value for found in rows.values() for row in found for value in row]
        assert all(isinstance(value, int) for value in values)


def test_equal_values_of_two_parameters_look_different(database: SqlDatabase) -> None:
    """A name that is a family name here and a given name there has no hash in common."""
    with database.begin("tester") as unit:
        store(unit, [human("one", "Martin"), human("two", "Other", "Martin")])
        table = index_tables.index_string
        numbers = {code: parameters("Patient")[code].number for code in ("family", "given")}
        family, given = (
            set(unit._transaction.all(select(table.c.hash).where(table.c.parameter == numbers[code])))
            for code in ("family", "given")
        )
        assert family
        assert given
        assert not family & given


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("birth-place", "x"),
        ("name", "Peter"),
        ("code:in", "http://x"),
        ("name:contains", "ete"),
        ("birthdate", "yesterday"),
    ],
)
def test_a_condition_is_never_ignored(database: SqlDatabase, name: str, value: str) -> None:
    """What the index cannot decide exactly is refused, and so is what is malformed."""
    with database.begin("tester") as unit, pytest.raises(Invalid):
        unit.resource_index.matching("Patient", [(name, value)], 10)


def test_a_process_without_the_key_cannot_search(sqlite_url: str) -> None:
    """A worker's database has no index: the key to it is in the ring that workers do not hold."""
    database = SqlDatabase(sqlite_url, AuditKey("test-1", b"k" * 32))
    with database.begin("worker") as unit, pytest.raises(Fault):
        unit.resource_index.matching("Patient", [("active", "true")], 10)
    database.close()


def test_one_record_is_searched(database: SqlDatabase) -> None:
    """Resources of a type in one record are counted and paged by the query itself, without those of others."""
    many = 600
    with database.begin("tester") as unit:
        store(unit, [WEIGHT | {"id": "other"}])
        first = next(iter(unit.resources.of_keys([1])))
        mine = patient_row("of-many")
        unit.identities.add_patient(mine)
        new = [replace(first, key=100 + one, id=f"w{one}", owner=mine.pseudonym) for one in range(many)]
        assert unit.resources.write([(None, one) for one in new])
        unit.resource_index.put([Change(one, WEIGHT | {"id": one.id}, None) for one in new])
        own = InRecord((mine.pseudonym,))
        index, until = unit.resource_index, 10**9
        assert index.count("Observation", [own], until=until, most=many * 2) == many
        assert [each.key for each in index.page("Observation", [own], (), limit=2, until=until, after=None)] == [
            new[-1].key,
            new[-2].key,
        ]
        assert index.matching("Observation", [("code", "29463-7")], 1, owner=first.owner) == [first.key]
        assert index.page("Patient", [own], (), limit=2, until=until, after=None) == []


def test_a_chain_is_held_to_records(database: SqlDatabase) -> None:
    """What a chain leads to counts where it lies in one of the records that are named, and not elsewhere."""
    with database.begin("tester") as unit:
        store(unit, [human("p1", "Chalmers", "Peter"), WEIGHT | {"id": "w", "subject": {"reference": "Patient/p1"}}])
        leads_to = next(iter(unit.resources.of_keys([1])))
        of_family = criterion("Patient", "family:exact", "Chalmers", Reading())
        for owners, found in (((leads_to.owner,), 1), (("other", leads_to.owner), 1), (("other",), 0)):
            chain = Chained(parameters("Observation")["subject"], (("Patient", AllOf((of_family, InRecord(owners)))),))
            assert unit.resource_index.count("Observation", [chain], until=10**9, most=5) == found
            assert len(unit.resource_index.page("Observation", [chain], (), limit=5, until=10**9, after=None)) == found

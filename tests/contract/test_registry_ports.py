"""The Identities, Models, Access and AuditTrail ports on every database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from harness.rows import AT, later, model, patient_row

from gateway.domain.access import Client, Grant, Person
from gateway.domain.errors import Conflict, Missing
from gateway.domain.ids import ClientId, PersonId, StudyId
from gateway.storage.database import SqlDatabase

CLIENT = Client(ClientId("c1"), "fhir", "ehr", "hash", ("system/*.read",), ("192.0.2.0/24",), True, AT)
PERSON = Person(PersonId("p1"), "admin", "hash", "admin", True, AT)


def test_a_patient_is_found_by_index_identifier_and_pseudonym(database: SqlDatabase) -> None:
    """A patient's row is read back exactly, and the identifier alone finds every patient that bears it."""
    one, two = patient_row("one"), replace(patient_row("two"), id_index=patient_row("one").id_index)
    with database.begin("dicom") as unit:
        assert unit.identities.find_patient(one.index) is None
        assert [unit.identities.add_patient(row) for row in (one, two)] == [one, two]
        unit.commit()
    with database.read() as unit:
        assert unit.identities.find_patient(one.index) == unit.identities.patient(one.pseudonym) == one
        assert set(unit.identities.pseudonyms(one.id_index)) == {one.pseudonym, two.pseudonym}
        assert unit.identities.object_key(two.pseudonym) == two.wrapped_object_key
        assert unit.identities.patient("none") is None


def test_the_first_of_two_processes_decides_the_pseudonym(database: SqlDatabase) -> None:
    """Whoever adds a known patient again gets the row that stands, and nothing else is written."""
    row = patient_row()
    rival = replace(row, pseudonym="other", sealed_secret=b"other", wrapped_object_key=b"other")
    with database.begin("dicom") as unit:
        unit.identities.add_patient(row)
        assert unit.identities.add_patient(rival) == row
        with pytest.raises(Missing):
            unit.identities.object_key("other")


def test_many_associations_add_one_patient_once(database: SqlDatabase) -> None:
    """Parallel first objects of one patient all get the same pseudonym."""
    row = patient_row()

    def add(number: int) -> str:
        with database.begin("dicom") as unit:
            found = unit.identities.add_patient(replace(row, pseudonym=f"pseudonym-{number}"))
            unit.commit()
        return found.pseudonym

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(add, range(16)))) == 1
    with database.read() as unit:
        assert [one.entry.event for one in unit.audit.rows()] == ["identity:create"]


def test_missing_identity(database: SqlDatabase) -> None:
    """Keys and identity of what is unknown are Missing; an unknown study has no headers."""
    with database.read() as unit:
        with pytest.raises(Missing):
            unit.identities.object_key("none")
        with pytest.raises(Missing):
            unit.identities.study_identity(StudyId("none"))
        assert unit.identities.original_headers(StudyId("none")) == []


def test_a_draft_is_activated_by_a_person_once(database: SqlDatabase) -> None:
    """Activation retires the former version, is audited under the person's name, and is no news a second time."""
    old, new = model(), model(version="2.0.0", state="draft")
    with database.begin("w1") as unit:
        for served in (old, new):
            unit.models.announce(served)
        unit.commit()
    with database.begin("cli:anna") as unit:
        assert unit.models.activate(new.id)
        assert not unit.models.activate(new.id)
        with pytest.raises(Missing):
            unit.models.activate("none")
        unit.commit()
    with database.read() as unit:
        assert [one.id for one in unit.models.active()] == [new.id]
        told = [row.entry for row in unit.audit.rows() if row.entry.actor == "cli:anna"]
    assert [(one.event, one.subject_id) for one in told] == [("model:retire", old.id), ("model:activate", new.id)]


def test_an_active_model_retires_the_former_version(database: SqlDatabase) -> None:
    """One version of a name is active: the last that was announced so; other names are untouched."""
    old, new, other = model(), model(version="2.0.0"), model("chest")
    with database.begin("w1") as unit:
        for served in (old, other, new):
            unit.models.announce(served)
        assert {one.id for one in unit.models.active()} == {new.id, other.id}
        assert unit.models.get(old.id) == replace(old, state="retired")
        unit.models.announce(old)
        assert {one.id for one in unit.models.active()} == {old.id, other.id}
        unit.commit()
    with database.read() as unit:
        events = [row.entry.event for row in unit.audit.rows()]
    assert events.count("model:retire") == 2
    assert events.count("model:activate") == 4


def test_announcing_again_refreshes_and_keeps_the_state(database: SqlDatabase) -> None:
    """A worker that announces a draft of an active model refreshes its row and does not take it out of service."""
    with database.begin("w1") as unit:
        unit.models.announce(model())
        unit.models.announce(model(state="draft", provider="CUDAExecutionProvider", announced_at=later(9)))
        (served,) = unit.models.all()
    assert (served.state, served.provider, served.announced_at) == ("active", "CUDAExecutionProvider", later(9))


def test_a_draft_is_not_active(database: SqlDatabase) -> None:
    """A draft is kept and served to nobody; what was never announced is Missing."""
    with database.begin("w1") as unit:
        unit.models.announce(model(state="draft"))
        assert unit.models.active() == []
        assert unit.models.get(model().id).state == "draft"
        with pytest.raises(Missing):
            unit.models.get("none")


def test_clients_and_persons(database: SqlDatabase) -> None:
    """A client is known by kind and name, a person by name; the same name twice is a Conflict."""
    with database.begin("cli") as unit:
        unit.access.add_client(CLIENT)
        unit.access.add_person(PERSON)
        assert unit.access.client("fhir", "ehr") == CLIENT
        assert unit.access.client("dicom", "ehr") is None
        assert unit.access.person("admin") == PERSON
        assert unit.access.person("nobody") is None
        unit.commit()
    for add in (
        lambda unit: unit.access.add_client(replace(CLIENT, id=ClientId("c2"))),
        lambda unit: unit.access.add_person(replace(PERSON, id=PersonId("p2"))),
    ):
        with database.begin("cli") as unit, pytest.raises(Conflict):
            add(unit)


def test_a_client_is_disabled_once(database: SqlDatabase) -> None:
    """Disabling tells whether there was anything to disable."""
    with database.begin("cli") as unit:
        unit.access.add_client(CLIENT)
        assert unit.access.disable_client("fhir", "ehr")
        assert not unit.access.disable_client("fhir", "ehr")
        assert not unit.access.disable_client("fhir", "nobody")
        assert unit.access.clients() == [replace(CLIENT, active=False)]


def test_a_grant_ends_with_its_time(database: SqlDatabase) -> None:
    """A grant is found until it expires or is dropped, and expired ones are forgotten."""
    with database.begin("web") as unit:
        now = unit.access._transaction.now()
        living = Grant(b"t1", "ehr", "token", ("system/*.read",), now + timedelta(hours=1))
        old = Grant(b"t2", "ehr", "session", (), now - timedelta(seconds=1))
        unit.access.add_grant(old)
        assert unit.access.grant(b"t2", old.expires_at - timedelta(seconds=1)) == old
        unit.access.add_grant(living)
        assert unit.access.grant(b"t2", old.expires_at - timedelta(seconds=1)) is None
        assert unit.access.grant(b"t1", now) == living
        assert unit.access.grant(b"t1", living.expires_at) is None
        unit.access.drop_grant(b"t1")
        assert unit.access.grant(b"t1", now) is None


def test_audit_pages_and_filters(database: SqlDatabase) -> None:
    """The trail is read forwards in pages, and backwards by event and subject."""
    with database.begin("tester") as unit:
        for number in range(5):
            unit.audit.record("console:view", f"s{number % 2}", "admin", page=number)
        unit.audit.record("gateway:stop", "gateway", "tester")
        unit.commit()
    with database.read() as unit:
        assert [row.seq for row in unit.audit.rows(after_seq=2, limit=3)] == [3, 4, 5]
        assert [row.seq for row in unit.audit.newest(limit=2)] == [6, 5]
        assert [row.seq for row in unit.audit.newest(limit=9, event="console:view", subject_id="s1")] == [4, 2]
        assert [row.seq for row in unit.audit.newest(limit=9, before_seq=3)] == [2, 1]


def test_audit_numbers_have_no_gap_under_parallel_commits(database: SqlDatabase) -> None:
    """Parallel commits and rollbacks leave a trail numbered from 1 without gap or repetition."""

    def write(number: int) -> None:
        with database.begin(f"t{number}") as unit:
            unit.audit.record("console:view", "page", f"t{number}")
            if number % 4:
                unit.commit()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(32)))
    with database.read() as unit:
        assert [row.seq for row in unit.audit.rows()] == list(range(1, 25))

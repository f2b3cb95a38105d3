"""The search index written anew on every database: complete, once, resumed, and beside writers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, func, insert, select
from wire.fhir_rest.hospital import Hospital, open_hospital

from gateway.cli import main
from gateway.domain.errors import Conflict
from gateway.domain.reindex import Reindexing
from gateway.flow.record import reindex as flow
from gateway.flow.record.asked import Asked
from gateway.flow.record.reindex import Reindex
from gateway.formats.fhir.search.parameters import fingerprint
from gateway.storage import index_tables
from gateway.storage.fhir_tables import vault_resource_version

Rows = dict[str, str]
PEOPLE = 7


@pytest.fixture
def hospital(database_url: str, sqlite_template: Path, tmp_path: Path) -> Iterator[Hospital]:
    url = "" if database_url.startswith("sqlite") else database_url
    found = open_hospital(tmp_path / "home", sqlite_template, database=url)
    yield found
    found.services.commits.stop()
    found.database.close()


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "BATCH", 5)


def write(hospital: Hospital, *asked: Asked) -> None:
    record = hospital.services.record
    with hospital.database.read() as unit:
        plan = record.plan(unit, asked)
    with hospital.database.begin("ehr") as unit:
        assert record.write(unit, plan, "client:ehr") is not None
        unit.commit()


def filled(hospital: Hospital) -> None:
    """Patients, what belongs to them, what is deleted."""
    for number in range(PEOPLE):
        own_id = f"p{number}"
        name = [{"family": f"Reindexed{number}", "given": ["Ina"]}]
        identifier = [{"system": "urn:mrn", "value": f"MRN-{number}"}]
        sick = {"resourceType": "Patient", "id": own_id, "name": name, "identifier": identifier}
        code = {"coding": [{"system": "http://loinc.org", "code": "2160-0"}]}
        seen = {"resourceType": "Observation", "id": f"o{number}", "status": "final", "code": code}
        seen |= {"subject": {"reference": f"Patient/{own_id}"}, "effectiveDateTime": f"2026-0{number + 1}-01"}
        write(hospital, Asked("PUT", "Patient", own_id, resource=sick))
        write(hospital, Asked("PUT", "Observation", f"o{number}", resource=seen))
    write(hospital, Asked("DELETE", "Observation", "o0"))


def index_of(hospital: Hospital) -> Rows:
    """A digest of every table of the index."""
    with hospital.database.read() as unit:
        rows = {table.name: sorted(map(repr, unit._transaction.all(select(table)))) for table in index_tables.ALL}
    return {name: hashlib.sha256("\n".join(found).encode()).hexdigest() for name, found in rows.items()}


def step(hospital: Hospital, **changes: Any) -> Reindex:
    return replace(Reindex(hospital.database, hospital.services.record.opened), pause=lambda _: None, **changes)


def execute(hospital: Hospital, *statements: Any) -> None:
    with hospital.database.begin("test") as unit:
        for statement in statements:
            unit._transaction.execute(statement)
        unit.commit()


def found(hospital: Hospital, kind: str, *criteria: tuple[str, str]) -> int:
    with hospital.database.read() as unit:
        return len(unit.resource_index.matching(kind, criteria, 100))


def test_a_lost_index_is_as_it_was(hospital: Hospital) -> None:
    """Emptied, damaged or filled with strays, afterwards every row is what the writers had made of it."""
    filled(hospital)
    before = index_of(hospital)
    token, resource = index_tables.index_token, index_tables.index_resource
    stray = {"parameter": 1, "code": 2, "key": 3, "system": 4}
    damages = (
        [delete(table) for table in index_tables.ALL],
        [delete(token)],
        [insert(token).values(**stray), token.update().values(code=token.c.code + 1)],
        [delete(resource).where(resource.c.key == select(func.max(resource.c.key)).scalar_subquery())],
    )
    for damage in damages:
        execute(hospital, *damage)
        assert index_of(hospital) != before
        done = step(hospital)("cli:test")
        assert (done.done, done.failed) == (2 * PEOPLE, 0)
        assert index_of(hospital) == before
    assert found(hospital, "Patient", ("identifier", "urn:mrn|MRN-3")) == 1
    assert found(hospital, "Observation", ("code", "2160-0")) == PEOPLE - 1


def test_a_pass_that_was_cut_off_goes_on(hospital: Hospital) -> None:
    """Killed between two batches, the next run begins behind the last one that was committed and ends that pass."""
    filled(hospital)
    before = index_of(hospital)
    execute(hospital, *(delete(table) for table in index_tables.ALL))

    class PowerCut(BaseException):
        pass

    seen: list[Reindexing] = []

    def dying(current: Reindexing) -> None:
        seen.append(current)
        if len(seen) == 2:
            raise PowerCut

    with pytest.raises(PowerCut):
        step(hospital, on_batch=dying)("cli:test")
    again: list[Reindexing] = []
    done = step(hospital, on_batch=again.append)("cli:test")
    assert {one.id for one in (*seen, *again)} == {done.id}
    assert [one.done for one in again] == [14]
    assert index_of(hospital) == before
    assert len(hospital.events("index:begin")) == len(hospital.events("index:end")) == 1
    assert hospital.events("index:end")[0].details == {"done": 14, "failed": 0}
    assert step(hospital)("cli:test").id != done.id


def test_an_unfinished_pass_is_given_up(hospital: Hospital) -> None:
    """`anew` begins from the start, and the run that was given up writes nothing more."""
    filled(hospital)
    before = index_of(hospital)
    met: list[Reindexing] = []

    def overtaken(current: Reindexing) -> None:
        if not met:
            execute(hospital, *(delete(table) for table in index_tables.ALL))
            met.append(step(hospital)("cli:other", anew=True))

    with pytest.raises(Conflict):
        step(hospital, on_batch=overtaken)("cli:test")
    assert (met[0].done, met[0].failed) == (2 * PEOPLE, 0)
    assert index_of(hospital) == before
    assert len(hospital.events("index:begin")) == len(hospital.events("index:end")) == 2


@pytest.mark.parametrize("same", [True, False])
def test_a_pass_that_indexed_otherwise_is_not_gone_on_with(hospital: Hospital, same: bool) -> None:
    """Cut off and run again by other parameters it begins from the start by itself; by the same ones it goes on."""

    class PowerCut(BaseException):
        pass

    def cut(_: Reindexing) -> None:
        raise PowerCut

    filled(hospital)
    before = index_of(hospital)
    with pytest.raises(PowerCut):
        replace(step(hospital, on_batch=cut), fingerprint="former")("cli:test")
    done = replace(step(hospital), fingerprint="former" if same else "new")("cli:test")
    assert done.done == 2 * PEOPLE
    assert len(hospital.events("index:begin")) == (1 if same else 2)
    assert index_of(hospital) == before


def test_the_fingerprint_is_of_parameters_and_address() -> None:
    """It stays the same from run to run, and another address has another."""
    here = fingerprint("https://a.example/fhir")
    assert here == fingerprint("https://a.example/fhir") != fingerprint("https://b.example/fhir")


def test_what_is_written_meanwhile_stays(hospital: Hospital) -> None:
    """Resources that are changed, deleted and made between reading and writing of a batch keep their writers' rows."""
    filled(hospital)
    record = hospital.services.record
    changed = {"resourceType": "Patient", "id": "p1", "active": True, "name": [{"family": "Changedmeanwhile"}]}
    fresh = {"resourceType": "Organization", "id": "fresh", "name": "Fresh"}

    class Overtaken(Reindex):
        def _written(self, *arguments: Any) -> Reindexing:
            if not found(hospital, "Organization", ("_id", "fresh")):
                write(hospital, Asked("PUT", "Patient", "p1", resource={**changed, "identifier": identifier}))
                write(hospital, Asked("DELETE", "Observation", "o1"))
                write(hospital, Asked("PUT", "Organization", "fresh", resource=fresh))
            return super()._written(*arguments)

    identifier = [{"system": "urn:mrn", "value": "MRN-1"}]
    own = step(hospital)
    Overtaken(own.database, record.opened, pause=own.pause)("cli:test")
    assert found(hospital, "Patient", ("family:exact", "Changedmeanwhile")) == 1
    assert found(hospital, "Patient", ("family:exact", "Reindexed1")) == 0
    assert found(hospital, "Observation", ("_id", "o1")) == 0
    assert found(hospital, "Organization", ("name", "Fresh")) == 1
    after = index_of(hospital)
    step(hospital)("cli:test")
    assert index_of(hospital) == after


def test_two_runs_do_not_share_a_pass(hospital: Hospital) -> None:
    """A second run that meets the first at the same place gives up; the first goes on."""
    filled(hospital)
    met = []

    def second(current: Reindexing) -> None:
        if not met:
            met.append(current)
            step(hospital)("cli:other")

    with pytest.raises(Conflict):
        step(hospital, on_batch=second)("cli:test")
    assert len(hospital.events("index:end")) == 1


def test_a_body_that_does_not_open_keeps_its_rows(hospital: Hospital) -> None:
    """It is counted and left alone; everything else is indexed anew."""
    filled(hospital)
    before = index_of(hospital)
    with hospital.database.read() as unit:
        broken = unit.resources.find("Patient", "p2")
    assert broken is not None
    version = vault_resource_version
    execute(hospital, version.update().where(version.c.key == broken.key).values(sealed=broken.sealed[:-1] + b"\0"))
    done = step(hospital)("cli:test")
    assert (done.done, done.failed) == (2 * PEOPLE - 1, 1)
    assert index_of(hospital) == before


def test_an_empty_store_has_nothing_to_do(hospital: Hospital) -> None:
    """The pass begins and ends."""
    done = step(hospital)("cli:test")
    assert (done.done, done.failed) == (0, 0)
    assert done.ended_at is not None


def test_the_command_says_what_it_did(hospital: Hospital, capsys: pytest.CaptureFixture[str]) -> None:
    """`dxgate fhir reindex` indexes, tells how many, and leaves its name in the trail."""
    filled(hospital)
    execute(hospital, *(delete(table) for table in index_tables.ALL))
    home = str(hospital.settings.home)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DXGATE_DATABASE_URL", hospital.settings.database.url)
        patched.setenv("DXGATE_GATEWAY_HOME", home)
        assert main(["--home", home, "fhir", "reindex", "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["done"], told["failed"]) == (2 * PEOPLE, 0)
        assert main(["--home", home, "fhir", "reindex", "--anew"]) == 0
    assert capsys.readouterr().out.startswith(f"{2 * PEOPLE} resources are indexed anew")
    assert found(hospital, "Patient", ("identifier", "urn:mrn|MRN-3")) == 1
    assert hospital.events("index:begin")[0].actor.startswith("cli:")

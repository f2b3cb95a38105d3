"""The Studies port on every database: arrivals, duplicates, late images, settling, and two finishing at once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from harness.rows import AT, QUIET, arrival, later, planned_task, receive

from gateway.domain.errors import Conflict, Missing
from gateway.domain.ids import StudyId
from gateway.domain.study import Scope, Study
from gateway.storage.database import SqlDatabase


def _events(database: SqlDatabase) -> list[str]:
    with database.read() as unit:
        return [row.entry.event for row in unit.audit.rows()]


def test_a_new_instance_makes_its_study(database: SqlDatabase) -> None:
    """The first instance inserts the study in `receiving` with all that the arrival says of it."""
    first = arrival(expected_count=3)
    with database.begin("dicom") as unit:
        assert receive(unit, first) == "new"
        unit.commit()
    with database.read() as unit:
        study = unit.studies.get(first.instance.study_id)
        assert unit.studies.instances(study.id) == [first.instance]
        assert unit.identities.study_identity(study.id) == first.sealed_study_identity
        assert unit.identities.original_headers(study.id) == [(first.instance.id, first.sealed_original_header)]
    assert study == Study(
        id=first.instance.study_id,
        study_uid=first.study_uid,
        patient=first.patient,
        state="receiving",
        revision=1,
        priority="routine",
        modalities=("US",),
        body_parts=("BREAST",),
        instance_count=1,
        expected_count=3,
        first_received_at=AT,
        last_received_at=AT,
        settle_at=AT + QUIET,
        study_date="20261101",
        accession_index=first.accession_index,
        study_uid_index=first.study_uid_index,
    )
    assert _events(database) == ["identity:create", "study:create", "instance:receive"]


def test_the_same_object_again_is_a_duplicate(database: SqlDatabase) -> None:
    """An unchanged object changes neither count nor revision nor time to settle, in any state."""
    with database.begin("dicom") as unit:
        receive(unit, arrival())
        study = unit.studies.get(arrival().instance.study_id)
        unit.studies.settle(study, "quiet-time")
        before = unit.studies.get(study.id)
        assert receive(unit, arrival(at=later(5))) == "duplicate"
        assert unit.studies.get(study.id) == before
        assert len(unit.studies.instances(study.id)) == 1
        unit.commit()
    assert _events(database)[-1] == "instance:duplicate"


def test_a_duplicate_with_corrected_identity_leaves_the_correction(database: SqlDatabase) -> None:
    """What de-identification removes may have been corrected: of equal files the last received identity is kept."""
    corrected = arrival(at=later(5), sealed_study_identity=b"corrected identity")
    with database.begin("dicom") as unit:
        receive(unit, arrival())
        assert receive(unit, corrected) == "duplicate"
        assert unit.identities.study_identity(corrected.instance.study_id) == b"corrected identity"


def test_a_changed_object_becomes_the_current_version(database: SqlDatabase) -> None:
    """A changed object under the same SOP Instance UID replaces the old as current, and is not counted twice."""
    changed = arrival(content=b"other pixels", at=later(1))
    with database.begin("dicom") as unit:
        receive(unit, arrival())
        assert receive(unit, changed) == "new"
        assert unit.studies.instances(changed.instance.study_id) == [changed.instance]
        assert unit.studies.get(changed.instance.study_id).instance_count == 1


def test_an_older_version_sent_again_is_current_again(database: SqlDatabase) -> None:
    """The version that was last received is the current one, even where it is an older one sent again."""
    original = arrival()
    study_id = original.instance.study_id
    with database.begin("dicom") as unit:
        receive(unit, original)
        receive(unit, arrival(content=b"wrong", at=later(1)))
        unit.studies.settle(unit.studies.get(study_id), "quiet-time")
        assert receive(unit, arrival(at=later(2))) == "duplicate"
        assert [one.id for one in unit.studies.instances(study_id)] == [original.instance.id]
        assert unit.studies.get(study_id).revision == 2


def test_instances_come_in_order_of_arrival(database: SqlDatabase) -> None:
    """Instances are listed in the order in which they were received."""
    with database.begin("dicom") as unit:
        for number in (3, 1, 2):
            receive(unit, arrival(instance=f"i{number}", content=b"%d" % number, at=later(number)))
        found = unit.studies.instances(arrival().instance.study_id)
    assert [one.received_at for one in found] == [later(1), later(2), later(3)]


def test_what_a_model_is_asked_by_is_read_alone(database: SqlDatabase) -> None:
    """Modality, class and header of the current instances of these modalities, and of no other."""
    film, picture = arrival(instance="i1", modality="CR"), arrival(instance="i2")
    with database.begin("dicom") as unit:
        receive(unit, film)
        receive(unit, picture)
        unit.commit()
    own = picture.instance
    with database.read() as unit:
        assert unit.studies.scopes(own.study_id, {"US"}) == [Scope("US", own.sop_class_uid, own.header)]
        assert len(unit.studies.scopes(own.study_id, {"US", "CR"})) == 2
        assert unit.studies.scopes(own.study_id, set()) == []


def test_the_expected_count_settles_at_once(database: SqlDatabase) -> None:
    """A study is due as soon as the expected number of instances is there, and else when it has been quiet."""
    with database.begin("dicom") as unit:
        receive(unit, arrival(expected_count=2))
        assert unit.studies.due(later(1), 10) == []
        receive(unit, arrival(instance="i2", content=b"2", at=later(1)))
        assert [study.instance_count for study in unit.studies.due(later(1), 10)] == [2]
        receive(unit, arrival("s2", instance="i3"))
        assert len(unit.studies.due(AT + QUIET, 10)) == 2
        assert len(unit.studies.due(AT + QUIET, 1)) == 1


def test_one_stat_instance_makes_the_study_stat(database: SqlDatabase) -> None:
    """Priority only rises, and modalities and body parts gather without repetition."""
    with database.begin("dicom") as unit:
        receive(unit, arrival())
        receive(unit, arrival(instance="i2", content=b"2", priority="stat", modality="SR", body_part=""))
        receive(unit, arrival(instance="i3", content=b"3"))
        study = unit.studies.get(arrival().instance.study_id)
    assert (study.priority, study.modalities, study.body_parts) == ("stat", ("US", "SR"), ("BREAST",))


@pytest.mark.parametrize("events", [["settle"], ["settle", "analyse"], ["settle", "analyse", "report"]])
def test_a_late_image_reopens_the_study(database: SqlDatabase, events: list[str]) -> None:
    """An image that comes after the study was found complete opens the next revision."""
    study_id = arrival().instance.study_id
    with database.begin("dicom") as unit:
        receive(unit, arrival())
        unit.studies.settle(unit.studies.get(study_id), "quiet-time")
        for event in events[1:]:
            assert unit.studies.move(study_id, unit.studies.get(study_id).state, event)
        receive(unit, arrival(instance="i2", content=b"2", at=later(30)))
        study = unit.studies.get(study_id)
        unit.commit()
    assert (study.state, study.revision, study.settled_by, study.instance_count) == ("receiving", 2, None, 2)
    assert "study:reopen" in _events(database)


def test_a_late_image_withdraws_open_tasks(database: SqlDatabase) -> None:
    """Tasks of the former revision that are not finished are withdrawn in the same transaction."""
    with database.begin("dicom") as unit:
        _, task = planned_task(unit)
        unit.tasks.claim(task.id, "w1", AT, later(45))
        receive(unit, arrival(instance="late", content=b"late", at=later(30)))
        assert unit.tasks.get(task.id).state == "withdrawn"
        unit.commit()
    assert "task:withdraw" in _events(database)


def test_a_quarantined_study_stays_and_keeps_the_instance(database: SqlDatabase) -> None:
    """An instance of a quarantined study is kept, and the study stays quarantined in its revision."""
    study_id = arrival().instance.study_id
    with database.begin("dicom") as unit:
        receive(unit, arrival())
        unit.studies.move(study_id, "receiving", "quarantine")
        assert receive(unit, arrival(instance="i2", content=b"2")) == "new"
        study = unit.studies.get(study_id)
    assert (study.state, study.revision, study.instance_count) == ("quarantined", 1, 2)


def test_a_purged_study_refuses_instances(database: SqlDatabase) -> None:
    """An instance of a purged study is a Conflict."""
    study_id = arrival().instance.study_id
    with database.begin("dicom") as unit:
        receive(unit, arrival())
        unit.studies.move(study_id, "receiving", "quarantine")
        unit.studies.move(study_id, "quarantined", "purge")
        with pytest.raises(Conflict):
            receive(unit, arrival(instance="i2", content=b"2"))


def test_a_study_has_one_patient(database: SqlDatabase) -> None:
    """An instance of another patient under the same study is a Conflict."""
    with database.begin("dicom") as unit:
        receive(unit, arrival())
        with pytest.raises(Conflict):
            receive(unit, arrival(instance="i2", content=b"2", patient="two"), patient="two")


def test_a_later_accession_number_brings_its_identity(database: SqlDatabase) -> None:
    """Where the first instance had no accession number, the first that has one identifies the study."""
    with database.begin("dicom") as unit:
        receive(unit, arrival(accession_index=None))
        named = arrival(instance="i2", content=b"2", sealed_study_identity=b"with accession")
        receive(unit, named)
        study_id = named.instance.study_id
        assert unit.studies.get(study_id).accession_index == named.accession_index
        assert unit.identities.study_identity(study_id) == b"with accession"


def test_settle_is_refused_when_an_instance_has_arrived(database: SqlDatabase) -> None:
    """A study is settled only as it was read: an instance or a changed object in between refuses it."""
    with database.begin("settle") as unit:
        receive(unit, arrival())
        seen = unit.studies.get(arrival().instance.study_id)
        receive(unit, arrival(content=b"changed", at=AT))
        assert not unit.studies.settle(seen, "quiet-time")
        now = unit.studies.get(seen.id)
        assert unit.studies.settle(now, "quiet-time")
        assert not unit.studies.settle(now, "quiet-time")
        settled = unit.studies.get(seen.id)
    assert (settled.state, settled.settled_by) == ("settled", "quiet-time")


def test_move_is_guarded(database: SqlDatabase) -> None:
    """A move from a state that the study is not in changes nothing; a move that no table has is a Conflict."""
    with database.begin("tester") as unit:
        receive(unit, arrival())
        study_id = arrival().instance.study_id
        assert not unit.studies.move(study_id, "settled", "analyse")
        with pytest.raises(Conflict):
            unit.studies.move(study_id, "receiving", "report")
        assert unit.studies.get(study_id).state == "receiving"


def test_studies_are_found_by_blind_index(database: SqlDatabase) -> None:
    """Accession number, Study Instance UID and patient find their studies and no others."""
    with database.begin("dicom") as unit:
        for name in ("s1", "s2"):
            receive(unit, arrival(name))
        one, two = arrival("s1"), arrival("s2")
        assert unit.studies.ids_by_accession(one.accession_index or b"") == [one.instance.study_id]
        assert unit.studies.ids_by_study_uid(two.study_uid_index) == [two.instance.study_id]
        assert set(unit.studies.ids_by_patient(one.patient)) == {one.instance.study_id, two.instance.study_id}
        assert unit.studies.ids_by_accession(b"none") == []


def test_an_accession_number_of_many_patients_finds_one_patients_study(database: SqlDatabase) -> None:
    """Numbers are not unique: with a pseudonym the studies of that patient alone are found, however many others."""
    with database.begin("dicom") as unit:
        for number in range(3):
            one = replace(arrival(f"s{number}", patient=f"p{number}"), accession_index=b"shared")
            receive(unit, one, patient=f"p{number}")
            assert len(unit.studies.ids_by_accession(b"shared")) == number + 1
            assert unit.studies.ids_by_accession(b"shared", one.patient) == [one.instance.study_id]
        assert unit.studies.ids_by_accession(b"shared", "nobody") == []


def test_newest_pages_from_the_last_received(database: SqlDatabase) -> None:
    """Studies are listed last received first, a page at a time."""
    with database.begin("dicom") as unit:
        for number in range(5):
            receive(unit, arrival(f"s{number}", at=later(number)))
        first = unit.studies.newest(2)
        second = unit.studies.newest(10, before=first[-1].last_received_at)
    assert [study.last_received_at for study in first + second] == [later(n) for n in (4, 3, 2, 1, 0)]


def test_missing_studies(database: SqlDatabase) -> None:
    """What does not exist is Missing, to read and to lock."""
    with database.begin("tester") as unit:
        for ask in (unit.studies.get, unit.studies.lock):
            with pytest.raises(Missing):
                ask(StudyId("none"))


def test_arrivals_of_one_study_in_parallel_are_all_counted(database: SqlDatabase) -> None:
    """Eight associations that send one study at a time lose no instance and no count."""

    def send(number: int) -> None:
        with database.begin(f"dicom-{number}") as unit:
            receive(unit, arrival(instance=f"i{number}", content=b"%d" % number))
            unit.commit()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(send, range(24)))
    with database.read() as unit:
        study = unit.studies.get(arrival().instance.study_id)
        assert study.instance_count == len(unit.studies.instances(study.id)) == 24
        assert unit.audit.head()[0] == 1 + 1 + 24


def test_lock_makes_two_finishing_tasks_see_each_other(database: SqlDatabase) -> None:
    """Whoever locks the study second sees what the first has committed."""
    with database.begin("setup") as unit:
        receive(unit, arrival())
        unit.commit()
    study_id = arrival().instance.study_id
    locked = threading.Event()
    seen: list[str] = []

    def second() -> None:
        locked.wait(10)
        with database.begin("second") as unit:
            seen.append(unit.studies.lock(study_id).state)

    thread = threading.Thread(target=second)
    thread.start()
    with database.begin("first") as unit:
        unit.studies.settle(unit.studies.lock(study_id), "quiet-time")
        locked.set()
        unit.commit()
    thread.join(30)
    assert seen == ["settled"]

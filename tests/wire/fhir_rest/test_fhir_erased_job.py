"""An erasure and a job that is claimed at the same moment, interleaved on purpose (GDPR article 17)."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from wire.fhir_rest.jobs import Kind, Ward, jobs_of
from wire.fhir_rest.writing import patient

pytestmark = pytest.mark.peer("postgresql")  # SQLite has one writer: nothing interleaves


@pytest.fixture
def ward(sqlite_template: Path, postgres_cluster: Any, tmp_path: Path) -> Iterator[Ward]:
    url = postgres_cluster.create()
    with jobs_of(Kind(sqlite_template, url), tmp_path / "home") as found:
        yield found
    postgres_cluster.drop(url)


def is_waiting(ward: Ward) -> bool:
    """Whether somebody waits for a lock that another transaction holds."""
    with ward.ehr.hospital.database.outside_transactions() as connection:
        found = connection.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted"))
        return bool(found.scalar_one())


@pytest.mark.parametrize("path", ["Patient?identifier=erased-meanwhile", "$export?_type=Patient"])
def test_a_job_claimed_while_a_patient_is_erased_holds_nothing_of_her(ward: Ward, path: str) -> None:
    """The erasure has passed the jobs and is not committed: whoever claims one now waits, and finds her gone."""
    ward.ehr.create(patient("erased-meanwhile", name=[{"family": "Gonealready"}]))
    status = ward.begin(path)
    hospital = ward.ehr.hospital
    with hospital.database.read() as unit:
        (pseudonym,) = hospital.services.vault.patients(unit, None, "erased-meanwhile")
    running = threading.Thread(target=ward.jobs)
    with hospital.database.begin("officer") as unit:
        unit.erasures.begin(pseudonym)
        unit.erasures.destroy(pseudonym, datetime.now(UTC))
        running.start()
        while running.is_alive() and not is_waiting(ward):
            time.sleep(0.01)
        unit.commit()
    running.join()
    answer = ward.ehr.send("GET", status)  # an export is ended by every erasure
    output = answer.json()["output"] if answer.status_code == 200 else []
    said = [line for file in output for line in ward.lines(file)]
    assert answer.status_code == (404 if "export" in path else 200)
    assert "Gonealready" not in json.dumps(said)
    assert ward.ehr.send("GET", "Patient?identifier=erased-meanwhile&_summary=count").json()["total"] == 0


def test_a_job_that_was_claimed_before_is_ended(ward: Ward) -> None:
    """The other order: what is held when the erasure comes may have read of her, and ends without an answer."""
    ward.ehr.create(patient("erased-after", name=[{"family": "Gonealready"}]))
    status = ward.begin("Patient?identifier=erased-after")
    hospital = ward.ehr.hospital
    with hospital.database.read() as unit:
        (pseudonym,) = hospital.services.vault.patients(unit, None, "erased-after")
        job = unit.bulk_jobs.get(status.rpartition("/")[2])
    assert job is not None
    with hospital.database.begin("sweep") as unit:
        assert unit.bulk_jobs.claim(job, datetime.now(UTC)) is not None
        erasing = threading.Thread(target=erase, args=(ward, pseudonym))
        erasing.start()
        while erasing.is_alive() and not is_waiting(ward):
            time.sleep(0.01)
        unit.commit()
    erasing.join()
    assert ward.ehr.send("GET", status).status_code == 404
    assert ward.jobs() == 0


def erase(ward: Ward, pseudonym: str) -> None:
    with ward.ehr.hospital.database.begin("officer") as unit:
        unit.erasures.begin(pseudonym)
        unit.erasures.destroy(pseudonym, datetime.now(UTC))
        unit.commit()

"""What search costs: rows of a resource made and written, and the common questions asked of many resources.

`python deploy/bench/bench_search.py [--resources 20000] [--url postgresql://...]`; without an address a fresh SQLite
file. Times are CPU or wall milliseconds of this process; the body of a resource is not opened here.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from gateway.domain.resource import Change, StoredVersion
from gateway.formats.fhir.search.extract import extract
from gateway.formats.fhir.search.query import search_query
from gateway.formats.fhir.search.read_wanted import Reading
from gateway.ports import PatientRow
from gateway.storage.audit_trail import AuditKey
from gateway.storage.database import SqlDatabase
from gateway.storage.migrate import upgrade
from gateway.storage.resource_index import IndexSettings

AT = datetime(2026, 1, 1, tzinfo=UTC)
BATCH = 100
QUESTIONS = (
    "Observation?patient=p7",
    "Observation?code=http://loinc.org|8480-3",
    "Observation?status=final",
    "Observation?patient=p7&code=8480-3",
    "Observation?code=8480-3&date=ge2026-01-05",
    "Observation?code=8480-3&value-quantity=gt100|http://unitsofmeasure.org|mg",
    "Observation?patient=p7&_sort=-date",
    "Observation?patient.identifier=MRN-7",
    "Observation?code-value-quantity=8480-3$gt0.1|http://unitsofmeasure.org|g",
    "Observation?status=amended",
    "Patient?identifier=urn:mrn|MRN-7",
    "Patient?_has:Observation:patient:code=8480-3",
)


def observation(number: int, random: Random) -> dict[str, Any]:
    code, patient = random.randrange(50), random.randrange(500)
    when = AT + timedelta(minutes=number)
    return {
        "resourceType": "Observation",
        "id": f"o{number}",
        "meta": {"profile": ["http://hl7.org/fhir/StructureDefinition/vitalsigns"]},
        "identifier": [{"system": "urn:obs", "value": str(number)}],
        "status": "final",
        "category": [{"coding": [{"system": "urn:category", "code": "laboratory"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": f"8480-{code}", "display": "Something measured"}]},
        "subject": {"reference": f"Patient/p{patient}"},
        "effectiveDateTime": when.isoformat(timespec="seconds"),
        "performer": [{"reference": "Organization/lab"}],
        "valueQuantity": {
            "value": random.randrange(200), "unit": "mg", "system": "http://unitsofmeasure.org", "code": "mg",
        },
    }  # fmt: skip


def patient(number: int) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "id": f"p{number}",
        "identifier": [{"system": "urn:mrn", "value": f"MRN-{number}"}],
        "name": [{"family": f"Family{number}", "given": ["Given"]}],
        "birthDate": "1970-05-03",
    }


def timed(call: Callable[[], Any], times: int = 30) -> tuple[float, float]:
    """Medians of CPU and wall milliseconds."""
    cpu, wall = [], []
    for _ in range(times):
        begin_cpu, begin = time.process_time(), time.perf_counter()
        call()
        cpu.append((time.process_time() - begin_cpu) * 1000)
        wall.append((time.perf_counter() - begin) * 1000)
    return median(cpu), median(wall)


def fill(database: SqlDatabase, resources: list[dict[str, Any]]) -> tuple[float, float]:
    """CPU and wall milliseconds for each resource, index rows alone, a commit for every hundred."""
    cpu = wall = 0.0
    for start in range(0, len(resources), BATCH):
        with database.begin("bench") as unit:
            owner = unit.identities.add_patient(PatientRow(b"i", b"i", "owner", b"s", b"k")).pseudonym
            some = list(enumerate(resources[start : start + BATCH], start=start + 1))
            stored = [
                StoredVersion(key, one["resourceType"], one["id"], 1, "PUT", AT, owner, b"sealed") for key, one in some
            ]
            unit.resources.write([(None, each) for each in stored])
            begin_cpu, begin = time.process_time(), time.perf_counter()
            unit.resource_index.put([Change(each, one, None) for each, (_, one) in zip(stored, some, strict=True)])
            cpu, wall = cpu + time.process_time() - begin_cpu, wall + time.perf_counter() - begin
            unit.commit()
    return cpu / len(resources) * 1000, wall / len(resources) * 1000


def main() -> None:
    told = argparse.ArgumentParser(description=__doc__)
    told.add_argument("--resources", type=int, default=20_000)
    told.add_argument("--url", help="an empty database; without it a fresh SQLite file")
    asked = told.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = asked.url or f"sqlite:///{Path(folder) / 'bench.sqlite'}"
        upgrade(url)
        index = IndexSettings(lambda label: hashlib.sha256(label.encode()).digest())
        database = SqlDatabase(url, AuditKey("bench-1", b"k" * 32), index=index)
        random = Random(1)  # noqa: S311
        resources = [*map(patient, range(500)), *(observation(number, random) for number in range(asked.resources))]
        sample = resources[500:1500]
        start = time.process_time()
        for each in sample:
            extract(each)
        print(f"extract {(time.process_time() - start) / len(sample) * 1000:.3f} ms CPU for an Observation")
        cpu, wall = fill(database, resources)
        print(f"put     {cpu:.3f} ms CPU, {wall:.3f} ms wall for each of {len(resources)} resources")
        with database.read() as unit:
            for question in QUESTIONS:
                kind, _, text = question.partition("?")
                fields = [(part.partition("=")[0], part.partition("=")[2]) for part in text.split("&")]
                query = search_query(kind, fields, Reading())

                def ask(query: Any = query, kind: str = kind) -> Any:
                    return unit.resource_index.page(
                        kind, query.criteria, query.order, limit=20, until=1 << 60, after=None
                    )

                cpu, wall = timed(ask)
                print(f"{cpu:8.2f} ms CPU {wall:8.2f} ms wall {len(ask()):3} found  {question}")
        database.close()


if __name__ == "__main__":
    main()

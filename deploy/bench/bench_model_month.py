"""What the monthly report and the shift rule of models cost in a database that has grown for years.

`python deploy/bench/bench_model_month.py [--findings 500000] [--url postgresql://...]`; without an address a fresh
SQLite file. Findings of five models lie evenly over five years; the month asked for is the last one. Times are wall
and processor seconds of this process (what PostgreSQL computes is no part of the latter).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy import create_engine, insert, text

from gateway.domain.finding import Code, Finding, ImageFinding, Label, Provenance
from gateway.domain.ids import FindingId, ModelId, StudyId, TaskId, derive_id
from gateway.domain.model import AppliesTo, ServedModel
from gateway.flow.model_month import ReadMonth
from gateway.storage import tables
from gateway.storage.audit_trail import AuditKey
from gateway.storage.database import SqlDatabase
from gateway.storage.migrate import upgrade

YEARS = timedelta(days=5 * 365)
NOW = datetime(2026, 11, 1, tzinfo=UTC)
MONTH = (NOW - timedelta(days=31), NOW)
BATCH, IMAGES, SAMPLE = 1000, 4, 2000
CODE = Code("http://snomed.info/sct", "SCT", "254837009", "Malignant neoplasm of breast")
EXPLAINED = "The region that speaks most for it lies in the upper half of the image, 18 % of its area. " * 2


def served(number: int) -> ServedModel:
    name = f"model-{number}"
    return ServedModel(
        ModelId(derive_id("model", name)), name, "1.0.0", "0" * 64, name, "Measuring", AppliesTo(("US",), ()),
        "0" * 64, "", "CPUExecutionProvider", "active", NOW,
    )  # fmt: skip


def finding(number: int, model: ServedModel, at: datetime, random: Random) -> Finding:
    label = Label("malignant", CODE, random.random())
    image = ImageFinding("2.25.1234567890123456789012345678901234567", (label,), "malignant", EXPLAINED, None)
    made = Provenance(model.id, model.name, model.version, model.sha256, model.provider, "1.31.1", "w1", ("ab" * 32,))
    return Finding(
        FindingId(derive_id("finding", str(number))), TaskId(derive_id("task", str(number))),
        StudyId(derive_id("study", str(number))), 1, CODE, label, EXPLAINED, 0.5,
        tuple(replace(image, distance=random.random()) for _ in range(IMAGES)), made, at,
    )  # fmt: skip


def rows(found: Finding, patient: str) -> Iterator[tuple[Any, dict[str, Any]]]:
    at = found.created_at
    yield tables.study, {
        "id": found.study_id, "study_uid": found.study_id, "patient": patient, "state": "closed", "revision": 1,
        "priority": "routine", "modalities": ("US",), "body_parts": (), "instance_count": 4, "first_received_at": at,
        "last_received_at": at, "settle_at": at, "kind": "images",
    }  # fmt: skip
    yield tables.task, {
        "id": found.task_id, "study_id": found.study_id, "revision": 1, "model_id": found.made_by.model_id,
        "state": "done", "attempt": 1, "priority": "routine", "created_at": at, "retried_at": 0, "due_at": at,
        "shadow": False,
    }  # fmt: skip
    yield tables.finding, {
        "id": found.id, "task_id": found.task_id, "study_id": found.study_id, "revision": 1, "decided": "malignant",
        "probability": 0.5, "created_at": at, "content": found,
    }  # fmt: skip


def fill(url: str, models: list[ServedModel], count: int) -> None:
    random, step = Random(1), YEARS / count  # noqa: S311
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    patient = {"index": b"i", "id_index": b"i", "pseudonym": "one", "sealed_secret": b"s", "wrapped_object_key": b"k"}
    with engine.begin() as connection:
        connection.execute(insert(tables.patient), patient)
    for start in range(0, count, BATCH):
        made = [
            finding(number, random.choice(models), NOW - YEARS + number * step, random)
            for number in range(start, min(start + BATCH, count))
        ]
        with engine.begin() as connection:
            for table, values in zip(*_columns([list(rows(one, "one")) for one in made]), strict=True):
                connection.execute(insert(table), values)
    with engine.begin() as connection:
        connection.execute(text("ANALYZE"))
    engine.dispose()


def _columns(made: list[list[tuple[Any, dict[str, Any]]]]) -> tuple[list[Any], list[list[dict[str, Any]]]]:
    return [table for table, _ in made[0]], [[one[place][1] for one in made] for place in range(len(made[0]))]


def timed(name: str, call: Callable[[], Any]) -> None:
    for turn in ("first", "second"):
        cpu, wall = time.process_time(), time.perf_counter()
        found = call()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        print(f"| {name} ({turn} time) | {found} | {wall:.2f} s | {cpu:.2f} s |", flush=True)


def main() -> None:
    told = argparse.ArgumentParser(description=__doc__)
    told.add_argument("--findings", type=int, default=500_000)
    told.add_argument("--url", help="an empty database; without it a fresh SQLite file")
    asked = told.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = asked.url or f"sqlite:///{Path(folder) / 'bench.sqlite'}"
        upgrade(url)
        database = SqlDatabase(url, AuditKey("bench-1", b"k" * 32))
        models = [served(number) for number in range(5)]
        with database.begin("bench") as unit:
            for model in models:
                unit.models.announce(model)
            unit.commit()
        fill(url, models, asked.findings)

        def sample() -> int:
            with database.read() as unit:
                return len([*unit.governance.sample(models[0].id, *MONTH, SAMPLE)])

        def waiting() -> int:
            with database.read() as unit:
                return len(unit.governance.waiting())

        def month() -> int:
            return sum(one.answers for one in ReadMonth(database)(*MONTH)[0])

        print("| what | found | wall | processor |\n|---|---|---|---|")
        timed("shift rule, one model and time", sample)
        timed("tasks that wait", waiting)
        timed("monthly report", month)
        database.close()


if __name__ == "__main__":
    main()

"""Sealed files that no row names are found and deleted, and no other, on both databases and in folder and bucket."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from harness.keyed_gateway import KeyedGateway, ct_object
from harness.rows import AT, finding, model
from sqlalchemy import Text, update

from gateway.domain.ids import BlobKey, new_id
from gateway.domain.sealed_files import heat_map, pixel_file
from gateway.flow.sweep_orphans import AGE, SweepOrphans
from gateway.storage import tables
from gateway.storage.erasures import NAMING_COLUMNS
from gateway.storage.schema import metadata

LEASE = timedelta(minutes=5)


@pytest.fixture
def gateway(database_url: str, tmp_path: Path) -> Iterator[KeyedGateway]:
    opened = KeyedGateway(tmp_path / "home", database_url)
    yield opened
    opened.close()


def age(gateway: KeyedGateway, *keys: BlobKey) -> None:
    """Makes files two days old."""
    then = (datetime.now(UTC) - 2 * AGE).timestamp()
    for key in keys:
        os.utime(Path(gateway.settings.blob_url) / key[:2] / key, (then, then))


def test_only_old_files_that_nothing_names_go(gateway: KeyedGateway) -> None:
    """Objects, deposits of every masking, previews and heat maps stay; so does what was stored a moment ago."""
    gateway.receiver()(ct_object("MRN-ORPHAN-1"))
    ((_, instance),) = gateway.instances()
    with gateway.database.begin("test") as unit:
        study = unit.studies.get(instance.study_id)
        unit.clearances.decide(instance, "mask")
        unit.pixel_tasks.plan(instance, "routine", AT)
        for attempt in (1, 2):
            now, until = AT + attempt * LEASE, AT + (attempt + 1) * LEASE
            assert unit.pixel_tasks.claim(instance.id, "worker", now, until)
        unit.models.announce(model())
        (planned,) = unit.tasks.plan(study, [model()], AT)
        task = unit.tasks.claim(planned.id, "worker", AT, AT + LEASE)
        assert task is not None
        picture = heat_map(task.id, task.attempt, instance.sop_instance_uid)
        done = finding(task)
        assert unit.tasks.finish(task, replace(done, images=(replace(done.images[0], heat_map=picture),)))
        preview = BlobKey(new_id())
        unit._transaction.execute(update(tables.pixel_task).values(preview_key=preview))
        unit.commit()
    named = [pixel_file("removed-pixels", instance.id, attempt) for attempt in (1, 2)] + [picture, preview]
    orphans, young = [BlobKey(new_id()) for _ in range(3)], BlobKey(new_id())
    for key in [*named, *orphans, young]:
        gateway.blobs.put(key, [b"sealed"])
    age(gateway, instance.blob_key, *named, *orphans)
    sweep = SweepOrphans(gateway.database, gateway.blobs)
    assert [sweep(), sweep()] == [3, 0]
    assert set(gateway.blobs.keys()) == {instance.blob_key, *named, young}
    with gateway.database.read() as unit:
        (told,) = unit.audit.newest(limit=10, event="orphan:delete")
    assert told.entry.details == {"count": 3}


def test_no_column_that_names_a_file_is_forgotten() -> None:
    """Whoever adds a column for a file of the blob store must tell the sweep, or it would delete what the row names."""
    found = {
        column
        for table in metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, Text) and ("blob" in column.name or column.name.endswith("_key"))
    }
    assert found == set(NAMING_COLUMNS)

"""A whole gateway that has taken and judged planted objects, and ways to look at all that it keeps."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pydicom
from harness.gateway_process import GatewayProcess, wait_for
from harness.send import send_folder
from harness.six_scripts import Patient
from harness.traces import found_in

from gateway import config, wiring
from gateway.domain.ids import BlobKey
from gateway.domain.lifecycle import UNCLEARED
from gateway.domain.study import Instance
from gateway.storage.database import SqlDatabase


@dataclass
class PlantedRun:
    """`sent` are the files as the modality wrote them; the home is opened again beside the running gateway."""

    gateway: GatewayProcess
    temporary: Path
    sent: dict[Patient, list[Path]] = field(default_factory=dict)

    @cached_property
    def settings(self) -> config.Settings:
        return config.load({"DXGATE_GATEWAY_HOME": str(self.gateway.home)}).settings

    @cached_property
    def database(self) -> SqlDatabase:
        return wiring.database(self.settings)

    def send(self, patient: Patient, *objects: pydicom.Dataset) -> None:
        folder = self.gateway.home.parent / "in" / patient.script
        folder.mkdir(parents=True)
        for number, one in enumerate(objects):
            one.save_as(folder / f"{number}.dcm", enforce_file_format=True)
        send_folder(self.gateway.dicom_port, folder)
        self.sent[patient] = sorted(folder.glob("*.dcm"))

    def wait_until_decided(self, seconds: float = 120) -> None:
        """The checker, the search for text, and the checker once more."""
        marks = ", ".join("?" * len(UNCLEARED))
        query = f"SELECT count(*) FROM instance WHERE clearance IN ({marks})"  # noqa: S608

        def undecided() -> int:
            uri = f"file:{self.gateway.home}/dxgate.sqlite?mode=ro"
            with closing(sqlite3.connect(uri, uri=True)) as opened:
                return int(opened.execute(query, UNCLEARED).fetchone()[0])

        wait_for(lambda: not undecided(), seconds, "every object to be decided about")

    def instances(self, patient: Patient) -> list[Instance]:
        index = wiring.vault(self.settings, self.database).search_index("accession", patient.accession)
        with self.database.read() as unit:
            return [one for study in unit.studies.ids_by_accession(index) for one in unit.studies.instances(study)]

    def opened(self, instance: Instance) -> bytes:
        """The object as a worker opens it, with the objects key ring alone."""
        with self.database.read() as unit:
            patient = unit.studies.get(instance.study_id).patient
        seal = wiring.object_seal(self.settings, self.database)
        return seal.open(patient, instance.blob_key, self.blob(instance.blob_key))

    def blob(self, key: BlobKey) -> bytes:
        return wiring.blobs(self.settings).get(key)

    def files(self) -> list[Path]:
        """All that the gateway has written, temporary files among it."""
        return [*self.gateway.files(), *(path for path in self.temporary.rglob("*") if path.is_file())]

    def uids(self) -> list[str]:
        """The original UIDs of everything that was sent."""
        headers = [pydicom.dcmread(path, stop_before_pixels=True) for files in self.sent.values() for path in files]
        return [str(one.get(word)) for one in headers for word in ("StudyInstanceUID", "SOPInstanceUID")]


@contextmanager
def planted_run(folder: Path, settings: Mapping[str, str]) -> Iterator[PlantedRun]:
    """At the most talkative level of logging; temporary files lie where they can be searched."""
    temporary = folder / "tmp"
    temporary.mkdir()
    told = {"DXGATE_GATEWAY_LOG_LEVEL": "debug", "TMPDIR": str(temporary), **settings}
    run = PlantedRun(GatewayProcess(folder / "home", told).start(), temporary)
    try:
        yield run
    finally:
        run.gateway.stop()


def nothing_in(where: str, content: bytes, sought: set[bytes]) -> None:
    found = found_in(content, sought)
    assert not found, f"planted identity in {where}: {found[:3]}"

"""One study over several processes and restarts of the gateway: its objects still refer to each other.

Each process receives some of the objects, and knows of the others nothing but what the vault gives it.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from harness.commands import start_code
from harness.keyed_gateway import KeyedGateway
from unit.gateway.privacy.conftest import ROOT, build
from unit.gateway.privacy.test_privacy_study import CLASSES, EXPLICIT_LE, STORAGE, reference, study

PROCESSES = 3
RECEIVE = """
import pickle, sys
from gateway import config, wiring
from gateway.flow.receive import ReceivedObject
from gateway.storage.group_commit import GroupCommitter
home, url, syntax = sys.argv[1:]
settings = config.load({"DXGATE_GATEWAY_HOME": home, "DXGATE_DATABASE_URL": url}).settings
opened = wiring.database(settings)
commits = GroupCommitter(opened, "receive")
receive = wiring.receive(settings, opened, commits)
for sop_class, sop_instance, dataset in pickle.load(sys.stdin.buffer):
    assert receive(ReceivedObject(sop_class, sop_instance, syntax, dataset, "dicom:TEST@127.0.0.1")) == "new"
commits.stop()
opened.close()
"""


@pytest.fixture
def gateway(database_url: str, tmp_path: Path) -> Iterator[KeyedGateway]:
    opened = KeyedGateway(tmp_path / "home", database_url)
    yield opened
    opened.close()


def test_a_study_stays_closed_over_processes_and_restarts(gateway: KeyedGateway, tmp_path: Path) -> None:
    """Image, report, presentation state, key objects, segmentation and structures name each other's new UIDs."""
    objects = [
        (STORAGE + CLASSES[kind], reference(kind)[0x00081155][1].decode(), dataset)
        for kind, dataset in study(lambda elements, encoding: build({**ROOT, **elements}, encoding)).items()
    ]
    assert len(objects) > PROCESSES
    sent = tmp_path / "sent"
    for number in range(PROCESSES):
        sent.write_bytes(pickle.dumps(objects[number::PROCESSES]))
        words = [str(gateway.home), gateway.database_url, EXPLICIT_LE]
        assert start_code(RECEIVE, words, sent).wait(60) == 0
    seal, stored = gateway.fresh_seal(), gateway.instances()
    assert len({(patient, one.study_id) for patient, one in stored}) == 1
    instances = {one.sop_instance_uid for _, one in stored}
    assert len(instances) == len(CLASSES)
    named: set[str] = set()
    for patient, one in stored:
        file = seal.open(patient, one.blob_key, gateway.blobs.get(one.blob_key))
        elements = pydicom.dcmread(io.BytesIO(file)).iterall()
        named |= {str(each.value) for each in elements if each.keyword == "ReferencedSOPInstanceUID"}
    assert named == instances

"""One study over several processes and restarts of the gateway: its objects still refer to each other.

Each object is received by a process of its own, which knows of the others nothing but what the vault gives it.
"""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from harness.keyed_gateway import KeyedGateway
from unit.gateway.privacy.conftest import ROOT, build
from unit.gateway.privacy.test_privacy_study import CLASSES, EXPLICIT_LE, STORAGE, reference, study

HERE = Path(__file__).resolve().parents[1]
RECEIVE = """
import sys
from pathlib import Path
from gateway import config, wiring
from gateway.flow.receive import ReceivedObject
from gateway.storage.group_commit import GroupCommitter
home, url, sop_class, sop_instance, syntax = sys.argv[1:]
settings = config.load({"DXGATE_GATEWAY_HOME": home, "DXGATE_DATABASE_URL": url}).settings
opened = wiring.database(settings)
commits = GroupCommitter(opened, "receive")
received = ReceivedObject(sop_class, sop_instance, syntax, sys.stdin.buffer.read(), "dicom:TEST@127.0.0.1")
assert wiring.receive(settings, opened, commits)(received) == "new"
commits.stop()
opened.close()
"""


@pytest.fixture
def gateway(database_url: str, tmp_path: Path) -> Iterator[KeyedGateway]:
    opened = KeyedGateway(tmp_path / "home", database_url)
    yield opened
    opened.close()


def test_a_study_stays_closed_over_processes_and_restarts(gateway: KeyedGateway) -> None:
    """Image, report, presentation state, key objects, segmentation and structures name each other's new UIDs."""
    for kind, dataset in study(lambda elements, encoding: build({**ROOT, **elements}, encoding)).items():
        sop_class, sop_instance = STORAGE + CLASSES[kind], reference(kind)[0x00081155][1].decode()
        told = (str(gateway.home), gateway.database_url, sop_class, sop_instance, EXPLICIT_LE)
        subprocess.run(
            [sys.executable, "-c", RECEIVE, *told],
            input=dataset,
            env={"PYTHONPATH": str(HERE.parent)},
            check=True,
            timeout=60,
        )
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

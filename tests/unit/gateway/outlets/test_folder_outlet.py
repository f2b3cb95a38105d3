"""Claims about the folder outlet."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import fixtures_report as sample
import pytest

from gateway.domain.errors import Unavailable
from gateway.domain.ids import DeliveryId
from gateway.domain.report import Delivery, report_id
from gateway.outlets.folder import FolderOutlet

REPORT = report_id(sample.STUDY)


def delivery(version: int = 1) -> Delivery:
    return Delivery(DeliveryId("d"), REPORT, version, "folder", "sending", 1, sample.AT)


def outlet(folder: Path) -> FolderOutlet:
    return FolderOutlet(folder, "https://gateway.example/fhir", "General Hospital AI")


def test_each_version_is_one_file(tmp_path: Path) -> None:
    """Two versions are two files named by report and version, the report first in each."""
    sender = outlet(tmp_path)
    sender.send(delivery(1), sample.malignant())
    sender.send(delivery(2), sample.malignant(status="final", version=2))
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{REPORT}-1.json", f"{REPORT}-2.json"]
    bundle = json.loads((tmp_path / f"{REPORT}-2.json").read_bytes())
    assert (bundle["type"], bundle["entry"][0]["resource"]["status"]) == ("collection", "final")


def test_a_retry_writes_the_same_file(tmp_path: Path) -> None:
    """Sending again gives the same acknowledgement and the same bytes, and leaves nothing else behind."""
    sender = outlet(tmp_path)
    first = sender.send(delivery(), sample.malignant())
    written = (tmp_path / f"{REPORT}-1.json").read_bytes()
    assert sender.send(delivery(), sample.malignant()) == first
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [written]
    assert first == f"{REPORT}-1.json sha256 {hashlib.sha256(written).hexdigest()}"


def test_what_a_crash_left_behind_is_written_over(tmp_path: Path) -> None:
    """An unfinished file of an attempt that died does not hinder the next."""
    (tmp_path / f".{REPORT}-1.json.unfinished").write_bytes(b"half" * 100_000)
    outlet(tmp_path).send(delivery(), sample.malignant())
    assert [path.name for path in tmp_path.iterdir()] == [f"{REPORT}-1.json"]
    assert json.loads((tmp_path / f"{REPORT}-1.json").read_bytes())["type"] == "collection"


def test_a_missing_folder_is_tried_again_and_not_made(tmp_path: Path) -> None:
    """A share that is not mounted must not become a folder on the wrong disk."""
    with pytest.raises(Unavailable):
        outlet(tmp_path / "share").send(delivery(), sample.malignant())
    assert not (tmp_path / "share").exists()


def test_others_cannot_read_a_file(tmp_path: Path) -> None:
    """The file holds identity in clear: nobody but owner and group may open it."""
    outlet(tmp_path).send(delivery(), sample.malignant())
    assert (tmp_path / f"{REPORT}-1.json").stat().st_mode & 0o007 == 0


def test_a_link_in_the_way_is_not_followed(tmp_path: Path) -> None:
    """Somebody who can write into the folder cannot make us overwrite a file elsewhere."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"precious")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / f".{REPORT}-1.json.unfinished").symlink_to(elsewhere)
    with pytest.raises(Unavailable):
        outlet(folder).send(delivery(), sample.malignant())
    assert elsewhere.read_bytes() == b"precious"

"""A sealed object as a file: the same bytes, read and opened only where somebody reads."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest
from harness.intake import Intake, image

from gateway.domain.errors import Invalid, Missing
from gateway.domain.ids import BlobKey, derive_id
from gateway.privacy.sealing import LONGEST_HEADER, SEGMENT, sealed_size
from gateway.storage.blobs_folder import FolderBlobs
from gateway.storage.database import SqlDatabase
from gateway.storage.sealed_file import SealedFiles

LARGE = 6 * SEGMENT + 1234


class CountedBlobs(FolderBlobs):
    """Notes which ranges were asked for."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.ranges: list[tuple[int, int]] = []

    def read_range(self, key: BlobKey, start: int, length: int) -> bytes:
        self.ranges.append((start, length))
        return super().read_range(key, start, length)


@pytest.fixture
def intake(sqlite_database: SqlDatabase, tmp_path: Path) -> Intake:
    made = Intake(sqlite_database, tmp_path)
    made.receive(image())  # so that there is a patient with a key
    return made


def stored(intake: Intake, content: bytes) -> tuple[SealedFiles, CountedBlobs, str, BlobKey]:
    patient = intake.study(intake.instances()[0].study_id).patient
    blobs = CountedBlobs(intake.blobs_folder)
    key = BlobKey(derive_id("object", str(len(content))))
    blobs.put(key, intake.seal.seal(patient, key, [content]))
    return SealedFiles(blobs, intake.seal), blobs, patient, key


@pytest.mark.parametrize("size", [0, 1, SEGMENT, 4 * SEGMENT, 4 * SEGMENT + 1, 5 * SEGMENT, LARGE])
def test_a_file_gives_what_was_sealed(intake: Intake, size: int) -> None:
    """At sizes around the segments' borders the whole file reads back, and its end is its end."""
    content = random.Random(size).randbytes(size)
    files, _, patient, key = stored(intake, content)
    with files.open(patient, key, size) as file:
        assert file.read() == content
        assert file.read(1) == b""
        assert file.seek(0, io.SEEK_END) == size


def test_only_the_segments_that_are_read_are_opened(intake: Intake) -> None:
    """Start and end of a large object cost two segments, not seven."""
    content = random.Random(1).randbytes(LARGE)
    files, blobs, patient, key = stored(intake, content)
    with files.open(patient, key, LARGE) as file:
        assert file.read(1000) == content[:1000]
        file.seek(LARGE - 10)
        assert file.read(100) == content[-10:]
    assert sum(1 for _, length in blobs.ranges if length > LONGEST_HEADER) == 2


def test_reads_across_borders_are_whole(intake: Intake) -> None:
    """A read that begins in one segment and ends in another is what a plain file gives."""
    content = random.Random(2).randbytes(LARGE)
    files, _, patient, key = stored(intake, content)
    with files.open(patient, key, LARGE) as file:
        for start in (SEGMENT - 5, 3 * SEGMENT - 1, 5 * SEGMENT - 70_000):
            file.seek(start)
            assert file.read(140_000) == content[start : start + 140_000]


def test_another_size_or_object_does_not_open(intake: Intake) -> None:
    """A row that says another size, another object's blob and an absent one are refused."""
    files, blobs, patient, key = stored(intake, bytes(LARGE))
    with pytest.raises(Invalid), files.open(patient, key, LARGE - SEGMENT) as file:
        file.read()
    other = BlobKey(derive_id("object", "other"))
    blobs.put(other, [blobs.get(key)])
    with pytest.raises(Invalid), files.open(patient, other, LARGE) as file:
        file.read(1)
    with pytest.raises(Missing), files.open(patient, BlobKey("0" * 32), LARGE) as file:
        file.read(1)


@pytest.mark.parametrize("size", [0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 3 * SEGMENT])
def test_the_sealed_size_is_known_from_the_plain_one(intake: Intake, size: int) -> None:
    """It is computed from the header and the plain size, without asking the store."""
    _, blobs, _, key = stored(intake, bytes(size))
    sealed = blobs.get(key)
    assert sealed_size(sealed[:LONGEST_HEADER], size) == len(sealed)

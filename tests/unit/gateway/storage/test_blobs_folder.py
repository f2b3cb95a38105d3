"""The blob folder when the disk fails: refused, named, and nothing half left behind."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from gateway.domain.errors import Unavailable
from gateway.domain.ids import BlobKey, new_id
from gateway.storage.blobs_folder import FolderBlobs


@pytest.mark.parametrize("call", ["writev", "fdatasync", "fsync"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_failing_disk_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int) -> None:
    """A full, read-only or broken disk is Unavailable at every step, and the partial file is removed."""
    blobs = FolderBlobs(tmp_path)

    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    key = BlobKey(new_id())
    with monkeypatch.context() as patched:
        patched.setattr(os, call, fail)
        with pytest.raises(Unavailable, match=errno.errorcode[number]):
            blobs.put(key, [b"some bytes"])
    assert list(blobs.keys()) == []
    blobs.put(key, [b"some bytes"])
    assert blobs.get(key) == b"some bytes"


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system call that takes fewer bytes than it was given is continued where it stopped."""
    blobs = FolderBlobs(tmp_path)
    writev = os.writev
    monkeypatch.setattr(os, "writev", lambda file, parts: writev(file, [bytes(parts[0])[:3]]))
    key = BlobKey(new_id())
    blobs.put(key, [b"0123456789", b"", b"abcdefg"])
    assert blobs.get(key) == b"0123456789abcdefg"


def test_the_folder_is_private(tmp_path: Path) -> None:
    """Folders and files can be read by their owner alone."""
    blobs = FolderBlobs(tmp_path / "blobs")
    key = BlobKey(new_id())
    blobs.put(key, [b"x"])
    file = tmp_path / "blobs" / key[:2] / key
    assert [oct(path.stat().st_mode & 0o777) for path in (tmp_path / "blobs", file)] == ["0o700", "0o600"]

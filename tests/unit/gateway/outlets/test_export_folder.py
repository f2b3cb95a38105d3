"""The folder of an export: whole under its name or not there, private, with checksums that hold."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.domain.errors import Conflict, Fault, Invalid, Unavailable
from gateway.outlets.export_folder import CHECKSUMS, ExportFolder


def test_what_is_published_is_whole_and_private(tmp_path: Path) -> None:
    """Every file is there under its name with its checksum, readable by its owner alone, and nothing beside it."""
    with ExportFolder(tmp_path / "out") as folder:
        folder.write("a/b/c.dcm", [b"one", b"two"])
        folder.write("report.md", [b"text"])
        assert not (tmp_path / "out").exists()
        folder.publish()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / CHECKSUMS).read_text() == (
        f"{hashlib.sha256(b'onetwo').hexdigest()}  a/b/c.dcm\n{hashlib.sha256(b'text').hexdigest()}  report.md\n"
    )
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700


def build(target: Path, files: list[tuple[str, bytes]], meanwhile: Callable[[], object] = lambda: None) -> None:
    with ExportFolder(target) as folder:
        for name, content in files:
            folder.write(name, [content])
        meanwhile()
        folder.publish()


def test_what_is_not_published_is_gone(tmp_path: Path) -> None:
    """An error inside the block leaves neither the folder nor what was built of it."""
    with pytest.raises(ZeroDivisionError):
        build(tmp_path / "out", [("a.dcm", b"one")], lambda: 1 / 0)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_taken_is_refused_and_left_alone(tmp_path: Path) -> None:
    """A folder, file or dangling link of the name, or another export that is being built there, stays as it was."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / ".new.part").mkdir()
    for name in ("folder", "file", "link", "new"):
        with pytest.raises(Conflict), ExportFolder(tmp_path / name):
            pass
    assert (tmp_path / "file").read_text() == "mine"
    assert (tmp_path / ".new.part").is_dir()
    assert not (tmp_path / "nowhere").exists()


def test_a_place_that_appears_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    """A folder of the same name, made while the export was built, is kept and the export given up."""
    with pytest.raises(Conflict, match="appeared"):
        build(tmp_path / "out", [("a.dcm", b"one")], (tmp_path / "out").mkdir)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("name", ["../a", "/etc/passwd", "a//b", ".hidden", "", "a/../b", "a\nb", "x" * 81])
def test_a_file_has_a_plain_name_inside_the_folder(tmp_path: Path, name: str) -> None:
    """No part of a name climbs out, hides or breaks the list of checksums."""
    with pytest.raises(Fault):
        build(tmp_path / "out", [(name, b"one")])


def test_two_files_do_not_share_a_name(tmp_path: Path) -> None:
    """A second object under the first one's UID stops the export instead of replacing it."""
    with pytest.raises(Fault, match="one name"):
        build(tmp_path / "out", [("a.dcm", b"one"), ("a.dcm", b"two")])


def test_a_folder_without_a_parent_is_invalid(tmp_path: Path) -> None:
    """Parents are not made: a mistyped path is an error."""
    with pytest.raises(Invalid):
        build(tmp_path / "none" / "out", [])


def test_a_full_disk_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the disk refuses ends as Unavailable and leaves nothing."""

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Unavailable, match="No space"):
        build(tmp_path / "out", [("a.dcm", b"one")])
    assert list(tmp_path.iterdir()) == []

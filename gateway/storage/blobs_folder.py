"""Sealed objects as files of one folder (port `BlobStore`), each flushed with its directory entry.

Entry and content are flushed at the same time, in two threads: a disk takes as long for both as for one.
A file is written under its final name, created exclusively: no row names it before `put` has returned, so half a
file left by a crash is invisible, and its key is never used again. Renaming a temporary file would cost a second
journal commit on every object and gain nothing. Files are spread over 256 folders by the first two digits.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from gateway.domain.errors import Conflict, Fault, Missing, Unavailable
from gateway.domain.ids import BlobKey
from gateway.storage.blob_key import checked, is_key

_FLUSHES = 8  # threads that wait for the disk; more objects at once than that wait for each other
_MOST_PARTS = 1024  # IOV_MAX of Linux
_SHARDS = tuple(f"{number:02x}" for number in range(256))


_NEW = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC


class FolderBlobs:
    """`root` is made where it is missing, readable by its owner alone."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._flushing = ThreadPoolExecutor(_FLUSHES, "blob-folder")
        with _translated():
            _prepare(root)

    def put(self, key: BlobKey, parts: Sequence[bytes | memoryview]) -> None:
        folder, path = self._place(key)
        with _translated():
            try:
                file = os.open(path, _NEW, 0o600)
            except FileNotFoundError:  # somebody has tidied up empty folders
                _prepare(self._root)
                file = os.open(path, _NEW, 0o600)
        try:
            with _translated():
                try:
                    entry = self._flushing.submit(_flush, folder)
                    _write(file, parts)
                    os.fdatasync(file)
                finally:
                    os.close(file)
                entry.result()
        except BaseException:
            with suppress(OSError):
                path.unlink()
            raise

    def get(self, key: BlobKey) -> bytes:
        """Missing where there is no such key."""
        with _translated():
            return self._place(key)[1].read_bytes()

    def read_range(self, key: BlobKey, start: int, length: int) -> bytes:
        """Fewer bytes than `length` at the end of the object, none beyond it."""
        if start < 0 or length < 0:
            raise Fault("a range of a blob begins and ends in it")
        with _translated(), self._place(key)[1].open("rb") as file:
            file.seek(start)
            return file.read(length)

    def delete(self, key: BlobKey) -> None:
        folder, path = self._place(key)
        with _translated():
            try:
                path.unlink()
            except FileNotFoundError:
                return
            _flush(folder)

    def keys(self) -> Iterator[BlobKey]:
        """Every stored key, in order; files that are not ours are passed over."""
        for shard in _SHARDS:
            with _translated():
                names = sorted(name for name in os.listdir(self._root / shard) if is_key(name))
            yield from map(BlobKey, names)

    def stored_before(self, moment: datetime) -> Iterator[BlobKey]:
        """By the time of the last change, which of a file that is written once is that of its writing."""
        for key in self.keys():
            try:
                with _translated():
                    stored_at = self._place(key)[1].stat().st_mtime
            except Missing:
                continue  # deleted since it was listed
            if stored_at < moment.timestamp():
                yield key

    def _place(self, key: BlobKey) -> tuple[Path, Path]:
        name = checked(key)
        folder = self._root / name[:2]
        return folder, folder / name


def _prepare(root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    missing = set(_SHARDS).difference(os.listdir(root))
    for shard in missing:
        (root / shard).mkdir(exist_ok=True, mode=0o700)
    if missing:
        _flush(root)
        _flush(root.parent)


def _write(file: int, parts: Sequence[bytes | memoryview]) -> None:
    left = [memoryview(part).cast("B") for part in parts if len(part)]
    while left:
        written = os.writev(file, left[:_MOST_PARTS])
        done = 0
        while done < len(left) and written >= len(left[done]):
            written -= len(left[done])
            done += 1
        del left[:done]
        if written:
            left[0] = left[0][written:]


def _flush(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except FileExistsError:
        raise Conflict("the blob key is taken") from None
    except FileNotFoundError:
        raise Missing("no such blob") from None
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, "unknown error")
        raise Unavailable(f"the blob folder answered {name}") from None

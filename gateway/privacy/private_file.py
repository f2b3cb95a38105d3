"""Files that hold keys: written whole or not at all, durable before they are used, readable by their owner alone."""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from gateway.domain.errors import Busy, Conflict, Forbidden, Invalid, Unavailable

LARGEST: Final = 1 << 20
FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600


def write_new(path: Path, content: bytes) -> None:
    """Temporary file, fsync, link, fsync of the folder; Conflict where the file exists."""
    temporary = _temporary(path, content)
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        raise Conflict(f"{path.name} exists and is not overwritten") from None
    except OSError as error:
        raise Unavailable(f"{path.name} cannot be written (errno {error.errno})") from None
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def write_over(path: Path, content: bytes) -> None:
    """Temporary file, fsync, rename, fsync of the folder: a crash leaves the old file or the new one."""
    temporary = _temporary(path, content)
    try:
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise Unavailable(f"{path.name} cannot be written (errno {error.errno})") from None
    _sync_folder(path.parent)


def read(path: Path) -> bytes:
    """Forbidden where others than the owner may reach it; Invalid where it is too large for what it is."""
    check_private(path.parent, "folder", FOLDER_MODE)
    check_private(path, "file", FILE_MODE)
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise Unavailable(f"{path.name} cannot be read (errno {error.errno})") from None
    if len(content) > LARGEST:
        raise Invalid(f"{path.name} is larger than {LARGEST} bytes")
    return content


def check_private(path: Path, kind: str, most: int) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & ~most:
        raise Forbidden(f"the key {kind} {path.name} has mode {mode:04o}; it must be {most:04o} or stricter")


@contextmanager
def one_at_a_time(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Alone in changing the files of this folder; Busy where another is and we do not `wait`.

    The kernel lets go when a process dies.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise Busy("another command is changing the keys; wait for it") from None
    try:
        yield
    finally:
        os.close(handle)


def _temporary(path: Path, content: bytes) -> Path:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise Unavailable(f"{path.name} cannot be written (errno {error.errno})") from None
    return temporary


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

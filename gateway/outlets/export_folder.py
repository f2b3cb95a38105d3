"""The folder of a research export: built beside its place under another name, renamed when it is whole.

Whoever sees the folder under its own name sees all of it, checksums included; what a power cut or kill -9 leaves
behind bears the other name and is never taken for an export.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from gateway.domain.errors import Conflict, Fault, Invalid, Unavailable

CHECKSUMS: Final = "SHA256SUMS"
_PART: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


class ExportFolder:
    """Used as a block; without `publish` nothing remains of it."""

    def __init__(self, target: Path) -> None:
        self._target = target.absolute()
        self._building = self._target.with_name(f".{self._target.name}.part")
        self._sums: list[tuple[str, str]] = []
        self._is_ours = False

    def __enter__(self) -> Self:
        if self._target.exists() or self._target.is_symlink():
            raise Conflict(f"{self._target} exists; an export goes into a new folder")
        if not self._target.parent.is_dir():
            raise Invalid(f"{self._target.parent} is not a folder")
        try:
            self._building.mkdir(mode=0o700)
        except FileExistsError:
            raise Conflict(
                f"{self._building} exists: another export to this folder is running or was interrupted; "
                "when none is running, remove it"
            ) from None
        except OSError as error:
            raise Unavailable(f"cannot write beside {self._target}: {error.strerror}") from None
        self._is_ours = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_ours:
            shutil.rmtree(self._building, ignore_errors=True)

    def write(self, name: str, parts: Iterable[bytes | bytearray | memoryview]) -> None:
        """A new file under `name`, parts of the path divided by `/`; durable when it returns."""
        if not all(map(_PART.fullmatch, name.split("/"))):
            raise Fault("a file of an export has a name that is none")
        path = self._building / name
        digest = hashlib.sha256()
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with path.open("xb") as file:
                for part in parts:
                    digest.update(part)
                    file.write(part)
                file.flush()
                os.fsync(file.fileno())
        except FileExistsError:
            raise Fault("two files of an export have one name") from None
        except OSError as error:
            raise Unavailable(f"cannot write the export: {error.strerror}") from None
        self._sums.append((digest.hexdigest(), name))

    def publish(self) -> None:
        """Writes the checksums and gives the folder its name."""
        lines = "".join(f"{digest}  {name}\n" for digest, name in self._sums)
        self.write(CHECKSUMS, [lines.encode()])
        try:
            for folder, _, _ in os.walk(self._building, topdown=False):
                _sync(Path(folder))
            if self._target.exists():
                raise Conflict(f"{self._target} has appeared meanwhile; nothing was exported")
            self._building.rename(self._target)
            _sync(self._target.parent)
        except OSError as error:
            raise Unavailable(f"cannot finish the export: {error.strerror}") from None
        self._is_ours = False


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

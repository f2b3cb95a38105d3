"""External data of a large graph for the moment of loading: a copy that is this process's own, hashed while it is made.

Why: ONNX Runtime maps such a file into memory and goes on reading it while the model serves. Whoever writes to the
file in its pack would change the answers of a loaded model without a word, and whoever shortens it would end the
worker (SIGBUS). The copy has no name any more once the graph is open, so that nobody can reach it.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from gateway.domain.errors import Forbidden, Unavailable
from models.package import Package

_PIECE: Final = 1 << 22


@contextmanager
def private_copy(package: Package) -> Iterator[Path | None]:
    """A folder with the pack's external data, which is gone behind the block; None where the pack has none.

    Forbidden for a file that is not the one that was verified, Unavailable where the temporary folder has no room.
    """
    if not package.external:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="dxgate-weights-") as folder:
        try:
            _check_room(package, Path(folder))
            for name, digest in package.external.items():
                _copy(package.folder / name, Path(folder) / name, name, digest)
        except OSError as error:
            raise Unavailable(f"external data cannot be copied to {folder} ({type(error).__name__})") from error
        yield Path(folder)


def _check_room(package: Package, folder: Path) -> None:
    need = sum((package.folder / name).lstat().st_size for name in package.external)
    free = shutil.disk_usage(folder).free
    if need > free:
        raise Unavailable(f"{folder.parent} (TMPDIR) has room for {free >> 20} MiB of {need >> 20} MiB external data")


def _copy(source: Path, target: Path, name: str, digest: str) -> None:
    found = hashlib.sha256()
    target.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb", buffering=0) as stream, target.open("xb", buffering=0) as out:
        while piece := stream.read(_PIECE):
            found.update(piece)
            left = memoryview(piece)
            while left:
                left = left[out.write(left) :]
    if found.hexdigest() != digest:
        raise Forbidden(f"pack {source.parent.name}: {name} has changed since it was verified")

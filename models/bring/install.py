"""add: a verified pack is copied into the site's folder of models, whole or not at all.

The folder is named `NAME@VERSION`, so that several versions of a model lie side by side: one active, one that runs in
the shadow, one to go back to.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.config import RemoteModelSettings
from gateway.domain.errors import Conflict, Forbidden, Unavailable
from models import registry
from models.package import Package, verify


def add(
    folder: Path,
    site: Path,
    trusted: tuple[Ed25519PublicKey, ...],
    servers: Sequence[RemoteModelSettings] = (),
) -> Path:
    """Where the pack lies now. Refuses with the reason of the check that failed; `Conflict` where it is there."""
    package = verify(folder, trusted)
    registry.load_at_hand(package, servers)
    target = site / f"{package.manifest.name}@{package.manifest.version}"
    if target.exists():
        raise Conflict(_why_not(target, package, trusted))
    try:
        site.mkdir(parents=True, exist_ok=True)
        _copy(package, folder, site, target)
    except OSError as error:
        raise Unavailable(f"the pack cannot be written to {site}: {error.strerror}") from error
    return target


def _why_not(target: Path, package: Package, trusted: tuple[Ed25519PublicKey, ...]) -> str:
    try:
        same = verify(target, trusted).sha256 == package.sha256
    except (Forbidden, OSError):
        same = False
    if same:
        return f"{target.name} is there already, the very same graph"
    return f"{target.name} is there already with another content; a changed model needs a new version"


def _copy(package: Package, folder: Path, site: Path, target: Path) -> None:
    """What was verified in memory is what is written; a crash leaves a folder that no worker looks at."""
    waiting = Path(tempfile.mkdtemp(prefix=".adding-", dir=site))
    try:
        content = dict(package.content) | {"pack.sig": (folder / "pack.sig").read_bytes()}
        for name, data in content.items():
            path = waiting / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        waiting.chmod(0o755)  # the worker may be another user than the one who adds
        for path in waiting.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        waiting.rename(target)
        _fsync(site)
    except BaseException:
        shutil.rmtree(waiting, ignore_errors=True)
        raise


def _fsync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

"""A SQLite file with all tables, made once for a process of tests: making them takes longer than most tests do."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from gateway.storage.migrate import upgrade


@cache
def migrated_file() -> Path:
    """To be copied, never to be written."""
    folder = Path(tempfile.mkdtemp(prefix="dxgate-tables-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    upgrade(f"sqlite:///{folder / 'template.sqlite'}")
    return folder / "template.sqlite"


def lay_tables(home: Path) -> None:
    """What `dxgate init` would make, where it is not there yet."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (home / "dxgate.sqlite").exists():
        shutil.copy(migrated_file(), home / "dxgate.sqlite")

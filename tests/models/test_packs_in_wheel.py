"""What a wheel must carry of a pack: a signed file that is left out makes the pack fail where it is installed."""

from __future__ import annotations

import tomllib
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_file_of_every_pack_goes_into_the_wheel() -> None:
    """Each file below `models/packs` matches a pattern of the package data in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["*"]
    files = [path for path in (ROOT / "models" / "packs").rglob("*") if path.is_file()]
    assert files
    assert [str(path) for path in files if not any(fnmatch(path.name, pattern) for pattern in patterns)] == []

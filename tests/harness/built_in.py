"""The built-in packs, found and verified once for each process of tests: packages are values that nobody changes."""

from __future__ import annotations

from functools import cache

from models.package import Package
from models.registry import find


@cache
def built_in() -> dict[str, Package]:
    """By name."""
    return {package.manifest.name: package for package in find()[0]}

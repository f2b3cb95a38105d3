"""One gateway over TLS for all tests of access."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from wire.access.place import Place, open_place, serve


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Place]:
    with serve(open_place(tmp_path_factory.mktemp("access"), sqlite_template)) as opened:
        yield opened


@pytest.fixture(autouse=True)
def forgiven(place: Place) -> None:
    """Failures of one test do not slow down the next."""
    place.hospital.services.access.attempts._buckets.clear()

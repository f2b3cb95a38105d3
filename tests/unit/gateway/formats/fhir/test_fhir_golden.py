"""What an EHR receives, compared with files that a person can read."""

from __future__ import annotations

import pytest
from unit.gateway.formats.fhir.write_golden import GOLDEN, golden_texts

NAMES = sorted(path.name for path in GOLDEN.iterdir())


@pytest.fixture(scope="module")
def rendered() -> dict[str, str]:
    return golden_texts()


def test_every_golden_file_is_rendered_and_every_rendering_has_one(rendered: dict[str, str]) -> None:
    """The folder holds exactly the renderings that the writer makes."""
    assert sorted(rendered) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_rendering_equals_its_golden_file(name: str, rendered: dict[str, str]) -> None:
    """A rendered resource is, member for member, what its golden file says."""
    assert rendered[name] == (GOLDEN / name).read_text("utf-8")

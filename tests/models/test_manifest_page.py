"""The manifest is read strictly: what it does not know, and what contradicts itself, is refused."""

from __future__ import annotations

import pytest

from gateway.domain.errors import Invalid
from models.manifest import MANIFEST_LIMIT, parse
from models.package import Package


def test_an_unknown_key_is_refused_by_name(package: Package) -> None:
    """A misspelt key is an error that names it."""
    text = package.content["manifest.toml"].replace(b"max_side = ", b"max_sied = 1\nmax_side = ")
    with pytest.raises(Invalid, match="max_sied"):
        parse(text)


def test_a_missing_key_is_refused_by_name(package: Package) -> None:
    """A key that is absent is an error that names it."""
    text = package.content["manifest.toml"].replace(b"min_contrast = ", b"# ")
    with pytest.raises(Invalid, match="min_contrast"):
        parse(text)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (b'positive = "malignant"', b'positive = "benign"', "positive"),
        (b"alpha = 0.1", b"alpha = 1.5", "alpha"),
        (b'"resize-bicubic"]', b'"resize-bicubic", "sharpen"]', "steps"),
        (b"height = 28", b"height = 29", "square"),
        (b"height = 28", b'height = "28"', "height must be int"),
        (b"channels = 1", b"channels = 3", "channels"),
        (b'version = "', b'version = "v', "version"),
        (b"distance_max = ", b"shown_min = 0.5\ndistance_max = ", "shown and shown_min"),
        (b"distance_max = ", b'shown = "shown"\ndistance_max = ', "shown and shown_min"),
        (b"age_max_years = ", b'view = ["cc"]\nage_max_years = ', "capitals"),
    ],
)
def test_a_contradiction_is_refused(package: Package, old: bytes, new: bytes, complaint: str) -> None:
    """A value of the wrong type, out of range, or at odds with another one is refused with the reason."""
    text = package.content["manifest.toml"]
    assert old in text
    with pytest.raises(Invalid, match=complaint):
        parse(text.replace(old, new, 1))


def test_an_endless_manifest_is_refused() -> None:
    """A manifest longer than its limit is refused before it is parsed."""
    with pytest.raises(Invalid, match="longer"):
        parse(b"#" * (MANIFEST_LIMIT + 1))

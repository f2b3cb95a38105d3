"""A manifest says what the model takes, and each kind of input has its own rules."""

from __future__ import annotations

import pytest
from harness.built_in import built_in

from gateway.domain.errors import Invalid
from models.manifest import ImageManifest, RecordManifest, RulesManifest, SeriesManifest, parse
from models.package import Package

PACKAGES: dict[str, Package] = built_in()
PRETRAINED = {"breast-ultrasound-detail-cnn"}


def page(name: str) -> bytes:
    return PACKAGES[name].content["manifest.toml"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("breast-ultrasound-cnn", ImageManifest),
        ("diabetes-risk", RecordManifest),
        ("icu-deterioration-gru", SeriesManifest),
        ("pgx-rules", RulesManifest),
    ],
)
def test_the_kind_of_input_decides_the_manifest(name: str, kind: type) -> None:
    """`input.kind` alone decides which page is read."""
    assert type(parse(page(name))) is kind


@pytest.mark.parametrize(
    ("name", "old", "new", "complaint"),
    [
        ("diabetes-risk", b'kind = "record"', b'kind = "sound"', "kind"),
        ("diabetes-risk", b"missing_max = 0.6", b"missing_max = 1.6", "missing_max"),
        ("diabetes-risk", b"high = 85.0", b"high = 5.0", "low is not below high"),
        ("diabetes-risk", b"factor = 2.54", b"factor = 0.0", "factor"),
        ("diabetes-risk", b'name = "waist"', b'name = "bmi"', "each named once"),
        ("diabetes-risk", b"male = 1.0", b"male = 7.0", "answer"),
        ("diabetes-risk", b'task = "classification"', b'task = "rules"', "task"),
        ("diabetes-risk", b"missing_max = ", b"missing_most = 1\nmissing_max = ", "missing_most"),
        ("icu-deterioration-gru", b"bins = 48", b"bins = 0", "bins"),
        ("icu-deterioration-gru", b"measured_min = 6", b"measured_min = 99", "measured_min"),
        ("icu-deterioration-gru", b"span_min_bins = 36", b"span_min_bins = 48", "span_min_bins"),
        ("pgx-rules", b'rules = "rules.json"', b'rules = "other.json"', "rules"),
        ("pgx-rules", b'"rules.json" = ', b'"else.json" = ', "files"),
    ],
)
def test_a_contradiction_is_refused(name: str, old: bytes, new: bytes, complaint: str) -> None:
    """A value out of range, or at odds with another one, is refused with the key in the reason."""
    text = page(name)
    assert old in text
    with pytest.raises(Invalid, match=complaint):
        parse(text.replace(old, new, 1))


@pytest.mark.parametrize("package", PACKAGES.values(), ids=lambda p: p.manifest.name)
def test_a_pack_is_small_and_its_page_a_page(package: Package) -> None:
    """No file has more than 2.5 MB, 7 where a pretrained network is inside; limits and sources' licences are said."""
    most = 7_000_000 if package.manifest.name in PRETRAINED else 2_500_000
    assert max(len(content) for content in package.content.values()) < most
    assert package.manifest.out_of_scope
    assert all(source.licence and source.citation for source in package.manifest.sources)


def test_every_field_that_is_measured_has_a_unit() -> None:
    """No number is taken without a UCUM unit, and a convertible one never lists its own unit again."""
    for package in PACKAGES.values():
        manifest = package.manifest
        if not isinstance(manifest, RecordManifest | SeriesManifest):
            continue
        for field in manifest.input.fields:
            assert field.unit
            assert field.unit not in {conversion.unit for conversion in field.conversions}

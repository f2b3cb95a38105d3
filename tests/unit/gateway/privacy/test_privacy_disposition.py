"""The rule for each kind of object: over every storage class of PS3.4, nothing passes by default."""

from __future__ import annotations

import itertools

import pytest
from pydicom._uid_dict import UID_dictionary

from gateway.privacy.disposition import KINDS, Disposition, dispose

STORAGE = sorted(
    uid
    for uid, (name, kind, *_) in UID_dictionary.items()
    if kind == "SOP Class" and uid.startswith("1.2.840.10008.5.1.4.1.1.") and "Storage" in name
)
CT, US, PDF = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.6.1", "1.2.840.10008.5.1.4.1.1.104.1"
SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
ORIGINAL = ("ORIGINAL", "PRIMARY", "AXIAL")


def classes_of(code: str) -> set[str]:
    (row,) = [kind for kind in KINDS if kind.code == code]
    return {f"1.2.840.10008.5.1.4.{suffix}" for suffix in row.classes.split()}


def test_each_class_stands_in_one_row() -> None:
    """No class has two rules, and every row names classes that PS3.6 knows."""
    classes = [f"1.2.840.10008.5.1.4.{suffix}" for kind in KINDS for suffix in kind.classes.split()]
    assert len(classes) == len(set(classes))
    assert {uid for uid in classes if uid not in UID_dictionary} == set()
    assert len({kind.code for kind in KINDS}) == len(KINDS)


@pytest.mark.parametrize(
    "uid", ["1.2.3.4", "", "1.2.840.113619.4.26", "1.2.840.10008.5.1.4.1.1.9", "1.2.840.10008.1.1"]
)
def test_an_unknown_class_is_quarantined(uid: str) -> None:
    """A private, retired or foreign class is never passed, with pixels or without."""
    for has_pixels in (False, True):
        assert dispose(uid, "CT", ORIGINAL, "NO", has_pixels).action == "quarantine"


def test_pixels_are_exempt_only_where_a_scanner_computed_them() -> None:
    """Over every class, modality, image type and flag, exempt pixels are an original cross-section's or a map's."""
    types = [(), ORIGINAL, ("DERIVED", "PRIMARY"), ("ORIGINAL", "SECONDARY"), (*ORIGINAL, "SCREEN SAVE")]
    maps, sections = classes_of("voxel-map"), classes_of("cross-section")
    for uid, modality, kind, flag in itertools.product(STORAGE, ("CT", "US", "OT", ""), types, ("YES", "NO", "")):
        found = dispose(uid, modality, kind, flag, True)
        if found.action == "clean" and found.pixels == "exempt":
            assert flag != "YES"
            assert uid in maps or (uid in sections and modality == "CT" and kind == ORIGINAL), uid


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ((CT, "CT", ORIGINAL, "", True), ("clean", "exempt", "cross-section")),
        ((CT, "CT", ORIGINAL, "YES", True), ("clean", "search", "burned-in")),
        ((CT, "CT", ("DERIVED", "SECONDARY"), "NO", True), ("clean", "search", "derived")),
        ((CT, "OT", ORIGINAL, "NO", True), ("clean", "search", "derived")),
        ((US, "US", ORIGINAL, "NO", True), ("clean", "search", "ultrasound")),
        ((PDF, "DOC", (), "", False), ("quarantine", "exempt", "document")),
        ((SLIDE, "SM", ("ORIGINAL", "PRIMARY", "LABEL", "NONE"), "NO", True), ("quarantine", "search", "slide-label")),
        ((SLIDE, "SM", ("ORIGINAL", "PRIMARY", "VOLUME", "NONE"), "NO", True), ("clean", "search", "whole-slide")),
        (("1.2.840.10008.5.1.4.1.1.88.33", "SR", (), "", False), ("clean", "exempt", "report")),
        (("1.2.840.10008.5.1.4.1.1.88.33", "SR", (), "", True), ("clean", "search", "report")),
        (("1.2.840.10008.5.1.4.1.1.66.4", "SEG", ("DERIVED", "PRIMARY"), "NO", True), ("clean", "exempt", "voxel-map")),
        (("1.2.840.10008.5.1.4.1.1.9.4.1", "AU", (), "", False), ("quarantine", "exempt", "sound")),
    ],
)
def test_the_rule_of_a_kind(facts: tuple[str, str, tuple[str, ...], str, bool], expected: tuple[str, str, str]) -> None:
    """Examples that a reader would ask for."""
    found: Disposition = dispose(*facts)
    assert (found.action, found.pixels, found.code) == expected
    assert found.reason

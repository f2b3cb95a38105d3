"""The card is a CHAI Applied Model Card v0.2, and its numbers are those of the evaluation."""

# ruff: noqa: S314 (the files are our own, signed)
from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from harness.built_in import built_in

from gateway.domain.errors import Invalid
from models import card
from models.card import NAMESPACE, REQUIRED
from models.manifest import ImageManifest, Scored
from models.package import Package

SCHEMA = Path(card.__file__).parent / "schema" / "chai_applied_model_card_v0.2.xsd"
XS = "{http://www.w3.org/2001/XMLSchema}"
PACKAGES = list(built_in().values())
SCORED = [package for package in PACKAGES if isinstance(package.manifest, Scored)]


def faults(schema: ElementTree.Element, declared: ElementTree.Element, node: ElementTree.Element) -> list[str]:
    """What the schema, which knows only sequences and strings, finds wrong in `node`."""
    kind = (declared.get("type") or "").removeprefix("mc:")
    body = declared.find(f"{XS}complexType")
    if body is None:
        body = schema.find(f"{XS}complexType[@name='{kind}']")
    if body is None:
        return [f"{node.tag} has children"] if len(node) else []
    sequence = body.find(f"{XS}sequence")
    assert sequence is not None
    rest, found = list(node), []
    for element in sequence.findall(f"{XS}element"):
        outer = (sequence.get("minOccurs"), sequence.get("maxOccurs"))
        low = int(outer[0] or element.get("minOccurs") or 1)
        many = "unbounded" in (outer[1], element.get("maxOccurs"))
        count = 0
        while rest and rest[0].tag == f"{{{NAMESPACE}}}{element.get('name')}" and (many or count == 0):
            found += faults(schema, element, rest.pop(0))
            count += 1
        if count < low:
            found.append(f"{element.get('name')} is missing")
    return found + [f"{child.tag} is not expected" for child in rest]


def schema_faults(xml: bytes) -> list[str]:
    schema = ElementTree.parse(SCHEMA).getroot()
    top = schema.find(f"{XS}element")
    assert top is not None
    return faults(schema, top, ElementTree.fromstring(xml))


@pytest.mark.parametrize("package", PACKAGES, ids=lambda p: p.manifest.name)
def test_the_card_follows_the_schema(package: Package) -> None:
    """Every element of every shipped card is where the CHAI schema wants it."""
    assert schema_faults(package.content["card.xml"]) == []


def test_the_schema_check_finds_a_misplaced_element(package: Package) -> None:
    """The schema check of this suite notices an element that is out of order or missing."""
    root = ElementTree.fromstring(package.content["card.xml"])
    first = root[0]
    root.remove(first)
    root.append(first)
    assert schema_faults(ElementTree.tostring(root)) != []


@pytest.mark.parametrize("path", REQUIRED)
def test_a_card_without_a_required_field_is_refused(package: Package, path: str) -> None:
    """Each required field, emptied, refuses the card and is named in the reason."""
    root = ElementTree.fromstring(package.content["card.xml"])
    element = root.find("/".join(f"{{{NAMESPACE}}}{part}" for part in path.split("/")))
    assert element is not None
    element.text = "  "
    with pytest.raises(Invalid, match=path):
        card.check(ElementTree.tostring(root), package.manifest.version)


def test_a_card_of_another_version_is_refused(package: Package) -> None:
    """A card for another version of the model is refused."""
    with pytest.raises(Invalid, match="version"):
        card.check(package.content["card.xml"], "9.9.9")


def test_a_card_with_entities_is_refused(package: Package) -> None:
    """A card that declares a document type is refused before it is parsed."""
    xml = package.content["card.xml"].replace(b"?>", b'?><!DOCTYPE x [<!ENTITY a "b">]>', 1)
    with pytest.raises(Invalid, match="document type"):
        card.check(xml, package.manifest.version)


@pytest.mark.parametrize("package", SCORED, ids=lambda p: p.manifest.name)
def test_the_card_states_the_evaluations_numbers(package: Package) -> None:
    """AUC, sensitivity, specificity and accuracy on the card are those of evaluation.json, with intervals."""
    evaluation: dict[str, Any] = json.loads(package.content["evaluation.json"])
    stated = card.metrics(package.content["card.xml"])
    for name in ("auc", "auprc", "accuracy", "sensitivity", "specificity", "precision", "f1", "brier", "ece"):
        assert json.loads(stated[f"test: {name}"]) == evaluation["test"][name]
        low, high = evaluation["test"][name]["ci95"]
        assert low <= evaluation["test"][name]["value"] <= high
        assert f"{evaluation['test'][name]['value']:.3f}" in package.content["facts.md"].decode("utf-8")


@pytest.mark.parametrize("package", SCORED, ids=lambda p: p.manifest.name)
def test_the_manifest_uses_what_validation_chose(package: Package) -> None:
    """Threshold, calibration, quantiles and distance limit of the manifest are those of the evaluation."""
    chosen = json.loads(package.content["evaluation.json"])["chosen_on_validation"]
    manifest = package.manifest
    assert isinstance(manifest, Scored)
    assert manifest.output.threshold == chosen["threshold"]
    if isinstance(manifest, ImageManifest):
        assert manifest.output.distance_max == chosen["distance_max"]
    assert (manifest.calibration.slope, manifest.calibration.intercept) == (chosen["slope"], chosen["intercept"])
    negative = next(label.name for label in manifest.labels if label.name != manifest.output.positive)
    assert manifest.conformal.quantiles[manifest.output.positive] == chosen["quantile_positive"]
    assert manifest.conformal.quantiles[negative] == chosen["quantile_negative"]

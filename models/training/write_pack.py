"""Writing a pack folder from an evaluation: manifest, card, one-page facts, all from the same numbers.

The card follows the CHAI Applied Model Card v0.2 and the page the DIHI Model Facts (January 2025). Nothing
in them is typed twice: every number is read from the evaluation.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from models.card import NAMESPACE
from models.training.rank import is_first

SECTIONS = {
    "BasicInfo": ("ModelName", "ModelDeveloper", "DeveloperContact"),
    "ReleaseInfo": ("ReleaseStage", "ReleaseDate", "ReleaseVersion", "GlobalAvailability", "RegulatoryApproval"),
    "ModelSummary": ("Summary",),
    "UsesAndDirections": (
        "IntendedUseAndWorkflow",
        "PrimaryIntendedUsers",
        "HowToUse",
        "TargetedPatientPopulation",
        "CautionedOutOfScopeSettings",
    ),
    "Warnings": ("KnownRisksAndLimitations", "KnownBiasesOrEthicalConsiderations", "ClinicalRiskLevel"),
}
FACTS = (
    "OutcomesAndOutputs",
    "ModelType",
    "FoundationModels",
    "InputDataSource",
    "OutputAndInputDataTypes",
    "DevelopmentDataCharacterization",
    "BiasMitigationApproaches",
    "OngoingMaintenance",
    "Security",
    "Transparency",
)
OPENNESS = ("FundingSource", "ThirdPartyInformation", "StakeholdersConsulted")
LOCAL = {"system": "urn:dxgate:finding", "scheme": "99DXGATE"}
METRICS = ("UsefulnessUsabilityEfficacy", "FairnessEquity", "SafetyReliability")
METRIC_TEXTS = (
    "Interpretation",
    "TestType",
    "TestingDataDescription",
    "ValidationProcessAndJustification",
)
RESOURCES = ("EvaluationReferences", "PeerReviewedPublications", "PatientConsentOrDisclosure")


def card_xml(words: Mapping[str, str], keywords: list[str], metrics: Mapping[str, Mapping[str, Any]]) -> bytes:
    """The card. `metrics` gives for each of `METRICS` its goal, texts and `results` (label to value)."""
    root = ElementTree.Element("AppliedModelCard", xmlns=NAMESPACE)
    for section, names in SECTIONS.items():
        node = _texts(ElementTree.SubElement(root, section), words, names)
        if section == "ModelSummary":
            holder = ElementTree.SubElement(node, "Keywords")
            for word in keywords:
                ElementTree.SubElement(holder, "Keyword").text = word
    trust = ElementTree.SubElement(root, "TrustIngredients")
    _texts(ElementTree.SubElement(trust, "AISystemFacts"), words, FACTS)
    _texts(ElementTree.SubElement(trust, "TransparencyInformation"), words, OPENNESS)
    key = ElementTree.SubElement(root, "KeyMetrics")
    for name in METRICS:
        _metric(ElementTree.SubElement(key, name), metrics[name])
    _texts(ElementTree.SubElement(root, "Resources"), words, RESOURCES)
    ElementTree.SubElement(root, "Bibliography").text = words["Bibliography"]
    ElementTree.indent(root)
    xml: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return xml + b"\n"


def _texts(node: ElementTree.Element, words: Mapping[str, str], names: tuple[str, ...]) -> ElementTree.Element:
    for name in names:
        ElementTree.SubElement(node, name).text = words[name]
    return node


def _metric(node: ElementTree.Element, metric: Mapping[str, Any]) -> None:
    ElementTree.SubElement(node, "MetricGoal").text = str(metric["MetricGoal"])
    results = ElementTree.SubElement(node, "Results")
    for label, value in metric["results"].items():
        result = ElementTree.SubElement(results, "MetricResult")
        ElementTree.SubElement(result, "Label").text = label
        ElementTree.SubElement(result, "ValueJson").text = json.dumps(value)
    _texts(node, {name: str(metric[name]) for name in METRIC_TEXTS}, METRIC_TEXTS)


def toml(table: Mapping[str, Any], prefix: str = "") -> str:
    """A nested table as TOML text: plain keys first, then tables, then lists of tables."""
    plain = [(k, v) for k, v in table.items() if not _is_table(v)]
    lines = [f"{_key(k)} = {_value(v)}" for k, v in plain]
    for key, value in table.items():
        path = f"{prefix}{_key(key)}"
        if isinstance(value, Mapping):
            lines += ["", f"[{path}]", toml(value, f"{path}.")]
        elif _is_table(value):
            lines += [part for item in value for part in ("", f"[[{path}]]", toml(item, f"{path}."))]
    return "\n".join(lines)


def _is_table(value: object) -> bool:
    rows = isinstance(value, list) and bool(value) and isinstance(value[0], Mapping)
    return rows or isinstance(value, Mapping)


def _key(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() else json.dumps(key)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def with_interval(number: Mapping[str, Any], digits: int = 3) -> str:
    """`0.901 (95 % CI 0.84 to 0.95)`."""
    low, high = number["ci95"]
    return f"{number['value']:.{digits}f} (95 % CI {low:.{digits}f} to {high:.{digits}f})"


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """A Markdown table; the first row is the head."""
    head, *body = ["| " + " | ".join(escape(cell) for cell in row) + " |" for row in rows]
    return "\n".join([head, "|" + " --- |" * len(rows[0]), *body])


def write(folder: Path, files: dict[str, bytes]) -> None:
    """The pack folder, all but its signature; by the first of several processes."""
    if not is_first():
        return
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

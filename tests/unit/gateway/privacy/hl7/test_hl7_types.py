"""The table of types says what the standard's tables say, and every type in it has a rule that exists."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from gateway.privacy.hl7.rules import Hl7Rules, rules_for

ROOT = Path(__file__).resolve().parents[5]
VERBS = {
    "keep",
    "code",
    "number",
    "comparator",
    "date",
    "time",
    "text",
    "descriptor",
    "entity",
    "hl7-id",
    "patient-id",
    "prior-id",
    "name",
    "birth",
    "system",
    "drop",
    "value",
}


def test_the_data_file_is_what_the_tool_makes() -> None:
    """Field and component types come from hl7apy's tables, unchanged."""
    pytest.importorskip("hl7apy")
    spec = importlib.util.spec_from_file_location("hl7_types", ROOT / "deploy" / "tools" / "hl7_types.py")
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert tool.FILE.read_text("utf-8") == tool.text()


@pytest.mark.parametrize("version", ["2.1", "2.2", "2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.8", "2.8.2"])
def test_every_field_of_a_kept_segment_leads_to_verbs(version: str) -> None:
    """No field's rule ends in a word that nobody carries out."""
    rules = rules_for(version)
    for segment in rules.segments:
        for number in range(1, 60):
            assert _leads_to_verbs(rules, rules.of_field(segment, number), 0)
    for name in rules.values.values():
        assert _leads_to_verbs(rules, name, 0)


def _leads_to_verbs(rules: Hl7Rules, rule: str, depth: int) -> bool:
    if rule in VERBS or depth == 4:
        return True
    typed = rules.of_type(rule)
    return typed in VERBS if isinstance(typed, str) else all(_leads_to_verbs(rules, one, depth + 1) for one in typed)


@pytest.mark.parametrize(
    ("segment", "number", "by_version"),
    [
        ("PID", 5, {"2.1": "name", "2.8": "name"}),
        ("PID", 9, {"2.1": "PN", "2.3": "XPN", "2.8": "XPN"}),
        ("PID", 11, {"2.1": "AD", "2.5": "XAD"}),
        ("PID", 13, {"2.1": "TN", "2.5": "XTN"}),
        ("PV1", 7, {"2.1": "CN", "2.3": "XCN", "2.8.2": "XCN"}),
        ("OBR", 7, {"2.3": "TS", "2.6": "DTM"}),
        ("ZZZ", 1, {"2.5": "drop"}),
        ("PID", 99, {"2.5": "drop"}),
    ],
)
def test_a_fields_type_is_that_of_the_version(segment: str, number: int, by_version: dict[str, str]) -> None:
    """The same field has other types in other versions; what has none is dropped."""
    for version, expected in by_version.items():
        assert rules_for(version).of_field(segment, number) == expected


def test_unknown_versions_take_the_next_older() -> None:
    """A message of 2.9 is read as 2.8.2, one of 2.0 as 2.1, one without a version as 2.5.1."""
    for unknown, known in (("2.9", "2.8.2"), ("2.0", "2.1"), ("", "2.5.1"), ("x", "2.1")):
        assert rules_for(unknown).field_types == rules_for(known).field_types

"""What we emit passes what we ask of others: every golden resource, in JSON and in XML."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.formats.fhir.outcome import outcome
from gateway.formats.fhir.wire.check import check
from gateway.formats.fhir.wire.issue import Issue
from gateway.formats.fhir.wire.json_form import parse_json
from gateway.formats.fhir.wire.xml_form import encode_xml, parse_xml

FOLDER = Path(__file__).parent
GOLDEN = sorted([*FOLDER.glob("golden/*.json"), *FOLDER.glob("record_golden/*.json")])


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_golden_resource_passes_our_own_check(path: Path) -> None:
    """No finding, and XML says the same."""
    resource = parse_json(path.read_bytes())
    assert check(resource) == []
    assert parse_xml(encode_xml(resource)) == resource


def test_an_outcome_carries_findings() -> None:
    """Findings become issues with their element; none becomes a word of information; both are valid themselves."""
    said = outcome(
        [Issue("error", "required", "Patient.name", "this element is required"), Issue("fatal", "value", "", "x")]
    )
    assert said["issue"][0] == {
        "severity": "error",
        "code": "required",
        "diagnostics": "this element is required",
        "expression": ["Patient.name"],
    }
    assert "expression" not in said["issue"][1]
    assert [issue["severity"] for issue in outcome([])["issue"]] == ["information"]
    assert check(said) == check(outcome([])) == []

"""Claims about the capability table and the table of outcomes."""

from __future__ import annotations

import fixtures_report as sample
import pytest
from fhir.resources.R4B.capabilitystatement import CapabilityStatement
from fhir.resources.R4B.operationoutcome import OperationOutcome

from gateway.domain.errors import Category
from gateway.formats.fhir.capability import BY_TYPE, SERVED, capability_statement
from gateway.formats.fhir.element import encode
from gateway.formats.fhir.outcome import ISSUE_CODES, LOGIN, OUTCOMES, issue
from gateway.formats.fhir.render import render

STATEMENT = capability_statement("https://gateway.example/fhir", "0.1.0", sample.AT)


def test_the_statement_is_valid_and_speaks_r4() -> None:
    """fhir.resources accepts it, and it says 4.0.1."""
    CapabilityStatement.model_validate_json(encode(STATEMENT))
    assert STATEMENT["fhirVersion"] == "4.0.1"


def test_the_statement_lists_exactly_the_table() -> None:
    """Types, parameters and includes of the statement are those of the table that the server routes by."""
    listed = {each["type"]: each for each in STATEMENT["rest"][0]["resource"]}
    assert set(listed) == set(BY_TYPE)
    for served in SERVED:
        said = listed[served.type]
        assert [each["name"] for each in said["searchParam"]] == [each.name for each in served.parameters]
        assert tuple(said.get("searchInclude", ())) == served.includes
        assert tuple(said.get("searchRevInclude", ())) == served.reverse_includes


def test_every_rendered_type_is_served() -> None:
    """Nothing that a report refers to is unreadable; beside that there is the trail."""
    rendered = {each["resourceType"] for each in render(sample.malignant(), "x", "y").resources}
    assert rendered | {"AuditEvent"} == set(BY_TYPE)


def test_a_parameter_is_found_in_each_of_its_forms_and_no_other() -> None:
    """Chains and modifiers lead to their parameter; what is not in the table is not served."""
    report = BY_TYPE["DiagnosticReport"]
    for name in ("patient", "patient.identifier", "subject:Patient.identifier", "based-on:identifier"):
        assert report.parameter(name) is not None
    for name in ("based-on", "patient.name", "status:not", "performer", ""):
        assert report.parameter(name) is None


@pytest.mark.parametrize("category", Category)
def test_the_outcome_table_is_total(category: Category) -> None:
    """Every category has an HTTP error status and an issue code of R4, and makes a valid OperationOutcome."""
    status, code = OUTCOMES[category]
    assert 400 <= status <= 599
    assert code in ISSUE_CODES
    OperationOutcome.model_validate_json(encode(issue(code, "why", ["http._count"])))


def test_login_is_an_issue_code() -> None:
    """A request without credentials is 401 with `login`."""
    assert LOGIN[0] == 401
    assert LOGIN[1] in ISSUE_CODES

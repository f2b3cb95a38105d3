"""Claims about the capability table and the table of outcomes."""

from __future__ import annotations

import fixtures_report as sample
import pytest
from fhir.resources.R4B.capabilitystatement import CapabilityStatement
from fhir.resources.R4B.operationoutcome import OperationOutcome

from gateway.domain.errors import Category
from gateway.domain.search_parameter import number
from gateway.formats.fhir.audit_search import SERVED
from gateway.formats.fhir.capability import Capabilities, capability_statement
from gateway.formats.fhir.element import encode
from gateway.formats.fhir.outcome import ISSUE_CODES, LOGIN, OUTCOMES, issue
from gateway.formats.fhir.search.parameters import parameters, types

READING = ("read", "search-type", "vread")
WRITING = (*READING, "create", "delete", "history-instance", "history-type", "patch", "update")
ABLE = Capabilities(
    "https://gateway.example/fhir",
    "0.1.0",
    sample.AT,
    interactions={"Patient": WRITING, "Observation": WRITING, "AuditEvent": READING},
    system=("batch", "history-system", "transaction"),
    operations={"Patient": ("validate",)},
    patch_formats=("application/json-patch+json",),
)
STATEMENT = capability_statement(ABLE)
LISTED = {each["type"]: each for each in STATEMENT["rest"][0]["resource"]}


def test_the_statement_is_valid_and_speaks_r4() -> None:
    """fhir.resources accepts it, and it says 4.0.1."""
    CapabilityStatement.model_validate_json(encode(STATEMENT))
    assert STATEMENT["fhirVersion"] == "4.0.1"


def test_the_statement_lists_what_it_was_given() -> None:
    """Types, interactions, operations and patch formats are those of the caller, parameters those of the search."""
    assert set(LISTED) == set(ABLE.interactions)
    for kind, said in LISTED.items():
        assert tuple(each["code"] for each in said["interaction"]) == ABLE.interactions[kind]
        own = set(SERVED) if kind == "AuditEvent" else set(parameters(kind))
        assert {each["name"] for each in said["searchParam"]} == own
    assert LISTED["Patient"]["operation"][0]["definition"].endswith("/OperationDefinition/Resource-validate")
    assert STATEMENT["patchFormat"] == ["application/json-patch+json"]
    assert "Prefer: respond-async" in STATEMENT["rest"][0]["documentation"]


def test_what_only_reads_promises_no_writing() -> None:
    """A type without writing interactions has no conditional writes, one without vread no versions."""
    said = LISTED["AuditEvent"]
    assert (said["conditionalCreate"], said["conditionalUpdate"], said["updateCreate"]) == (False, False, False)
    assert said["conditionalDelete"] == "not-supported"
    assert said["versioning"] == "versioned"
    assert LISTED["Patient"]["versioning"] == "versioned-update"


def test_every_parameter_has_its_official_definition() -> None:
    """The canonical URL of each parameter is the one of HL7 or IHE, and its type is a FHIR search type."""
    for kind in types():
        for each in parameters(kind).values():
            assert each.url.startswith(("http://hl7.org/fhir/SearchParameter/", "https://profiles.ihe.net/RAD/IMR/"))
            assert each.places or each.parts


def test_reverse_includes_lead_here() -> None:
    """Each _revinclude of a type is a reference that may name it."""
    assert "Observation:subject" in LISTED["Patient"]["searchRevInclude"]
    assert "Observation:device" not in LISTED["Patient"]["searchRevInclude"]


def test_numbers_of_parameters_are_all_different() -> None:
    """No two parameters, texts, identifiers or types share a number in the index."""
    names = [
        name
        for kind in types()
        for each in parameters(kind).values()
        for name in (each.name, f"{each.name}:text", f"{each.name}:identifier", f"{each.name}:of-type")
    ]
    assert len({number(name) for name in (*names, *types())}) == len(names) + len(types())


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

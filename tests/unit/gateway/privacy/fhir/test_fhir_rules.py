"""The allow-list says only what the standard has, and treats every element by its data type."""

from __future__ import annotations

import pytest
from harness.fhir_elements import elements

from gateway.privacy.fhir.rules import fhir_rules

RULES = fhir_rules()
SPECIAL = {"Coding", "Identifier", "Reference", "Quantity", "Age", "Attachment", "CodeableConcept"}
FITTING = {
    "flag": {"Boolean"},
    "number": {"Integer", "PositiveInt", "UnsignedInt", "Decimal"},
    "code": {"Code", "String"},
    "text": {"String", "Markdown"},
    "date": {"Date", "DateTime"},
    "instant": {"Instant"},
    "clock": {"Time"},
    "birth": {"Date"},
    "uid": {"Id"},
    "url": {"Canonical"},
    "link": {"String"},
    "sequence": {"String"},
    "samples": {"String"},
    "target": {"Uri"},
    "resource": {"Resource"},
}
SAME = {
    "Quantity": {"Quantity", "Duration"},
    "AgeRange": {"Range"},
    "Repeat": {"TimingRepeat"},
    "DoseAndRate": {"DosageDoseAndRate"},
}
TYPED = [name for name in RULES.tables if name not in ("AgeRange", "Repeat", "DoseAndRate")]


def _class_of(table: str) -> tuple[str, str]:
    """`Observation.component` is the class ObservationComponent in Observation's module."""
    parts = table.split(".")
    return "".join(part[0].upper() + part[1:] for part in parts), parts[0]


@pytest.mark.parametrize("table", TYPED)
def test_every_listed_element_is_one_of_the_standard(table: str) -> None:
    """Each element exists in R4B, and its verb fits its data type."""
    name, near = _class_of(table)
    found = elements(name, near)
    for element, rule in RULES.tables[table].items():
        kind = found[element].type
        if rule.name in FITTING:
            assert kind in FITTING[rule.name], f"{table}.{element} is {kind}"
        else:
            expected = SAME.get(rule.name, {rule.name, _class_of(rule.name)[0]})
            assert kind in expected, f"{table}.{element} is {kind}"


@pytest.mark.parametrize("table", sorted(RULES.tables))
def test_every_rule_leads_somewhere(table: str) -> None:
    """A rule is a verb, a special type or a table that exists."""
    for rule in RULES.tables[table].values():
        assert rule.name in FITTING or rule.name in SPECIAL or rule.name in RULES.tables


@pytest.mark.parametrize(
    ("resource", "element"),
    [
        ("Patient", "name"),
        ("Patient", "telecom"),
        ("Patient", "contact"),
        ("Patient", "photo"),
        ("Patient", "link"),
        ("Practitioner", "name"),
        ("Practitioner", "birthDate"),
        ("Organization", "name"),
        ("Location", "name"),
        ("Location", "position"),
        ("Device", "serialNumber"),
        ("Device", "udiCarrier"),
        ("FamilyMemberHistory", "name"),
        ("Composition", "text"),
        ("Observation", "text"),
        ("Immunization", "lotNumber"),
        ("MolecularSequence", "observedSeq"),
        ("MolecularSequence", "repository"),
        ("ImagingStudy", "endpoint"),
        ("Encounter", "location"),
        ("Provenance", "signature"),
        ("Account", "name"),
        ("Account", "guarantor"),
        ("HealthcareService", "name"),
        ("HealthcareService", "telecom"),
        ("Schedule", "comment"),
        ("Slot", "comment"),
        ("Coverage", "subscriberId"),
        ("Coverage", "dependent"),
        ("Coverage", "class"),
        ("Claim.insurance", "preAuthRef"),
        ("Claim.accident", "locationAddress"),
        ("ClaimResponse", "preAuthRef"),
        ("ClaimResponse", "form"),
    ],
)
def test_what_names_somebody_is_not_listed(resource: str, element: str) -> None:
    """Names, contacts, places, serial numbers, reads and signatures are in no table."""
    assert element not in RULES.tables[resource]


def test_a_shared_system_is_no_prefix_of_a_hosts_name() -> None:
    """http://loinc.org.evil.example is not LOINC."""
    assert RULES.is_shared("http://loinc.org")
    assert RULES.is_shared("http://hl7.org/fhir/sid/icd-10")
    assert not RULES.is_shared("http://loinc.org.evil.example")
    assert not RULES.is_shared("http://hospital.example/codes")

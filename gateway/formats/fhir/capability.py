"""What our FHIR endpoint can do, as one table, and the CapabilityStatement that is made from it (FHIR R4 5.2).

The web server routes and checks parameters by the same table, so that the statement cannot claim what the server
does not do. Parameters carry the names and types of the R4 search parameter registry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from gateway.formats.fhir.coding import AI_GUIDE, US_CORE, profile
from gateway.formats.fhir.element import Resource, element, instant

FHIR_VERSION = "4.0.1"
Interaction = Literal["read", "vread", "search-type"]
ParameterType = Literal["token", "reference", "date", "string"]


@dataclass(frozen=True)
class Parameter:
    """A search parameter. `plain` is False where it is served only in one of its `forms`.

    `forms` are the full names that a client may write beside the plain one: a chain (`patient.identifier`,
    `subject:Patient.identifier`) or a modifier (`based-on:identifier`).
    """

    name: str
    type: ParameterType
    documentation: str
    forms: tuple[str, ...] = ()
    plain: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.forms) if self.plain else self.forms


@dataclass(frozen=True)
class Served:
    """A resource type with its interactions, parameters and includes (`_include` and `_revinclude` values)."""

    type: str
    documentation: str
    parameters: tuple[Parameter, ...]
    includes: tuple[str, ...] = ()
    reverse_includes: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    interactions: tuple[Interaction, ...] = ("read", "search-type")

    def parameter(self, name: str) -> Parameter | None:
        """The parameter that a client writes as `name`, in any of its forms."""
        return next((each for each in self.parameters if name in each.names), None)


_ID = Parameter("_id", "token", "Logical id.")
_STATUS = Parameter("status", "token", "One or more states, separated by commas.")
_PATIENT_CHAINS = ("patient.identifier", "patient:Patient.identifier")
_PATIENT = Parameter("patient", "reference", "Patient/id, or by chain system|value of an identifier.", _PATIENT_CHAINS)
_SUBJECT = Parameter(
    "subject",
    "reference",
    "The same as patient.",
    ("subject:Patient", "subject:Patient.identifier", "subject.identifier"),
)

SERVED: tuple[Served, ...] = (
    Served(
        "DiagnosticReport",
        "One for each study, preliminary until a physician signs. Newest first.",
        (
            _ID,
            Parameter("identifier", "token", "Report number (urn:dxgate:report|...) or accession number."),
            _PATIENT,
            _SUBJECT,
            _STATUS,
            Parameter("code", "token", "LOINC code of the report."),
            Parameter("category", "token", "LOINC LP29684-5 or v2-0074 RAD."),
            Parameter("date", "date", "Date of the study; prefixes eq, ge, gt, le, lt."),
            Parameter("issued", "date", "When this version was made; prefixes ge, gt, le, lt."),
            Parameter("_lastUpdated", "date", "When this version was made; prefixes ge, gt, le, lt."),
            Parameter(
                "based-on", "reference", "The order, by accession number.", ("based-on:identifier",), plain=False
            ),
        ),
        includes=("DiagnosticReport:subject", "DiagnosticReport:patient", "DiagnosticReport:result"),
        reverse_includes=("Provenance:target",),
        interactions=("read", "vread", "search-type"),
        profiles=(f"{US_CORE}/us-core-diagnosticreport-note",),
    ),
    Served(
        "Observation",
        "One model's answer to its question.",
        (_ID, _PATIENT, Parameter("device", "reference", "Device/id of the model."), _STATUS),
        profiles=(f"{US_CORE}/us-core-observation-clinical-result",),
    ),
    Served(
        "ImagingStudy",
        "The study under its original UIDs.",
        (_ID, Parameter("identifier", "token", "urn:dicom:uid|urn:oid:..., or accession number."), _PATIENT),
    ),
    Served(
        "Patient",
        "Identity as the sender of the images gave it.",
        (_ID, Parameter("identifier", "token", "System and value, or value alone.")),
    ),
    Served(
        "Device",
        "A model, by name, version and digest.",
        (_ID, Parameter("device-name", "string", "Start of a model's name.")),
        profiles=(profile("AI-Device"),),
    ),
    Served(
        "DocumentReference",
        "A model card.",
        (_ID, Parameter("identifier", "token", "SHA-256 of the card.")),
        profiles=(profile("AI-ModelCard"),),
    ),
    Served(
        "Provenance",
        "What made a report version.",
        (
            _ID,
            Parameter("target", "reference", "DiagnosticReport/id."),
            Parameter("agent", "reference", "Device/id: everything that a model had a part in."),
        ),
        profiles=(profile("AI-Provenance"),),
    ),
    Served("Organization", "Who runs the gateway.", (_ID,)),
    Served(
        "AuditEvent",
        "A row of the audit trail; immutable. Needs a scope that names AuditEvent. Newest first.",
        (
            Parameter("_id", "token", "Number of the row."),
            Parameter("date", "date", "When it happened; prefixes eq, ge, gt, le, lt."),
            Parameter("_lastUpdated", "date", "The same as date."),
            Parameter("type", "token", "audit-event-type#rest, or a DICOM audit code."),
            Parameter("subtype", "token", "restful-interaction code, DICOM code, or urn:dxgate:audit-event|event."),
            Parameter("action", "token", "C, R, U, D or E."),
            Parameter("outcome", "token", "0, 4 or 8."),
            Parameter("agent-name", "string", "Exact name of the client, person or part that acted."),
            Parameter("agent", "reference", "By name of the agent.", ("agent:identifier",), plain=False),
            Parameter("entity", "reference", "Type/id of what was accessed."),
            Parameter("patient", "reference", "In whose record; Patient/id or identifier.", ("patient.identifier",)),
        ),
    ),
)
BY_TYPE: Mapping[str, Served] = {served.type: served for served in SERVED}


def capability_statement(base_url: str, software_version: str, started: datetime) -> Resource:
    """The statement for `GET [base]/metadata`; `started` is since when the server has been what it says."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": instant(started),
        "kind": "instance",
        "software": {"name": "dxgate", "version": software_version},
        "implementation": {"description": "dxgate, AI analysis of imaging studies", "url": base_url},
        "fhirVersion": FHIR_VERSION,
        "format": ["json", "application/fhir+json"],
        "implementationGuide": [f"{AI_GUIDE}/ImplementationGuide/hl7.fhir.uv.aitransparency"],
        "rest": [{"mode": "server", "security": _security(), "resource": [_resource(served) for served in SERVED]}],
    }


def _security() -> Resource:
    system = "http://terminology.hl7.org/CodeSystem/restful-security-service"
    return {
        "service": [{"coding": [{"system": system, "code": "OAuth"}]}],
        "description": "OAuth 2.0 with SMART scopes; see .well-known/smart-configuration.",
    }


def _resource(served: Served) -> Resource:
    return element(
        type=served.type,
        supportedProfile=list(served.profiles),
        documentation=served.documentation,
        interaction=[{"code": code} for code in served.interactions],
        versioning="versioned" if "vread" in served.interactions else "no-version",
        searchInclude=list(served.includes),
        searchRevInclude=list(served.reverse_includes),
        searchParam=[_parameter(each) for each in served.parameters],
    )


def _parameter(parameter: Parameter) -> Resource:
    forms = "" if not parameter.forms else f" Also as: {', '.join(parameter.forms)}."
    if not parameter.plain:
        forms = f" Only as: {', '.join(parameter.forms)}."
    return {"name": parameter.name, "type": parameter.type, "documentation": parameter.documentation + forms}

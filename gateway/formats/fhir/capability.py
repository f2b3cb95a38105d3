"""The CapabilityStatement, made from what is really there (FHIR R4 5.2).

Interactions come from the table by which the web server routes, parameters and includes from the table by which it
searches: the statement cannot claim what the server does not do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from gateway.domain.search_parameter import Parameter
from gateway.formats.fhir.audit_search import SERVED, TRAIL, trail_parameters
from gateway.formats.fhir.coding import AI_GUIDE, US_CORE, profile
from gateway.formats.fhir.element import Resource, element, instant
from gateway.formats.fhir.genomic_codes import GENOTYPE, GUIDE, GUIDE_VERSION, REPORT, THERAPEUTIC_IMPLICATION
from gateway.formats.fhir.message import OPERATION, messaging
from gateway.formats.fhir.operation_definition import OWN_OPERATIONS, operation_address
from gateway.formats.fhir.operations import definition, topics
from gateway.formats.fhir.search.parameters import parameters
from gateway.formats.fhir.search.query import include_values, reverse_include_values
from gateway.formats.fhir.subscription.topics import PROFILE as SUBSCRIPTION_PROFILE

FHIR_VERSION = "4.0.1"
PROFILES: Mapping[str, tuple[str, ...]] = {
    "DiagnosticReport": (f"{US_CORE}/us-core-diagnosticreport-note", REPORT),
    "Observation": (f"{US_CORE}/us-core-observation-clinical-result", GENOTYPE, THERAPEUTIC_IMPLICATION),
    "Device": (profile("AI-Device"),),
    "DocumentReference": (profile("AI-ModelCard"),),
    "Provenance": (profile("AI-Provenance"),),
    "Subscription": (SUBSCRIPTION_PROFILE,),
}
_OAUTH_URIS = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
_SYSTEM_LEVEL = frozenset({"transaction", "batch", "search-system", "history-system"})
_LATER = "Searches, batches and transactions are answered later where Prefer: respond-async asks for it."
_HIDDEN = "By its beginning, three letters or more, or :exact; names are indexed as keyed hashes."
_HIDDEN_DATE = "By day, month or year; indexed as keyed hashes."


@dataclass(frozen=True)
class Capabilities:
    """What the server can do: interaction codes and names of operations, by type.

    `patch_formats` are the media types of PATCH, none where it is not served.
    """

    base_url: str
    software_version: str
    started: datetime
    interactions: Mapping[str, Sequence[str]]
    system: Sequence[str] = ()
    operations: Mapping[str, Sequence[str]] = field(default_factory=dict)
    patch_formats: Sequence[str] = ()
    formats: Sequence[str] = ("json", "application/fhir+json", "xml", "application/fhir+xml")
    security: Resource | None = None
    compartments: Sequence[str] = ()


def capability_statement(able: Capabilities) -> Resource:
    """The statement for `GET [base]/metadata`."""
    rest = element(
        mode="server",
        documentation=_LATER if "batch" in able.system else None,
        security=able.security or _security(able.base_url.removesuffix("/fhir")),
        resource=[_resource(able, kind) for kind in sorted(able.interactions)],
        interaction=[{"code": code} for code in able.system if code in _SYSTEM_LEVEL],
        operation=[_operation(able, "", name) for name in able.operations.get("", ())],
        compartment=list(able.compartments),
    )
    return element(
        resourceType="CapabilityStatement",
        status="active",
        date=instant(able.started),
        kind="instance",
        software={"name": "dxgate", "version": able.software_version},
        implementation={"description": "dxgate, AI analysis of imaging studies", "url": able.base_url},
        fhirVersion=FHIR_VERSION,
        format=list(able.formats),
        patchFormat=list(able.patch_formats),
        implementationGuide=[
            f"{AI_GUIDE}/ImplementationGuide/hl7.fhir.uv.aitransparency",
            f"{GUIDE}/ImplementationGuide/hl7.fhir.uv.genomics-reporting|{GUIDE_VERSION}",
        ],
        rest=[rest],
        messaging=[messaging(able.base_url)] if OPERATION in able.operations.get("", ()) else [],
    )


def _security(server: str) -> Resource:
    """With the addresses of .well-known/smart-configuration, for clients that still look here (SMART 1.0, 3)."""
    system = "http://terminology.hl7.org/CodeSystem/restful-security-service"
    addresses = {
        "authorize": f"{server}/console/authorize",
        "token": f"{server}/auth/token",
        "introspect": f"{server}/auth/introspect",
        "revoke": f"{server}/auth/revoke",
    }
    uris = [{"url": name, "valueUri": address} for name, address in addresses.items()]
    return {
        "extension": [{"url": _OAUTH_URIS, "extension": uris}],
        "service": [{"coding": [{"system": system, "code": code}]} for code in ("OAuth", "SMART-on-FHIR")],
        "description": "OAuth 2.0 with SMART scopes; see .well-known/smart-configuration.",
    }


def _resource(able: Capabilities, kind: str) -> Resource:
    codes = able.interactions[kind]
    searches = "search-type" in codes
    in_store = searches and kind != TRAIL
    return element(
        extension=topics(able.base_url) if kind == "Subscription" else [],
        type=kind,
        supportedProfile=list(PROFILES.get(kind, ())),
        interaction=[{"code": code} for code in codes],
        versioning=_versioning(codes),
        readHistory="vread" in codes,
        updateCreate="update" in codes,
        conditionalCreate="create" in codes,
        conditionalRead="full-support" if "read" in codes else None,
        conditionalUpdate="update" in codes,
        conditionalDelete="single" if "delete" in codes else "not-supported",
        referencePolicy=["literal", "logical"],
        searchInclude=list(include_values(kind)) if in_store else [],
        searchRevInclude=list(reverse_include_values(kind, sorted({*able.interactions} - {TRAIL}))) if in_store else [],
        searchParam=_parameters(kind) if searches else [],
        operation=[_operation(able, kind, name) for name in able.operations.get(kind, ())],
    )


def _versioning(codes: Sequence[str]) -> str:
    if "update" in codes and "vread" in codes:
        return "versioned-update"
    return "versioned" if "vread" in codes else "no-version"


def _parameters(kind: str) -> list[Resource]:
    if kind == TRAIL:
        return [_parameter(each) | {"documentation": SERVED[each.code].documentation} for each in trail_parameters()]
    return [_parameter(each) for each in parameters(kind).values()]


def _parameter(parameter: Parameter) -> Resource:
    said = None
    if parameter.is_hidden:
        said = _HIDDEN_DATE if parameter.kind == "date" else _HIDDEN
    return element(name=parameter.code, definition=parameter.url, type=parameter.kind, documentation=said)


def _operation(able: Capabilities, kind: str, name: str) -> Resource:
    own = name in OWN_OPERATIONS
    return {"name": name, "definition": operation_address(able.base_url, name) if own else definition(kind, name)}

"""Bundles: what delivers a report version to an EHR or a file, and the answer to a search (FHIR R4 2.36, 3.1.1).

A retry must not make a second resource. What the EHR may have already is created only if none matches
(ifNoneExist); what follows the report's state is updated by its identifier (conditional update). The EHR gives the
ids, so no resource carries ours, and the same version always gives the same bytes.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from gateway.domain.errors import Fault
from gateway.domain.ids import derive_id
from gateway.formats.fhir import identifier
from gateway.formats.fhir.element import Resource, element
from gateway.formats.fhir.render import RenderedReport
from gateway.formats.fhir.search.wording import escaped

# Wire law: a resource stands after those it refers to, for servers that take entries in order.
_ORDER = (
    "Organization",
    "Practitioner",
    "Endpoint",
    "Patient",
    "DocumentReference",
    "Device",
    "ImagingStudy",
    "Observation",
    "RiskAssessment",
    "DetectedIssue",
    "CarePlan",
    "DiagnosticReport",
    "Provenance",
    "Flag",
    "Communication",
)
_RELATIVE = re.compile(r"[A-Z][A-Za-z]{2,63}/[A-Za-z0-9.-]{1,64}")
_UPDATED = frozenset({"Observation", "RiskAssessment", "DetectedIssue", "CarePlan", "DiagnosticReport", "Flag"})
_SYSTEMS = {
    "Organization": (identifier.ORGANIZATION,),
    "DocumentReference": (identifier.CARD_DIGEST,),
    "Device": (identifier.MODEL,),
    "ImagingStudy": (identifier.STUDY_UID, identifier.STUDY),
    "Observation": (identifier.FINDING,),
    "RiskAssessment": (identifier.FINDING,),
    "DetectedIssue": (identifier.FINDING,),
    "CarePlan": (identifier.FINDING,),
    "DiagnosticReport": (identifier.REPORT,),
    "Practitioner": (identifier.PERSON,),
    "Endpoint": (identifier.ENDPOINT,),
    "Flag": (identifier.RECALL,),
    "Communication": (identifier.RECALL,),
}


def transaction(rendered: RenderedReport) -> Resource:
    """The transaction Bundle that puts `rendered` into another server, once or many times with the same effect."""
    ordered = sorted(rendered.resources, key=lambda resource: _ORDER.index(resource["resourceType"]))
    addresses = {_local(resource): _full_url(resource) for resource in ordered}
    return {"resourceType": "Bundle", "type": "transaction", "entry": [_entry(each, addresses) for each in ordered]}


def collection(rendered: RenderedReport, base_url: str) -> Resource:
    """All of `rendered` under our own addresses, the report first; for a file that stands by itself."""
    entries = [{"fullUrl": f"{base_url.rstrip('/')}/{_local(each)}", "resource": each} for each in rendered.resources]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


def searchset(
    matches: Iterable[Resource],
    base_url: str,
    self_url: str,
    *,
    included: Iterable[Resource] = (),
    outcomes: Iterable[Resource] = (),
    next_url: str | None = None,
    total: int | None = None,
) -> Resource:
    """A page of search results; `outcomes` are OperationOutcomes with warnings about the search itself."""
    links = [{"relation": "self", "url": self_url}]
    if next_url is not None:
        links.append({"relation": "next", "url": next_url})
    entries = [
        *(_found(resource, base_url, "match") for resource in matches),
        *(_found(resource, base_url, "include") for resource in included),
        *({"resource": outcome, "search": {"mode": "outcome"}} for outcome in outcomes),
    ]
    return element(resourceType="Bundle", type="searchset", total=total, link=links, entry=entries)


def _found(resource: Resource, base_url: str, mode: str) -> Resource:
    return {"fullUrl": f"{base_url.rstrip('/')}/{_local(resource)}", "resource": resource, "search": {"mode": mode}}


def _entry(resource: Resource, addresses: Mapping[str, str]) -> Resource:
    kind = str(resource["resourceType"])
    ours = str(resource["meta"].get("source", ""))
    body = {name: _rewritten(value, addresses, ours) for name, value in resource.items() if name != "id"}
    body["meta"] = {name: value for name, value in body["meta"].items() if name not in ("versionId", "lastUpdated")}
    criteria = _criteria(resource)
    request = (
        {"method": "PUT", "url": f"{kind}?{criteria}"}
        if kind in _UPDATED
        else {"method": "POST", "url": kind, "ifNoneExist": criteria}
    )
    return {"fullUrl": addresses[_local(resource)], "resource": body, "request": request}


def _criteria(resource: Resource) -> str:
    """The search that finds this resource again on the EHR, and nothing else."""
    kind = str(resource["resourceType"])
    if kind == "Provenance":  # R4 gives it no identifier; its tag names report and version
        tag = resource["meta"]["tag"][0]
        return f"_tag={search_token(tag['system'], tag['code'])}"
    wanted = _SYSTEMS.get(kind)
    for name in resource.get("identifier", ()):
        if wanted is None or name.get("system") in wanted:
            return f"identifier={search_token(name.get('system', ''), name['value'])}"
    raise Fault(f"a {kind} has no identifier to find it by")


def search_token(system: str | None, value: str) -> str:
    """A token parameter. An empty system asks for identifiers without system, so that no other issuer's match.

    None asks for the value under any system.
    """
    return _escaped(value) if system is None else f"{_escaped(system)}|{_escaped(value)}"


def _escaped(value: str) -> str:
    """`value` with FHIR's own escapes (R4 3.1.1.5), then percent-encoded but for what every server takes as it is."""
    return quote(escaped(value), safe=":/.-_~")


def _rewritten(value: Any, addresses: Mapping[str, str], ours: str) -> Any:
    """With references to what is in the bundle led there, and all others to our own server.

    A relative reference would mean a resource of the receiver, which by that id may be another patient's.
    """
    if isinstance(value, dict):
        return {
            name: _address(inner, addresses, ours)
            if name == "reference" and isinstance(inner, str)
            else _rewritten(inner, addresses, ours)
            for name, inner in value.items()
        }
    return [_rewritten(each, addresses, ours) for each in value] if isinstance(value, list) else value


def _address(reference: str, addresses: Mapping[str, str], ours: str) -> str:
    if reference in addresses:
        return addresses[reference]
    return f"{ours}/{reference}" if ours and _RELATIVE.fullmatch(reference) else reference


def _local(resource: Resource) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


def _full_url(resource: Resource) -> str:
    return f"urn:uuid:{uuid.UUID(hex=derive_id('full-url', _local(resource)))}"

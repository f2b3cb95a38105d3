"""One report version on its way to one EHR, and the steps that several strategies share: find, place, link.

The EHR gives the ids. What is there already is found by identifier and updated against the version that was read;
what the EHR does not take is named by identifier instead of by reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.domain.errors import Invalid, Unavailable
from gateway.formats.fhir import identifier
from gateway.formats.fhir.bundle import search_token
from gateway.formats.fhir.element import Resource
from gateway.formats.fhir.render import RenderedReport
from gateway.outlets.fhir_connection import FhirConnection
from gateway.outlets.peer_capability import PeerCapability
from gateway.ports import ReportDocument

_MOST_FOUND: Final = 20


class NoSuchPatient(Invalid):
    """No strategy can help: the EHR does not know the patient, or not which one."""


@dataclass(frozen=True)
class Sending:
    """`peer` is None where the EHR has no CapabilityStatement: then everything is tried."""

    connection: FhirConnection
    peer: PeerCapability | None
    document: ReportDocument
    rendered: RenderedReport

    def can(self, kind: str, interaction: str) -> bool:
        return self.peer is None or self.peer.can(kind, interaction)

    def searches(self, kind: str, parameter: str) -> bool:
        return self.peer is None or self.peer.searches(kind, parameter)

    def search(self, kind: str, criteria: str) -> list[Resource]:
        """Resources of `kind` that match, without included ones and outcomes."""
        bundle = self.connection.get(f"{kind}?{criteria}")
        if bundle.get("type") != "searchset":
            raise Unavailable("the EHR's answer is not a searchset")
        entries = bundle.get("entry")
        found = (
            [each.get("resource") for each in entries if isinstance(each, dict)] if isinstance(entries, list) else []
        )
        matches = [each for each in found[:_MOST_FOUND] if isinstance(each, dict) and each.get("resourceType") == kind]
        return [each for each in matches if isinstance(each.get("id"), str)]

    def patient(self) -> str:
        """`Patient/id` of the EHR, found by identifier or created."""
        (patient,) = self.rendered.of_type("Patient")
        name = patient["identifier"][0]
        token = search_token(name.get("system", ""), name["value"])
        found = self.search("Patient", f"identifier={token}") if self.searches("Patient", "identifier") else []
        if len(found) > 1:
            raise NoSuchPatient("the EHR has more than one patient with this identifier")
        if found:
            return f"Patient/{found[0]['id']}"
        if not self.can("Patient", "create"):
            raise NoSuchPatient("the EHR has no patient with this identifier and lets us create none")
        location = self.connection.create(outgoing(patient, {})).location
        return str(location).partition("/_history/")[0]

    def own(self, kind: str, system: str, value: str) -> Resource | None:
        """The resource that we have put there before; Invalid where there is more than one."""
        if not self.searches(kind, "identifier"):
            return None
        found = self.search(kind, f"identifier={search_token(system, value)}")
        if len(found) > 1:
            raise Invalid(f"the EHR has more than one {kind} under our identifier")
        return found[0] if found else None

    def observations(self, links: Mapping[str, str]) -> dict[str, str]:
        """Every Observation in the EHR as far as it takes them: local to the EHR's reference.

        One that is derived from another stands after it, and names it as the EHR does.
        """
        placed: dict[str, str] = {}
        if not self.can("Observation", "create"):
            return placed
        for observation in self.rendered.of_type("Observation"):
            known = self.own("Observation", identifier.FINDING, observation["id"])
            body = outgoing(observation, {**links, **placed}, self.rendered)
            if known is None:
                location = self.connection.create(body).location
                placed[local(observation)] = str(location).partition("/_history/")[0]
                continue
            placed[local(observation)] = f"Observation/{known['id']}"
            if self.can("Observation", "update"):
                self.connection.update({**body, "id": known["id"]}, etag(known))
        return placed


def local(resource: Resource) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


def etag(resource: Resource) -> str | None:
    version = resource.get("meta", {}).get("versionId") if isinstance(resource.get("meta"), dict) else None
    return f'W/"{version}"' if isinstance(version, str) and version else None


def outgoing(resource: Resource, links: Mapping[str, str], rendered: RenderedReport | None = None) -> Resource:
    """`resource` as it is sent: without our id and version, its references those of the EHR.

    What the EHR does not have is named by its identifier, or only in words.
    """
    body: Resource = _linked({name: value for name, value in resource.items() if name != "id"}, links, rendered)
    body["meta"] = {name: value for name, value in body["meta"].items() if name not in ("versionId", "lastUpdated")}
    return body


def _linked(value: Any, links: Mapping[str, str], rendered: RenderedReport | None) -> Any:
    if isinstance(value, list):
        return [_linked(each, links, rendered) for each in value]
    if not isinstance(value, dict):
        return value
    target = value.get("reference")
    if isinstance(target, str) and not target.startswith(("http:", "https:")):
        rest = {name: inner for name, inner in value.items() if name != "reference"}
        return {**rest, "reference": links[target]} if target in links else {**rest, **_named(target, rendered)}
    return {name: _linked(inner, links, rendered) for name, inner in value.items()}


def _named(target: str, rendered: RenderedReport | None) -> Resource:
    """A logical reference (FHIR R4 2.3.0.2)."""
    kind, _, own_id = target.partition("/")
    resource = rendered.get(kind, own_id) if rendered is not None else None
    names = resource.get("identifier") if resource is not None else None
    return {"type": kind, **({"identifier": names[0]} if names else {"display": kind})}

"""AuditEvent: a row of the audit trail as FHIR R4 shows it (R4 6.4; IHE Basic Audit Log Patterns 1.1, 3:5.7).

A view: the chained row is the record, and this says it in the words that a security officer's tools read. What came
over the FHIR endpoint follows the patterns of BALP, the rest DICOM's audit codes (PS3.15 A.5, PS3.16 CID 400).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final

from gateway.domain.audit import REFUSALS, AuditRow
from gateway.formats.fhir.coding import THO
from gateway.formats.fhir.element import Resource, element, instant
from gateway.formats.fhir.identifier import PATIENT

BALP: Final = "https://profiles.ihe.net/ITI/BALP"
DCM: Final = "http://dicom.nema.org/resources/ontology/DCM"
EVENT: Final = "urn:dxgate:audit-event"
CHAIN: Final = "urn:dxgate:audit-code"
_REST = {"system": f"{THO}/audit-event-type", "code": "rest", "display": "RESTful Operation"}
_ROLE = f"{THO}/object-role"
_ENTITY = f"{THO}/audit-entity-type"
_SUBJECT_IS_PATIENT = frozenset({"identity:open", "identity:release", "identity:create", "patient:erase"})
MOST_ENTITIES = 200


@dataclass(frozen=True)
class Interaction:
    """A RESTful interaction: FHIR code, action, pattern of BALP, and the client's role in the flow of data."""

    code: str
    action: str
    pattern: str
    sends: bool


INTERACTIONS: Final[dict[str, Interaction]] = {
    "fhir:read": Interaction("read", "R", "Read", sends=False),
    "fhir:vread": Interaction("vread", "R", "Read", sends=False),
    "fhir:history": Interaction("history", "R", "", sends=False),
    "fhir:search": Interaction("search", "E", "Query", sends=False),
    "fhir:create": Interaction("create", "C", "Create", sends=True),
    "fhir:update": Interaction("update", "U", "Update", sends=True),
    "fhir:patch": Interaction("patch", "U", "", sends=True),
    "fhir:delete": Interaction("delete", "D", "Delete", sends=True),
    "fhir:operation": Interaction("operation", "E", "", sends=True),
    "resource:read": Interaction("read", "R", "", sends=False),  # rows of earlier releases lack network and outcome
    "resource:search": Interaction("search", "E", "", sends=False),
}


@dataclass(frozen=True)
class Kind:
    """What other rows are in DICOM's words: type, subtype and action."""

    type: tuple[str, str]
    subtype: tuple[str, str] | None
    action: str


_ACTIVITY = Kind(("110100", "Application Activity"), None, "E")
_SECURITY = Kind(("110113", "Security Alert"), ("110129", "Security Configuration"), "E")
_ATTRIBUTES = Kind(("110113", "Security Alert"), ("110137", "User Security Attributes Changed"), "U")
_LOGIN = Kind(("110114", "User Authentication"), ("110122", "Login"), "E")
_NODE = Kind(("110114", "User Authentication"), ("110126", "Node Authentication"), "E")
KINDS: Final[dict[str, Kind]] = {
    "person:login": _LOGIN,
    "person:reject": _LOGIN,
    "person:logout": Kind(("110114", "User Authentication"), ("110123", "Logout"), "E"),
    "person:add": _ATTRIBUTES,
    "person:role": _ATTRIBUTES,
    "client:authenticate": _NODE,
    "client:reject": _NODE,
    "client": _ATTRIBUTES,
    "association": Kind(("110100", "Application Activity"), ("110126", "Node Authentication"), "E"),
    "instance:receive": Kind(("110104", "DICOM Instances Transferred"), None, "C"),
    "instance:duplicate": Kind(("110104", "DICOM Instances Transferred"), None, "E"),
    "identity:create": Kind(("110110", "Patient Record"), None, "C"),
    "identity": Kind(("110110", "Patient Record"), None, "R"),
    "patient:erase": Kind(("110110", "Patient Record"), None, "D"),
    "study:export": Kind(("110106", "Export"), None, "R"),
    "export": Kind(("110106", "Export"), None, "R"),
    "console:view": Kind(("110110", "Patient Record"), None, "R"),
    "held:view": Kind(("110110", "Patient Record"), None, "R"),
    "key": _SECURITY,
}


def audit_event(row: AuditRow, base_url: str, organization: str) -> Resource:
    """The AuditEvent of one row; `base_url` is that of our FHIR endpoint."""
    entry, details = row.entry, row.entry.details
    rest = INTERACTIONS.get(entry.event)
    patients = _patients(row)
    kind = _kind(entry.event)
    return element(
        resourceType="AuditEvent",
        id=str(row.seq),
        meta=element(lastUpdated=instant(row.at), profile=_profile(rest, details, bool(patients))),
        extension=[{"url": CHAIN, "valueString": row.code.hex()}],
        type=_REST if rest else _dicom(kind.type),
        subtype=_subtypes(entry.event, rest, kind),
        action=rest.action if rest else kind.action,
        recorded=instant(row.at),
        outcome=str(details.get("outcome") or ("4" if entry.event in REFUSALS else "0")),
        agent=_agents(row, rest, base_url),
        source={"site": organization, "observer": _who("server", base_url), "type": [_SOURCE]},
        entity=[*_entities(row, rest), *(_patient(each) for each in patients)][:MOST_ENTITIES],
    )


def codes(event: str) -> Mapping[str, list[tuple[str, str]]]:
    """System and code of what an event is searched by: type, subtype, action."""
    rest = INTERACTIONS.get(event)
    kind = _kind(event)
    typed = _REST if rest else _dicom(kind.type)
    action = rest.action if rest else kind.action
    return {
        "type": [(typed["system"], typed["code"])],
        "subtype": [(each["system"], each["code"]) for each in _subtypes(event, rest, kind)],
        "action": [("http://hl7.org/fhir/audit-event-action", action)],
    }


def _kind(event: str) -> Kind:
    return KINDS.get(event) or KINDS.get(event.partition(":")[0], _ACTIVITY)


_SOURCE = {"system": f"{THO}/security-source-type", "code": "4", "display": "Application Server"}


def _profile(rest: Interaction | None, details: Mapping[str, Any], about_patient: bool) -> list[str]:
    """Only what follows a pattern wholly says so: BALP demands the network of every agent."""
    if rest is None or not rest.pattern or "address" not in details:
        return []
    return [f"{BALP}/StructureDefinition/IHE.BasicAudit.{'Patient' if about_patient else ''}{rest.pattern}"]


def _subtypes(event: str, rest: Interaction | None, kind: Kind) -> list[Resource]:
    own = {"system": EVENT, "code": event}
    if rest is not None:
        return [{"system": "http://hl7.org/fhir/restful-interaction", "code": rest.code}, own]
    return [*([_dicom(kind.subtype)] if kind.subtype else []), own]


def _agents(row: AuditRow, rest: Interaction | None, base_url: str) -> list[Resource]:
    """Client, server and, where a person acts through an app, that person."""
    details, (kind, _, name) = row.entry.details, row.entry.actor.partition(":")
    kind, name = (kind, name) if name else ("part", row.entry.actor)
    network = _network(details.get("address"))
    if rest is None:
        return [element(type=_dcm("110150", "Application"), **_named(kind, name), requestor=True, network=network)]
    source, destination = _dcm("110153", "Source Role ID"), _dcm("110152", "Destination Role ID")
    theirs, ours = (source, destination) if rest.sends else (destination, source)
    client = str(details.get("client") or name)
    found = [
        element(type=theirs, **_named("client", client), requestor=kind != "person", network=network),
        element(type=ours, who=_who("server", base_url), requestor=False, network={"address": base_url, "type": "5"}),
    ]
    if kind == "person":
        role = ("AUT", "author (originator)") if rest.sends else ("IRCP", "information recipient")
        coded = {"coding": [{"system": f"{THO}/v3-ParticipationType", "code": role[0], "display": role[1]}]}
        found.append(element(type=coded, **_named("person", name), requestor=True))
    return found


def _entities(row: AuditRow, rest: Interaction | None) -> list[Resource]:
    """Request number, what it was about, and of a search its parameters without their values."""
    entry, details = row.entry, row.entry.details
    found: list[Resource] = []
    request = details.get("request")
    if isinstance(request, str):
        system = f"{BALP}/CodeSystem/BasicAuditEntityType"
        found.append({"what": {"identifier": {"value": request}}, "type": {"system": system, "code": "XrequestId"}})
    if rest is not None and rest.code == "search":
        found.append(_query(entry.subject_id, details))
    elif not (entry.event in _SUBJECT_IS_PATIENT and entry.subject_id in _patients(row)):
        found.append(_data(row, rest))
    else:
        found += [element(type=_OBJECT, detail=_detail(details))] if _detail(details) else []
    return found


_OBJECT = {"system": _ENTITY, "code": "2", "display": "System Object"}


def _data(row: AuditRow, rest: Interaction | None) -> Resource:
    entry = row.entry
    kind = entry.details.get("type")
    named = rest is not None and isinstance(kind, str) and entry.subject_id != kind
    what = (
        {"reference": f"{kind}/{entry.subject_id}", "type": kind}
        if named
        else {"identifier": {"system": f"urn:dxgate:{entry.event.partition(':')[0]}", "value": entry.subject_id}}
    )
    role = {"system": _ROLE, "code": "4", "display": "Domain Resource"}
    return element(what=what, type=_OBJECT, role=role if rest else None, detail=_detail(entry.details))


def _query(kind: str, details: Mapping[str, Any]) -> Resource:
    """The search with its values withheld, which may name a patient: base64 as R4 asks."""
    names = details.get("parameters") or []
    text = f"{details.get('type') or kind}?{'&'.join(f'{name}=' for name in names)}"
    return element(
        type=_OBJECT,
        role={"system": _ROLE, "code": "24", "display": "Query"},
        description="Parameters by name; their values are not kept",
        query=b64encode(text.encode()).decode("ascii"),
        detail=_detail(details),
    )


def _patient(pseudonym: str) -> Resource:
    """By pseudonym, which is an identifier of the Patient: the trail names nobody."""
    return {
        "what": {"type": "Patient", "identifier": {"system": PATIENT, "value": pseudonym}},
        "type": {"system": _ENTITY, "code": "1", "display": "Person"},
        "role": {"system": _ROLE, "code": "1", "display": "Patient"},
    }


def _patients(row: AuditRow) -> list[str]:
    listed = row.entry.details.get("patients")
    found = [str(each) for each in listed] if isinstance(listed, list) else []
    if row.entry.event in _SUBJECT_IS_PATIENT:
        found.append(row.entry.subject_id)
    return list(dict.fromkeys(found))


_TOLD_ELSEWHERE = frozenset({"address", "client", "outcome", "parameters", "patients", "request", "type"})


def _detail(details: Mapping[str, Any]) -> list[Resource]:
    """What else the row says, as it says it."""
    found = []
    for name, value in sorted(details.items()):
        text = ", ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)
        if name not in _TOLD_ELSEWHERE and text:
            found.append({"type": name, "valueString": text})
    return found


def _network(address: object) -> Resource | None:
    if not isinstance(address, str) or not address:
        return None
    try:
        ip_address(address)
    except ValueError:
        return {"address": address, "type": "1"}
    return {"address": address, "type": "2"}


def _named(kind: str, name: str) -> Resource:
    return {"who": _who(kind, name), "name": name}


def _who(kind: str, name: str) -> Resource:
    return {"identifier": {"system": f"urn:dxgate:{kind}", "value": name}}


def _dcm(code: str, display: str) -> Resource:
    return {"coding": [_dicom((code, display))]}


def _dicom(coded: tuple[str, str]) -> Resource:
    return {"system": DCM, "code": coded[0], "display": coded[1]}

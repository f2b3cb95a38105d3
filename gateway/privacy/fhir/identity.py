"""Who a FHIR document is about, and every name, number, contact and address that its structured elements say.

FHIR R4: HumanName, Identifier, ContactPoint, Address, Reference.display. What is found is looked for in the texts;
the search goes by the shape of what it meets, so that an extension or an unknown element is harvested as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote

from gateway.domain.errors import Invalid
from gateway.privacy.documents import Issuers
from gateway.privacy.free_text.known import KnownIdentity
from gateway.privacy.pseudonyms import IdentityKey

_OUR_ISSUERS: Final = "urn:dxgate:issuer:"  # what gateway/formats/fhir/identifier.py makes of an issuer's name
_OID: Final = "urn:oid:"
_PATIENT_CODES: Final = ("MR", "PI", "PT")
_SUBJECTS: Final = ("subject", "patient", "individual", "focus", "beneficiary")
_NAMED: Final = (
    *_SUBJECTS,
    *("author", "who", "actor", "performer", "requester"),
    *("policyHolder", "subscriber", "party", "enterer", "provider"),
)
_PEOPLE: Final = ("Patient/", "Practitioner/", "PractitionerRole/", "RelatedPerson/", "Person/")
_SHARED_VALUES: Final = ("urn:oid:", "urn:uuid:", "http://", "https://")
_NESTED: Final = (dict, list)  # a tuple, because `dict | list` would be made anew for each of a million values
Resource = dict[str, Any]


def patient_key(document: Resource, issuers: Issuers, patients: Mapping[str, IdentityKey]) -> IdentityKey | None:
    """The patient of a resource or bundle; None where it names none, Invalid where it names several.

    `patients` are those that the caller has met elsewhere, by `Patient/<id>`.
    """
    found = [one for one in _resources(document) if one.get("resourceType") == "Patient"]
    keys = {key for one in found if (key := identifier_key(one.get("identifier"), issuers)) is not None}
    keys |= {key for value in _references(document) if (key := patients.get(_patient_path(value))) is not None}
    if not keys:
        keys = {
            key for value in _subject_identifiers(document) if (key := identifier_key([value], issuers)) is not None
        }
    told = {f"Patient/{one.get('id')}" for one in found} | {
        path for one in _references(document) if (path := _patient_path(one))
    }
    if len(keys) > 1 or len(found) > 1 or len(told) > 1:
        raise Invalid("the resource is about more than one patient")
    return keys.pop() if keys else None


def identifier_key(identifiers: Any, issuers: Issuers) -> IdentityKey | None:
    """Of several identifiers the medical record number, else the first that has a value."""
    usable = [one for one in _dicts(identifiers) if isinstance(one.get("value"), str) and one["value"].strip()]
    chosen = next((one for one in usable if type_codes(one) & {*_PATIENT_CODES}), usable[0] if usable else None)
    if chosen is None:
        return None
    return issuers.key(issuer_of(chosen.get("system")), chosen["value"])


def issuer_of(system: Any) -> str:
    """The issuer as DICOM names it: an OID without its scheme, a name that we made into a URI, else the URI."""
    text = system.strip() if isinstance(system, str) else ""
    if text.startswith(_OUR_ISSUERS):
        return unquote(text.removeprefix(_OUR_ISSUERS))
    return text.removeprefix(_OID)


def type_codes(identifier: Resource) -> set[str]:
    """The codes of Identifier.type (HL7 table 0203)."""
    kind = identifier.get("type")
    return {str(one.get("code")) for one in _dicts(kind.get("coding") if isinstance(kind, dict) else None)}


def known_identity(document: Resource) -> KnownIdentity:
    """What any structured element says of anybody."""
    found: dict[str, set[str]] = {
        "names": set(),
        "numbers": set(),
        "contacts": set(),
        "addresses": set(),
        "days": set(),
    }
    for name, value in _objects(document, ""):
        _harvest(name, value, found)
    return KnownIdentity(**{kind: frozenset(values) for kind, values in found.items()})


def _harvest(name: str, value: Resource, found: dict[str, set[str]]) -> None:
    """One object, by its shape and by the element it stands in."""
    if "family" in value or "given" in value or name in ("name", "valueHumanName"):
        parts = [*_strings(value.get("given")), *_strings(value.get("family"))]
        found["names"].update({*parts, " ".join(parts), *_strings(value.get("text"))} - {""})
    if name.lower().endswith("identifier"):
        found["numbers"].update(one for one in _strings(value.get("value")) if not one.startswith(_SHARED_VALUES))
    found["numbers"].update(_strings(value.get("subscriberId")))
    if "system" in value and name in ("telecom", "valueContactPoint"):
        found["contacts"].update(_strings(value.get("value")))
    if name.lower().endswith("address"):
        places = (*_strings(value.get("line")), *_strings(value.get("city")), *_strings(value.get("text")))
        found["addresses"].update(one for one in places if len(one) > 3)
    if isinstance(value.get("display"), str):
        target = str(value.get("reference") or value.get("type") or "")
        if f"{target}/".startswith(_PEOPLE) or name in _NAMED:
            found["names"].add(value["display"])
    for birth in ("birthDate", "bornDate"):
        if isinstance(value.get(birth), str):
            found["days"].add(value[birth].replace("-", "")[:8])
    if value.get("url", "").endswith("mothersMaidenName") if isinstance(value.get("url"), str) else False:
        found["names"].update(_strings(value.get("valueString")))


def _objects(value: Any, name: str) -> Iterator[tuple[str, Resource]]:
    """Every object with the name of the element it stands in."""
    stack = [(name, value)]
    while stack:
        inside, one = stack.pop()
        if isinstance(one, dict):
            yield inside, one
            stack += [(inner, two) for inner, two in one.items() if isinstance(two, _NESTED)]
        elif isinstance(one, list):
            stack += [(inside, two) for two in one if isinstance(two, _NESTED)]


def _resources(document: Resource) -> Iterator[Resource]:
    for _, value in _objects(document, ""):
        if isinstance(value.get("resourceType"), str):
            yield value


def _references(document: Resource) -> Iterator[str]:
    for _, value in _objects(document, ""):
        if isinstance(value.get("reference"), str):
            yield value["reference"]


def _patient_path(reference: str) -> str:
    """`Patient/<id>` of a relative or absolute reference to a patient; empty for any other."""
    parts = reference.split("/_history/", maxsplit=1)[0].split("/")
    return "/".join(parts[-2:]) if len(parts) >= 2 and parts[-2] == "Patient" else ""


def _subject_identifiers(document: Resource) -> Iterator[Resource]:
    for name, value in _objects(document, ""):
        if name in ("subject", "patient") and isinstance(value.get("identifier"), dict):
            yield value["identifier"]


def _dicts(value: Any) -> list[Resource]:
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, dict)]


def _strings(value: Any) -> list[str]:
    return [one.strip() for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)]

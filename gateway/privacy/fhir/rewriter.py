"""Carries out the allow-list on one resource: every verb and special type is a method that gives what may stay.

None means that nothing may; the element is then left out, or marked as masked where the standard requires it.
FHIR R4 datatypes (2.24), extensibility (2.4), data-absent-reason.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter
from collections.abc import Callable
from datetime import date
from typing import Any, Final

from gateway.domain.errors import Invalid, Unsupported
from gateway.privacy.coded import is_bare_code, is_code, is_shared_code
from gateway.privacy.documents import DocumentProfile, Issuers
from gateway.privacy.fhir.identity import Resource, identifier_key, type_codes
from gateway.privacy.fhir.json_text import Number
from gateway.privacy.fhir.links import Links
from gateway.privacy.fhir.primitives import OID, Primitives, is_plain
from gateway.privacy.fhir.rules import ElementRule, FhirRules
from gateway.privacy.free_text.known import KnownIdentity
from gateway.privacy.free_text.residual import is_left
from gateway.privacy.pseudonyms import IdentityKey, Pseudonymiser
from gateway.privacy.vocabulary import is_technical

PATIENT: Final = "urn:dxgate:patient"
ACCESSION: Final = "urn:dxgate:accession"
OTHER: Final = "urn:dxgate:identifier"
DICOM_UID: Final = "urn:dicom:uid"
PSEUDED: Final = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "PSEUDED",
    "display": "pseudonymized",
}
_ABSENT: Final = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
_MASKED: Final = [{"url": _ABSENT, "valueCode": "masked"}]
_WITHHELD: Final = {
    "coding": [{"system": "http://terminology.hl7.org/CodeSystem/list-empty-reason", "code": "withheld"}],
}
_COMMON: Final = frozenset({"resourceType", "id", "meta", "contained", "language", "extension", "modifierExtension"})
_ORDERS: Final = frozenset({"ACSN", "PLAC", "FILL"})
_ORDERED: Final = frozenset({"ServiceRequest", "ImagingStudy", "DiagnosticReport", "Specimen", "DocumentReference"})
_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,2}")
_MEDIA: Final = re.compile(r"[a-z]{1,20}/[a-z0-9.+-]{1,60}(?:;\s?charset=[A-Za-z0-9-]{1,20})?", re.IGNORECASE)
_MARK: Final = re.compile(r"\[[A-Z]+[^\]]*\]")
_IN_YEARS: Final = {"a": 1, "mo": 12, "wk": 52, "d": 365}
_OLDEST: Final = 89
_MOST_ATTACHED: Final = 1 << 20


class Rewriter:
    """One document's rewriting; `counts` says how often each verb was carried out and what was dropped."""

    def __init__(
        self,
        rules: FhirRules,
        profile: DocumentProfile,
        *,
        pseudonymiser: Pseudonymiser,
        key: IdentityKey,
        issuers: Issuers,
        known: KnownIdentity,
        today: date,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._rules = rules
        self._pseudonymiser = pseudonymiser
        self._key = key
        self._issuers = issuers
        self._known = known
        self._links = Links(pseudonymiser)
        self._resource_type = ""
        self._simple = Primitives(profile, pseudonymiser, known, today, self.counts)
        self._verbs: dict[str, Callable[[Any], Any]] = {
            **self._simple.verbs,
            "Coding": self._coding,
            "Identifier": self._identifier,
            "Reference": self._reference,
            "Quantity": self._quantity,
            "Age": self._age,
            "Attachment": self._attachment,
        }

    def resource(self, original: Any, *, contained: bool = False) -> Resource:
        """A resource by the table of its type; Unsupported where there is none."""
        kind = original.get("resourceType") if isinstance(original, dict) else None
        if not isinstance(kind, str) or kind not in self._rules.resources:
            raise Unsupported("the resource is of a type that no rule is written for")
        outer, self._resource_type = self._resource_type, kind
        made: Resource = {"resourceType": kind}
        if isinstance(original.get("id"), str):
            made["id"] = self._links.logical_id(kind, original["id"], contained=contained)
        if not contained:
            made["meta"] = self._meta(original.get("meta"))
        if isinstance(original.get("language"), str) and _LANGUAGE.fullmatch(original["language"]):
            made["language"] = original["language"]
        if isinstance(original.get("contained"), list):
            made["contained"] = [self.resource(one, contained=True) for one in original["contained"]]
        made |= self._element(kind, original)
        self._resource_type = outer
        return made

    def _meta(self, original: Any) -> Resource:
        """What of it may stay, and the label that says what this is."""
        made = self._element("Meta", original) if isinstance(original, dict) else {}
        told = made.get("security")
        labels = [one for one in told if one.get("code") != PSEUDED["code"]] if isinstance(told, list) else []
        return {**made, "security": [*labels, PSEUDED]}

    def _element(self, table: str, original: Resource) -> Resource:
        """An object by its table: what is listed is treated, the rest is counted as dropped."""
        rules = self._rules.tables[table]
        made: Resource = {}
        if "modifierExtension" in original:
            self._check_modifiers(original["modifierExtension"])
        extensions = self._extensions(original.get("extension"))
        if extensions:
            made["extension"] = extensions
        for name, value in original.items():
            rule = rules.get(name)
            if rule is not None:
                self._listed(name, rule, value, made)
            elif name.startswith("_") and name[1:] in rules:
                self._primitive_extension(name, value, made)
            elif name not in _COMMON or (name == "id" and table not in self._rules.resources):
                self.counts["drop"] += 1
        for name, rule in rules.items():
            if rule.required and name in original and name not in made and f"_{name}" not in made:
                self._mask(name, rule, original[name], made)
        if (
            table == "Composition.section"
            and not made.keys() & {"entry", "section"}
            and original.keys() & {"text", "entry", "section"}
        ):
            made["emptyReason"] = _WITHHELD
        return made

    def _listed(self, name: str, rule: ElementRule, value: Any, made: Resource) -> None:
        if rule.name == "Bundle.entry" and isinstance(value, list):
            value = [one for one in value if self._is_ruled(one)]
        if isinstance(value, list):
            kept = [one for each in value if (one := self._apply(rule.name, each)) is not None]
            if kept:
                made[name] = kept
        elif (one := self._apply(rule.name, value)) is not None:
            made[name] = one

    def _is_ruled(self, entry: Any) -> bool:
        """Whether a bundle's entry holds a resource that has a table; one that has none is left out whole."""
        inner = entry.get("resource") if isinstance(entry, dict) else None
        ruled = inner is None or (isinstance(inner, dict) and inner.get("resourceType") in self._rules.resources)
        self.counts["resource dropped"] += not ruled
        return ruled

    def _apply(self, rule: str, value: Any) -> Any:
        """A verb, a resource, or an object by its table; what the last look still finds somebody in is left out."""
        if rule == "resource":
            return self.resource(value)
        method = self._verbs.get(rule)
        if method is None:
            made = self._element(rule, value) if isinstance(value, dict) else None
            return made or None
        made = method(value)
        if isinstance(made, str) and rule not in ("text", "target") and is_left(self._known, [made]):
            self.counts["residual"] += 1
            return None
        self.counts[rule if made is not None else "drop"] += 1
        return made or (made if made is False else None)

    def _mask(self, name: str, rule: ElementRule, value: Any, made: Resource) -> None:
        """Say that a required value is not told (FHIR 2.24.0.2, data-absent-reason)."""
        self.counts["masked"] += 1
        simple = rule.name in self._verbs and rule.name[0].islower()
        if isinstance(value, list):
            made[name] = [{"extension": _MASKED}]
        else:
            made[f"_{name}" if simple else name] = {"extension": _MASKED}

    def _extensions(self, value: Any) -> list[Resource]:
        kept = []
        for one in value if isinstance(value, list) else []:
            made = self._extension(one)
            self.counts["extension" if made else "extension dropped"] += 1
            if made:
                kept.append(made)
        return kept

    def _extension(self, value: Any) -> Resource | None:
        """One that is listed, with its value by its own type; nested ones only under the same list."""
        if not isinstance(value, dict) or value.get("url") not in self._rules.extensions:
            return None
        made: Resource = {"url": value["url"]}
        for name, inner in value.items():
            rule = self._rules.choices.get(name.removeprefix("value")) if name.startswith("value") else None
            kept = self._apply(rule, inner) if rule is not None else None
            if kept is not None:
                made[name] = kept
        return made if len(made) > 1 else None

    def _check_modifiers(self, value: Any) -> None:
        """A modifier that is left out would turn the meaning round: such a resource is refused."""
        if any(self._extension(one) is None for one in (value if isinstance(value, list) else [value])):
            raise Unsupported("the resource has a modifier extension that no rule is written for")

    def _primitive_extension(self, name: str, value: Any, made: Resource) -> None:
        kept = self._extensions(value.get("extension")) if isinstance(value, dict) else []
        if kept:
            made[name] = {"extension": kept}

    # Types with a method of their own.

    def _coding(self, value: Any) -> Resource | None:
        """A code with its system where everybody shares that; else the code alone, if it can be nobody."""
        if not isinstance(value, dict):
            return None
        system, code, display = value.get("system"), value.get("code"), value.get("display")
        shared = isinstance(system, str) and self._rules.is_shared(system) and not re.search(r"[\s?]", system)
        fits = is_shared_code if shared else is_code if isinstance(system, str) else is_bare_code
        made: Resource = {"system": system} if shared else {}
        if shared and is_plain(value.get("version")) and re.fullmatch(r"[\w.:/-]{1,80}", value["version"]):
            made["version"] = value["version"]
        if is_plain(code) and fits(code) and not is_left(self._known, [code]):
            made["code"] = code
        if is_plain(display) and (shared or "code" in made or is_technical(display)):
            kept = self._simple.text(display)
            if kept is not None:
                made["display"] = kept
        return made if made.keys() & {"code", "display"} else None

    def _identifier(self, value: Any) -> Resource | None:
        """What kind of number it is decides which pseudonym it gets; who issued it is not told."""
        if not isinstance(value, dict) or not is_plain(value.get("value")):
            return None
        made: Resource = {}
        if value.get("use") in ("usual", "official", "temp", "secondary", "old"):
            made["use"] = value["use"]
        kind = self._apply("CodeableConcept", value.get("type"))
        if kind:
            made["type"] = kind
        made["system"], made["value"] = self._number_for(value)
        return made

    def _number_for(self, value: Resource) -> tuple[str, str]:
        number = value["value"].strip()
        uid = OID.fullmatch(number)
        if uid is not None and (value.get("system") == DICOM_UID or number.startswith("urn:oid:")):
            return DICOM_UID, "urn:oid:" + self._pseudonymiser.uid(uid[1])
        if identifier_key([value], self._issuers) == self._key:
            return PATIENT, self._pseudonymiser.patient_id()
        if type_codes(value) & _ORDERS or self._resource_type in _ORDERED:
            return ACCESSION, self._pseudonymiser.accession(number)
        return OTHER, self._pseudonymiser.hl7_id(number)

    def _reference(self, value: Any) -> Resource | None:
        """The literal reference and the identifier without identity; a display is a name."""
        if not isinstance(value, dict):
            return None
        made: Resource = {}
        if is_plain(value.get("reference")):
            target = self._links.reference(value["reference"])
            if target is not None:
                made["reference"] = target
        if isinstance(value.get("type"), str) and value["type"] in self._rules.resources:
            made["type"] = value["type"]
        identifier = self._identifier(value.get("identifier"))
        if identifier is not None:
            made["identifier"] = identifier
        self.counts["drop"] += "display" in value
        return made if made.keys() & {"reference", "identifier"} else None

    def _quantity(self, value: Any) -> Resource | None:
        if not isinstance(value, dict):
            return None
        made: Resource = {}
        number = self._simple.number(value.get("value"))
        if number is not None:
            made["value"] = number
        if value.get("comparator") in ("<", "<=", ">=", ">"):
            made["comparator"] = value["comparator"]
        if is_plain(value.get("unit")) and is_code(value["unit"]) and not is_left(self._known, [value["unit"]]):
            made["unit"] = value["unit"]
        system, code = value.get("system"), value.get("code")
        if isinstance(system, str) and self._rules.is_shared(system):
            made["system"] = system
            if is_plain(code) and len(code) <= 40 and not re.search(r"\s", code) and not is_left(self._known, [code]):
                made["code"] = code
        extensions = self._extensions(value.get("extension"))
        if extensions:
            made = {"extension": extensions, **made}
        return made or None

    def _age(self, value: Any) -> Resource | None:
        """Ninety years stand for every age above eighty-nine; an age without a unit says nothing sure."""
        made = self._quantity(value)
        if made is None or "value" not in made:
            return made
        parts = _IN_YEARS.get(made.get("code") or {"years": "a", "year": "a"}.get(str(made.get("unit")).lower(), ""))
        if parts is None:
            return None
        if float(made["value"]) > _OLDEST * parts + (parts - 1):
            made["value"] = Number(90 * parts)
        return made

    def _attachment(self, value: Any) -> Resource | None:
        """Its kind; of plain text also the cleaned text. Everything else in it names a place or a picture."""
        if not isinstance(value, dict):
            return None
        made: Resource = {}
        media = value.get("contentType")
        if is_plain(media) and _MEDIA.fullmatch(media):
            made["contentType"] = media
        if isinstance(value.get("language"), str) and _LANGUAGE.fullmatch(value["language"]):
            made["language"] = value["language"]
        text = _attached_text(value) if str(media).lower().startswith("text/plain") else None
        cleaned = self._simple.text(text) if text else None
        if cleaned:
            made["data"] = base64.b64encode(cleaned.encode()).decode()
        self.counts["attachment dropped"] += cleaned is None
        made_date = self._simple.date(value.get("creation"))
        if made_date is not None:
            made["creation"] = made_date
        return made or None


def check(document: Any, known: KnownIdentity) -> None:
    """The last look over the whole document; Invalid where any string still says a known name or number."""
    stack = [(document, "")]
    while stack:
        value, name = stack.pop()
        if isinstance(value, dict):
            stack += [(inner, inner_name) for inner_name, inner in value.items()]
        elif isinstance(value, list):
            stack += [(inner, name) for inner in value]
        elif isinstance(value, str) and name not in _FIXED and is_left(known, [_MARK.sub("\n", value)]):
            raise Invalid(f"identity is left in an element {name}")


_FIXED: Final = frozenset({"resourceType", "system", "url", "profile", "contentType", "data", "fullUrl", "reference"})
"""Elements with words of the standard or pseudonyms; a patient named Patient does not make them identity."""


def _attached_text(value: Resource) -> str | None:
    data = value.get("data")
    if not isinstance(data, str) or len(data) > _MOST_ATTACHED:
        return None
    try:
        return base64.b64decode(data, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return None

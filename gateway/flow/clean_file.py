"""clean file: one file of any of the three formats, told apart by its first bytes, without identity.

What an officer's copy needs: the same rules and pseudonyms as at the doors, whatever the file is. Nothing is stored
here; pixels are not searched here either.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from gateway.domain.errors import Invalid, Unsupported
from gateway.domain.ids import derive_id
from gateway.privacy import engine
from gateway.privacy.disposition import dispose
from gateway.privacy.documents import CleanedDocument, DocumentProfile, Issuers
from gateway.privacy.fhir import clean as fhir
from gateway.privacy.fhir.identity import identifier_key
from gateway.privacy.fhir.json_text import parse
from gateway.privacy.hl7 import clean as hl7
from gateway.privacy.hl7.message import split_messages
from gateway.privacy.part10 import split
from gateway.privacy.pseudonyms import IdentityKey, Pseudonymiser
from gateway.privacy.rules import INFERENCE, compile_rules

Kind = Literal["dicom", "fhir", "hl7"]
_MOST_DOCUMENTS: Final = 10_000


@dataclass(frozen=True)
class CleanedFile:
    """A file without identity. `name` says nothing of the file it came from: file names are often names."""

    kind: Kind
    name: str
    parts: list[bytes | memoryview] = field(repr=False)
    documents: int
    counts: Mapping[str, int]


def kind_of(data: bytes) -> Kind:
    """By content, never by name; Unsupported where it is none of the three."""
    if data[128:132] == b"DICM":
        return "dicom"
    start = data[:64].lstrip(b"\xef\xbb\xbf\x0b \t\r\n")
    if start.startswith(b"{"):
        return "fhir"
    if start.startswith((b"MSH", b"FHS", b"BHS")):
        return "hl7"
    raise Unsupported("the file is neither DICOM nor FHIR JSON nor HL7 v2")


@dataclass(frozen=True)
class CleanFile:
    """Cleans files under one profile; `patients` are those that other files name, by `Patient/<id>`."""

    pseudonymiser_for: Callable[[IdentityKey], Pseudonymiser]
    profile: DocumentProfile
    issuers: Issuers
    patient: IdentityKey | None = None
    patients: Mapping[str, IdentityKey] = field(default_factory=dict)

    def __call__(self, data: bytes) -> CleanedFile:
        kind = kind_of(data)
        if kind == "dicom":
            return self._dicom(data)
        texts = json_documents(data) if kind == "fhir" else split_messages(data)
        if len(texts) > _MOST_DOCUMENTS:
            raise Invalid(f"the file holds more than {_MOST_DOCUMENTS} documents")
        cleaned = [self._document(kind, text) for text in texts]
        counts: Counter[str] = Counter()
        for one in cleaned:
            counts.update(one.record.counts)
        bodies: list[bytes | memoryview] = [one.body + (b"\n" if kind == "fhir" else b"") for one in cleaned]
        return CleanedFile(kind, _neutral_name(kind, bodies), bodies, len(bodies), counts)

    def _document(self, kind: Kind, text: bytes) -> CleanedDocument:
        if kind == "fhir":
            return fhir.deidentify(
                text,
                self.pseudonymiser_for,
                self.profile,
                issuers=self.issuers,
                patient=self.patient,
                patients=self.patients,
            )
        return hl7.deidentify(text, self.pseudonymiser_for, self.profile, issuers=self.issuers, patient=self.patient)

    def _dicom(self, data: bytes) -> CleanedFile:
        if self.profile.name != INFERENCE.name:
            raise Unsupported(
                "DICOM objects leave under the export profile by `dxgate export` alone, which looks at pixels"
            )
        transfer_syntax, body = split(data)
        cleaned = engine.deidentify(body, transfer_syntax, compile_rules(INFERENCE), self.pseudonymiser_for)
        header = cleaned.header
        rule = dispose(header.sop_class_uid, header.modality, (), "", has_pixels=True)
        if rule.action == "quarantine":
            raise Unsupported(f"an object of this kind ({rule.code}) is not clean when its header is: {rule.reason}")
        return CleanedFile("dicom", f"{header.sop_instance_uid}.dcm", cleaned.parts, 1, cleaned.record.counts)


def patients_in(files: Iterable[bytes], issuers: Issuers) -> dict[str, IdentityKey]:
    """Whom the Patient resources of these files are about, by `Patient/<id>`; what is not FHIR is passed over."""
    found: dict[str, IdentityKey] = {}
    for data in files:
        if not data[:64].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
            continue
        for text in json_documents(data):
            for resource in _patient_resources(parse(text)):
                key = identifier_key(resource.get("identifier"), issuers)
                if key is not None:
                    found[f"Patient/{resource.get('id')}"] = key
    return found


def _patient_resources(document: dict[str, Any]) -> list[dict[str, Any]]:
    entries = document.get("entry")
    inside = (
        [entry.get("resource") for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    )
    return [one for one in (document, *inside) if isinstance(one, dict) and one.get("resourceType") == "Patient"]


def json_documents(data: bytes) -> list[bytes]:
    """One resource, or one in each line (NDJSON)."""
    lines = [line for line in data.splitlines() if line.strip()]
    separate = len(lines) > 1 and all(line.lstrip().startswith(b"{") and line.rstrip().endswith(b"}") for line in lines)
    return lines if separate else [data]


def _neutral_name(kind: Kind, bodies: list[bytes | memoryview]) -> str:
    """Derived from the cleaned content, so that the same file gives the same name."""
    ending = ("json" if len(bodies) == 1 else "ndjson") if kind == "fhir" else "hl7"
    return f"{kind}-{derive_id('clean-file', b''.join(bodies).decode('latin-1'))}.{ending}"

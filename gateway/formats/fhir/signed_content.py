"""What a physician's signature covers: canonical bytes of what a rendered report says, and nothing that moves.

Ids, references, meta and attachments change on their way into an EHR and are left out. What stays word for word is in:
whose report, its status, code, times, conclusion and every answer of every model. Anybody who has the resources can
make these bytes again: members in the order of their names, no white space, UTF-8 (as in the canonical JSON of FHIR
R4 2.6.4), decimals as they are written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from gateway.formats.fhir.element import Resource
from gateway.formats.fhir.render import RenderedReport

_REPORT: Final = (
    "identifier",
    "status",
    "category",
    "code",
    "effectiveDateTime",
    "issued",
    "conclusion",
    "conclusionCode",
)
_OBSERVATION: Final = (
    "identifier",
    "status",
    "code",
    "valueCodeableConcept",
    "dataAbsentReason",
    "component",
)
_PATIENT: Final = ("identifier", "name", "birthDate", "gender")
_ENCODER = msgspec.json.Encoder(order="sorted", decimal_format="number")


def signed_content(rendered: RenderedReport) -> bytes:
    """The bytes that are signed for."""
    return content_of(rendered.report, rendered.of_type("Patient")[0], rendered.of_type("Observation"))


def content_of(report: Resource, patient: Resource, observations: Sequence[Resource]) -> bytes:
    """The same from resources that were read back from wherever they were delivered to."""
    answers = sorted((_only(each, _OBSERVATION) for each in observations), key=_ENCODER.encode)
    said = {"report": _only(report, _REPORT), "patient": _only(patient, _PATIENT), "observations": answers}
    return _ENCODER.encode(said)


def content_digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _only(resource: Mapping[str, Any], names: Sequence[str]) -> Resource:
    return {name: resource[name] for name in names if name in resource}

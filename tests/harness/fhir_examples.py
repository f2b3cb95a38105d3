"""Official R4 examples of the supported types, as the bytes that HL7 publishes (CC0); and a decent bundle of them.

Packed by deploy/tools/fhir_examples.py.
"""

from __future__ import annotations

import tarfile
from functools import cache
from pathlib import Path

ARCHIVE = Path(__file__).parent.parent / "unit/gateway/formats/fhir/wire/r4_examples.tar.xz"

# Examples that break R4 themselves or, the first, show a picture from elsewhere; and where the first fault is.
BROKEN = {
    "Media-1.2.840.11361907579238403408700.3.1.04.19970327150033": "Media.text.div",
    "MedicationRequest-medrx0301": "MedicationRequest.dispenseRequest.performer.reference",  # a Practitioner
    "Observation-clinical-gender": "Observation.performer[0].reference",  # a Location
    "Questionnaire-qs1": "Questionnaire.item[0].item[0].linkId",  # display items without linkId
    "Questionnaire-zika-virus-exposure-assessment": "Questionnaire.text.div",  # says nothing (txt-2)
}


@cache
def examples() -> dict[str, bytes]:
    """Bytes by name such as `Patient-example`."""
    with tarfile.open(ARCHIVE) as archive:
        found = {member.name: archive.extractfile(member) for member in archive.getmembers()}
        return {name.removesuffix(".json"): file.read() for name, file in found.items() if file is not None}

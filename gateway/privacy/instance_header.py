"""The de-identified facts about one instance that the database, settling and the models need.

Read while the spans are at hand, so that nobody parses the object again to know its modality.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.privacy.dataset import DataSet, Element

_LONGEST: Final = 256


@dataclass(frozen=True)
class InstanceHeader:
    """Pseudonymous UIDs and technical attributes of one instance; absent texts are empty."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    modality: str
    body_part_examined: str
    laterality: str
    view_position: str
    photometric_interpretation: str
    manufacturer: str
    manufacturer_model_name: str
    patient_sex: str
    patient_age: str
    study_date: str
    requested_procedure_priority: str
    rows: int | None
    columns: int | None
    number_of_frames: int | None
    number_of_study_related_instances: int | None


_TEXTS: Final = {
    "study_instance_uid": 0x0020000D,
    "series_instance_uid": 0x0020000E,
    "sop_instance_uid": 0x00080018,
    "sop_class_uid": 0x00080016,
    "modality": 0x00080060,
    "body_part_examined": 0x00180015,
    "laterality": 0x00200060,
    "view_position": 0x00185101,
    "photometric_interpretation": 0x00280004,
    "manufacturer": 0x00080070,
    "manufacturer_model_name": 0x00081090,
    "patient_sex": 0x00100040,
    "patient_age": 0x00101010,
    "study_date": 0x00080020,
    "requested_procedure_priority": 0x00401003,
}
_IMAGE_LATERALITY: Final = 0x00200062


def read_header(data_set: DataSet, top: Mapping[int, Element], changed: Mapping[int, bytes]) -> InstanceHeader:
    """The header as rewritten: `changed` holds the new values of the root, the data set all others."""

    def raw(tag: int) -> bytes:
        if tag in changed:
            return changed[tag][:_LONGEST]
        element = top.get(tag)
        return b"" if element is None else bytes(data_set.source[element.value : element.end][:_LONGEST])

    texts = {name: raw(tag).decode("latin-1").strip(" \0") for name, tag in _TEXTS.items()}
    texts["laterality"] = raw(_IMAGE_LATERALITY).decode("latin-1").strip(" \0") or texts["laterality"]
    order = "big" if data_set.encoding.big else "little"
    rows, columns = (int.from_bytes(raw(tag)[:4], order) or None for tag in (0x00280010, 0x00280011))  # type: ignore[arg-type]
    return InstanceHeader(
        rows=rows,
        columns=columns,
        number_of_frames=_integer(raw(0x00280008)),
        number_of_study_related_instances=_integer(raw(0x00201208)),
        **texts,
    )


def _integer(value: bytes) -> int | None:
    text = value.strip(b" \0")
    return int(text) if text.isdigit() and len(text) <= 12 else None

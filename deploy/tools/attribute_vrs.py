"""Writes gateway/privacy/data/attribute_vrs.json: the VR of every public attribute (PS3.6), from pydicom's table.

As a data file it costs the DICOM server 1 MB where importing pydicom would cost it 40; a test compares the two.
"""

from __future__ import annotations

import json
from pathlib import Path

from pydicom.datadict import DicomDictionary

FILE = Path(__file__).resolve().parents[2] / "gateway" / "privacy" / "data" / "attribute_vrs.json"


def by_vr() -> dict[str, list[str]]:
    """VR, or several joined by " or ", to the tags that have it."""
    found: dict[str, list[str]] = {}
    for tag, entry in sorted(DicomDictionary.items()):
        if entry[0] != "NONE":
            found.setdefault(str(entry[0]), []).append(f"{tag:08X}")
    return dict(sorted(found.items()))


if __name__ == "__main__":
    lines = [f'"{vr}": {json.dumps(tags)}' for vr, tags in by_vr().items()]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")

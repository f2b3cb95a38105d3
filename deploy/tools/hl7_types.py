"""Writes gateway/privacy/data/hl7_types.json: which data type each HL7 v2 field and component has, by version.

The tables of the standard (chapters 2 to 17, versions 2.1 to 2.8.2) as hl7apy 1.3.5 (MIT) carries them, reduced to
names of types. Use: `python deploy/tools/hl7_types.py`; a test compares the file with the installed hl7apy.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from hl7apy import load_library

FILE = Path(__file__).resolve().parents[2] / "gateway" / "privacy" / "data" / "hl7_types.json"
VERSIONS = ("2.1", "2.2", "2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.8", "2.8.1", "2.8.2")
Table = dict[str, dict[str, list[str]]]


def tables() -> dict[str, Table]:
    """`fields` by segment and `components` by data type: a row of types to the versions that have it."""
    found: dict[str, Table] = {"fields": {}, "components": {}}
    for version in VERSIONS:
        library = load_library(version)
        for segment, content in library.SEGMENTS.items():
            if len(content) > 1 and segment.isalnum() and len(segment) == 3:
                _note(found["fields"], segment, _row(segment, content[1]), version)
        for name, content in library.DATATYPES_STRUCTS.items():
            _note(found["components"], name, _row(name, content), version)
    return found


def _row(owner: str, parts: Iterable[object]) -> str:
    """The types in order of position; a gap in the table is `-`."""
    by_place: dict[int, str] = {}
    for part in parts:
        if not isinstance(part, tuple) or part[-1] not in ("FIE", "CMP"):  # 2.1 holds a malformed row (ORO)
            continue
        name, content = part[:2]
        place = int(str(name).rpartition("_")[2])
        by_place[place] = str(content[2] or "-").removesuffix("_SIMPLE")
    return " ".join(by_place.get(place, "-") for place in range(1, max(by_place, default=0) + 1))


def _note(table: Table, owner: str, row: str, version: str) -> None:
    if row:
        table.setdefault(owner, {}).setdefault(row, []).append(version)


def text() -> str:
    """The file: one line for each segment or data type."""
    blocks = []
    for name, table in tables().items():
        lines = [f"  {json.dumps(owner)}: {json.dumps(rows)}" for owner, rows in sorted(table.items())]
        blocks.append(f"{json.dumps(name)}: {{\n" + ",\n".join(lines) + "\n}")
    return "{\n" + ",\n".join(blocks) + "\n}\n"


if __name__ == "__main__":
    FILE.write_text(text(), "utf-8")

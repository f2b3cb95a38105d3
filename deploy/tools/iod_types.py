"""Makes gateway/privacy/data/iod_types.json: the attribute types that compound PS3.15 codes depend on.

PS3.15 writes X/Z/D where the choice depends on the attribute's type in the object's IOD (PS3.3); the types
come from highdicom's tables (MIT), reduced to the attributes that have a compound code.
Use: pip download --no-deps highdicom==0.28.2, unzip it, then `python iod_types.py highdicom/_standard OUT`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydicom.datadict import keyword_for_tag

from gateway.privacy.rules import table_rows

SOURCE = "highdicom 0.28.2 highdicom/_standard (MIT), derived from DICOM PS3.3"


def stronger(one: str, other: str) -> str:
    """The stricter of two attribute types; conditional counts as required, since the attribute is there."""
    return min(one[0], other[0])


def reduced(modules: list[str], attributes: dict[str, Any], wanted: dict[str, str]) -> dict[str, Any]:
    """Types 1 and 2 of the wanted attributes over an IOD's modules, at the root and inside sequences."""
    types: dict[str, dict[str, str]] = {"root": {}, "nested": {}}
    for module in modules:
        for entry in attributes.get(module, []):
            tag = wanted.get(entry["keyword"])
            if tag is None or entry["type"][0] not in "12":
                continue
            level = types["nested" if entry["path"] else "root"]
            level[tag] = stronger(entry["type"], level.get(tag, "3"))
    return {level: dict(sorted(found.items())) for level, found in types.items()}


def main(standard: Path, out: Path) -> None:
    """Read the three tables under `standard`, write the reduced one."""
    classes, iods, attributes = (
        json.loads((standard / name).read_text("utf-8"))
        for name in ("sop_class_iod_map.json", "iod_module_map.json", "module_attribute_map.json")
    )
    wanted = {keyword_for_tag(row.tag): f"{row.tag:08X}" for row in table_rows() if "/" in row.basic}
    used = {iod: [module["key"] for module in iods[iod]] for iod in sorted(set(classes.values()))}
    table = {
        "source": SOURCE,
        "classes": dict(sorted(classes.items())),
        "iods": {iod: reduced(modules, attributes, wanted) for iod, modules in used.items()},
    }
    out.write_text(json.dumps(table, indent=0, sort_keys=True) + "\n", "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

"""Makes gateway/privacy/data/iod_attributes.json: the attributes that an exported object of each class may have.

PS3.3 module by module, from highdicom's tables (MIT): what the IOD names, less free text, dates, names and
addresses that PS3.15 does not list, because nobody has said what becomes of them. Classes that are not cleaned at
all (gateway/privacy/disposition.py) are left out.
Use: pip download --no-deps highdicom==0.28.2, unzip it, then `python iod_attributes.py highdicom/_standard OUT`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydicom.datadict import tag_for_keyword

from gateway.privacy.dictionary import writable_vr
from gateway.privacy.disposition import dispose
from gateway.privacy.rules import table_rows

SOURCE = "highdicom 0.28.2 highdicom/_standard (MIT), derived from DICOM PS3.3"
TEXT = frozenset({"LO", "SH", "ST", "LT", "UC", "UT"})
DOUBTFUL = frozenset({"PN", "AE", "AS", "UR", "UN", "DA", "DT", "TM"})
LISTED = frozenset(row.tag for row in table_rows())


def allowed(attributes: list[dict[str, Any]]) -> tuple[set[int], set[int]]:
    """The tags of one module that may stay, and those of them that are unlisted text some object must have."""
    known = [(tag_for_keyword(entry["keyword"]), entry["type"]) for entry in attributes]
    tags: set[int] = set()
    texts: set[int] = set()
    for tag, kind in known:
        if tag is None:
            continue
        vr = writable_vr(tag)
        if tag in LISTED or vr not in TEXT | DOUBTFUL:
            tags.add(tag)
        elif vr in TEXT and kind[0] in "12":
            tags.add(tag)
            texts.add(tag)
    return tags, texts


def main(standard: Path, out: Path) -> None:
    """Read the three tables under `standard`, write the reduced one."""
    classes, iods, attributes = (
        json.loads((standard / name).read_text("utf-8"))
        for name in ("sop_class_iod_map.json", "iod_module_map.json", "module_attribute_map.json")
    )
    cleaned = {uid: iod for uid, iod in sorted(classes.items()) if dispose(uid, "", (), "", True).action == "clean"}
    used = {iod: sorted(module["key"] for module in iods[iod]) for iod in sorted(set(cleaned.values()))}
    modules = {}
    texts: set[int] = set()
    for module in sorted({module for names in used.values() for module in names}):
        tags, free = allowed(attributes.get(module, []))
        modules[module] = " ".join(f"{tag:08X}" for tag in sorted(tags))
        texts |= free
    table = {
        "source": SOURCE,
        "classes": cleaned,
        "iods": used,
        "modules": modules,
        "texts": " ".join(f"{tag:08X}" for tag in sorted(texts)),
    }
    out.write_text(json.dumps(table, indent=0, sort_keys=True) + "\n", "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

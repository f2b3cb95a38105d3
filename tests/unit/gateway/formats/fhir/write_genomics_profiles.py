"""Cuts the profiles of HL7 Genomics Reporting that we claim out of the guide's package: what an instance must obey.

`npm pack hl7.fhir.uv.genomics-reporting@3.0.0`, then
`python tests/unit/gateway/formats/fhir/write_genomics_profiles.py hl7.fhir.uv.genomics-reporting-3.0.0.tgz`.
"""

from __future__ import annotations

import json
import sys
import tarfile
from pathlib import Path
from typing import Any

EXCERPT = Path(__file__).parent / "genomics_reporting" / "profiles.json"
PROFILES = ("genomic-report", "genotype", "therapeutic-implication")
VALUE_SETS = ("genetic-therapeutic-implications-vs", "hgnc-vs")
KEPT = ("id", "min", "max", "slicing", "sliceName")


def excerpt(package: Path) -> dict[str, Any]:
    with tarfile.open(package) as opened:
        read = {
            Path(member.name).stem: json.load(opened.extractfile(member))  # type: ignore[arg-type]
            for member in opened
            if member.name.startswith("package/") and member.name.count("/") == 1 and member.name.endswith(".json")
        }
    return {
        "package": f"{read['package']['name']} {read['package']['version']}, {read['package']['license']}",
        "profiles": [_profile(read[f"StructureDefinition-{name}"]) for name in PROFILES],
        "valueSets": {one["url"]: _codes(one) for one in (read[f"ValueSet-{name}"] for name in VALUE_SETS)},
        "codeSystems": {one["url"]: _concepts(one) for one in (read["CodeSystem-tbd-codes-cs"],)},
    }


def _profile(definition: dict[str, Any]) -> dict[str, Any]:
    elements = [_element(one) for one in definition["snapshot"]["element"]]
    named = {name: definition[name] for name in ("url", "version", "status", "type", "baseDefinition")}
    return {**named, "elements": elements}


def _element(one: dict[str, Any]) -> dict[str, Any]:
    kept = {name: one[name] for name in KEPT if name in one}
    kept |= {name: value for name, value in one.items() if name.startswith(("pattern", "fixed"))}
    types = [
        {name: each[name] for name in ("code", "profile", "targetProfile") if name in each}
        for each in one.get("type", ())
    ]
    bound = one.get("binding", {})
    if bound.get("strength") in ("required", "extensible"):
        kept["binding"] = {name: bound[name] for name in ("strength", "valueSet")}
    return kept | ({"type": types} if types else {})


def _codes(value_set: dict[str, Any]) -> dict[str, list[str] | None]:
    """Codes by system; None: every code of the system."""
    return {
        one["system"]: [each["code"] for each in one["concept"]] if "concept" in one else None
        for one in value_set["compose"]["include"]
    }


def _concepts(code_system: dict[str, Any]) -> list[str]:
    return [one["code"] for one in code_system["concept"]]


if __name__ == "__main__":
    made = excerpt(Path(sys.argv[1]))
    lines = json.dumps(made, ensure_ascii=False, indent=1)
    EXCERPT.write_text(lines + "\n", "utf-8")

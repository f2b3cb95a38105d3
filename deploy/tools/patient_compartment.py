"""Writes patient_compartment.json of gateway/formats/fhir/search: which references put a resource into a compartment.

The official CompartmentDefinition of the patient (npm hl7.fhir.r4.examples 4.0.1, CC0) as type to codes of search
parameters, for every type of R4, whether it is served or not.
Use: `npm pack hl7.fhir.r4.examples@4.0.1`, then `python deploy/tools/patient_compartment.py <the .tgz>`.
"""

from __future__ import annotations

import json
import sys
import tarfile
from pathlib import Path

TABLE = Path(__file__).resolve().parents[2] / "gateway/formats/fhir/search/patient_compartment.json"


def text(archive: Path) -> str:
    """One line for each type that can be in the compartment."""
    with tarfile.open(archive) as package:
        member = package.extractfile("package/CompartmentDefinition-patient.json")
        definition = json.load(member) if member else {"resource": []}
    rows = [(row["code"], row["param"]) for row in definition["resource"] if row.get("param")]
    return "{\n" + ",\n".join(f"  {json.dumps(kind)}: {json.dumps(codes)}" for kind, codes in rows) + "\n}\n"


if __name__ == "__main__":
    TABLE.write_text(text(Path(sys.argv[1])), "utf-8")

"""Makes tests/unit/gateway/formats/fhir/wire/r4_examples.tar.xz: official R4 examples of the supported types.

A sample small enough to commit, up to five of each type, the smallest of those that hold something; untouched bytes.
Use: npm pack hl7.fhir.r4.examples@4.0.1, unpack it, then `python deploy/tools/fhir_examples.py EXAMPLES/package OUT`.
"""

from __future__ import annotations

import io
import sys
import tarfile
from pathlib import Path

from gateway.formats.fhir.wire.supported import SUPPORTED

EACH = 5
MOST_BYTES = 40_000
# Always there, for what they hold: exponents, contained resources, primitive extensions, all value types, bundles.
WANTED = """Observation-decimal Patient-example Bundle-bundle-transaction Bundle-bundle-response Bundle-bundle-example
Observation-example-TPMT-haplotype-one Observation-blood-pressure Questionnaire-3141 DiagnosticReport-ultrasound
Patient-newborn Observation-sample-data Media-example RiskAssessment-genetic Bundle-hla-1
MedicationRequest-medrx0301 Observation-clinical-gender Questionnaire-zika-virus-exposure-assessment"""


def chosen(folder: Path) -> list[Path]:
    """Some of each type, in the order of their names."""
    found = {folder / f"{name}.json" for name in WANTED.split()}
    for kind in SUPPORTED:
        paths = [path for path in folder.glob(f"{kind}-*.json") if path.stat().st_size <= MOST_BYTES]
        paths.sort(key=lambda path: (-path.stat().st_size, path.name))
        found.update(paths[:: max(1, len(paths) // EACH)][:EACH])
    return sorted(path for path in found if path.exists())


def main(folder: Path, out: Path) -> None:
    with tarfile.open(out, "w:xz") as archive:
        for path in chosen(folder):
            entry = tarfile.TarInfo(path.name)
            entry.size = path.stat().st_size
            archive.addfile(entry, io.BytesIO(path.read_bytes()))
    print(len(chosen(folder)), out.stat().st_size)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

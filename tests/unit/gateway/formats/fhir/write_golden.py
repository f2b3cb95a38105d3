"""Writes the golden files beside the tests: `python tests/unit/gateway/formats/fhir/write_golden.py` from the root.

Read the difference before committing it: each file is what an EHR receives.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).parent / "golden"
BASE_URL = "https://gateway.example/fhir"
ORGANIZATION = "General Hospital AI"


def golden_texts() -> dict[str, str]:
    """File name to text, for every golden file."""
    import fixtures_report as sample

    from gateway.formats.fhir.bundle import searchset, transaction
    from gateway.formats.fhir.capability import Capabilities, capability_statement
    from gateway.formats.fhir.printed_report import printed_report
    from gateway.formats.fhir.render import render

    shown = render(sample.malignant(), BASE_URL, ORGANIZATION)
    found = {each["resourceType"]: each for each in shown.resources}
    for name in ("benign", "inconclusive", "refused", "registered"):
        found[f"DiagnosticReport-{name}"] = render(sample.SAMPLES[name](), BASE_URL, ORGANIZATION).report
    for who in ("german", "chinese", "japanese"):
        found[f"Patient-{who}"] = render(sample.benign(who), BASE_URL, ORGANIZATION).of_type("Patient")[0]
    found["Observation-inconclusive"] = render(sample.inconclusive(), BASE_URL, ORGANIZATION).of_type("Observation")[0]
    found["Provenance-refused"] = render(sample.refused(), BASE_URL, ORGANIZATION).of_type("Provenance")[0]
    found["Bundle-transaction"] = transaction(shown)
    found["Bundle-searchset"] = searchset([shown.report], BASE_URL, f"{BASE_URL}/DiagnosticReport", total=1)
    able = Capabilities(BASE_URL, "0.1.0", sample.AT, {"DiagnosticReport": ("create", "read", "search-type", "vread")})
    found["CapabilityStatement"] = capability_statement(able)
    texts = {f"{name}.json": _readable(resource) for name, resource in found.items()}
    return {**texts, "printed_report.html": printed_report(sample.malignant(), ORGANIZATION)}


def _readable(resource: dict[str, object]) -> str:
    from gateway.formats.fhir.element import encode

    shown = _without_pdf(json.loads(encode(resource)))
    return json.dumps(shown, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def _without_pdf(value: Any) -> Any:
    """The bytes of a PDF are the library's; that there is one stays."""
    if isinstance(value, dict):
        is_pdf = value.get("contentType") == "application/pdf"
        hidden = ("data", "hash", "size") if is_pdf else ()
        return {name: _without_pdf(inner) for name, inner in value.items() if name not in hidden}
    return [_without_pdf(each) for each in value] if isinstance(value, list) else value


if __name__ == "__main__":
    root = Path(__file__).parents[5]
    sys.path[:0] = [str(root), str(root / "tests")]
    GOLDEN.mkdir(exist_ok=True)
    for name, text in golden_texts().items():
        (GOLDEN / name).write_text(text, "utf-8")

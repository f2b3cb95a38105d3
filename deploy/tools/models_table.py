"""Writes models/README.md: every pack with what was measured, the line it had to reach, its data and its caveat.

    python deploy/tools/models_table.py [--check]

Numbers come from each pack's evaluation.json and from nowhere else; `make docs` runs it, and a test keeps the page.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from models.manifest import Scored, parse
from models.registry import BUILT_IN

PAGE = Path(__file__).parents[2] / "models" / "README.md"
LINES = {  # published, where the evaluation names no line of its own; MedMNIST v2, Scientific Data 2023;10:41
    "breast-ultrasound-cnn": (("AUC, ResNet-18 at 28 px (MedMNIST v2)", 0.901),),
    "breast-ultrasound-detail-cnn": (("AUC, ResNet-18 at 28 px (MedMNIST v2)", 0.901),),
    "chest-film-pneumonia-cnn": (("AUC, ResNet-18 at 28 px (MedMNIST v2)", 0.944),),
}
CAVEATS = {
    "breast-ultrasound-cnn": "ultrasound, not mammography; near-duplicates flatter the test; no reader study",
    "breast-ultrasound-detail-cnn": "ultrasound, not mammography; backbone from photographs (ImageNet); no reader study",
    "chd-risk": "teaching copy of Framingham; one town, 1950s; weak discrimination",
    "chest-film-pneumonia-cnn": "children; reconstructed images; validation much easier than test",
    "diabetes-risk": "whole sample, told and untold; in the undiagnosed .76; useless on Pima women",
    "heart-disease": "one site left out at a time; .70 to .90 by site",
    "icu-deterioration-gru": "US intensive care of the 2000s; stays over 48 hours; most of it lies in plain summaries",
    "incident-diabetes": "liver cohort; people lost before five years left out",
    "lung-nodule": "radiologists' rating, not pathology; needs a segmented region; size explains most",
    "mammography-findings": "a radiologist's findings, not pixels",
    "pgx-rules": "published rules, nothing learnt; alleles from variants only where every site that matters was read; no advice is not the standard dose",
    "treatment-plan": "published rules, nothing learnt; benefit not measured; no physician has reviewed them",
    "tumour-er-status": "three small microarray cohorts; the threshold shifts by platform",
    "tumour-recurrence": "no better than one gene; neither threshold nor calibration carries over between cohorts",
}
HEAD = """# Models

Written by `make docs` from each pack's `evaluation.json`; change nothing by hand. All packs are for research and integration testing, none is a medical device. Each folder in `packs/` holds manifest, card (CHAI v0.2), one page of facts, evaluation, plots, golden vectors and a signature.

AUC, sensitivity and specificity are pooled over the held-out cases at the shipped threshold, with the 95 % bootstrap interval of the AUC; where cohorts or folds are averaged instead, the measured value stands beside the line. A line is what had to be reached; "missed" is said as plainly as "reached".

| pack | input | n | AUC (95 % interval) | sens. | spec. | line: wanted, measured | data | caveat |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""
TAIL = """
Recipes are in `training/` (`python -m models.training.NAME --data DIR --out models/packs`; by several processes: `deploy/models/training.md`). A model of somebody else: `deploy/models/bring-your-own.md`. Signatures: `deploy/models/signing.md`.
"""


def page() -> str:
    """The whole page."""
    return HEAD + "".join(_row(folder) for folder in sorted(BUILT_IN.iterdir()) if folder.is_dir()) + TAIL


def _row(folder: Path) -> str:
    manifest = parse((folder / "manifest.toml").read_bytes())
    found = json.loads((folder / "evaluation.json").read_text("utf-8"))
    data = "; ".join(dict.fromkeys(source.name for source in manifest.sources[:3]))
    data += " and others" if len(manifest.sources) > 3 else ""
    numbers = _numbers(found["test"]) if isinstance(manifest, Scored) else _walked(found["test"])
    cells = (folder.name, manifest.kind, *numbers, "<br>".join(_lines(folder.name, found)) or "none", data)
    return "| " + " | ".join((*cells, CAVEATS[folder.name])) + " |\n"


def _numbers(test: dict[str, Any]) -> tuple[str, str, str, str]:
    low, high = test["auc"]["ci95"]
    auc = f"{test['auc']['value']:.3f} ({low:.3f} to {high:.3f})"
    return str(test["n"]), auc, f"{test['sensitivity']['value']:.3f}", f"{test['specificity']['value']:.3f}"


def _walked(test: dict[str, Any]) -> tuple[str, str, str, str]:
    rows = test.get("recommendation_rows") or test["rules"]
    right = test.get("recommendation_rows_found_forwards") or test["rules_that_speak"]
    return f"{rows} rules", f"walk: {right} of {rows} as written", "-", "-"


def _lines(name: str, found: dict[str, Any]) -> Iterator[str]:
    told = [(line, each["wanted"], each["measured"]) for line, each in found.get("targets", {}).items()]
    told = told or [(line, wanted, found["test"]["auc"]["value"]) for line, wanted in LINES.get(name, ())]
    for line, wanted, measured in told:
        yield f"{line}: {wanted:.3f}, {measured:.3f}, {'reached' if measured >= wanted else 'missed'}"


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(PAGE.read_text("utf-8") != page())
    PAGE.write_text(page(), "utf-8")

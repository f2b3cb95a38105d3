"""Writes the golden files of a record's report: `python tests/unit/gateway/formats/fhir/write_record_golden.py`.

Read the difference before committing it: each file is what an EHR receives.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).parent / "record_golden"
BASE_URL = "https://gateway.example/fhir"
ORGANIZATION = "General Hospital AI"


def document() -> Any:
    """A record's report with a risk, a genotype and a plan."""
    import fixtures_report as sample

    from gateway.domain.finding import DrugAdvice, GenePhenotype, Label, Proposal, RecordAnswer
    from gateway.domain.ids import FindingId
    from gateway.domain.record import Needs
    from gateway.domain.report import ReportContent

    base = sample.malignant()
    labels = (
        Label("diabetes", sample.code("73211009", "Diabetes mellitus"), 0.3721),
        Label("no-diabetes", sample.code("281900007", "No abnormality detected"), 0.6279),
    )
    finding = dataclasses.replace(sample.finding(labels[0], 0.3721), images=(), threshold=0.1538)
    risk = dataclasses.replace(
        finding, answer=RecordAnswer("record", labels, "Raised by: Age (+0.80).", ("Heart rate",), ())
    )
    told_by = "diplotype table, CYP2C19 *2/*2"
    gene = GenePhenotype("CYP2C19", "*2/*2", "Poor Metabolizer", None, told_by, "*2/*2")
    told = "Avoid clopidogrel if possible."
    advice = DrugAdvice("clopidogrel", told, ("CYP2C19",), "A", "https://cpicpgx.org/guidelines/", "row 7")
    genotype = dataclasses.replace(
        finding,
        id=FindingId("ab" * 16),
        decided=None,
        conclusion="CYP2C19 *2/*2: Poor Metabolizer.",
        answer=RecordAnswer("genotype", phenotypes=(gene,), advice=(advice,)),
    )
    proposal = Proposal(
        "diabetes-test",
        "laboratory",
        "Consider measuring HbA1c.",
        "USPSTF, 2021",
        ("finding diabetes-risk=diabetes", "age at least 35 and below 71 years"),
        "Not where diabetes is known.",
    )
    plan = dataclasses.replace(genotype, id=FindingId("cd" * 16), answer=RecordAnswer("plan", proposals=(proposal,)))
    content = ReportContent((risk, genotype, plan), (), "Three answers.")
    identity = dataclasses.replace(base.identity, study_instance_uid="", study_date="", accession_number="")
    model = dataclasses.replace(sample.model(), needs=Needs("record"))
    return dataclasses.replace(
        base,
        version=dataclasses.replace(base.version, content=content),
        study=dataclasses.replace(base.study, kind="record", modalities=(), instance_count=0),
        instances=(),
        identity=identity,
        models={sample.MODEL: model},
        original_uids={},
        pictures={},
        basis={sample.MODEL: ("Observation/bmi", "MedicationStatement/m1")},
    )


def golden_texts() -> dict[str, str]:
    """File name to text, for every golden file."""
    from gateway.formats.fhir.element import encode
    from gateway.formats.fhir.render import render

    kept = ("DiagnosticReport", "RiskAssessment", "DetectedIssue", "CarePlan", "Observation", "Provenance", "Device")
    found: dict[str, str] = {}
    for resource in render(document(), BASE_URL, ORGANIZATION).resources:
        kind = resource["resourceType"]
        if kind in kept:
            number = sum(name.startswith(kind) for name in found)
            text = json.dumps(json.loads(encode(resource)), ensure_ascii=False, indent=1, sort_keys=True) + "\n"
            found[f"{kind}{f'-{number}' if number else ''}.json"] = text
    return found


if __name__ == "__main__":
    root = Path(__file__).parents[5]
    sys.path[:0] = [str(root), str(root / "tests")]
    GOLDEN.mkdir(exist_ok=True)
    for name, text in golden_texts().items():
        (GOLDEN / name).write_text(text, "utf-8")

"""What the pack `incident-diabetes` says about itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from models.training.value_pack import digest
from models.training.value_words import Words

FILES = tuple(f"nafld_pbc_sequences/nafld{k}.csv.gz" for k in (1, 2, 3))


def words(folder: Path, told: dict[str, Any]) -> Words:
    """What the card and the facts say; `told` are the cohort's counts."""
    left = told["followed for less than five years without diabetes, left out"]
    kept, true = (
        told["five-year rate of those kept"],
        told["five-year rate by Kaplan and Meier, all free on day 0"],
    )
    return Words(
        name="incident-diabetes",
        version="1.0.1",
        date="2026-11-29",
        title="Diabetes within five years, from the record (research)",
        headline="Research only: a liver study's cohort of one county in Minnesota.",
        intended=(
            "Research and integration testing. For an adult without diabetes, the probability of a diagnosis of "
            "diabetes within five years, from body measures, HDL cholesterol, blood pressure and earlier diagnoses. "
            "Nothing is decided by the model."
        ),
        out_of_scope=(
            "Not for people who have diabetes, for children or pregnancy; not a diagnosis; not for withholding a test. "
            "Use glucose or HbA1c where they are known. A record in which diabetes was ever diagnosed is not scored; "
            "one that tells of it by a drug or a measurement alone is not noticed."
        ),
        how="Logistic regression on eleven values with bends in age and body mass index.",
        population="Adults of Olmsted County, Minnesota: people with fatty liver disease and matched neighbours.",
        data=(
            "R survival's nafld1 to nafld3: people without diabetes on day 0, inputs from that day and before, "
            "diagnosis "
            f"within 1826 days. {left} people followed for less than five years without diabetes are left out, which "
            f"makes "
            f"the risk look higher ({kept:.3f} among those kept, {true:.3f} by Kaplan and Meier). In the delivered "
            f"table "
            "cholesterol repeats HDL and diastolic repeats systolic pressure, so neither is an input."
        ),
        test="NAFLD cohort, 5-fold cross-validation",
        split="Folds and bootstrap keep a case and its matched neighbours together; nothing after day 0 is an input.",
        inputs="Values with UCUM units (see the manifest), up to five of eleven missing; age and sex needed.",
        limits=(
            "Leaving out people with short follow-up biases the absolute risk upwards. HDL or pressure had been "
            "measured before day 0 in few people. A diagnosis depends on being tested, and people with fatty liver are "
            "tested more."
        ),
        bias="Mostly of European descent, one county; origin is not delivered.",
        risk="Low to moderate if used clinically. Research only.",
        goal="AUC of .74 for five-year onset, above age alone",
        not_known="Performance elsewhere, by origin, with glucose known; effect on care.",
        consent="Anonymised public data. A site must tell patients as its own law asks.",
        keywords=("diabetes", "incidence", "fatty liver", "logistic regression", "research use only"),
        bibliography=(
            "@article{allen, author={Allen, A. M. and others}, title={Nonalcoholic fatty liver disease incidence and "
            "impact on metabolic burden and death: a 20 year-community study}, journal={Hepatology}, volume={67}, "
            "pages={1726}, year={2018}}"
        ),
        sources=(
            {
                "name": "NAFLD cohort (R package survival, nafld1 to nafld3)",
                "licence": "LGPL (R package survival)",
                "citation": "Allen et al., Hepatology 2018;67:1726.",
                "sha256": digest(*(folder / name for name in FILES)),
            },
        ),
    )

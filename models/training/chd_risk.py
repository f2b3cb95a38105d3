"""Making the pack `chd-risk` from the Framingham teaching table; all of it but the signature.

    python -m models.training.chd_risk --data DIR --out models/packs --seed 1
    python -m models.training.sign_pack --key KEY.pem models/packs/chd-risk

The table of 4240 is exam 1 of people without coronary heart disease. The long table beside it holds the same
people with their outcomes and times, so it is not used: nothing of it could be a test.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from models.training.design import Term
from models.training.exclusions import CORONARY
from models.training.value_measure import Recipe, ValueSet, boosted, folds, plain
from models.training.value_pack import (
    Study,
    Subject,
    digest,
    input_field,
    local,
    other_unit,
    repeats,
    run,
    sex_field,
    snomed,
    yes_no,
)
from models.training.value_words import Words

FILE = "framingham/framingham_10yr_chd.csv"
FIELDS = (
    input_field("age", "Age", "a", 32, 70, "30525-0", required=True),
    sex_field(required=True),
    input_field("cigarettes", "Cigarettes per day", "/d", 0, 80, "64218-1"),
    yes_no("pressure_drugs", "Takes drugs for blood pressure"),
    yes_no("stroke", "Had a stroke"),
    yes_no("hypertension", "Has hypertension"),
    yes_no("diabetes", "Has diabetes"),
    input_field(
        "cholesterol", "Total cholesterol", "mg/dL", 80, 700, "2093-3", conversions=[other_unit("mmol/L", 38.67)]
    ),
    input_field("systolic", "Systolic blood pressure", "mm[Hg]", 70, 300, "8480-6", required=True),
    input_field("diastolic", "Diastolic blood pressure", "mm[Hg]", 40, 160, "8462-4"),
    input_field("bmi", "Body mass index", "kg/m2", 14, 60, "39156-5"),
    input_field("pulse", "Heart rate", "/min", 35, 180, "8867-4"),
    input_field("glucose", "Glucose, casual", "mg/dL", 35, 450, "2345-7", conversions=[other_unit("mmol/L", 18.016)]),
)
COLUMNS = (
    *("age", "male", "cigsPerDay", "BPMeds", "prevalentStroke", "prevalentHyp", "diabetes", "totChol"),
    *("sysBP", "diaBP", "BMI", "heartRate", "glucose"),
)
LABEL = "TenYearCHD"
TERMS = (*(Term("linear", place) for place in range(len(FIELDS))), Term("product", 0, other=1))
RECIPE = Recipe(TERMS, c=0.1, sensitivity=0.8, alpha=0.2)


def load(folder: Path) -> ValueSet:
    """4240 people; education and the smoker flag (which cigarettes per day tells better) are left out."""
    table = pd.read_csv(folder / FILE)
    raw = table[list(COLUMNS)].to_numpy(np.float64)
    age = raw[:, 0]
    sex = np.where(raw[:, 1] > 0, "men", "women")
    band = np.select([age < 45, age < 55], ["32-44", "45-54"], "55-70")
    groups = {"sex": sex, "age": band, "sex and age": np.char.add(np.char.add(sex, " "), band)}
    groups["diabetes"] = np.where(raw[:, 6] > 0, "yes", "no")
    return ValueSet(raw, table[LABEL].to_numpy() == 1, np.arange(len(table)), groups)


def made(folder: Path, seed: int) -> tuple[Subject, ValueSet, Study]:
    """Everything that this pack says and does."""
    data = load(folder)
    study = Study(
        splits=lambda number: folds(data.truth, data.group, number),
        baselines={
            "age alone": lambda parts: plain(data, parts, (Term("linear", 0),)),
            "age and sex": lambda parts: plain(data, parts, (Term("linear", 0), Term("linear", 1))),
            "gradient boosting, same inputs (not shipped)": lambda parts: boosted(data, parts, seed),
        },
        told={"leaks": repeats(data)},
        wanted_auc=0.72,
    )
    subject = Subject(
        words=words(folder),
        licence="Apache-2.0 (weights); data for teaching only",
        question=local("chd-risk-10y", "Coronary heart disease within ten years"),
        labels=(
            {
                "name": "chd",
                "title": "raised ten-year risk of coronary heart disease",
                "code": snomed("53741008", "Coronary arteriosclerosis"),
            },
            {"name": "no-chd", "title": "risk not raised", "code": local("no-chd", "Ten-year risk not raised")},
        ),
        fields=FIELDS,
        missing_max=0.4,
        recipe=RECIPE,
        use="research and teaching only; Framingham teaching data, 1950s to 1970s",
        applies_to={"age_min_years": 32.0, "age_max_years": 70.0},
        excludes=(CORONARY,),
    )
    return subject, data, study


def words(folder: Path) -> Words:
    """What the card and the facts say."""
    return Words(
        name="chd-risk",
        version="1.0.1",
        date="2026-11-29",
        title="Coronary heart disease within ten years (research and teaching)",
        headline="Research and teaching only: one town, half a century ago, altered teaching data.",
        intended=(
            "Research, teaching and integration testing. From one examination of a person without coronary heart "
            "disease, the probability of it within ten years. Nothing is decided by the model."
        ),
        out_of_scope=(
            "Not for treatment decisions: use the risk score of your guideline. Not for people who have coronary heart "
            "disease, not under 32 or over 70 years, not for other populations without recalibration. A record in "
            "which coronary heart disease, angina or an infarction was ever diagnosed (ICD-9, ICD-10 or the SNOMED CT "
            "codes of the manifest) is not scored; one that tells of it by a procedure or a drug alone is not noticed."
        ),
        how="Logistic regression on thirteen values and the product of age and sex.",
        population="Men and women of 32 to 70 years without coronary heart disease, Framingham, Massachusetts.",
        data=(
            "Framingham teaching table: 4240 people at their first exam, 644 with coronary heart disease within ten "
            "years. The teaching data were altered to hide people and are not meant for inference. One almost "
            "all-white town; treatment of that time; risk today is lower."
        ),
        test="Framingham table, 5-fold cross-validation",
        split="One row a person, folds by person; no follow-up column is an input.",
        inputs="Values with UCUM units (see the manifest), up to five of thirteen missing.",
        limits=(
            "Age carries most of it. Few people have diabetes or a stroke, so their weights are uncertain. The "
            "absolute risk is that of a past time."
        ),
        bias=(
            "One town of mostly European descent; sensitivity and specificity differ between men and women and by age."
        ),
        risk="Moderate if used clinically: wrong risk leads to over- or undertreatment. Research and teaching only.",
        goal="AUC of .72 for ten-year coronary heart disease, above age alone, shown for both sexes",
        not_known="Performance in any population of today; effect on care.",
        consent="Anonymised teaching data. A site must tell patients as its own law asks.",
        keywords=("coronary heart disease", "ten-year risk", "Framingham", "logistic regression", "research use only"),
        bibliography=(
            "@article{framingham, author={Dawber, T. R. and Meadors, G. F. and Moore, F. E.}, title={Epidemiological "
            "approaches to heart disease: the Framingham Study}, journal={Am J Public Health}, volume={41}, "
            "pages={279}, year={1951}}"
        ),
        sources=(
            {
                "name": "Framingham teaching data set, ten-year table (NHLBI BioLINCC)",
                "licence": "teaching only, anonymised and altered",
                "citation": (
                    "NHLBI, Framingham Heart Study teaching data set; Dawber et al., Am J Public Health 1951;41:279."
                ),
                "sha256": digest(folder / FILE),
            },
        ),
    )


if __name__ == "__main__":
    run(__doc__, made)

"""Making the pack `heart-disease` from the UCI heart disease sets, one site left out at a time.

    python -m models.training.heart_disease --data DIR --out models/packs --seed 1
    python -m models.training.sign_pack --key KEY.pem models/packs/heart-disease

Vessels at fluoroscopy, thallium scan and slope are known almost only in Cleveland: a model that leans on them
is a model for Cleveland, so they are no inputs. A cholesterol or pressure of zero means not measured.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from models.training.design import Term
from models.training.value_measure import Recipe, ValueSet, boosted, leave_one_out, plain
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

FILE = "uci_heart/heart_disease_uci.csv"
PAIN = {"typical angina": 1.0, "atypical angina": 2.0, "non-anginal": 3.0, "asymptomatic": 4.0}
ECG = {"normal": 0.0, "st-t abnormality": 1.0, "lv hypertrophy": 2.0}
FIELDS = (
    input_field("age", "Age", "a", 25, 85, "30525-0", required=True),
    sex_field(required=True),
    input_field("pain", "Kind of chest pain", "1", 1, 4, answers=PAIN, shows_nothing=["asymptomatic"]),
    input_field("systolic", "Systolic blood pressure at rest", "mm[Hg]", 70, 260, "8480-6"),
    input_field(
        "cholesterol", "Total cholesterol", "mg/dL", 70, 700, "2093-3", conversions=[other_unit("mmol/L", 38.67)]
    ),
    yes_no("sugar", "Fasting glucose above 120 mg/dL"),
    input_field("ecg", "Resting electrocardiogram", "1", 0, 2, answers=ECG),
    input_field("peak_pulse", "Highest heart rate under exercise", "/min", 50, 220),
    yes_no("exercise_angina", "Angina under exercise"),
    input_field("depression", "ST depression under exercise against rest", "mm", -4, 8),
)
TERMS = (
    *(Term("linear", place) for place in (0, 1, 3, 4, 5, 7, 8, 9)),
    *(Term("equals", 2, code) for code in PAIN.values()),
    Term("equals", 6, 1.0),
    Term("equals", 6, 2.0),
)
RECIPE = Recipe(TERMS, c=0.1, sensitivity=0.85, alpha=0.2)


def load(folder: Path) -> ValueSet:
    """918 patients of four sites (two exact repeats left out); disease is any narrowing of 50 % (num above 0)."""
    table = pd.read_csv(folder / FILE).drop(columns="id").drop_duplicates(ignore_index=True)
    yes = {True: 1.0, False: 0.0, "TRUE": 1.0, "FALSE": 0.0}
    raw = np.stack(
        [
            table["age"],
            (table["sex"] == "Male").to_numpy(np.float64),
            table["cp"].map(PAIN),
            table["trestbps"].where(table["trestbps"] > 0),
            table["chol"].where(table["chol"] > 0),
            table["fbs"].map(yes),
            table["restecg"].map(ECG),
            table["thalch"],
            table["exang"].map(yes),
            table["oldpeak"],
        ],
        1,
    ).astype(np.float64)
    site = table["dataset"].to_numpy(str)
    age = raw[:, 0]
    groups = {
        "site": site,
        "sex": np.where(raw[:, 1] > 0, "men", "women"),
        "age": np.where(age < 55, "under 55", "55 and more"),
    }
    return ValueSet(raw, table["num"].to_numpy() > 0, np.arange(len(table)), groups, block=site)


def made(folder: Path, seed: int) -> tuple[Subject, ValueSet, Study]:
    """Everything that this pack says and does."""
    data = load(folder)
    sites = leave_one_out(data.subgroups["site"])
    study = Study(
        splits=lambda _: sites,
        baselines={
            "age and sex": lambda parts: plain(data, parts, (Term("linear", 0), Term("linear", 1))),
            "exercise angina alone": lambda parts: plain(data, parts, (Term("linear", 8),)),
            "gradient boosting, same inputs (not shipped)": lambda parts: boosted(data, parts, seed),
        },
        told={"leaks": repeats(data), "rate by site": _rates(data)},
        wanted_auc=0.7955,
    )
    subject = Subject(
        words=words(folder),
        licence="Apache-2.0 (weights); data CC BY 4.0",
        question=local("heart-disease", "Coronary artery disease now, from examination and exercise test"),
        labels=(
            {
                "name": "disease",
                "title": "narrowed coronary artery is likely",
                "code": snomed("53741008", "Coronary arteriosclerosis"),
            },
            {
                "name": "no-disease",
                "title": "narrowed coronary artery is not likely",
                "code": local("no-disease", "Narrowed coronary artery not likely"),
            },
        ),
        fields=FIELDS,
        missing_max=0.5,
        recipe=RECIPE,
        use="research only; patients sent to angiography in the 1980s",
        applies_to={"age_min_years": 25.0, "age_max_years": 85.0},
        one_of=("pain", "peak_pulse", "exercise_angina", "depression"),
    )
    return subject, data, study


def _rates(data: ValueSet) -> dict[str, float]:
    site = data.subgroups["site"]
    return {name: round(float(data.truth[site == name].mean()), 4) for name in sorted(set(site.tolist()))}


def words(folder: Path) -> Words:
    """What the card and the facts say."""
    return Words(
        name="heart-disease",
        version="1.0.2",
        date="2026-11-29",
        title="Coronary artery disease now, in patients sent to angiography (research)",
        headline="Research only: patients already chosen for angiography, four sites, the 1980s.",
        intended=(
            "Research and integration testing. For an adult who is considered for coronary angiography, the "
            "probability of a narrowed coronary artery from examination, electrocardiogram and exercise test. Nothing "
            "is decided by the model."
        ),
        out_of_scope=(
            "Not for screening, not for people without symptoms who were not referred, not for emergencies, not for "
            "deciding on angiography or treatment. A record that tells no kind of chest pain (that there is none, is "
            "none) and no finding of an exercise test is not scored: nothing in it says that the person was considered "
            "for angiography. That a referral exists is not asked."
        ),
        how="Logistic regression on ten findings.",
        population="Adults referred to coronary angiography: Cleveland, Budapest, Long Beach, Zurich and Basel.",
        data=(
            "UCI heart disease: 920 patients of four sites (two exact repeats left out), disease in 36 % (Hungary) to "
            "93 % (Switzerland). Cholesterol was not measured in Switzerland; exercise findings are missing for a "
            "quarter in Long Beach."
        ),
        test="UCI heart disease, each site scored by a model of the other three",
        split="Leave one site out; threshold and calibration by leaving out a site among the three as well.",
        inputs=(
            "Values with UCUM units and coded answers (see the manifest), up to half missing; age and sex needed, and "
            "one at least of kind of chest pain (not its absence), highest heart rate, angina and ST depression under "
            "exercise. A heart rate at rest is none of them."
        ),
        limits=(
            "Sites differ widely: see the AUC by site, and the rate of disease by site, which no model of other sites "
            "can know; probabilities are therefore off where the rate differs. Only eight patients of Switzerland and "
            "few of Long Beach are without disease: their intervals are wide."
        ),
        bias="Four in five patients are men; women were referred less often and are fewer than the numbers suggest.",
        risk="High if used clinically: a missed narrowing may be fatal. Research only.",
        goal="The per-site reference (Cleveland .859, Hungary .896, Long Beach .731, Switzerland .696; mean .7955)",
        not_known="Performance today, in other sites, by origin; effect on care.",
        consent="Public, without names. A site must tell patients as its own law asks.",
        keywords=("coronary artery disease", "leave one site out", "logistic regression", "research use only"),
        bibliography=(
            "@article{detrano, author={Detrano, R. and others}, title={International application of a new probability "
            "algorithm for the diagnosis of coronary artery disease}, journal={Am J Cardiol}, volume={64}, "
            "pages={304}, year={1989}}"
        ),
        sources=(
            {
                "name": "UCI Heart Disease (Cleveland, Hungary, Switzerland, VA Long Beach)",
                "licence": "CC BY 4.0",
                "citation": "Detrano et al., Am J Cardiol 1989;64:304.",
                "sha256": digest(folder / FILE),
            },
        ),
    )


if __name__ == "__main__":
    run(__doc__, made)

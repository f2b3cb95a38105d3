"""Making the pack `diabetes-risk` from NHANES 2017-2018, tested on Pima as well; all of it but the signature.

    python -m models.training.diabetes_risk --data DIR --out models/packs --seed 1
    python -m models.training.sign_pack --key KEY.pem models/packs/diabetes-risk

HbA1c, glucose, treatment and what the person was told decide the label or follow from it, so none is an
input. Race is delivered and is not an input either; it is used to compare groups.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from models.training.design import Floats, Term
from models.training.exclusions import BLOOD_SUGAR, DIABETES
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

NHANES = "nhanes_2017_2018/NHANES_data_2017-2018.tsv.gz"
PIMA = "pima/pima_768.csv"
FIELDS = (
    input_field("age", "Age", "a", 20, 85, "30525-0", required=True, note="80 in NHANES means 80 or more"),
    sex_field(required=True),
    input_field("bmi", "Body mass index", "kg/m2", 12, 90, "39156-5"),
    input_field("waist", "Waist circumference", "cm", 40, 200, "8280-0", conversions=[other_unit("[in_i]", 2.54)]),
    input_field("systolic", "Systolic blood pressure", "mm[Hg]", 60, 260, "8480-6"),
    input_field("diastolic", "Diastolic blood pressure", "mm[Hg]", 20, 160, "8462-4"),
    input_field("hdl", "HDL cholesterol", "mg/dL", 5, 200, "2085-9", conversions=[other_unit("mmol/L", 38.67)]),
    input_field(
        "cholesterol", "Total cholesterol", "mg/dL", 50, 600, "2093-3", conversions=[other_unit("mmol/L", 38.67)]
    ),
    input_field("pulse", "Heart rate", "/min", 30, 180, "8867-4"),
    yes_no("smoked", "Ever smoked 100 cigarettes"),
)
NAMES = [one["name"] for one in FIELDS]
TERMS = (
    *(Term("linear", place) for place in range(len(FIELDS))),
    Term("above", 0, 45.0),
    Term("above", 0, 65.0),
    Term("above", 2, 30.0),
    Term("product", 0, other=2),
    Term("product", 0, other=3),
)
RECIPE = Recipe(TERMS, c=0.3, sensitivity=0.85, alpha=0.2)
AGE = (Term("linear", 0), Term("above", 0, 45.0), Term("above", 0, 65.0))


def load(folder: Path) -> ValueSet:
    """Adults of 20 and more with HbA1c; diabetes is HbA1c of 6.5 % or more, or told so by a doctor."""
    table = pd.read_csv(folder / NHANES, sep="\t", low_memory=False)
    table = table[(table["AgeInYearsAtScreening"] >= 20) & table["Glycohemoglobin"].notna()]
    told = (table["DoctorToldYouHaveDiabetes"].astype(str) == "1").to_numpy()
    truth = told | (table["Glycohemoglobin"] >= 6.5).to_numpy()
    systolic = table[[f"SystolicBloodPres{k}RdgMmHg" for k in ("1St", "2Nd", "3Rd")]]
    diastolic = table[[f"DiastolicBloodPres{k}RdgMmHg" for k in ("1St", "2Nd", "3Rd")]]
    diastolic = diastolic.where(diastolic >= 20)  # zero stands for a sound that never vanished
    age = table["AgeInYearsAtScreening"].to_numpy(np.float64)
    raw = np.stack(
        [
            age,
            (table["Gender"] == "Male").to_numpy(np.float64),
            table["BodyMassIndexKgm2"],
            table["WaistCircumferenceCm"],
            systolic.mean(axis=1),
            diastolic.mean(axis=1),
            table["DirectHdlcholesterolMgdl"],
            table["TotalCholesterolMgdl"],
            table["60SecPulse30SecPulse2"],
            table["SmokedAtLeast100CigarettesInLife"],
        ],
        1,
    ).astype(np.float64)
    groups = {
        "sex": np.where(raw[:, 1] > 0, "men", "women"),
        "age": np.select([age < 45, age < 65], ["20-44", "45-64"], "65 and more"),
        "origin": table["RacehispanicOriginWNhAsian"].astype(str).to_numpy(),
        "diagnosis": np.where(told, "told", "never told (undiagnosed or without)"),
    }
    return ValueSet(raw, truth, table["SEQN"].to_numpy(), groups)


def pima(folder: Path) -> ValueSet:
    """768 Pima women; only age, body mass index and diastolic pressure are shared, zeros are missing."""
    table = pd.read_csv(folder / PIMA)
    raw = np.full((len(table), len(FIELDS)), np.nan)
    raw[:, 0], raw[:, 1] = table["Age"], 0.0
    raw[:, 2] = table["BMI"].where(table["BMI"] > 0)
    raw[:, 5] = table["BloodPressure"].where(table["BloodPressure"] > 0)
    return ValueSet(raw, table["Outcome"].to_numpy() == 1, np.arange(len(table)))


def made(folder: Path, seed: int) -> tuple[Subject, ValueSet, Study]:
    """Everything that this pack says and does."""
    data = load(folder)

    def splits(number: int) -> list[tuple[np.ndarray, np.ndarray]]:
        return folds(data.truth, data.group, number)

    def age_only(parts: list[tuple[np.ndarray, np.ndarray]]) -> Floats:
        return plain(data, parts, AGE)

    def bmi_only(parts: list[tuple[np.ndarray, np.ndarray]]) -> Floats:
        return plain(data, parts, (Term("linear", 2),))

    study = Study(
        splits=splits,
        baselines={
            "age alone": age_only,
            "body mass index alone": bmi_only,
            "gradient boosting, same inputs (not shipped)": lambda parts: boosted(data, parts, seed),
        },
        external={"Pima women, external": pima(folder)},
        told={"leaks": repeats(data)},
        wanted_auc=0.79,
    )
    return subject(folder), data, study


def subject(folder: Path) -> Subject:
    """Labels, fields and words."""
    return Subject(
        words=words(folder),
        licence="Apache-2.0 (weights); data public domain (NHANES), CC0 (Pima)",
        question=local("diabetes-risk", "Prevalent diabetes, from examination and lipids"),
        labels=(
            {
                "name": "diabetes",
                "title": "diabetes is likely enough to test for",
                "code": snomed("73211009", "Diabetes mellitus"),
            },
            {
                "name": "no-diabetes",
                "title": "diabetes is not likely",
                "code": local("no-diabetes", "Diabetes not likely"),
            },
        ),
        fields=FIELDS,
        missing_max=0.6,
        recipe=RECIPE,
        use="research only; US adults, prevalent diabetes, HbA1c is not an input",
        applies_to={"age_min_years": 20.0, "age_max_years": 85.0},
        excludes=(
            BLOOD_SUGAR,
            DIABETES,
        ),
    )


def words(folder: Path) -> Words:
    """What the card and the facts say."""
    return Words(
        name="diabetes-risk",
        version="1.0.1",
        date="2026-11-29",
        title="Diabetes now: who should have HbA1c measured (research)",
        headline="Research only. Screening of US adults; not a diagnosis, and no forecast.",
        intended=(
            "Research and integration testing. From age, sex, body measures, blood pressure and lipids, the "
            "probability that an adult has diabetes today, known or not, as a reason to measure HbA1c. Nothing is "
            "decided by the model."
        ),
        out_of_scope=(
            "Not for diagnosis or treatment; not where HbA1c or glucose is known already; not for children, pregnancy "
            "or type 1 diabetes; not a forecast of future diabetes. A low probability does not rule diabetes out. "
            "A record with HbA1c, fasting glucose or a glucose tolerance test of the last 365 days, or in which "
            "diabetes was ever diagnosed, is not scored; casual glucose and drugs for diabetes are not noticed, and "
            "are for the physician to see."
        ),
        how="Logistic regression on ten values with bends in age and body mass index.",
        population="Adults of 20 years and more, United States, civilian, not in institutions, 2017-2018.",
        data=(
            "NHANES 2017-2018, 80 % of the participants (the rest is kept apart): adults of 20 and more with HbA1c. "
            "Diabetes means HbA1c of 6.5 % or more, or told by a doctor. Survey weights are not delivered, so rates "
            "are those of the sample, not of the country. People under treatment count as positive and their lipids "
            "and pressure are treated values."
        ),
        test="NHANES, 5-fold cross-validation",
        split="One row a person, folds by person; HbA1c, glucose, treatment and diagnosis answers are not inputs.",
        inputs="Values with UCUM units (see the manifest), up to six of ten missing; age and sex needed.",
        limits=(
            "Age does much of the work. People under treatment are among the positives: low cholesterol partly stands "
            "for their statins, so the whole-sample AUC flatters the use as a screen. It is weaker in people whose "
            "diabetes is not yet known (see the group 'never told'), who are the ones that screening is for. On Pima "
            "women only four of ten inputs exist and they are a population of very high prevalence: probabilities "
            "there are far too low."
        ),
        bias=(
            "Race and origin are not inputs, but performance differs by origin as the table shows; income and access "
            "to care shape who has been told."
        ),
        risk="Moderate if used clinically: a missed diabetes is treated later. Research only.",
        goal="AUC of .79 without HbA1c, above age alone",
        not_known="Performance outside the United States, over time, in pregnancy; effect on care.",
        consent="NHANES participants consented to public release. A site must tell patients as its own law asks.",
        keywords=("diabetes", "screening", "logistic regression", "NHANES", "research use only"),
        bibliography=(
            "@misc{nhanes, author={{Centers for Disease Control and Prevention, National Center for Health "
            "Statistics}}, title={National Health and Nutrition Examination Survey 2017-2018}, year={2020}}\n"
            "@inproceedings{pima, author={Smith, J. W. and others}, title={Using the ADAP learning algorithm to "
            "forecast the onset of diabetes mellitus}, booktitle={Proc. Symp. Computer Applications in Medical Care}, "
            "year={1988}}"
        ),
        sources=(
            {
                "name": "NHANES 2017-2018, 80 % of participants",
                "licence": "public domain",
                "citation": "CDC/NCHS, National Health and Nutrition Examination Survey 2017-2018.",
                "sha256": digest(folder / NHANES),
            },
            {
                "name": "Pima Indians Diabetes, 768 women (external test only)",
                "licence": "CC0",
                "citation": "Smith et al., Proc. Symp. Computer Applications in Medical Care 1988:261.",
                "sha256": digest(folder / PIMA),
            },
        ),
    )


if __name__ == "__main__":
    run(__doc__, made)

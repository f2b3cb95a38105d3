"""Making the pack `incident-diabetes` from the NAFLD records of Olmsted County; all of it but the signature.

    python -m models.training.incident_diabetes --data DIR --out models/packs --seed 1
    python -m models.training.sign_pack --key KEY.pem models/packs/incident-diabetes

Inputs come from day 0 and before, the label from after it. In the delivered table every `chol` row equals the
`hdl` row of its day and every `dbp` row the `sbp` row (checked here), so neither is used.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from models.training.design import Term
from models.training.exclusions import DIABETES
from models.training.incident_words import FILES, words
from models.training.value_measure import Recipe, ValueSet, boosted, folds, plain
from models.training.value_pack import (
    Study,
    Subject,
    input_field,
    local,
    other_unit,
    repeats,
    run,
    sex_field,
    snomed,
    yes_no,
)

DAYS = 1826  # five years
FIELDS = (
    input_field("age", "Age", "a", 18, 100, "30525-0", required=True),
    sex_field(required=True),
    input_field("bmi", "Body mass index", "kg/m2", 9, 90, "39156-5"),
    input_field("weight", "Body weight", "kg", 30, 250, "29463-7", conversions=[other_unit("[lb_av]", 0.45359)]),
    input_field("hdl", "HDL cholesterol, last", "mg/dL", 2, 220, "2085-9", conversions=[other_unit("mmol/L", 38.67)]),
    input_field("systolic", "Systolic blood pressure, last", "mm[Hg]", 60, 260, "8480-6"),
    yes_no("smoker", "Smokes, last record"),
    yes_no("nafld", "Has fatty liver disease"),
    yes_no("hypertension", "Has hypertension"),
    yes_no("dyslipidemia", "Has dyslipidaemia"),
    yes_no("heart", "Has had angina, infarction, heart failure or stroke"),
)
HEART = ("ang/isc", "MI", "heart failure", "stroke", "cardiac arrest", "afib")
TERMS = (*(Term("linear", place) for place in range(len(FIELDS))), Term("above", 0, 50.0), Term("above", 2, 30.0))
RECIPE = Recipe(TERMS, c=0.3, sensitivity=0.8, alpha=0.2)


def load(folder: Path) -> tuple[ValueSet, dict[str, Any]]:
    """People free of diabetes on day 0 whose five years are known, and what was left out and why."""
    people, values, events = (pd.read_csv(folder / name) for name in FILES)
    first = events[events["event"] == "diabetes"].groupby("id")["days"].min()
    onset = people["id"].map(first).to_numpy(np.float64)
    free = ~(onset <= 0)
    truth = (onset > 0) & (onset <= DAYS)
    known = truth | (people["futime"].to_numpy() >= DAYS)
    told = {
        "had diabetes on day 0": int((~free).sum()),
        "followed for less than five years without diabetes, left out": int((free & ~known).sum()),
        "five-year rate of those kept": round(float(truth[free & known].mean()), 4),
        "five-year rate by Kaplan and Meier, all free on day 0": _kaplan_meier(onset, people["futime"], free),
    }
    rows = np.flatnonzero(free & known)
    history = events[events["days"] <= 0]
    raw = np.stack(
        [
            people["age"],
            people["male"],
            people["bmi"],
            people["weight"],
            *(_last(values, people["id"], test) for test in ("hdl", "sbp", "smoke")),
            *(_had(history, people["id"], (name,)) for name in ("nafld", "htn", "dyslipidemia")),
            _had(history, people["id"], HEART),
        ],
        1,
    ).astype(np.float64)[rows]
    raw[:, 5] = np.where((raw[:, 5] >= 60) & (raw[:, 5] <= 260), raw[:, 5], np.nan)
    age = raw[:, 0]
    groups = {
        "sex": np.where(raw[:, 1] > 0, "men", "women"),
        "age": np.select([age < 45, age < 65], ["18-44", "45-64"], "65 and more"),
        "fatty liver": np.where(raw[:, 7] > 0, "yes", "no"),
    }
    matched = people["case.id"].fillna(-people["id"]).to_numpy()[rows]
    return ValueSet(raw, truth[rows], matched, groups), told | _copies(values)


def _last(values: pd.DataFrame, ids: pd.Series, test: str) -> pd.Series:
    """The newest value on day 0 or before."""
    known = values[(values["test"] == test) & (values["days"] <= 0)].sort_values("days", kind="stable")
    return ids.map(known.groupby("id")["value"].last())


def _had(history: pd.DataFrame, ids: pd.Series, names: tuple[str, ...]) -> pd.Series:
    return ids.isin(set(history.loc[history["event"].isin(names), "id"])).astype(float)


def _copies(values: pd.DataFrame) -> dict[str, float]:
    """Share of rows of one test that equal the other test's value of the same person and day."""
    out = {}
    for first, second in (("chol", "hdl"), ("dbp", "sbp")):
        left, right = (values[values["test"] == name].drop(columns="test") for name in (first, second))
        pairs = (
            left.groupby(["id", "days"]).first().join(right.groupby(["id", "days"]).first(), rsuffix="_other").dropna()
        )
        out[f"{first} rows equal to {second}"] = round(float((pairs["value"] == pairs["value_other"]).mean()), 4)
    return out


def _kaplan_meier(onset: Any, futime: pd.Series, free: Any) -> float:
    """Five-year incidence with censoring taken into account (death counts as censoring)."""
    time = np.where(np.isnan(onset), futime.to_numpy(np.float64), onset)[free]
    event = ~np.isnan(onset)[free]
    alive = 1.0
    for day in np.unique(time[event & (time <= DAYS)]):
        alive *= 1 - ((time == day) & event).sum() / (time >= day).sum()
    return round(1 - alive, 4)


def made(folder: Path, seed: int) -> tuple[Subject, ValueSet, Study]:
    """Everything that this pack says and does."""
    data, told = load(folder)
    study = Study(
        splits=lambda number: folds(data.truth, data.group, number),
        baselines={
            "age alone": lambda parts: plain(data, parts, (Term("linear", 0), Term("above", 0, 50.0))),
            "body mass index alone": lambda parts: plain(data, parts, (Term("linear", 2),)),
            "gradient boosting, same inputs (not shipped)": lambda parts: boosted(data, parts, seed),
        },
        told={"leaks": repeats(data), "cohort": told},
        wanted_auc=0.74,
    )
    subject = Subject(
        words=words(folder, told),
        licence="Apache-2.0 (weights); data LGPL (R package survival)",
        question=local("incident-diabetes-5y", "Diabetes within five years"),
        labels=(
            {
                "name": "diabetes-within-5y",
                "title": "raised risk of diabetes within five years",
                "code": snomed("73211009", "Diabetes mellitus"),
            },
            {"name": "no-onset", "title": "risk not raised", "code": local("no-onset", "Five-year risk not raised")},
        ),
        fields=FIELDS,
        missing_max=0.5,
        recipe=RECIPE,
        use="research only; a liver cohort of one county, five-year onset of diabetes",
        applies_to={"age_min_years": 18.0, "age_max_years": 100.0},
        excludes=(DIABETES,),
    )
    return subject, data, study


if __name__ == "__main__":
    run(__doc__, made)

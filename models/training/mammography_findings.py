"""Making the pack `mammography-findings` from CBIS-DDSM's descriptions, tested on UCI's masses as well.

    python -m models.training.mammography_findings --data DIR --out models/packs --seed 1
    python -m models.training.sign_pack --key KEY.pem models/packs/mammography-findings

Inputs are what a radiologist wrote (shape, margins, type, distribution, density, BI-RADS), not pixels. A row
is a lesion in a view, so everything is grouped by patient; patients of either test part train nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from models.training.design import Floats, Term
from models.training.mammography_words import words
from models.training.value_measure import Recipe, ValueSet, boosted, plain
from models.training.value_pack import Study, Subject, input_field, local, repeats, run, snomed, yes_no

FOLDER = "cbis_ddsm_descriptors"
UCI = "uci_mammographic_mass/mammographic_masses.data"
SHAPE = ("ROUND", "OVAL", "LOBULATED", "IRREGULAR", "ARCHITECTURAL_DISTORTION", "ASYMMETR", "LYMPH_NODE")
MARGIN = ("CIRCUMSCRIBED", "MICROLOBULATED", "OBSCURED", "ILL_DEFINED", "SPICULATED")
TYPE = (
    *("AMORPHOUS", "COARSE", "DYSTROPHIC", "EGGSHELL", "FINE_LINEAR_BRANCHING", "LUCENT_CENTER", "PLEOMORPHIC"),
    *("PUNCTATE", "ROUND_AND_REGULAR", "VASCULAR"),
)
SPREAD = ("CLUSTERED", "LINEAR", "SEGMENTAL", "REGIONAL", "DIFFUSELY_SCATTERED")
LISTS = {"shape": SHAPE, "margin": MARGIN, "type": TYPE, "distribution": SPREAD}
COLUMN = {"shape": "mass shape", "margin": "mass margins", "type": "calc type", "distribution": "calc distribution"}


HEADS = {
    "shape": "Mass shape",
    "margin": "Mass margin",
    "type": "Calcification",
    "distribution": "Spread of calcifications",
}
SAID = {"ASYMMETR": "asymmetry", "FINE_LINEAR_BRANCHING": "fine linear or branching"}


def _title(kind: str, word: str) -> str:
    return f"{HEADS[kind]}: {SAID.get(word, word.replace('_', ' ').lower())}"


FIELDS = (
    input_field("finding", "Kind of finding", "1", 0, 1, answers={"mass": 0.0, "calcification": 1.0}, required=True),
    input_field(
        "breast_density", "Breast density (BI-RADS a to d)", "1", 1, 4, answers={"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}
    ),
    input_field("birads", "BI-RADS assessment", "1", 0, 5, answers={str(k): float(k) for k in range(6)}),
    *(yes_no(f"{kind}_{word.lower()}", _title(kind, word)) for kind, words_ in LISTS.items() for word in words_),
)
PLACE = {one["name"]: place for place, one in enumerate(FIELDS)}
MASS, CALCIFICATION = (0, 0.0), (0, 1.0)  # the kind of finding, as a condition
DESCRIBED = range(3, len(FIELDS))


def _with(only: tuple[int, Any]) -> tuple[Term, ...]:
    """The descriptors, each with a weight of its own where BI-RADS is given and where it is not."""
    return (
        *(Term("equals", 0, kind, only=only) for kind in (0.0, 1.0)),
        *(Term("linear", place, only=only) for place in DESCRIBED),
    )


WITH = (
    *_with((2, "known")),
    *(Term("equals", 2, float(code), only=kind) for kind in (MASS, CALCIFICATION) for code in (0, 2, 3, 4, 5)),
)
WITHOUT = _with((2, "unknown"))
DENSITY = tuple(Term("linear", 1, only=kind) for kind in (MASS, CALCIFICATION))
TERMS = (*DENSITY, *WITH, *WITHOUT)
RECIPE = Recipe(TERMS, c=0.1, sensitivity=0.9, alpha=0.2)


def load(folder: Path) -> tuple[ValueSet, np.ndarray]:
    """All rows, and whether each belongs to the official test part.

    Training rows come twice, the second time without BI-RADS, so that the model knows both ways of being asked.
    """
    tables = []
    for kind in ("mass", "calc"):
        for side in ("train", "test"):
            table = pd.read_csv(folder / FOLDER / f"{kind}_case_description_{side}_set.csv")
            table = table.rename(columns={"breast density": "breast_density"})
            tables.append(table.assign(kind=kind, test=side == "test"))
    table = pd.concat(tables, ignore_index=True)
    raw = np.full((len(table), len(FIELDS)), np.nan)
    raw[:, 0] = table["kind"] == "calc"
    raw[:, 1] = table["breast_density"].where(table["breast_density"].between(1, 4))
    raw[:, 2] = table["assessment"]
    for kind, listed in LISTS.items():
        text = table[COLUMN[kind]]
        for word in listed:
            raw[:, PLACE[f"{kind}_{word.lower()}"]] = (
                text.str.contains(_pattern(word)).astype(float).where(text.notna())
            )
    groups = {
        "finding": np.where(table["kind"] == "mass", "mass", "calcification"),
        "breast density": np.where(np.isnan(raw[:, 1]), "unknown", np.char.add("", raw[:, 1].astype(str))),
        "view": table["image view"].to_numpy(str),
    }
    truth = (table["pathology"] == "MALIGNANT").to_numpy()
    whole = ValueSet(raw, truth, table["patient_id"].to_numpy(str), groups)
    test = table["test"].to_numpy(bool)
    again = part(whole, np.flatnonzero(~test), birads=False)
    return both(whole, again), np.concatenate([test, np.zeros(len(again.truth), bool)])


def both(first: ValueSet, second: ValueSet) -> ValueSet:
    """Two sets of the same fields and subgroups, one after the other."""
    groups = {name: np.concatenate([first.subgroups[name], second.subgroups[name]]) for name in first.subgroups}
    return ValueSet(
        np.concatenate([first.raw, second.raw]),
        np.concatenate([first.truth, second.truth]),
        np.concatenate([first.group, second.group]),
        groups,
    )


def _pattern(word: str) -> str:
    """The word between hyphens; ROUND is not ROUND_AND_REGULAR, LINEAR not FINE_LINEAR_BRANCHING."""
    return rf"(?:^|-){word}(?:ED)?(?:-|$)" if word != "ASYMMETR" else word


def uci(folder: Path) -> ValueSet:
    """961 masses of Erlangen; its density is the mass's own, and the age is no input here, so both are left."""
    table = pd.read_csv(folder / UCI, na_values="?", skipinitialspace=True)
    raw = np.full((len(table), len(FIELDS)), np.nan)
    raw[:, 0] = 0.0
    raw[:, 2] = table["BI-RADS assessment"].where(table["BI-RADS assessment"].between(0, 5))
    for kind, listed, column in (("shape", SHAPE[:4], "Shape"), ("margin", MARGIN, "Margin")):
        for code, word in enumerate(listed, 1):
            raw[:, PLACE[f"{kind}_{word.lower()}"]] = (table[column] == code).astype(float).where(table[column].notna())
    for word in SHAPE[4:]:
        raw[:, PLACE[f"shape_{word.lower()}"]] = np.where(table["Shape"].notna(), 0.0, np.nan)
    age = table["Age"]
    groups = {"age": np.where(age.isna(), "unknown", np.where(age < 55, "under 55", "55 and more"))}
    return ValueSet(raw, table["Severity"].to_numpy() == 1, np.arange(len(table)), groups)


def part(data: ValueSet, rows: np.ndarray, *, birads: bool = True) -> ValueSet:
    """Some rows, with or without the assessment."""
    raw: Floats = data.raw[rows].copy()
    if not birads:
        raw[:, 2] = np.nan
    groups = {name: values[rows] for name, values in data.subgroups.items()}
    return ValueSet(raw, data.truth[rows], data.group[rows], groups)


def made(folder: Path, seed: int) -> tuple[Subject, ValueSet, Study]:
    """Everything that this pack says and does."""
    data, test = load(folder)
    tested = set(data.group[test].tolist())
    torn = ~test & np.isin(data.group, list(tested))  # in a training part of one kind, in the test part of the other
    train, held = np.flatnonzero(~test & ~torn), np.flatnonzero(test)
    mass = data.raw[:, 0] == 0
    outside = uci(folder)
    study = Study(
        splits=lambda _: [(train, held)],
        baselines={
            "BI-RADS alone": lambda parts: plain(data, parts, tuple(t for t in TERMS if t.field == 2)),
            "breast density and kind of finding alone": lambda parts: plain(data, parts, (Term("linear", 0), *DENSITY)),
            "gradient boosting, same inputs (not shipped)": lambda parts: boosted(data, parts, seed),
        },
        external={
            "masses": part(data, np.flatnonzero(test & mass)),
            "masses without BI-RADS": part(data, np.flatnonzero(test & mass), birads=False),
            "calcifications": part(data, np.flatnonzero(test & ~mass)),
            "UCI masses, external": outside,
            "UCI masses without BI-RADS": part(outside, np.arange(len(outside.truth)), birads=False),
        },
        told={
            "data": {
                "rows": len(train) // 2 + len(held),
                "positive": int(data.truth[train].sum() // 2 + data.truth[held].sum()),
                "groups": len(np.unique(data.group)),
            },
            "leaks": repeats(part(data, held))
            | {"training rows left out: patient in the other kind's test part": int(torn.sum() // 2)}
            | {"patients in training and test": len(set(data.group[train].tolist()) & tested)},
        },
        wanted_auc=0.80,
        lines={"masses": 0.864, "masses without BI-RADS": 0.835, "calcifications": 0.763},
        train=train,
    )
    return subject(folder), data, study


def subject(folder: Path) -> Subject:
    """Labels, fields and words."""
    return Subject(
        words=words(folder),
        licence="Apache-2.0 (weights); data CC BY 3.0 (CBIS-DDSM), CC BY 4.0 (UCI)",
        question=local("mammography-malignancy", "Malignancy of a described mammographic finding"),
        labels=(
            {
                "name": "malignant",
                "title": "suspicious for a malignant lesion",
                "code": snomed("254837009", "Malignant neoplasm of breast"),
            },
            {
                "name": "benign",
                "title": "not suspicious for a malignant lesion",
                "code": local("benign-finding", "Benign finding likely"),
            },
        ),
        fields=FIELDS,
        missing_max=0.7,
        recipe=RECIPE,
        use="research only; a radiologist's description of a finding, not pixels",
        applies_to={"sex": ["F"], "age_min_years": 18.0, "age_max_years": 120.0},
    )


if __name__ == "__main__":
    run(__doc__, made)

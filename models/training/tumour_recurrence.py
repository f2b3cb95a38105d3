"""Making the pack `tumour-recurrence` from three expression cohorts, two training for the third.

    python -m models.training.tumour_recurrence --data DIR --out models/packs --seed 1
    dxgate model sign models/packs/tumour-recurrence --key KEY.pem

The procedure, the panel's size and the penalty are those of `tumour_er_status`; only the question differs. Whoever was
lost to follow-up before three years is left out.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from models.training.design import Floats, Linear, Truth
from models.training.er_words import FILES
from models.training.recurrence_words import words
from models.training.tumour_er_status import LABELS, PREFIX, RECIPE, Cohorts
from models.training.value_measure import Rows, ValueSet, choose, folds, leave_one_out
from models.training.value_pack import Study, Subject, input_field, local, repeats, run

HORIZON = 36  # months
SINGLE = ("ESR1", "GATA3")  # genes whose level alone is a baseline


def load(folder: Path) -> tuple[Floats, Truth, Any, list[str]]:
    """Expression of the shared genes, event within the horizon, cohort, gene names."""
    parts, truth, cohort = [], [], []
    genes: list[str] = []
    for name, path in zip(LABELS, FILES, strict=True):
        table = pd.read_parquet(folder / path)
        genes = genes or sorted(column for column in table.columns if column.startswith(PREFIX))
        happened = (table["event"] == 1) & (table["time"] <= HORIZON)
        known = happened | (table["time"] > HORIZON)
        parts.append(table.loc[known, genes].to_numpy(np.float64))
        truth.append(happened[known].to_numpy())
        cohort.append(np.full(int(known.sum()), name))
    return np.concatenate(parts), np.concatenate(truth), np.concatenate(cohort), genes


class Events(Cohorts):
    """The same cohorts with the other question."""

    def __init__(self, folder: Path) -> None:
        self.raw, self.truth, self.cohort, self.genes = load(folder)
        self.place = self.raw.argsort(1).argsort(1) / (self.raw.shape[1] - 1)

    def built(self, rows: Rows) -> tuple[Linear, Rows, dict[str, Any]]:
        """Calibrated by folds over tumours, panel and all.

        By leaving one cohort out, as for the receptor, the shares of events of two cohorts (58 % and 18 %) would
        outweigh what the genes say, and turn the calibration round.
        """
        score, truth = np.zeros(len(rows)), self.truth[rows]
        for train, test in folds(truth, rows, seed=1):
            inner, chosen = self.model(rows[train])
            score[test] = inner.prob(self.raw[np.ix_(rows[test], chosen)])
        told = choose(score, truth, RECIPE.sensitivity, RECIPE.alpha)
        model, chosen = self.model(rows)
        return replace(model, platt=(told["slope"], told["intercept"])), chosen, told


def made(folder: Path, seed: int) -> tuple[Subject, ValueSet, Study]:
    """Everything that this pack says and does."""
    cohorts = Events(folder)
    every = np.arange(len(cohorts.truth))
    model, chosen, told = cohorts.built(every)
    names = [cohorts.genes[k].removeprefix(PREFIX) for k in chosen]
    fields = tuple(input_field(name.lower(), f"Expression of {name}", "1", -50.0, 100000.0) for name in names)
    data = ValueSet(cohorts.raw[:, chosen], cohorts.truth, every, {"cohort": cohorts.cohort})
    study = Study(
        splits=lambda _: leave_one_out(cohorts.cohort),
        baselines={
            f"low {g} alone": (lambda _, g=g: -cohorts.single(g)) for g in SINGLE if PREFIX + g in cohorts.genes
        },
        told={
            "leaks": repeats(data) | {"auc with labels shuffled within cohorts": round(cohorts.shuffled(seed), 4)},
            "horizon_months": HORIZON,
        },
        wanted_auc=0.70,
        built=lambda _: (model, told),
        held=cohorts.held,
    )
    subject = Subject(
        words=words(folder, len(every)),
        licence="Apache-2.0 (weights); expression data public (GEO)",
        question=local("tumour-recurrence", "Event within three years after breast cancer, from expression"),
        labels=(
            {"name": "event", "title": "an event within three years is more likely", "code": local("event", "Event")},
            {
                "name": "no-event",
                "title": "an event within three years is less likely",
                "code": local("no-event", "No event"),
            },
        ),
        fields=fields,
        missing_max=0.2,
        recipe=RECIPE,
        use="research only; microarray expression of breast tumours, ranked within the tumour",
        applies_to={"age_min_years": 18.0, "age_max_years": 120.0},
    )
    return subject, data, study


if __name__ == "__main__":
    run(__doc__, made)

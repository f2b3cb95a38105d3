"""Making the pack `tumour-er-status` from three expression cohorts, two training for the third.

    python -m models.training.tumour_er_status --data DIR --out models/packs --seed 1
    python -m models.training.sign_pack --key KEY.pem models/packs/tumour-er-status

One incoming tumour has no cohort to be standardised with, so its genes are ranked among themselves, inside
the graph. Which genes make the panel is chosen anew in every training part; the receptor's own gene may be
among them: it is what the tumour expresses, not the pathologist's stain, which is the label.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from models.training.design import Floats, Linear, Term, Truth, fit, ranks
from models.training.er_words import FILES, words
from models.training.value_measure import Held, Recipe, Rows, ValueSet, choose, leave_one_out, mean_of_parts
from models.training.value_pack import Study, Subject, input_field, local, repeats, run, snomed

PANEL = 80
CHOSEN = ("threshold", "quantile_positive", "quantile_negative")
LABELS = {"gse1992": "fac_er_positive", "gse4335": "fac_er_status", "gse3143": "num_erlev"}
PREFIX = "num_HS_"
TERMS = tuple(Term("linear", place) for place in range(PANEL))
RECIPE = Recipe(TERMS, c=0.01, sensitivity=0.85, alpha=0.2, by_rank=True)


def load(folder: Path) -> tuple[Floats, Truth, Any, list[str]]:
    """Expression of the shared genes, ER status, cohort, gene names. Level 0 of gse3143 is negative."""
    parts, truth, cohort = [], [], []
    genes: list[str] = []
    for name, path in zip(LABELS, FILES, strict=True):
        table = pd.read_parquet(folder / path)
        genes = genes or sorted(column for column in table.columns if column.startswith(PREFIX))
        status = pd.to_numeric(table[LABELS[name]], errors="coerce")
        table, status = table[status.notna()], status[status.notna()]
        parts.append(table[genes].to_numpy(np.float64))
        truth.append((status > 0).to_numpy())
        cohort.append(np.full(len(table), name))
    return np.concatenate(parts), np.concatenate(truth), np.concatenate(cohort), genes


def panel(place: Floats, truth: Truth, cohort: Any) -> Rows:
    """The genes that differ most between the classes in every training cohort (smallest |t| over cohorts)."""
    least = np.full(place.shape[1], np.inf)
    sign = np.zeros(place.shape[1])
    for name in sorted(set(cohort.tolist())):
        here = cohort == name
        yes, no = place[here & truth], place[here & ~truth]
        t = (yes.mean(0) - no.mean(0)) / np.sqrt(yes.var(0) / len(yes) + no.var(0) / len(no) + 1e-9)
        least = np.minimum(least, np.where(sign * t >= 0, np.abs(t), 0.0))
        sign = np.where(sign == 0, np.sign(t), sign)
    half = PANEL // 2
    up = np.argsort(-np.where(sign > 0, least, -1), kind="stable")[:half]
    down = np.argsort(-np.where(sign < 0, least, -1), kind="stable")[:half]  # as many of each, or a rank says less
    return np.sort(np.concatenate([up, down]))


class Cohorts:
    """The three cohorts with each tumour's genes ranked once, for choosing panels."""

    def __init__(self, folder: Path) -> None:
        self.raw, self.truth, self.cohort, self.genes = load(folder)
        # stable: else equal values are ranked by the processor's way of sorting
        order = self.raw.argsort(1, kind="stable").argsort(1, kind="stable")
        self.place = order / (self.raw.shape[1] - 1)

    def model(self, rows: Rows) -> tuple[Linear, Rows]:
        """A model of `rows` alone on the panel that they choose."""
        chosen = panel(self.place[rows], self.truth[rows], self.cohort[rows])
        fitted = fit(self.raw[np.ix_(rows, chosen)], self.truth[rows], TERMS, RECIPE.c, by_rank=True)
        return fitted, chosen

    def built(self, rows: Rows) -> tuple[Linear, Rows, dict[str, Any]]:
        """The same, calibrated by leaving out one of the training cohorts at a time, panel and all."""
        score = np.zeros(len(rows))
        for train, test in leave_one_out(self.cohort[rows]):
            inner, chosen = self.model(rows[train])
            score[test] = inner.prob(self.raw[np.ix_(rows[test], chosen)])
        told = choose(score, self.truth[rows], RECIPE.sensitivity, RECIPE.alpha)
        model, chosen = self.model(rows)
        return replace(model, platt=(told["slope"], told["intercept"])), chosen, told

    def held(self, _: int) -> Held:
        """Each cohort scored by the other two."""
        size = len(self.truth)
        out = {
            name: np.zeros(size) for name in ("prob", "threshold", "quantile_positive", "quantile_negative", "score")
        }
        part = np.zeros(size, np.int64)
        for number, (train, test) in enumerate(leave_one_out(self.cohort)):
            model, chosen, told = self.built(train)
            raw = self.raw[np.ix_(test, chosen)]
            out["prob"][test] = model.prob(raw)
            out["score"][test] = replace(model, platt=(1.0, 0.0)).prob(raw)
            for name in CHOSEN:
                out[name][test] = told[name]
            part[test] = number
        return Held(**out, part=part)

    def single(self, gene: str) -> Floats:
        """One gene's place among all, as a baseline."""
        return np.asarray(self.place[:, self.genes.index(PREFIX + gene)])

    def shuffled(self, seed: int) -> float:
        """The whole procedure on labels shuffled within cohorts: must be near one half."""
        noise, truth = np.random.default_rng(seed), self.truth.copy()
        for name in LABELS:
            here = np.flatnonzero(self.cohort == name)
            truth[here] = noise.permutation(truth[here])
        kept, self.truth = self.truth, truth
        try:
            return mean_of_parts(self.held(0), truth)
        finally:
            self.truth = kept


def made(folder: Path, seed: int) -> tuple[Subject, ValueSet, Study]:
    """Everything that this pack says and does."""
    cohorts = Cohorts(folder)
    every = np.arange(len(cohorts.truth))
    model, chosen, told = cohorts.built(every)
    names = [cohorts.genes[k].removeprefix(PREFIX) for k in chosen]
    low, high = -50.0, 100000.0  # log ratios or intensities: only the order counts
    fields = tuple(input_field(name.lower(), f"Expression of {name}", "1", low, high) for name in names)
    groups = {"cohort": cohorts.cohort}
    data = ValueSet(cohorts.raw[:, chosen], cohorts.truth, every, groups)
    single = ("ESR1", "GATA3")
    study = Study(
        splits=lambda _: leave_one_out(cohorts.cohort),
        baselines={f"{g} alone": (lambda _, g=g: cohorts.single(g)) for g in single if PREFIX + g in cohorts.genes},
        told={
            "leaks": repeats(data) | {"auc with labels shuffled within cohorts": round(cohorts.shuffled(seed), 4)},
            "ranked": {"mean rank of the panel": round(float(np.mean(ranks(data.raw[:5]))), 4)},
        },
        wanted_auc=0.80,
        built=lambda _: (model, told),
        held=cohorts.held,
    )
    subject = Subject(
        words=words(folder),
        licence="Apache-2.0 (weights); expression data public (GEO)",
        question=local("tumour-er-status", "Oestrogen receptor status of a breast tumour, from expression"),
        labels=(
            {
                "name": "er-positive",
                "title": "oestrogen receptor positive is likely",
                "code": snomed("416053008", "Estrogen receptor positive tumor"),
            },
            {
                "name": "er-negative",
                "title": "oestrogen receptor negative is likely",
                "code": snomed("441117001", "Estrogen receptor negative neoplasm"),
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

"""The numbers of a model on somebody's own data, with bootstrap intervals over patients; NumPy alone.

The training recipes measure with scikit-learn; a hospital that brings a model has no need of it, and the tests hold
both to the same values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from gateway.domain.errors import Invalid
from gateway.domain.proportion import Share

Floats = npt.NDArray[np.float64]
Truth = npt.NDArray[np.bool_]
Names = npt.NDArray[np.str_]
DRAWS = 1000
FEW = 30  # test cases of a class below which nothing is measured well
LEAST = 8  # cases of a class below which a subgroup is not measured


def auc(prob: Floats, truth: Truth) -> float:
    """Area under the ROC curve: how often a positive case scores above a negative one, ties half."""
    positive, negative = int(truth.sum()), int((~truth).sum())
    _, inverse, count = np.unique(prob, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[inverse]
    return float((rank[truth].sum() - positive * (positive + 1) / 2) / (positive * negative))


def auprc(prob: Floats, truth: Truth) -> float:
    """Average precision: precision at every score, weighted by the recall that it adds."""
    order = np.argsort(-prob, kind="stable")
    hits = np.cumsum(truth[order])
    last = np.r_[np.diff(prob[order]) != 0, True]  # of each run of equal scores
    precision, recall = (hits / np.arange(1, len(prob) + 1))[last], (hits / max(int(truth.sum()), 1))[last]
    return float(np.sum(np.diff(np.r_[0.0, recall]) * precision))


def ece(prob: Floats, truth: Truth, bins: int = 10) -> float:
    """Expected calibration error over bins of equal width (Naeini et al., 2015)."""
    place = np.minimum((prob * bins).astype(int), bins - 1)
    found = [(place == b) for b in range(bins) if (place == b).any()]
    return float(sum(abs(prob[here].mean() - truth[here].mean()) * here.mean() for here in found))


def scores(prob: Floats, truth: Truth, threshold: float) -> dict[str, float]:
    """Every point estimate."""
    told = confusion(prob, truth, threshold)
    hit, miss, false, quiet = told.values()
    precision, recall = hit / max(hit + false, 1), hit / max(hit + miss, 1)
    return {
        "auc": auc(prob, truth),
        "auprc": auprc(prob, truth),
        "accuracy": (hit + quiet) / len(truth),
        "sensitivity": recall,
        "specificity": quiet / max(quiet + false, 1),
        "precision": precision,
        "f1": 2 * precision * recall / max(precision + recall, 1e-12),
        "brier": float(np.mean((prob - truth) ** 2)),
        "ece": ece(prob, truth),
    }


def confusion(prob: Floats, truth: Truth, threshold: float) -> dict[str, int]:
    """True positive, false negative, false positive, true negative."""
    said = prob >= threshold
    return {
        "true_positive": int((said & truth).sum()),
        "false_negative": int((~said & truth).sum()),
        "false_positive": int((said & ~truth).sum()),
        "true_negative": int((~said & ~truth).sum()),
    }


def summary(prob: Floats, truth: Truth, threshold: float, group: Names, draws: int = DRAWS) -> dict[str, Any]:
    """`scores` with 95 % intervals that resample groups of patients. `Invalid` where a class is missing."""
    if not 0 < int(truth.sum()) < len(truth):
        raise Invalid("the test cases must hold both labels")
    point = scores(prob, truth, threshold)
    drawn = [scores(prob[rows], truth[rows], threshold) for rows in resampled(truth, group, draws)]
    out: dict[str, Any] = {"n": len(truth), "positive": int(truth.sum())}
    for name, value in point.items():
        low, high = np.percentile([draw[name] for draw in drawn], [2.5, 97.5])
        if low == high and name in (counts := _counts(prob, truth, threshold)):
            low, high = counts[name].interval
        out[name] = {"value": round(value, 4), "ci95": [round(float(low), 4), round(float(high), 4)]}
    return out | {"confusion": confusion(prob, truth, threshold)}


def few_cases(truth: Truth) -> str:
    """A warning where fewer than `FEW` cases of a class were tested; empty where there are enough."""
    positive, negative = int(truth.sum()), int((~truth).sum())
    if min(positive, negative) >= FEW:
        return ""
    return (
        f"few cases: {positive} positive and {negative} negative were tested, fewer than {FEW} of a class; the figures "
        "may be far from the truth, and an interval without width is no sign of certainty"
    )


def _counts(prob: Floats, truth: Truth, threshold: float) -> dict[str, Share]:
    """Each figure that is a proportion: its own interval has width where resampling knows one value alone."""
    hit, miss, false, quiet = confusion(prob, truth, threshold).values()
    return {
        "accuracy": Share(hit + quiet, len(truth)),
        "sensitivity": Share(hit, hit + miss),
        "specificity": Share(quiet, quiet + false),
        "precision": Share(hit, hit + false),
    }


def resampled(truth: Truth, group: Names, draws: int) -> Iterator[npt.NDArray[np.int64]]:
    """Row numbers of bootstrap draws over groups, each with both classes in it."""
    noise = np.random.default_rng(0)
    _, inverse = np.unique(group, return_inverse=True)
    members = [np.flatnonzero(inverse == one) for one in range(int(inverse.max()) + 1)]
    for _ in range(draws):
        rows = np.concatenate([members[k] for k in noise.integers(0, len(members), len(members))])
        if 0 < int(truth[rows].sum()) < len(rows):
            yield rows


def by_subgroup(
    prob: Floats, truth: Truth, threshold: float, group: Names, named: Mapping[str, Names]
) -> dict[str, Any]:
    """The main numbers for every named subgroup with enough of both classes."""
    out: dict[str, Any] = {}
    for name, values in named.items():
        for value in sorted(set(values.tolist())):
            here = values == value
            told: dict[str, Any] = {"n": int(here.sum()), "positive": int(truth[here].sum())}
            if min(int(truth[here].sum()), int((~truth[here]).sum())) >= LEAST:
                full = summary(prob[here], truth[here], threshold, group[here], draws=200)
                told |= {key: full[key] for key in ("auc", "sensitivity", "specificity", "brier")}
            out[f"{name}: {value}"] = told
    return out


def threshold_for(prob: Floats, truth: Truth, sensitivity: float) -> float:
    """The highest threshold that still finds `sensitivity` of the positives, halfway to the next score."""
    found = np.sort(prob[truth])
    lowest = float(found[int(np.floor((1 - sensitivity) * len(found)))])
    below = prob[prob < lowest]
    return (lowest + float(below.max())) / 2 if len(below) else lowest


def quantile(prob_of_class: Floats, alpha: float) -> float:
    """Split conformal quantile of 1 - p over cases of one class; 1 where there are too few."""
    rank = int(np.ceil((len(prob_of_class) + 1) * (1 - alpha)))
    return 1.0 if rank > len(prob_of_class) else float(np.sort(1 - prob_of_class)[rank - 1])


def coverage(prob: Floats, truth: Truth, positive: float, negative: float) -> dict[str, float]:
    """How often the conformal set held the truth, by class, and how often it was no single label."""
    can, cannot = 1 - prob <= positive, prob <= negative
    return {
        "covered_positive": round(float(can[truth].mean()), 4),
        "covered_negative": round(float(cannot[~truth].mean()), 4),
        "both": round(float((can & cannot).mean()), 4),
        "neither": round(float((~can & ~cannot).mean()), 4),
    }

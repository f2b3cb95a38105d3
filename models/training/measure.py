"""The numbers of a model: discrimination, calibration, conformal coverage, with bootstrap intervals.

Everything is for the positive label as class 1. Intervals resample near-duplicate groups, not images, so
that two copies of one image do not count as two witnesses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

Floats = npt.NDArray[np.float64]
Truth = npt.NDArray[np.bool_]
DRAWS = 2000


def calibrate(score: Floats, truth: Truth) -> tuple[float, float]:
    """Platt slope and intercept on the logit of the score (Platt, 1999), hardly regularised."""
    logit = np.log(score) - np.log1p(-score)
    fitted = LogisticRegression(C=1e4).fit(logit[:, None], truth)
    return float(fitted.coef_[0, 0]), float(fitted.intercept_[0])


def apply_platt(score: Floats, slope: float, intercept: float) -> Floats:
    """Calibrated probability of the positive label."""
    score = np.clip(score, 1e-6, 1 - 1e-6)
    return np.asarray(1 / (1 + np.exp(-(slope * (np.log(score) - np.log1p(-score)) + intercept))))


def threshold_for(prob: Floats, truth: Truth, sensitivity: float) -> float:
    """The highest threshold that still finds `sensitivity` of the positives, halfway to the next score."""
    found = np.sort(prob[truth])
    lowest = found[int(np.floor((1 - sensitivity) * len(found)))]
    below = prob[prob < lowest]
    return float((lowest + below.max()) / 2) if len(below) else float(lowest)


def quantile(prob_of_class: Floats, alpha: float) -> float:
    """Split conformal quantile of 1 - p over calibration cases of one class; 1 where there are too few."""
    rank = int(np.ceil((len(prob_of_class) + 1) * (1 - alpha)))
    return 1.0 if rank > len(prob_of_class) else float(np.sort(1 - prob_of_class)[rank - 1])


def ece(prob: Floats, truth: Truth, bins: int = 10) -> float:
    """Expected calibration error over bins of equal width (Naeini et al., 2015)."""
    place = np.minimum((prob * bins).astype(int), bins - 1)
    gaps = [
        abs(prob[place == b].mean() - truth[place == b].mean()) * (place == b).mean()
        for b in range(bins)
        if (place == b).any()
    ]
    return float(np.sum(gaps))


def scores(prob: Floats, truth: Truth, threshold: float) -> dict[str, float]:
    """Every point estimate."""
    said = prob >= threshold
    hit, miss = int((said & truth).sum()), int((~said & truth).sum())
    false, quiet = int((said & ~truth).sum()), int((~said & ~truth).sum())
    precision, recall = hit / max(hit + false, 1), hit / max(hit + miss, 1)
    return {
        "auc": float(roc_auc_score(truth, prob)),
        "auprc": float(average_precision_score(truth, prob)),
        "accuracy": (hit + quiet) / len(truth),
        "sensitivity": recall,
        "specificity": quiet / max(quiet + false, 1),
        "precision": precision,
        "f1": 2 * precision * recall / max(precision + recall, 1e-12),
        "brier": float(np.mean((prob - truth) ** 2)),
        "ece": ece(prob, truth),
    }


def with_intervals(prob: Floats, truth: Truth, threshold: float, group: npt.ArrayLike, seed: int) -> dict[str, Any]:
    """`scores` with 95 % bootstrap intervals over groups, and the counts behind them."""
    point = scores(prob, truth, threshold)
    drawn = _bootstrap(lambda rows: scores(prob[rows], truth[rows], threshold), truth, np.asarray(group), seed)
    out: dict[str, Any] = {"n": len(truth), "positive": int(truth.sum()), "threshold": threshold}
    for name, value in point.items():
        low, high = np.percentile([draw[name] for draw in drawn], [2.5, 97.5])
        out[name] = {"value": round(value, 4), "ci95": [round(float(low), 4), round(float(high), 4)]}
    said = prob >= threshold
    out["confusion"] = {
        "true_positive": int((said & truth).sum()),
        "false_negative": int((~said & truth).sum()),
        "false_positive": int((said & ~truth).sum()),
        "true_negative": int((~said & ~truth).sum()),
    }
    return out


def _bootstrap(
    measure: Callable[[npt.NDArray[np.int64]], dict[str, float]], truth: Truth, group: npt.NDArray[Any], seed: int
) -> list[dict[str, float]]:
    noise = np.random.default_rng(seed)
    members = [np.flatnonzero(group == g) for g in np.unique(group)]
    drawn = []
    for _ in range(DRAWS):
        rows = np.concatenate([members[k] for k in noise.integers(0, len(members), len(members))])
        if 0 < truth[rows].sum() < len(rows):
            drawn.append(measure(rows))
    return drawn


def difference(first: Floats, second: Floats, truth: Truth, group: npt.ArrayLike, seed: int) -> dict[str, Any]:
    """AUC of `first` minus AUC of `second` on the same images, with a paired bootstrap interval."""
    drawn = _bootstrap(
        lambda rows: {"gap": float(roc_auc_score(truth[rows], first[rows]) - roc_auc_score(truth[rows], second[rows]))},
        truth,
        np.asarray(group),
        seed,
    )
    low, high = np.percentile([draw["gap"] for draw in drawn], [2.5, 97.5])
    gap = float(roc_auc_score(truth, first) - roc_auc_score(truth, second))
    return {"auc_difference": round(gap, 4), "ci95": [round(float(low), 4), round(float(high), 4)]}


def coverage(prob: Floats, truth: Truth, quantiles: tuple[float, float]) -> dict[str, Any]:
    """Conformal sets on held-out images; `quantiles` for the positive and the negative label."""
    has_pos, has_neg = 1 - prob <= quantiles[0], prob <= quantiles[1]
    single = has_pos ^ has_neg
    right = np.where(truth, has_pos, has_neg)
    return {
        "covered_positive": round(float(has_pos[truth].mean()), 4),
        "covered_negative": round(float(has_neg[~truth].mean()), 4),
        "both": round(float((has_pos & has_neg).mean()), 4),
        "neither": round(float((~has_pos & ~has_neg).mean()), 4),
        "single": round(float(single.mean()), 4),
        "accuracy_where_single": round(float(right[single].mean()), 4) if single.any() else None,
        "sensitivity_where_single": round(float(right[single & truth].mean()), 4) if (single & truth).any() else None,
        "specificity_where_single": (
            round(float(right[single & ~truth].mean()), 4) if (single & ~truth).any() else None
        ),
    }


def curve(prob: Floats, truth: Truth) -> tuple[Floats, Floats]:
    """False and true positive rates of the ROC curve."""
    false, true, _ = roc_curve(truth, prob)
    return np.asarray(false), np.asarray(true)

"""Evaluation of models on structured values: nested folds, intervals over groups, subgroups, paired baselines.

Every choice (scale, weights, calibration, threshold, conformal quantiles) is made inside the training part
of a fold, by folds within it; the held-out part is scored once. Choices of the shipped model come the same
way from all the training rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold

from models.training import measure
from models.training.design import Floats, Linear, Term, Truth, fit

DRAWS = 1000
FOLDS = 5
Rows = npt.NDArray[np.int64]
Split = tuple[Rows, Rows]


@dataclass(frozen=True)
class Recipe:
    """All that decides a linear model besides its data."""

    terms: tuple[Term, ...]
    c: float
    sensitivity: float  # wanted of the threshold
    alpha: float  # of the conformal sets
    by_rank: bool = False


@dataclass(frozen=True)
class ValueSet:
    """Raw values (N, fields) with NaN, truth, groups that must not be torn apart, and named subgroups."""

    raw: Floats
    truth: Truth
    group: npt.NDArray[Any]
    subgroups: dict[str, npt.NDArray[np.str_]] = field(default_factory=dict)
    block: npt.NDArray[Any] | None = None  # site or cohort: choices are made by leaving one out, not by folds


@dataclass(frozen=True)
class Held:
    """What models said about rows that they had not seen, with the rules that they would have used there."""

    prob: Floats
    threshold: Floats
    quantile_positive: Floats
    quantile_negative: Floats
    score: Floats  # before calibration, as a probability
    part: Rows  # which split scored the row; -1: none


def folds(truth: Truth, group: npt.NDArray[Any], seed: int, count: int = FOLDS) -> list[Split]:
    """Stratified folds that keep groups together."""
    maker = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    return [(train, test) for train, test in maker.split(truth[:, None], truth, group)]


def leave_one_out(block: npt.NDArray[Any]) -> list[Split]:
    """One split per site or cohort: the others train, it tests."""
    return [(np.flatnonzero(block != name), np.flatnonzero(block == name)) for name in sorted(set(block.tolist()))]


def inner_splits(data: ValueSet, rows: Rows, seed: int) -> list[Split]:
    """Splits within training rows, by which threshold, calibration and quantiles are chosen."""
    block = None if data.block is None else data.block[rows]
    if block is not None and len(set(block.tolist())) > 1:
        return leave_one_out(block)
    return folds(data.truth[rows], data.group[rows], seed)


def choose(score: Floats, truth: Truth, recipe_sensitivity: float, alpha: float) -> dict[str, Any]:
    """Platt, threshold and quantiles from scores (probabilities) of rows that their model had not seen."""
    score = np.clip(score, 1e-6, 1 - 1e-6)
    slope, intercept = measure.calibrate(score, truth)
    prob = measure.apply_platt(score, slope, intercept)
    return {
        "slope": slope,
        "intercept": intercept,
        "threshold": round(measure.threshold_for(prob, truth, recipe_sensitivity), 4),
        "quantile_positive": round(measure.quantile(prob[truth], alpha), 6),
        "quantile_negative": round(measure.quantile(1 - prob[~truth], alpha), 6),
        "n": len(truth),
        "positive": int(truth.sum()),
    }


def build(data: ValueSet, rows: Rows, recipe: Recipe, seed: int) -> tuple[Linear, dict[str, Any]]:
    """A calibrated model from `rows` alone, and what folds within them chose."""
    raw, truth = data.raw[rows], data.truth[rows]
    score = np.zeros(len(rows))
    for train, test in inner_splits(data, rows, seed):
        inner = fit(raw[train], truth[train], recipe.terms, recipe.c, by_rank=recipe.by_rank)
        score[test] = inner.prob(raw[test])
    chosen = choose(score, truth, recipe.sensitivity, recipe.alpha)
    model = fit(raw, truth, recipe.terms, recipe.c, by_rank=recipe.by_rank)
    return replace(model, platt=(chosen["slope"], chosen["intercept"])), chosen


def held_out(data: ValueSet, splits: Iterable[Split], recipe: Recipe, seed: int) -> Held:
    """Score the test rows of every split with a model built from its training rows."""
    size = len(data.truth)
    out = {name: np.zeros(size) for name in ("prob", "threshold", "quantile_positive", "quantile_negative", "score")}
    part = np.full(size, -1)
    for number, (train, test) in enumerate(splits):
        model, chosen = build(data, train, recipe, seed)
        out["prob"][test] = model.prob(data.raw[test])
        out["score"][test] = replace(model, platt=(1.0, 0.0)).prob(data.raw[test])
        for name in ("threshold", "quantile_positive", "quantile_negative"):
            out[name][test] = chosen[name]
        part[test] = number
    return Held(**out, part=part)


def plain(data: ValueSet, splits: Iterable[Split], terms: tuple[Term, ...], c: float = 1.0) -> Floats:
    """A baseline's held-out logits: the same folds, other terms."""
    out = np.full(len(data.truth), np.nan)
    for train, test in splits:
        out[test] = fit(data.raw[train], data.truth[train], terms, c).logit(data.raw[test])
    return out


def boosted(data: ValueSet, splits: Iterable[Split], seed: int, raw: Floats | None = None) -> Floats:
    """Gradient boosting's held-out probabilities, for comparison only: it is not shipped."""
    values = data.raw if raw is None else raw
    out = np.full(len(data.truth), np.nan)
    for train, test in splits:
        learner = HistGradientBoostingClassifier(
            learning_rate=0.05, max_iter=150, max_leaf_nodes=8, l2_regularization=5.0, random_state=seed
        )
        out[test] = learner.fit(values[train], data.truth[train]).predict_proba(values[test])[:, 1]
    return out


def summary(
    prob: Floats,
    truth: Truth,
    threshold: Floats | float,
    group: npt.NDArray[Any],
    *,
    names: tuple[str, ...] | None = None,
    draws: int = DRAWS,
) -> dict[str, Any]:
    """`measure.scores` with 95 % intervals that resample groups; the threshold may differ by row."""
    cut = np.broadcast_to(np.asarray(threshold, np.float64), prob.shape)
    point = measure.scores(prob, truth, cut)  # type: ignore[arg-type]
    drawn = [measure.scores(prob[rows], truth[rows], cut[rows]) for rows in resampled(truth, group, draws)]  # type: ignore[arg-type]
    said = prob >= cut
    out: dict[str, Any] = {"n": len(truth), "positive": int(truth.sum())}
    for name in names or tuple(point):
        low, high = np.percentile([draw[name] for draw in drawn], [2.5, 97.5])
        out[name] = {"value": round(point[name], 4), "ci95": [round(float(low), 4), round(float(high), 4)]}
    out["confusion"] = {
        "true_positive": int((said & truth).sum()),
        "false_negative": int((~said & truth).sum()),
        "false_positive": int((said & ~truth).sum()),
        "true_negative": int((~said & ~truth).sum()),
    }
    return out


def resampled(truth: Truth, group: npt.NDArray[Any], draws: int = DRAWS, seed: int = 0) -> Iterable[Rows]:
    """Row numbers of bootstrap draws over groups, each with both classes in it."""
    noise = np.random.default_rng(seed)
    _, inverse = np.unique(group, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(inverse[order]) > 0])
    members = np.split(order, starts[1:])
    single = len(members) == len(truth)
    for _ in range(draws):
        pick = noise.integers(0, len(members), len(members))
        rows = order[pick] if single else np.concatenate([members[k] for k in pick])
        if 0 < truth[rows].sum() < len(rows):
            yield rows


def against(prob: Floats, other: Floats, truth: Truth, group: npt.NDArray[Any]) -> dict[str, Any]:
    """AUC of a baseline, and of the model minus it, paired."""
    gaps = [
        roc_auc_score(truth[rows], prob[rows]) - roc_auc_score(truth[rows], other[rows])
        for rows in resampled(truth, group)
    ]
    own, base = float(roc_auc_score(truth, prob)), float(roc_auc_score(truth, other))
    return {
        "auc": round(base, 4),
        "model_minus_baseline": {
            "value": round(own - base, 4),
            "ci95": [round(float(v), 4) for v in np.percentile(gaps, [2.5, 97.5])],
        },
    }


def by_subgroup(held: Held, data: ValueSet, rows: Rows, least: int = 8) -> dict[str, Any]:
    """AUC, sensitivity and specificity by every named subgroup with enough of both classes."""
    out: dict[str, Any] = {}
    for name, values in data.subgroups.items():
        for value in sorted(set(values[rows].tolist())):
            here = rows[values[rows] == value]
            truth = data.truth[here]
            if min(truth.sum(), (~truth).sum()) < least:
                out[f"{name}: {value}"] = {"n": len(here), "positive": int(truth.sum()), "too_few": True}
                continue
            names = ("auc", "sensitivity", "specificity", "brier")
            found = summary(held.prob[here], truth, held.threshold[here], data.group[here], names=names, draws=300)
            out[f"{name}: {value}"] = found | {
                "observed_minus_predicted": round(float(truth.mean() - held.prob[here].mean()), 4)
            }
    return out


def coverage(held: Held, truth: Truth, rows: Rows) -> dict[str, Any]:
    """How often the conformal set held the truth, by class, and how often it was no single label."""
    prob = held.prob[rows]
    positive, negative = 1 - prob <= held.quantile_positive[rows], prob <= held.quantile_negative[rows]
    right, single = truth[rows], positive != negative
    return {
        "covered_positive": round(float(positive[right].mean()), 4),
        "covered_negative": round(float(negative[~right].mean()), 4),
        "both": round(float((positive & negative).mean()), 4),
        "neither": round(float((~positive & ~negative).mean()), 4),
        "accuracy_where_single": round(float((positive == right)[single].mean()), 4) if single.any() else None,
    }


def spread(values: list[float]) -> dict[str, Any]:
    """Each seed's value, their mean and range."""
    return {
        "each": [round(v, 4) for v in values],
        "mean": round(float(np.mean(values)), 4),
        "range": [round(min(values), 4), round(max(values), 4)],
    }


def mean_of_parts(held: Held, truth: Truth) -> float:
    """Mean over the splits of the AUC within each."""
    parts = [k for k in np.unique(held.part) if k >= 0]
    return float(np.mean([roc_auc_score(truth[held.part == k], held.prob[held.part == k]) for k in parts]))

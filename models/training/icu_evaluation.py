"""Evaluating the ICU network on set a by folds, beside gradient boosting and the scores of the time.

A fold's threshold, calibration and quantiles come from the other folds' held-out stays. The networks behind
those had seen the fold's own stays, which can touch three numbers, not the ranking; said on the card.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.metrics import precision_recall_curve, roc_auc_score

from models.training import icu_data, measure, value_measure
from models.training.icu_data import IcuSet
from models.training.icu_fit import fit, fit_scale, scaled
from models.training.icu_network import Member, Recipe
from models.training.rank import say
from models.training.value_measure import Held, Split, ValueSet

MEMBERS = 5
SENSITIVITY = 0.8
ALPHA = 0.2
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """Held-out probabilities of every member (N, members), and what leaving a variable out costs."""

    member: Floats
    importance: dict[str, float]


def as_values(data: IcuSet) -> ValueSet:
    """Truth, groups and subgroups; every stay is a group (no patient numbers were delivered)."""
    age, sex, unit = data.statics[:, 0], data.statics[:, 1], data.statics[:, 4]
    kinds = {1: "coronary", 2: "cardiac surgery", 3: "medical", 4: "surgical"}
    ventilated = ~np.isnan(data.values[:, :, list(icu_data.VARIABLES).index("MechVent")]).all(1)
    groups = {
        "unit": np.asarray([kinds.get(int(u), "unknown") for u in unit]),
        "sex": np.where(sex == 1, "men", np.where(sex == 0, "women", "unknown")),
        "age": np.select([age < 50, age < 65, age < 80], ["under 50", "50-64", "65-79"], "80 and more"),
        "ventilated": np.where(ventilated, "yes", "no"),
    }
    return ValueSet(np.zeros((len(age), 1)), data.death == 1, data.record, groups)


def score(data: IcuSet, splits: list[Split], recipe: Recipe, seed: int) -> Scores:
    """Every member on every fold, and the AUC lost when a variable is never measured (first member)."""
    member = np.zeros((len(data.death), MEMBERS))
    lost: dict[str, list[float]] = {name: [] for name in icu_data.VARIABLES}
    for number, (train, test) in enumerate(splits):
        scale = fit_scale(data.values[train], data.statics[train])
        known, asked = (scaled(scale, data.values[r], data.statics[r]) for r in (train, test))
        death = torch.from_numpy(data.death[train]).float()
        for k in range(MEMBERS):
            net = fit(*known, death, recipe, seed + k)
            member[test, k] = _prob(net, asked)
            if k == 0:
                _leave_out(net, scale, data, test, lost)
        say(f"fold {number}: {roc_auc_score(data.death[test], member[test].mean(1)):.4f}")
    return Scores(member, {name: round(float(np.mean(values)), 4) for name, values in lost.items()})


def _prob(net: Member, parts: tuple[torch.Tensor, torch.Tensor]) -> Floats:
    with torch.no_grad():
        return torch.sigmoid(net(*parts))[:, 0].numpy().astype(np.float64)


def _leave_out(net: Member, scale: Any, data: IcuSet, test: Any, lost: dict[str, list[float]]) -> None:
    full = roc_auc_score(data.death[test], _prob(net, scaled(scale, data.values[test], data.statics[test])))
    for place, name in enumerate(icu_data.VARIABLES):
        without = data.values[test].copy()
        without[:, :, place] = np.nan
        lost[name].append(
            full - roc_auc_score(data.death[test], _prob(net, scaled(scale, without, data.statics[test])))
        )


def held(member: Floats, truth: npt.NDArray[np.bool_], splits: list[Split]) -> Held:
    """The ensemble's mean, calibrated for each fold on the others' held-out stays."""
    mean = member.mean(1)
    out = {name: np.zeros(len(mean)) for name in ("prob", "threshold", "quantile_positive", "quantile_negative")}
    part = np.full(len(mean), -1)
    for number, (train, test) in enumerate(splits):
        chosen = value_measure.choose(mean[train], truth[train], SENSITIVITY, ALPHA)
        out["prob"][test] = measure.apply_platt(mean[test], chosen["slope"], chosen["intercept"])
        for name in ("threshold", "quantile_positive", "quantile_negative"):
            out[name][test] = chosen[name]
        part[test] = number
    return Held(**out, score=mean, part=part)


def event1(prob: Floats, truth: npt.NDArray[np.bool_]) -> float:
    """The challenge's first score: the best smaller one of sensitivity and positive predictivity."""
    precision, recall, _ = precision_recall_curve(truth, prob)
    return float(np.minimum(precision, recall).max())


def evaluate(data: IcuSet, scores: Scores, splits: list[Split], seed: int) -> tuple[dict[str, Any], Held]:
    """Everything but the exported graph's own numbers."""
    values = as_values(data)
    truth, rows = values.truth, np.arange(len(values.truth))
    said = held(scores.member, truth, splits)
    each = [_fold_mean(roc_auc_score, scores.member[:, k], truth, splits) for k in range(MEMBERS)]
    first = [_fold_mean(lambda t, p: event1(p, t), scores.member[:, k], truth, splits) for k in range(MEMBERS)]
    together = value_measure.mean_of_parts(said, truth)
    best = _fold_mean(lambda t, p: event1(p, t), said.prob, truth, splits)
    draws = [event1(said.prob[r], truth[r]) for r in value_measure.resampled(truth, values.group, 500)]
    found = {
        "test": value_measure.summary(said.prob, truth, said.threshold, values.group),
        "seeds": {
            "auc of one network, mean of folds": value_measure.spread(each),
            "Event-1 of one network, mean of folds": value_measure.spread(first),
            "auc of five together, by fold": value_measure.spread(
                [float(roc_auc_score(truth[test], said.prob[test])) for _, test in splits]
            ),
        },
        "event1": {
            "mean_of_folds": round(best, 4),
            "pooled": {
                "value": round(event1(said.prob, truth), 4),
                "ci95": [round(float(v), 4) for v in np.percentile(draws, [2.5, 97.5])],
            },
        },
        "before_calibration": {
            "brier": round(float(np.mean((said.score - truth) ** 2)), 4),
            "ece": round(measure.ece(said.score, truth), 4),
        },
        "baselines": _baselines(data, values, said, splits, seed),
        "external": {},
        "subgroups": value_measure.by_subgroup(said, values, rows),
        "conformal": {"alpha": ALPHA, "test": value_measure.coverage(said, truth, rows)},
        "auc_lost_when_never_measured": dict(sorted(scores.importance.items(), key=lambda p: -p[1])),
        "targets": {
            "AUC (five networks, mean of folds)": {"wanted": 0.85, "measured": round(together, 4)},
            "AUC of boosting on summaries": {"wanted": 0.854, "measured": round(together, 4)},
            "Event-1 (mean of folds)": {"wanted": 0.53, "measured": round(best, 4)},
        },
    }
    return found, said


def _fold_mean(what: Any, prob: Floats, truth: npt.NDArray[np.bool_], splits: list[Split]) -> float:
    return float(np.mean([what(truth[test], prob[test]) for _, test in splits]))


def _baselines(data: IcuSet, values: ValueSet, said: Held, splits: list[Split], seed: int) -> dict[str, Any]:
    others = {
        "gradient boosting on summaries (not shipped)": value_measure.boosted(
            values, splits, seed, icu_data.summaries(data).astype(np.float64)
        ),
        "SAPS-I": _filled(data.saps),
        "SOFA": _filled(data.sofa),
        "age alone": _filled(data.statics[:, 0]),
    }
    out = {name: value_measure.against(said.prob, other, values.truth, values.group) for name, other in others.items()}
    for name, other in others.items():
        out[name]["auc, mean of folds"] = round(_fold_mean(roc_auc_score, other, values.truth, splits), 4)
        out[name]["Event-1, mean of folds"] = round(
            _fold_mean(lambda t, p: event1(p, t), other, values.truth, splits), 4
        )
    return out


def _filled(value: npt.NDArray[np.float32]) -> Floats:
    return np.where(np.isnan(value), np.nanmedian(value), value).astype(np.float64)

"""Evaluating the ICU model on set a by folds, beside its own parts, plain boosting and the scores of the time.

A fold's trees, weights, calibration, threshold and quantiles come from folds within its training stays (`icu_choice`);
the stays it is tested on are scored once for each ensemble seed and choose nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import precision_recall_curve, roc_auc_score

from models.training import icu_choice, icu_data, measure, value_measure
from models.training.icu_choice import Chosen, mixed
from models.training.icu_data import IcuSet
from models.training.icu_members import Fitter, Floats, Rows
from models.training.icu_network import Recipe
from models.training.rank import say
from models.training.value_measure import Held, Split, ValueSet

MEMBERS = 3  # networks, and as many boosters
ENSEMBLES = 1  # of other seeds; the first one is shipped
SENSITIVITY = 0.8
ALPHA = 0.2
Truth = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Scores:
    """Held-out probabilities (N, members of all ensembles) of both kinds, and each fold's choice."""

    networks: Floats
    trees: Floats
    chosen: list[Chosen]

    def mixture(self, splits: list[Split], members: slice) -> Floats:
        """The ensemble of these members, with every fold's own weight."""
        out = np.zeros(len(self.networks))
        for (_, test), one in zip(splits, self.chosen, strict=True):
            out[test] = mixed(self.networks[test, members].mean(1), self.trees[test, members].mean(1), one.weight)
        return out


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


def score(fitter: Fitter, splits: list[Split], recipe: Recipe, seed: int) -> Scores:
    """Every member on every fold."""
    data, count = fitter.data, MEMBERS * ENSEMBLES
    networks, trees = np.zeros((len(data.death), count)), np.zeros((len(data.death), count))
    seeds, chosen = [seed + k for k in range(count)], []
    for number, (train, test) in enumerate(splits):
        one = icu_choice.choose(fitter, train, recipe, seed)
        boost = icu_choice.BOOSTS[one.boost]
        nets, boosters = fitter.networks(train, recipe, seeds), fitter.boosters(train, boost, seeds)
        networks[test] = fitter.ask_networks(nets, fitter.scale(train), test)
        trees[test] = fitter.ask_boosters(boosters, boost, test)
        chosen.append(one)
        aucs = [roc_auc_score(data.death[test], kind[test].mean(1)) for kind in (networks, trees)]
        say(f"fold {number}: {one.boost}, weight {one.weight}; AUC {aucs[0]:.4f} and {aucs[1]:.4f}")
    return Scores(networks, trees, chosen)


def held(scores: Scores, truth: Truth, splits: list[Split], members: slice) -> Held:
    """An ensemble's answers, calibrated for each fold on the inner folds of its training stays."""
    mean = scores.mixture(splits, members)
    out = {name: np.zeros(len(mean)) for name in ("prob", "threshold", "quantile_positive", "quantile_negative")}
    part = np.full(len(mean), -1)
    for number, ((train, test), one) in enumerate(zip(splits, scores.chosen, strict=True)):
        told = value_measure.choose(one.score, truth[train], SENSITIVITY, ALPHA)
        out["prob"][test] = measure.apply_platt(mean[test], told["slope"], told["intercept"])
        for name in ("threshold", "quantile_positive", "quantile_negative"):
            out[name][test] = told[name]
        part[test] = number
    return Held(**out, score=mean, part=part)


def event1(prob: Floats, truth: Truth) -> float:
    """The smaller one of sensitivity and positive predictivity at the best threshold, which nobody knows beforehand."""
    precision, recall, _ = precision_recall_curve(truth, prob)
    return float(np.minimum(precision, recall).max())


def event1_of_fold(score: Floats, truth: Truth, known: Floats, died: Truth) -> float:
    """The challenge's first score: the threshold is the one that calls as many training stays as died (`known`)."""
    said = score >= np.quantile(known, 1 - died.mean())
    hit = int((said & truth).sum())
    return hit / max(int(said.sum()), int(truth.sum()), 1)


def evaluate(data: IcuSet, scores: Scores, splits: list[Split], seed: int) -> tuple[dict[str, Any], Held]:
    """Everything but the exported graph's own numbers; lines are judged by the mean over ensembles of other seeds."""
    values = as_values(data)
    truth, rows = values.truth, np.arange(len(values.truth))
    every = [held(scores, truth, splits, _block(k)) for k in range(ENSEMBLES)]
    pairs = [held(scores, truth, splits, slice(k, k + 1)) for k in range(MEMBERS * ENSEMBLES)]
    said = every[0]
    over = "mean of folds and seeds" if ENSEMBLES > 1 else "mean of folds"
    auc = value_measure.spread([value_measure.mean_of_parts(one, truth) for one in every])
    first = value_measure.spread([_event1(scores, one, truth, splits) for one in every])
    found = {
        "test": value_measure.summary(said.prob, truth, said.threshold, values.group),
        "seeds": {
            "auc of an ensemble, mean of folds": auc,
            "Event-1 of an ensemble, mean of folds": first,
            "auc of the first ensemble, by fold": value_measure.spread(
                [float(roc_auc_score(truth[test], said.prob[test])) for _, test in splits]
            ),
            "auc of one network with one booster, mean of folds": value_measure.spread(
                [value_measure.mean_of_parts(one, truth) for one in pairs]
            ),
            "Event-1 of one network with one booster, mean of folds": value_measure.spread(
                [_event1(scores, one, truth, splits) for one in pairs]
            ),
            "auc of one network, mean of folds": _each(scores.networks, truth, splits),
            "auc of one booster, mean of folds": _each(scores.trees, truth, splits),
        },
        "event1": _event1_told(scores, said, truth, splits),
        "before_calibration": {
            "brier": round(float(np.mean((said.score - truth) ** 2)), 4),
            "ece": round(measure.ece(said.score, truth), 4),
        },
        "baselines": _baselines(data, scores, said, splits, seed),
        "external": {},
        "subgroups": value_measure.by_subgroup(said, values, rows),
        "conformal": {"alpha": ALPHA, "test": value_measure.coverage(said, truth, rows)},
        "targets": {
            f"AUC ({over})": {"wanted": 0.85, "measured": auc["mean"]},
            f"AUC of boosting on summaries ({over})": {"wanted": 0.854, "measured": auc["mean"]},
            f"Event-1 (threshold from training stays, {over})": {
                "wanted": 0.53,
                "measured": first["mean"],
            },
        },
    }
    return found, said


def _block(number: int) -> slice:
    return slice(number * MEMBERS, (number + 1) * MEMBERS)


def _each(member: Floats, truth: Truth, splits: list[Split]) -> dict[str, Any]:
    return value_measure.spread([_fold_mean(roc_auc_score, column, truth, splits) for column in member.T])


def _event1(scores: Scores, said: Held, truth: Truth, splits: list[Split]) -> float:
    told = [
        event1_of_fold(said.score[test], truth[test], one.score, truth[train])
        for (train, test), one in zip(splits, scores.chosen, strict=True)
    ]
    return float(np.mean(told))


def _event1_told(scores: Scores, said: Held, truth: Truth, splits: list[Split]) -> dict[str, Any]:
    """The first ensemble's Event-1: at the thresholds of training stays with its interval, and at the best one."""
    cut = np.zeros(len(truth))
    for (train, test), one in zip(splits, scores.chosen, strict=True):
        cut[test] = np.quantile(one.score, 1 - truth[train].mean())
    called = said.score >= cut

    def pooled(rows: Rows) -> float:
        hit = int((called[rows] & truth[rows]).sum())
        return hit / max(int(called[rows].sum()), int(truth[rows].sum()), 1)

    draws = [pooled(rows) for rows in value_measure.resampled(truth, np.arange(len(truth)), 500)]
    return {
        "threshold": "the share of stays called is the share that died among the training stays",
        "mean_of_folds": round(_event1(scores, said, truth, splits), 4),
        "pooled": {
            "value": round(pooled(np.arange(len(truth))), 4),
            "ci95": [round(float(v), 4) for v in np.percentile(draws, [2.5, 97.5])],
        },
        "at the best threshold of each fold, mean of folds (optimistic; how 1.0.0 told it)": round(
            _fold_mean(lambda t, p: event1(p, t), said.prob, truth, splits), 4
        ),
    }


def _fold_mean(what: Any, prob: Floats, truth: Truth, splits: list[Split]) -> float:
    return float(np.mean([what(truth[test], prob[test]) for _, test in splits]))


def _baselines(data: IcuSet, scores: Scores, said: Held, splits: list[Split], seed: int) -> dict[str, Any]:
    values = as_values(data)
    others = {
        "its networks alone": scores.networks[:, _block(0)].mean(1),
        "its trees alone": scores.trees[:, _block(0)].mean(1),
        "gradient boosting on plain summaries (not shipped)": value_measure.boosted(
            values, splits, seed, icu_data.summaries(data).astype(np.float64)
        ),
        "SAPS-I": _filled(data.saps),
        "SOFA": _filled(data.sofa),
        "age alone": _filled(data.statics[:, 0]),
    }
    out = {name: value_measure.against(said.prob, other, values.truth, values.group) for name, other in others.items()}
    for name, other in others.items():
        out[name]["auc, mean of folds"] = round(_fold_mean(roc_auc_score, other, values.truth, splits), 4)
        out[name]["Event-1 at the best threshold, mean of folds"] = round(
            _fold_mean(lambda t, p: event1(p, t), other, values.truth, splits), 4
        )
    return out


def _filled(value: npt.NDArray[np.float32]) -> Floats:
    return np.where(np.isnan(value), np.nanmedian(value), value).astype(np.float64)

"""What the detail pack is calibrated on: scores of every training image by heads that did not see its group.

Why: BreastMNIST's validation part has 54 images without a near-duplicate in training, and they happen to be easy (AUC
.96, in grouped folds of the training part .90). Quantiles from their 36 images that are not malignant promised 90 %
and covered 70 to 74 % of such training images out of fold. Here all training images calibrate, as in cross-conformal
prediction (Vovk, 2015; Barber et al., 2021), and those validation images with them. With one quantile for all folds
the promise is an approximation: the shipped heads are fitted on a tenth more groups than those that scored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedGroupKFold

from models.training import evaluation, measure
from models.training.detail_fit import DetailRecipe, Floats, distances, fit_heads, space_of

FOLDS = 10
Truth = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Scored:
    """Images as a pack would have answered that was made without them; `fold` tells which ones share a fit."""

    member: Floats  # (N, heads)
    distance: Floats  # (N,)
    truth: Truth
    fold: npt.NDArray[np.int64]

    def beside(self, member: Floats, distance: Floats, truth: Truth) -> Scored:
        """With images that the shipped heads did not see either, as one more fold."""
        return Scored(
            np.concatenate([self.member, member]),
            np.concatenate([self.distance, distance]),
            np.concatenate([self.truth, truth]),
            np.concatenate([self.fold, np.full(len(truth), self.fold.max() + 1)]),
        )


def out_of_fold(
    seen: Floats, truth: Truth, group: npt.NDArray[np.int64], recipe: DetailRecipe, seeds: list[int]
) -> Scored:
    """`seen` are the features of the training part; near-duplicate groups are kept together."""
    member, distance = np.full((len(seen), len(seeds)), np.nan), np.full(len(seen), np.nan)
    fold = np.full(len(seen), -1)
    parts = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0).split(seen, truth, group)
    for number, (inner, outer) in enumerate(parts):
        heads = fit_heads(seen[inner], truth[inner], group[inner], recipe.penalty, seeds)
        member[outer] = heads.member(seen[outer])
        distance[outer] = distances(seen[outer], heads, space_of(seen[inner], heads, recipe.components))
        fold[outer] = number
    return Scored(member, distance, truth, fold)


def choose(scored: Scored) -> dict[str, Any]:
    """Slope, threshold, quantiles and limit, and how well they hold for each fold when the others choose them."""
    return evaluation.choose(scored.member, scored.truth, scored.distance) | {
        "from": f"training images, each scored by heads that did not see its group ({FOLDS} folds), and the validation "
        "images without a near-duplicate in training",
        "held_for_other_folds": _held(scored),
    }


def _held(scored: Scored) -> dict[str, float]:
    """Coverage, sensitivity and share refused, over the images of all folds, by what the other folds chose."""
    covered, called = np.zeros(len(scored.truth), bool), np.zeros(len(scored.truth), bool)
    far = np.zeros(len(scored.truth), bool)
    for number in np.unique(scored.fold):
        here = scored.fold == number
        rule = evaluation.choose(scored.member[~here], scored.truth[~here], scored.distance[~here])
        prob = measure.apply_platt(scored.member[here].mean(1), rule["slope"], rule["intercept"])
        quantile = np.where(scored.truth[here], rule["quantile_positive"], rule["quantile_negative"])
        covered[here] = np.where(scored.truth[here], 1 - prob, prob) <= quantile
        called[here] = prob >= rule["threshold"]
        far[here] = scored.distance[here] > rule["distance_max"]
    truth = scored.truth
    return {
        "covered_positive": round(float(covered[truth].mean()), 4),
        "covered_negative": round(float(covered[~truth].mean()), 4),
        "sensitivity": round(float(called[truth].mean()), 4),
        "specificity": round(float(1 - called[~truth].mean()), 4),
        "refused_by_distance": round(float(far.mean()), 4),
    }

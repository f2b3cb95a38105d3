"""28 or 64 pixels: grouped cross-validation on BreastMNIST's train and validation parts, never its test.

    python -m models.training.choose_resolution --data DIR --out choice.json

Why: more pixels cost four times the work and leave the published benchmark; they must earn it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold

from models.training.breast_data import MALIGNANT, BreastSet, at_side, load
from models.training.fit import Recipe, fit, positive, scaled
from models.training.measure import difference
from models.training.network import halve
from models.training.rank import is_first, say

RECIPES = {"28": Recipe(side=28, stem_stride=1), "64": Recipe(side=64, stem_stride=2)}
FOLDS = 5


def out_of_fold(data: BreastSet, recipe: Recipe) -> tuple[np.ndarray[Any, Any], list[float]]:
    """Scores of every train and validation image by the one member that did not see its group."""
    rows = data.rows("train", "val")
    images, score, aucs = at_side(data, recipe.side), np.full(len(data.label), np.nan), []
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    for seed, (inner, outer) in enumerate(folds.split(rows, data.label[rows], data.group[rows])):
        train, test = rows[inner], rows[outer]
        mean, deviation = images[train].mean() / 255, images[train].std() / 255
        net = fit(scaled(images[train], mean, deviation), torch.from_numpy(data.label[train]), recipe, seed)
        halve(net)  # as shipped
        score[test] = positive(net, scaled(images[test], mean, deviation))
        aucs.append(float(roc_auc_score(data.label[test] == MALIGNANT, score[test])))
        say(f"{recipe.side} px, fold {seed}: AUC {aucs[-1]:.4f}")
    return score, aucs


def summary(data: BreastSet, score: dict[str, np.ndarray[Any, Any]], aucs: dict[str, list[float]]) -> dict[str, Any]:
    """What the choice rests on."""
    rows = data.rows("train", "val")
    truth = data.label[rows] == MALIGNANT
    return {
        "protocol": f"{FOLDS} folds over the {len(rows)} train and validation images, near-duplicate groups kept "
        "together, one member per fold, same recipe and schedule; the test part was not read",
        "fold_auc": {side: [round(a, 4) for a in values] for side, values in aucs.items()},
        "mean_auc": {side: round(float(np.mean(values)), 4) for side, values in aucs.items()},
        "pooled_64_minus_28": difference(score["64"][rows], score["28"][rows], truth, data.group[rows], 0),
    }


def main() -> None:
    """Fit 2 x 5 members (about 8 minutes on one core) and write the summary."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    data = load(args.data)
    found = {side: out_of_fold(data, recipe) for side, recipe in RECIPES.items()}
    result = summary(data, {k: v[0] for k, v in found.items()}, {k: v[1] for k, v in found.items()})
    if is_first():
        args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

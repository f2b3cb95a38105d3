"""128 pixels through a pretrained backbone, or 28 through our own: grouped cross-validation, never the test part.

    python -m models.training.choose_detail --data DIR --out choice.json [--plain-seeds 5]

Same folds as `choose_resolution`, and the same again over two other partitions for the pretrained one, whose heads
cost seconds. The 28-pixel network is fitted once per fold and seed (a minute each on one core), kept in `--cache`; with
several seeds it is an ensemble, as shipped, and each seed alone tells how much of a difference is luck.
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

from models.training.breast_data import MALIGNANT, BreastSet, load
from models.training.detail_fit import DetailRecipe, Floats, features, fit_heads, pooled
from models.training.ensemble import fit_members
from models.training.fit import Recipe, positive, scaled
from models.training.measure import difference
from models.training.network import halve
from models.training.rank import is_first

FOLDS, PARTITIONS = 5, 3
HEADS = [1, 2, 3, 4, 5]
Parts = list[tuple[Any, Any]]


def parts(data: BreastSet, partition: int) -> Parts:
    """Inner and outer places among the train and validation rows, near-duplicate groups kept together."""
    rows = data.rows("train", "val")
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=partition)
    return list(folds.split(rows, data.label[rows], data.group[rows]))


def detail_scores(data: BreastSet, seen: Floats, recipe: DetailRecipe, partition: int) -> Floats:
    """Out-of-fold score of every train and validation image by heads that did not see its group."""
    rows = data.rows("train", "val")
    truth, group, score = data.label[rows] == MALIGNANT, data.group[rows], np.full(len(rows), np.nan)
    for inner, outer in parts(data, partition):
        heads = fit_heads(seen[inner], truth[inner], group[inner], recipe.penalty, HEADS)
        score[outer] = heads.positive(seen[outer])
    return score


def plain_scores(data: BreastSet, seeds: list[int], cache: Path) -> Floats:
    """(seeds, images) the same of the 28-pixel network, member by member."""
    rows, recipe = data.rows("train", "val"), Recipe()
    score = np.full((len(seeds), len(rows)), np.nan)
    for inner, outer in parts(data, 0):
        train = rows[inner]
        members, mean, deviation = fit_members(data.small[train], data.label[train], recipe, seeds, cache)
        for member in members:
            halve(member)  # as shipped
        x = scaled(data.small[rows[outer]], mean, deviation)
        score[:, outer] = [positive(member, x) for member in members]
    return score


def summary(data: BreastSet, found: list[Floats], plain: Floats) -> dict[str, Any]:
    """What the choice rests on; `found` per partition, `plain` per seed for the first partition."""
    rows = data.rows("train", "val")
    truth = data.label[rows] == MALIGNANT

    def by_fold(score: Floats, partition: int) -> list[float]:
        return [round(float(roc_auc_score(truth[o], score[o])), 4) for _, o in parts(data, partition)]

    each = {"28": by_fold(plain.mean(0), 0), "128": by_fold(found[0], 0)}
    return {
        "protocol": f"{FOLDS} folds over the {len(rows)} train and validation images, near-duplicate groups kept "
        f"together; 128 px: {len(HEADS)} heads on a frozen backbone, 28 px: {len(plain)} member(s) per fold; the test "
        "part was not read. Penalty, blocks and working size were chosen among about forty combinations on the same "
        "images, so that the 128-px figure is somewhat too good",
        "fold_auc": each,
        "mean_auc": {side: round(float(np.mean(values)), 4) for side, values in each.items()},
        "mean_auc_128_by_partition": [round(float(np.mean(by_fold(s, k))), 4) for k, s in enumerate(found)],
        "mean_auc_28_by_seed": [round(float(np.mean(by_fold(one, 0))), 4) for one in plain],
        "pooled_128_minus_28": difference(found[0], plain.mean(0), truth, data.group[rows], 0),
        "pooled_128_minus_28_by_seed": [difference(found[0], one, truth, data.group[rows], 0) for one in plain],
    }


def main() -> None:
    """Score both and write the summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("members"))
    parser.add_argument("--plain-seeds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    data, recipe = load(args.data), DetailRecipe()
    seen = features(pooled(recipe), data.large[data.rows("train", "val")])
    found = [detail_scores(data, seen, recipe, partition) for partition in range(PARTITIONS)]
    plain = plain_scores(data, list(range(1, args.plain_seeds + 1)), args.cache)
    if is_first():
        args.out.write_text(json.dumps(summary(data, found, plain), indent=1) + "\n")


if __name__ == "__main__":
    main()

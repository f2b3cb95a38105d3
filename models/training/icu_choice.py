"""Folds within training stays: which trees, how much weight they get beside the networks, and where the answers turn.

Everything that an outer fold's model needs to be told comes from here, so that the stays it is tested on choose
nothing. The shipped model takes what did best on average within the outer folds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from models.training import value_measure
from models.training.icu_members import Fitter, Floats, Rows
from models.training.icu_network import Recipe
from models.training.icu_trees import Boost

INNER = 3
BOOSTS = {
    "200 trees of 8 leaves, rate .05": Boost(),
    "400 trees of 5 leaves, rate .03": Boost(learning_rate=0.03, max_iter=400, max_leaf_nodes=5),
}
WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the trees; the networks have the rest


@dataclass(frozen=True)
class Chosen:
    """What folds within some stays chose, the scores it rests on, and every candidate's AUC."""

    boost: str
    weight: float
    score: Floats  # of the chosen mixture for those stays, by members that had not seen them
    auc: dict[str, dict[str, float]]  # by boost, by weight: mean of the inner folds

    def told(self) -> dict[str, Any]:
        """For `evaluation.json`."""
        return {"taken": [self.boost, self.weight], "mean_auc_of_inner_folds": self.auc}


def choose(fitter: Fitter, rows: Rows, recipe: Recipe, seed: int) -> Chosen:
    """One network and one booster of each kind on every inner fold of `rows`."""
    truth = fitter.data.death[rows] == 1
    splits = value_measure.folds(truth, fitter.data.record[rows], seed, INNER)
    network, trees = np.zeros(len(rows)), {name: np.zeros(len(rows)) for name in BOOSTS}
    for train, test in splits:
        known, asked = rows[train], rows[test]
        nets = fitter.networks(known, recipe, [seed])
        network[test] = fitter.ask_networks(nets, fitter.scale(known), asked)[:, 0]
        for name, boost in BOOSTS.items():
            trees[name][test] = fitter.ask_boosters(fitter.boosters(known, boost, [seed]), boost, asked)[:, 0]

    def auc(score: Floats) -> float:
        return round(float(np.mean([roc_auc_score(truth[test], score[test]) for _, test in splits])), 4)

    table = {
        name: {str(weight): auc(mixed(network, score, weight)) for weight in WEIGHTS} for name, score in trees.items()
    }
    boost, weight = best(table)
    return Chosen(boost, weight, mixed(network, trees[boost], weight), table)


def mixed(network: Floats, trees: Floats, weight: float) -> Floats:
    """Both kinds' probabilities, averaged with the trees' weight."""
    return np.asarray((1 - weight) * network + weight * trees)


def best(table: dict[str, dict[str, float]]) -> tuple[str, float]:
    """The highest AUC; the first of equals."""
    cells = [(value, name, float(weight)) for name, row in table.items() for weight, value in row.items()]
    _, name, weight = max(cells, key=lambda cell: cell[0])
    return name, weight


def on_average(every: list[Chosen]) -> tuple[dict[str, dict[str, float]], str, float]:
    """The mean table over outer folds, and what it prefers: the shipped model's settings."""
    table = {
        name: {w: round(float(np.mean([one.auc[name][w] for one in every])), 4) for w in row}
        for name, row in every[0].auc.items()
    }
    return table, *best(table)

"""Gradient boosting on summaries of a stay, and its trees as plain tensor arithmetic for the graph.

scikit-learn's histogram boosting has no converter that works (see the project's notes on ONNX), and the operator for
trees runs on no graphics processor. Here every tree is a few comparisons and one product: a leaf is reached where as
many tests on its way said "left" as the way goes left, and none where it goes right (Nakandala et al., OSDI 2020).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from torch import Tensor, nn

Booster = HistGradientBoostingClassifier
NEVER = 1e3  # lefts that no way has: a leaf that does not exist


@dataclass(frozen=True)
class Boost:
    """All that decides the trees, besides data and seed."""

    learning_rate: float = 0.05
    max_iter: int = 200
    max_leaf_nodes: int = 8
    min_samples_leaf: int = 20
    l2_regularization: float = 5.0
    max_features: float = 0.2  # of the summaries, drawn anew at every split: what makes seeds differ
    max_bins: int = 63


def boost(features: npt.NDArray[np.float32], death: npt.NDArray[np.bool_], recipe: Boost, seed: int) -> Booster:
    """One booster; nothing is held back to stop early by."""
    learner = Booster(**asdict(recipe), early_stopping=False, random_state=seed)
    some = ~np.isnan(features).all(0)  # a summary that nobody has parts nobody; the binning cannot take it
    return learner.fit(np.where(some, features, 0.0).astype(np.float64), death)


class Trees(nn.Module):
    """(B, features) with NaN to one logit for each booster (B, boosters), as scikit-learn gives it (see `_beyond`)."""

    field: Tensor
    cut: Tensor
    absent: Tensor
    way: Tensor
    lefts: Tensor
    leaf: Tensor
    base: Tensor

    def __init__(self, boosters: list[Booster], leaves: int) -> None:
        super().__init__()
        trees = [_laid_out(rounds[0].nodes, leaves) for one in boosters for rounds in one._predictors]
        self.count, self.leaves = len(boosters), leaves
        for name, kind in (("field", np.int64), *((name, np.float32) for name in _FLOATS)):
            self.register_buffer(name, torch.from_numpy(np.stack([tree[name] for tree in trees]).astype(kind)))
        self.field = self.field.reshape(-1)
        self.register_buffer("base", torch.tensor([float(one._baseline_prediction[0, 0]) for one in boosters]))

    def forward(self, features: Tensor) -> Tensor:
        tests = self.leaves - 1
        asked = torch.index_select(features, 1, self.field).reshape(-1, len(self.cut), tests)
        missing = torch.isnan(asked)
        left = torch.where(missing, self.absent, (asked <= self.cut).to(self.cut.dtype))
        gone = torch.matmul(left.unsqueeze(2), self.way).squeeze(2)  # (B, trees, leaves)
        reached = (gone > self.lefts - 0.5).to(self.cut.dtype)
        each = (reached * self.leaf).sum(2)
        return each.reshape(-1, self.count, len(self.cut) // self.count).sum(2) + self.base


_FLOATS = ("cut", "absent", "way", "lefts", "leaf")


def _laid_out(nodes: Any, leaves: int) -> dict[str, npt.NDArray[Any]]:
    """One tree of scikit-learn as arrays of fixed size: tests, the ways to the leaves, and their values."""
    out = {
        "field": np.zeros(leaves - 1, np.int64),
        "cut": np.zeros(leaves - 1),
        "absent": np.zeros(leaves - 1),
        "way": np.zeros((leaves - 1, leaves)),
        "lefts": np.full(leaves, NEVER),
        "leaf": np.zeros(leaves),
    }
    tests = {int(k): place for place, k in enumerate(np.flatnonzero(nodes["is_leaf"] == 0))}
    for k, place in tests.items():
        out["field"][place] = nodes[k]["feature_idx"]
        out["cut"][place] = _beyond(float(nodes[k]["num_threshold"]))
        out["absent"][place] = float(nodes[k]["missing_go_to_left"])
    ways: list[tuple[int, list[tuple[int, float]]]] = [(0, [])]
    number = 0
    while ways:
        k, steps = ways.pop()
        if k not in tests:
            for place, side in steps:
                out["way"][place, number] = side
            out["lefts"][number] = sum(side > 0 for _, side in steps)
            out["leaf"][number] = nodes[k]["value"]
            number += 1
            continue
        ways += [(int(nodes[k]["right"]), [*steps, (tests[k], -1.0)])]
        ways += [(int(nodes[k]["left"]), [*steps, (tests[k], 1.0)])]
    return out


def _beyond(threshold: float) -> float:
    """A little above `threshold`, which often is a value that stays have: rounding must not decide on which side."""
    limit = float(np.finfo(np.float32).max)
    return float(np.clip(threshold + 1e-5 * abs(threshold) + 3e-5, -limit, limit))

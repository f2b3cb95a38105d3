"""One kind of member or the other, fitted on some stays and asked about others; kept on disk where a folder is given.

Why kept: folds within folds are many fits, and a run that was broken off need not begin anew. The key is everything
that decides a fit: recipe, seed and the very numbers it was fitted on.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from models.training.group import joined
from models.training.icu_data import IcuSet
from models.training.icu_features import Features
from models.training.icu_fit import fit, fit_scale, scaled
from models.training.icu_network import Member, Recipe, Scale
from models.training.icu_trees import Boost, Booster, Trees, boost

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Fitter:
    """Fits and asks members on rows of `data`; `features` are what trees read, of all its stays."""

    data: IcuSet
    features: npt.NDArray[np.float32]
    cache: Path | None

    def scale(self, rows: Rows) -> Scale:
        """Centres and spreads of these stays alone."""
        return fit_scale(self.data.values[rows], self.data.statics[rows])

    def networks(self, rows: Rows, recipe: Recipe, seeds: list[int]) -> list[Member]:
        """One network a seed."""
        parts: list[tuple[torch.Tensor, torch.Tensor]] = []  # computed once, and only where something is fitted
        death = torch.from_numpy(self.data.death[rows]).float()

        def one(seed: int) -> Member:
            if not parts:
                parts.append(scaled(self.scale(rows), self.data.values[rows], self.data.statics[rows]))
            return fit(*parts[0], death, recipe, seed)

        return [self._kept((recipe, seed), rows, lambda s=seed: one(s)) for seed in seeds]

    def boosters(self, rows: Rows, recipe: Boost, seeds: list[int]) -> list[Booster]:
        """One booster a seed."""
        known, death = self.features[rows], self.data.death[rows] == 1
        return [self._kept((recipe, seed), rows, lambda s=seed: boost(known, death, recipe, s)) for seed in seeds]

    def ask_networks(self, networks: list[Member], scale: Scale, rows: Rows) -> Floats:
        """(rows, networks) probabilities."""
        return ask(networks, scaled(scale, self.data.values[rows], self.data.statics[rows]))

    def ask_boosters(self, boosters: list[Booster], recipe: Boost, rows: Rows) -> Floats:
        """(rows, boosters) probabilities, by the arithmetic of the graph."""
        return ask_trees(Trees(boosters, recipe.max_leaf_nodes), self.features[rows])

    def _kept(self, told: tuple[Any, int], rows: Rows, made: Callable[[], Any]) -> Any:
        if self.cache is None or joined().size > 1:  # several processes fit together, so that none may skip a fit
            return made()
        parts = (repr(told).encode(), rows.tobytes(), self.features[rows].tobytes(), self.data.values[rows].tobytes())
        path = self.cache / hashlib.sha256(b"".join(parts)).hexdigest()[:24]
        if not path.is_file():
            self.cache.mkdir(parents=True, exist_ok=True)
            path.write_bytes(pickle.dumps(made()))
        return pickle.loads(path.read_bytes())  # noqa: S301 - the folder is the trainer's own


def ask(networks: list[Member], parts: tuple[torch.Tensor, torch.Tensor]) -> Floats:
    """(rows, networks) probabilities of scaled stays."""
    with torch.no_grad():
        logits = torch.cat([net(*parts) for net in networks], 1)
    return torch.sigmoid(logits).numpy().astype(np.float64)


def ask_trees(trees: Trees, features: npt.NDArray[np.float32]) -> Floats:
    """(rows, boosters) probabilities of stays' features."""
    with torch.no_grad():
        parts = [trees(torch.from_numpy(features[k : k + 256])) for k in range(0, len(features), 256)]
    return torch.sigmoid(torch.cat(parts)).numpy().astype(np.float64)


def features_of(data: IcuSet) -> npt.NDArray[np.float32]:
    """What trees read of every stay; no stay's row depends on another stay."""
    read = Features()
    with torch.no_grad():
        parts = [
            read(torch.from_numpy(data.values[k : k + 256]), torch.from_numpy(data.statics[k : k + 256])).numpy()
            for k in range(0, len(data.values), 256)
        ]
    return np.concatenate(parts)

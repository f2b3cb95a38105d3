"""Fitting the members of an ensemble, kept on disk so that evaluation and export can be repeated.

The cache is keyed by everything that decides the weights: recipe, seed, pixels and labels. A changed
recipe or image therefore fits anew.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from models.training.fit import Recipe, fit, scaled
from models.training.group import joined
from models.training.network import GreyNet
from models.training.rank import is_first, say


def fit_members(
    images: npt.NDArray[np.uint8],
    label: npt.NDArray[np.int64],
    recipe: Recipe,
    seeds: list[int],
    cache: Path,
) -> tuple[list[GreyNet], float, float]:
    """One member per seed on (N, side, side) images; returns them with the pixels' mean and deviation."""
    mean, deviation = float(images.mean() / 255), float(images.std() / 255)
    cache.mkdir(parents=True, exist_ok=True)
    x, y = scaled(images, mean, deviation), torch.from_numpy(label)
    return [_member(x, y, recipe, seed, cache) for seed in seeds], mean, deviation


def _member(x: torch.Tensor, y: torch.Tensor, recipe: Recipe, seed: int, cache: Path) -> GreyNet:
    key = hashlib.sha256(repr((recipe, seed)).encode() + x.numpy().tobytes() + y.numpy().tobytes()).hexdigest()
    path = cache / f"{key[:24]}.pt"
    net = GreyNet(recipe.width, recipe.stem_stride, dropout=recipe.dropout)
    group = joined()
    if group.agreed(path.is_file()):
        if is_first():
            net.load_state_dict(torch.load(path, weights_only=True))
        for told in net.state_dict().values():
            group.from_first(told)
        return net.eval()
    say(f"fitting seed {seed}")
    net = fit(x, y, recipe, seed)
    if is_first():
        torch.save(net.state_dict(), path)
    return net

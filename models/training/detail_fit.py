"""Fitting linear heads on the pooled maps of a frozen backbone, and the space that distances are measured in.

546 images cannot move three million weights honestly; a few hundred coefficients, penalised, they can. Each
head leaves out another tenth of the near-duplicate groups, so that the heads' spread says something; draws with
replacement (bagging) were worse in cross-validation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import LogisticRegression

from models.training.detail_network import Detail, Pooled
from models.training.lite_backbone import pretrained
from models.training.network import halve

Floats = npt.NDArray[np.float64]
BATCH = 16
KEPT = 0.9  # share of the groups that a head sees


@dataclass(frozen=True)
class DetailRecipe:
    """What decides a fit besides its data and seeds; chosen by `choose_detail`."""

    side: int = 128
    work: int = 192
    taps: tuple[int, ...] = (10, 14, 15)
    penalty: float = 0.05  # scikit-learn's C
    components: int = 64


@dataclass(frozen=True)
class Heads:
    """Standardisation of the features and one linear head per seed."""

    mean: Floats
    deviation: Floats
    coefficient: Floats  # (heads, features), for standardised features
    intercept: Floats  # (heads,)

    def member(self, features: Floats) -> Floats:
        """(N, heads) uncalibrated probability by each head."""
        logit = (features - self.mean) / self.deviation @ self.coefficient.T + self.intercept
        return np.asarray(1 / (1 + np.exp(-logit)))

    def positive(self, features: Floats) -> Floats:
        """(N,) mean over the heads."""
        return np.asarray(self.member(features).mean(1))


def pooled(recipe: DetailRecipe) -> Pooled:
    """The backbone as shipped: its weights rounded to halves before anything is fitted on what it sees."""
    backbone = pretrained(recipe.taps)
    halve(backbone)
    return Pooled(backbone, recipe.side, recipe.work).eval()


def features(net: Pooled, images: npt.NDArray[np.uint8]) -> Floats:
    """(N, features) of (N, side, side) bytes, averaged over each image and its mirror."""
    parts = []
    with torch.no_grad():
        for start in range(0, len(images), BATCH):
            raw = torch.from_numpy(images[start : start + BATCH, ..., None].astype(np.float32))
            parts.append(((net(raw) + net(torch.flip(raw, [2]))) / 2).double().numpy())
    return np.concatenate(parts)


def fit_heads(
    seen: Floats, truth: npt.NDArray[np.bool_], group: npt.NDArray[np.int64], penalty: float, seeds: list[int]
) -> Heads:
    """One penalised logistic head per seed, each on its own draw of groups."""
    mean, deviation = seen.mean(0), seen.std(0) + 1e-6
    z, (names, place) = (seen - mean) / deviation, np.unique(group, return_inverse=True)
    fitted = []
    for seed in seeds:
        drawn = np.random.default_rng(seed).permutation(len(names))[: int(KEPT * len(names))]
        kept = np.isin(place, drawn)
        fitted.append(LogisticRegression(C=penalty, max_iter=500).fit(z[kept], truth[kept]))
    coefficient = np.concatenate([one.coef_ for one in fitted])
    return Heads(mean, deviation, coefficient, np.concatenate([one.intercept_ for one in fitted]))


def space_of(seen: Floats, heads: Heads, components: int) -> dict[str, torch.Tensor]:
    """Principal axes of the standardised training features, their spread, and that of what they leave."""
    z = (seen - heads.mean) / heads.deviation
    _, values, axes = np.linalg.svd(z, full_matrices=False)
    variance = values**2 / (len(z) - 1)
    left = variance[components:].sum() / (z.shape[1] - components)
    found = {
        "mean": heads.mean,
        "deviation": heads.deviation,
        "axes": axes[:components].T,
        "scale": np.sqrt(variance[:components]),
        "rest": np.sqrt(left),
    }
    return {name: torch.tensor(value, dtype=torch.float32) for name, value in found.items()}


def distances(seen: Floats, heads: Heads, space: dict[str, torch.Tensor]) -> Floats:
    """(N,) length of the embedding that `Detail` gives for these features in this space."""
    axes, scale, rest = (space[name].double().numpy() for name in ("axes", "scale", "rest"))
    z = (seen - heads.mean) / heads.deviation
    along = z @ axes
    left = np.linalg.norm(z - along @ axes.T, axis=1)
    return np.asarray(np.sqrt(((along / scale) ** 2).sum(1) + (left / rest) ** 2))


def assembled(net: Pooled, heads: Heads, space: dict[str, torch.Tensor]) -> Detail:
    """Heads on raw features, so that the graph needs no standardising."""
    weight = torch.tensor(heads.coefficient / heads.deviation, dtype=torch.float32)
    return Detail(net, weight, torch.tensor(heads.intercept, dtype=torch.float32), space).eval()

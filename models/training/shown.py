"""Whether a picture is shown as the training pictures are: upright, and bright where tissue is bright.

Why: the distance to the training images hardly notices an ultrasound image that is upside down or inverted, and the
model answers for it all the same. An ultrasound image has a near field, bright skin at the top and shadows downwards,
so a linear rule over mean grey levels, edges and brightness by height tells. It needs no labels: the training images
and what turning them makes of them are the two classes; gain and framing are drawn, so that neither is learnt.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from torch import Tensor, nn
from torch.nn import functional as F

Floats = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]
Whole = npt.NDArray[np.int64]
GRID, COARSE = 16, 8  # cells each way for grey levels, for edges and brightness
STEPS = np.linspace(0.05, 0.95, 10)  # of brightness, 0 to 1
SOFT = 0.04  # width of a step
DRAWN = 2  # copies of every image with another gain and framing
PENALTY = 0.01  # scikit-learn's C; .003 to .03 did the same out of fold
REFUSED = 1  # % of proper images, out of fold, that the limit gives up
FOLDS = 10
BATCH = 64


class Sight(nn.Module):
    """(B, side, side, 1) raw pixels to (B, 336) means, the same for an image and its mirror."""

    steps: Tensor

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side
        self.register_buffer("steps", torch.tensor(STEPS, dtype=torch.float32).reshape(1, -1, 1, 1))

    def forward(self, raw: Tensor) -> Tensor:
        grey = raw.reshape(-1, 1, self.side, self.side) / 255
        down = F.pad(grey[:, :, 1:] - grey[:, :, :-1], (0, 0, 0, 1))
        across = F.pad(grey[:, :, :, 1:] - grey[:, :, :, :-1], (0, 1, 0, 0))
        bright = torch.sigmoid((grey - self.steps) / SOFT)
        return torch.cat(
            [
                self._halves(grey, GRID),
                *(self._halves(edge, COARSE) for edge in (down.abs(), across.abs(), down.relu(), (-down).relu())),
                F.avg_pool2d(bright, (self.side // COARSE, self.side)).flatten(1),
            ],
            1,
        )

    def _halves(self, plane: Tensor, cells: int) -> Tensor:
        """Means of `cells` by `cells` parts, the left half of what image and mirror have in common."""
        both = (plane + torch.flip(plane, [3])) / 2
        return F.avg_pool2d(both, self.side // cells)[..., : cells // 2].flatten(1)


def seen(images: Pixels) -> Floats:
    """(N, 336) of (N, side, side) bytes."""
    sight, parts = Sight(images.shape[1]), []
    with torch.no_grad():
        for start in range(0, len(images), BATCH):
            raw = np.ascontiguousarray(images[start : start + BATCH, ..., None]).astype(np.float32)
            parts.append(sight(torch.from_numpy(raw)).double().numpy())
    return np.concatenate(parts)


def turned(images: Pixels) -> dict[str, Pixels]:
    """The images as they are, and in the seven other ways; a mirror image is none of them."""
    left, right = np.rot90(images, 1, (1, 2)), np.rot90(images, 3, (1, 2))
    ways = {"proper": images, "upside down": images[:, ::-1], "on the left side": left, "on the right side": right}
    return ways | {f"inverted, {name}": 255 - way for name, way in ways.items()}


def drawn(images: Pixels, seed: int) -> Pixels:
    """Each image with another gain, contrast curve and framing."""
    rng, side = np.random.default_rng(seed), images.shape[1]
    found = []
    for image in images:
        kept = int(rng.uniform(0.8, 1) * side)
        top, left = rng.integers(0, side - kept + 1, 2)
        part = Image.fromarray(np.ascontiguousarray(image[top : top + kept, left : left + kept]))
        grey = np.asarray(part.resize((side, side), Image.Resampling.BICUBIC)) / 255
        grey = grey ** np.exp(rng.uniform(-0.5, 0.5)) * rng.uniform(0.75, 1.25)
        found.append(np.clip(np.rint(grey * 255), 0, 255).astype(np.uint8))
    return np.stack(found)


def fit(images: Pixels, truth: npt.NDArray[np.bool_], group: Whole) -> tuple[Floats, float, dict[str, Any]]:
    """Weights and intercept of the rule, and its limit with what it refuses out of fold, as probabilities.

    `truth` only keeps the folds alike; near-duplicate groups are kept together.
    """
    sets = [images, *(drawn(images, seed) for seed in range(DRAWN))]
    known = [{name: seen(way) for name, way in turned(each).items()} for each in sets]
    fresh = seen(drawn(images, DRAWN))
    score = {name: np.full(len(images), np.nan) for name in known[0]} | {"gain": np.full(len(images), np.nan)}
    for inner, outer in StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0).split(images, truth, group):
        weight, bias = _rule(known, inner)
        for name, values in known[0].items():
            score[name][outer] = values[outer] @ weight + bias
        score["gain"][outer] = fresh[outer] @ weight + bias
    weight, bias = _rule(known, np.arange(len(images)))
    limit = float(np.percentile(score["proper"], REFUSED))
    told = {name: round(float((values < limit).mean()), 4) for name, values in score.items() if name != "gain"}
    chosen = {
        "shown_min": round(float(1 / (1 + np.exp(-limit))), 4),
        "refused_out_of_fold": told,
        "proper_with_other_gain_and_framing_refused": round(float((score["gain"] < limit).mean()), 4),
        "n": len(images),
    }
    return weight, bias, chosen


def _rule(known: list[dict[str, Floats]], rows: Whole) -> tuple[Floats, float]:
    """Penalised logistic regression, on raw features so that the graph needs no standardising."""
    ways = [(values[rows], name == "proper") for each in known for name, values in each.items()]
    features = np.concatenate([values for values, _ in ways])
    proper = np.concatenate([np.full(len(values), is_proper) for values, is_proper in ways])
    mean, deviation = features.mean(0), features.std(0) + 1e-6
    rule = LogisticRegression(C=PENALTY, max_iter=400, class_weight="balanced")
    rule.fit((features - mean) / deviation, proper)
    weight = rule.coef_[0] / deviation
    return np.asarray(weight), float(rule.intercept_[0] - mean @ weight)


class Shown(nn.Module):
    """(B, 1) probability that a picture is shown as the training pictures are."""

    def __init__(self, side: int, weight: Floats, bias: float) -> None:
        super().__init__()
        self.sight = Sight(side)
        self.register_buffer("weight", torch.tensor(weight[:, None], dtype=torch.float32))
        self.register_buffer("bias", torch.tensor([bias], dtype=torch.float32))

    def forward(self, raw: Tensor) -> Tensor:
        return torch.sigmoid(self.sight(raw) @ self.get_buffer("weight") + self.get_buffer("bias"))

"""Fitting one member: augmentation, schedule, loss. No validation image is looked at while fitting.

A fixed schedule instead of "best validation epoch": with 78 validation images the best epoch is mostly
luck, and the validation part stays untouched for calibration, threshold and conformal quantiles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from models.training.group import joined
from models.training.network import GreyNet


@dataclass(frozen=True)
class Recipe:
    """What decides a fit besides its data."""

    side: int = 28
    width: int = 16
    stem_stride: int = 1
    epochs: int = 50
    batch: int = 64
    top_rate: float = 3e-3
    decay: float = 5e-4
    smoothing: float = 0.05
    dropout: float = 0.3


def scaled(images: npt.NDArray[np.uint8], mean: float, deviation: float) -> Tensor:
    """(N, H, W) bytes to (N, 1, H, W) with the training part's mean and deviation taken out."""
    return (torch.from_numpy(images).float()[:, None] / 255.0 - mean) / deviation


def augmented(x: Tensor, noise: torch.Generator) -> Tensor:
    """Rotation 12 degrees, scale 12 %, shift 8 %, mirror, contrast and brightness, one draw per image."""
    count = len(x)

    def draw(limit: float) -> Tensor:
        return (torch.rand(count, generator=noise) * 2 - 1) * limit

    angle, scale = draw(0.21), 1 + draw(0.12)
    side = torch.where(torch.rand(count, generator=noise) < 0.5, -1.0, 1.0)
    cosine, sine = torch.cos(angle) * scale, torch.sin(angle) * scale
    rows = torch.stack(
        [
            torch.stack([cosine * side, -sine, draw(0.16)], 1),
            torch.stack([sine * side, cosine, draw(0.16)], 1),
        ],
        1,
    )
    grid = F.affine_grid(rows, list(x.shape), align_corners=False)
    moved = F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return moved * (1 + draw(0.15)).view(-1, 1, 1, 1) + draw(0.15).view(-1, 1, 1, 1)


def fit(x: Tensor, label: Tensor, recipe: Recipe, seed: int) -> GreyNet:
    """One member, trained on (N, 1, H, W) scaled pixels and (N,) labels; by all processes of a `torchrun` together."""
    group = joined()
    torch.manual_seed(seed)
    noise = torch.Generator().manual_seed(seed)
    net = GreyNet(recipe.width, recipe.stem_stride, dropout=recipe.dropout)
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    group.own_chance(seed)
    rare = torch.bincount(label, minlength=2).float()
    weight = (rare.sum() / (2 * rare)).sqrt()
    loss = torch.nn.CrossEntropyLoss(weight=weight, label_smoothing=recipe.smoothing)
    steps = recipe.epochs * (len(x) // recipe.batch)
    descent = torch.optim.AdamW(net.parameters(), lr=recipe.top_rate, weight_decay=recipe.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(descent, max_lr=recipe.top_rate, total_steps=steps)
    for _ in range(recipe.epochs):
        order = torch.randperm(len(x), generator=noise)
        for start in range(0, len(x) - recipe.batch + 1, recipe.batch):
            rows = order[start : start + recipe.batch]
            mine = group.part(len(rows))
            batch = augmented(x[rows], noise)[mine].to(memory_format=torch.channels_last)
            descent.zero_grad(set_to_none=True)
            _share(loss(net(batch), label[rows[mine]]), weight[label[rows]], mine).backward()
            group.add_gradients(net)
            descent.step()
            schedule.step()
    group.same_state(net)
    net.eval()
    net.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return net


def _share(loss: Tensor, weights: Tensor, mine: slice) -> Tensor:
    """A part's mean loss as its share of the whole batch's; `weights` of all images of the batch."""
    return loss if len(weights[mine]) == len(weights) else loss * (weights[mine].sum() / weights.sum())


def positive(net: GreyNet, x: Tensor) -> npt.NDArray[np.float64]:
    """Uncalibrated probability of label 0 for scaled pixels, averaged over the image and its mirror."""
    with torch.no_grad():
        both = [net(part).softmax(1)[:, 0] for part in (x, torch.flip(x, [3]))]
    mean: npt.NDArray[np.float64] = ((both[0] + both[1]) / 2).double().numpy()
    return mean

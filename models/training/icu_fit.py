"""Fitting the ICU network: the scale from training stays alone, members from seeds, a fixed number of epochs.

No early stopping: nothing is held out to choose by, so that a fold's test stays are seen once, at the end.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from models.training.group import joined
from models.training.icu_data import HOURS, STATICS, VARIABLES, Floats
from models.training.icu_network import Member, Recipe, Scale


def fit_scale(values: Floats, statics: Floats) -> Scale:
    """Centres and spreads of the observed training values; a variable without spread keeps its presence only."""
    scale = Scale(len(VARIABLES), len(STATICS), HOURS)
    skewed = np.asarray([v.skewed for v in VARIABLES.values()])
    bent = np.where(skewed, np.log1p(np.maximum(values, 0)), values)
    centre, spread = np.nanmean(bent, (0, 1)), np.nanstd(bent, (0, 1))
    spread = np.where(spread < 1e-3, 1.0, spread)  # MechVent is only ever 1
    put = {
        "centre": centre,
        "spread": spread,
        "skewed": skewed,
        "low": [v.low for v in VARIABLES.values()],
        "high": [v.high for v in VARIABLES.values()],
        "static_centre": np.nanmean(statics[:, :-1], 0),
        "static_spread": np.nanstd(statics[:, :-1], 0),
    }
    for name, numbers in put.items():
        getattr(scale, name).copy_(torch.as_tensor(np.asarray(numbers, np.float32)))
    return scale.eval()


def scaled(scale: Scale, values: Floats, statics: Floats) -> tuple[Tensor, Tensor]:
    """The network's parts for all stays, computed once for all epochs."""
    with torch.no_grad():
        parts = [
            scale(torch.from_numpy(values[k : k + 256]), torch.from_numpy(statics[k : k + 256]))
            for k in range(0, len(values), 256)
        ]
    return torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])


def fit(sequence: Tensor, flat: Tensor, death: Tensor, recipe: Recipe, seed: int) -> Member:
    """One member: AdamW, one-cycle rate, plain cross-entropy (so that the output stays near a probability).

    All processes of a `torchrun` fit it together.
    """
    group = joined()
    torch.manual_seed(seed)
    net = Member(sequence.shape[2], flat.shape[1], recipe)
    group.own_chance(seed)
    steps = recipe.epochs * (len(death) // recipe.batch)
    optimiser = torch.optim.AdamW(net.parameters(), lr=recipe.top_rate, weight_decay=recipe.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.top_rate, total_steps=steps)
    loss_of = nn.BCEWithLogitsLoss()
    net.train()
    for _ in range(recipe.epochs):
        order = group.from_first(torch.randperm(len(death)))
        for k in range(len(death) // recipe.batch):
            rows = order[k * recipe.batch : (k + 1) * recipe.batch][group.part(recipe.batch)]
            loss = loss_of(net(sequence[rows], flat[rows])[:, 0], death[rows])
            if len(rows) != recipe.batch:
                loss = loss * (len(rows) / recipe.batch)
            optimiser.zero_grad()
            loss.backward()
            group.add_gradients(net)
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
            schedule.step()
    group.same_state(net)
    return net.eval()

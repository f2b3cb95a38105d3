"""The graph for ICU stays: GRUs over values, masks and gaps with a piecewise linear reading, and boosted trees beside.

Everything from the raw table with holes to the probability is one graph: scaling, carrying forward, the
time since the last measurement (Che et al., 2018, GRU-D's inputs, doi:10.1038/s41598-018-24271-9), the
summaries, the recurrent nets, the trees, the weighted mean over members and the calibration.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.training.icu_features import Features
from models.training.icu_trees import Trees

CLIP = 5.0  # standard deviations
BEND = 0.75  # standard deviations beyond which a summary has a slope of its own
GAP_HOURS = 24.0  # a gap of a day and more counts as a day


@dataclass(frozen=True)
class Recipe:
    """All that decides a member's weights, besides data and seed."""

    hidden: int = 32
    epochs: int = 10
    batch: int = 64
    top_rate: float = 3e-3
    decay: float = 3e-2
    dropout: float = 0.5
    step_hours: int = 2  # the recurrent net reads every second hour's state: half the work, the same signal


class Scale(nn.Module):
    """Raw (B, 48, 37) and (B, 5) with NaN to standardised values, mask, gaps and summaries."""

    def __init__(self, variables: int, statics: int, hours: int) -> None:
        super().__init__()
        for name, size in (("centre", variables), ("spread", variables), ("low", variables), ("high", variables)):
            self.register_buffer(name, torch.zeros(size))
        self.register_buffer("skewed", torch.zeros(variables))
        self.register_buffer("static_centre", torch.zeros(statics - 1))
        self.register_buffer("static_spread", torch.ones(statics - 1))
        self.register_buffer("hour", torch.arange(1.0, hours + 1).reshape(1, hours, 1))
        self.register_buffer("past", torch.tril(torch.ones(hours, hours)).reshape(1, hours, hours, 1))
        self.hours = hours

    def forward(self, values: Tensor, statics: Tensor) -> tuple[Tensor, Tensor]:
        """The sequence (B, 48, 3 * 37) and the flat part (B, 6 * 37 + 8)."""
        known = (values >= self.low) & (values <= self.high)  # NaN compares false: not measured, or impossible
        safe = torch.where(known, values, self.low)
        bent = torch.where(self.skewed > 0, torch.log(1.0 + safe), safe)
        z = torch.where(known, ((bent - self.centre) / self.spread).clamp(-CLIP, CLIP), torch.zeros_like(bent))
        mask = known.to(z.dtype)
        when = mask * self.hour
        last = (self.past * when.unsqueeze(1)).amax(2)  # 1-based hour of the last measurement, 0 for none yet
        carried = torch.gather(z, 1, (last - 1).clamp(min=0).long()) * (last > 0).to(z.dtype)
        gap = (self.hour - last).clamp(max=GAP_HOURS) / GAP_HOURS
        sequence = torch.cat([carried, mask, gap], 2)
        return sequence, torch.cat([self._summaries(z, mask, carried), self._statics(statics)], 1)

    def _summaries(self, z: Tensor, mask: Tensor, carried: Tensor) -> Tensor:
        count = mask.sum(1)
        some = (count > 0).to(z.dtype)
        mean = z.sum(1) / count.clamp(min=1.0)
        low = torch.where(mask > 0, z, torch.full_like(z, CLIP)).amin(1) * some
        high = torch.where(mask > 0, z, torch.full_like(z, -CLIP)).amax(1) * some
        first = torch.gather(z, 1, self._first(mask))[:, 0] * some
        return torch.cat([carried[:, -1], first, mean, low, high, torch.log(1.0 + count) / 4.0], 1)

    def _first(self, mask: Tensor) -> Tensor:
        earliest = torch.where(mask > 0, self.hour - 1.0, torch.full_like(mask, float(self.hours - 1)))
        return earliest.amin(1, keepdim=True).long()

    def _statics(self, statics: Tensor) -> Tensor:
        numbers, unit = statics[:, :-1], statics[:, -1:]
        known = ~torch.isnan(numbers)
        z = torch.where(known, (numbers - self.static_centre) / self.static_spread, torch.zeros_like(numbers))
        kinds = torch.cat([(unit == float(kind)).to(z.dtype) for kind in (1, 2, 3, 4)], 1)
        return torch.cat([z.clamp(-CLIP, CLIP), kinds], 1)


class Member(nn.Module):
    """One GRU with its piecewise linear companion; gives a logit of death from the scaled parts."""

    def __init__(self, channels: int, flat: int, recipe: Recipe) -> None:
        super().__init__()
        self.step = recipe.step_hours
        self.gru = nn.GRU(channels, recipe.hidden, batch_first=True)
        self.drop = nn.Dropout(recipe.dropout)
        self.head = nn.Linear(2 * recipe.hidden + 3 * flat, 1)

    def forward(self, sequence: Tensor, flat: Tensor) -> Tensor:
        states, _ = self.gru(sequence[:, self.step - 1 :: self.step])
        bent = torch.cat([flat, torch.relu(flat - BEND), torch.relu(-flat - BEND)], 1)  # too high and too low apart
        return self.head(self.drop(torch.cat([states[:, -1], states.mean(1), bent], 1)))


class Ensemble(nn.Module):
    """Networks and trees averaged as probabilities by their shares, then Platt: raw inputs to (prob, member)."""

    platt: Tensor
    share: Tensor

    def __init__(self, scale: Scale, members: list[Member], trees: Trees, weight: float) -> None:
        super().__init__()
        self.scale, self.features, self.trees = scale, Features(), trees
        self.members = nn.ModuleList(members)
        share = [(1 - weight) / len(members)] * len(members) + [weight / trees.count] * trees.count
        self.register_buffer("share", torch.tensor(share))
        self.register_buffer("platt", torch.tensor([1.0, 0.0]))

    def forward(self, values: Tensor, statics: Tensor) -> tuple[Tensor, Tensor]:
        sequence, flat = self.scale(values, statics)
        networks = [member(sequence, flat) for member in self.members]
        each = torch.sigmoid(torch.cat([*networks, self.trees(self.features(values, statics))], 1))
        mean = (each * self.share).sum(1, keepdim=True).clamp(1e-6, 1 - 1e-6)
        logit = torch.log(mean) - torch.log1p(-mean)
        positive = torch.sigmoid(self.platt[0] * logit + self.platt[1])
        return torch.cat([positive, 1 - positive], 1), each

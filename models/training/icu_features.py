"""What the boosted trees read of a stay: summaries of every series by time of day, and a few ratios, with their holes.

Computed inside the graph from the raw table, so that the gateway sends what it has. What was never measured is NaN,
which a tree may follow to either side. No number here depends on another stay.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.training.icu_data import HOURS, VARIABLES

FAR = 1e30  # beyond every believed value; takes part in no minimum and no maximum
DAY, LATE = 24, 36  # hours: the second day, and its second half
PLACE = {name: place for place, name in enumerate(VARIABLES)}


class Features(nn.Module):
    """Raw (B, 48, 37) and (B, 5) to (B, features) with NaN."""

    low: Tensor
    high: Tensor
    hour: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("low", torch.tensor([one.low for one in VARIABLES.values()]))
        self.register_buffer("high", torch.tensor([one.high for one in VARIABLES.values()]))
        self.register_buffer("hour", torch.arange(float(HOURS)).reshape(1, HOURS, 1))

    def forward(self, values: Tensor, statics: Tensor) -> Tensor:
        known = (values >= self.low) & (values <= self.high)  # NaN compares false
        mask = known.to(self.low.dtype)
        safe = torch.where(known, values, torch.zeros_like(values))
        last, first, since = self._ends(safe, mask)
        mean, low, high, count = _window(safe, mask, 0, HOURS)
        early, _, _, _ = _window(safe, mask, 0, DAY)
        late, late_low, late_high, late_count = _window(safe, mask, DAY, HOURS)
        recent, _, _, _ = _window(safe, mask, LATE, HOURS)
        gap = torch.where(mask > 0, safe - mean.unsqueeze(1), torch.zeros_like(safe))
        spread = torch.sqrt((gap * gap).sum(1) / count.clamp(min=1.0))
        spread = torch.where(count > 1, spread, torch.full_like(spread, torch.nan))
        by_series = [last, first, mean, low, high, count, late, late_low, late_high, recent, early, late - early]
        ratios = [part for row in (last, mean, recent) for part in _ratios(row)]
        urine = safe[:, :, PLACE["Urine"]]
        sums = [urine.sum(1, keepdim=True), urine[:, DAY:].sum(1, keepdim=True)]
        return torch.cat([*by_series, spread, since, late_count, *ratios, *sums, statics], 1)

    def _ends(self, safe: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The last value, the first, and the hours since the last."""
        some = mask.sum(1) > 0
        newest = (mask * self.hour).amax(1, keepdim=True)
        oldest = torch.where(mask > 0, self.hour, torch.full_like(mask, HOURS - 1.0)).amin(1, keepdim=True)
        hole = torch.full_like(safe[:, 0], torch.nan)
        last = torch.where(some, torch.gather(safe, 1, newest.long())[:, 0], hole)
        first = torch.where(some, torch.gather(safe, 1, oldest.long())[:, 0], hole)
        return last, first, torch.where(some, HOURS - 1.0 - newest[:, 0], hole)


def _window(safe: Tensor, mask: Tensor, start: int, end: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mean, lowest, highest and count of the hours from `start` to `end`."""
    part, seen = safe[:, start:end], mask[:, start:end]
    count = seen.sum(1)
    hole, some = torch.full_like(count, torch.nan), count > 0
    low = torch.where(seen > 0, part, torch.full_like(part, FAR)).amin(1)
    high = torch.where(seen > 0, part, torch.full_like(part, -FAR)).amax(1)
    mean = torch.where(some, part.sum(1) / count.clamp(min=1.0), hole)
    return mean, torch.where(some, low, hole), torch.where(some, high, hole), count


def _ratios(row: Tensor) -> list[Tensor]:
    """Shock index, pressures from either source, oxygenation, urea to creatinine; NaN where a part is missing."""

    def one(name: str) -> Tensor:
        return row[:, PLACE[name] : PLACE[name] + 1]

    def either(name: str, other: str) -> Tensor:
        return torch.where(torch.isnan(one(name)), one(other), one(name))

    systolic = either("SysABP", "NISysABP")
    return [
        one("HR") / systolic,
        systolic,
        either("MAP", "NIMAP"),
        one("PaO2") / one("FiO2"),
        one("BUN") / one("Creatinine"),
    ]

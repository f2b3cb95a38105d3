"""Connected components of a binary picture, by runs, in NumPy alone.

Each row is cut into runs of set pixels; runs that touch those of the row above (eight neighbours) are joined by
hooking and pointer jumping (Shiloach and Vishkin 1982), so that a frame of speckle takes milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]
_MOST_ROUNDS = 64  # each round at least halves what is not yet joined


@dataclass(frozen=True)
class Components:
    """One entry for each component: its box (`bottom` and `right` lie outside), its pixels, the sum of a weight."""

    top: Places
    left: Places
    bottom: Places
    right: Places
    area: Places
    weight: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.top)

    def chosen(self, which: npt.NDArray[np.bool_] | Places) -> Components:
        return Components(
            self.top[which],
            self.left[which],
            self.bottom[which],
            self.right[which],
            self.area[which],
            self.weight[which],
        )


def components(mask: Mask, weights: Numbers | None = None) -> Components:
    """The components of `mask` (rows, columns); `weights` of the same shape are summed over each."""
    rows, columns = mask.shape
    stride = columns + 2  # a clear column on both sides: no run goes over the end of its row
    padded = np.zeros((rows, stride), np.int8)
    padded[:, 1:-1] = mask
    steps = np.diff(padded.ravel(), prepend=np.int8(0))
    starts, ends = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    labels = _joined(starts, ends, stride)
    roots, label = np.unique(labels, return_inverse=True)
    count = len(roots)
    top, left = np.full(count, rows), np.full(count, columns)
    bottom, right = np.zeros(count, np.int64), np.zeros(count, np.int64)
    row, first = np.divmod(starts, stride)
    last = ends - row * stride
    np.minimum.at(top, label, row)
    np.maximum.at(bottom, label, row + 1)
    np.minimum.at(left, label, first - 1)
    np.maximum.at(right, label, last - 1)
    area = np.bincount(label, ends - starts, count).astype(np.int64)
    weight: npt.NDArray[np.float64] = np.zeros(count)
    if weights is not None and count:
        kept = np.zeros((rows, stride), np.float32)
        kept[:, 1:-1] = weights
        sums = np.concatenate(([0.0], np.cumsum(kept.ravel(), dtype=np.float64)))
        weight = np.bincount(label, sums[ends] - sums[starts], count).astype(np.float64)
    return Components(top, left, bottom, right, area, weight)


def _joined(starts: Places, ends: Places, stride: int) -> Places:
    """For each run the lowest run that it hangs together with."""
    labels = np.arange(len(starts))
    low = np.searchsorted(ends, starts - stride - 1, "right")  # the first run above that reaches this one
    high = np.searchsorted(starts, ends - stride + 1, "left")
    touching = np.maximum(high - low, 0)
    lower = np.repeat(np.arange(len(starts)), touching)
    offset = np.arange(len(lower)) - np.repeat(np.cumsum(touching) - touching, touching)
    upper = np.repeat(low, touching) + offset
    for _ in range(_MOST_ROUNDS):
        one, two = labels[lower], labels[upper]
        apart = one != two
        if not apart.any():
            break
        lower, upper, one, two = lower[apart], upper[apart], one[apart], two[apart]
        np.minimum.at(labels, np.maximum(one, two), np.minimum(one, two))
        while (jumped := labels[labels]).tobytes() != labels.tobytes():
            labels = jumped
    return labels

"""Breast ultrasound images for training: BreastMNIST, the BUSI images behind it, and their near-duplicates.

Both sets hold the same 780 images. BreastMNIST (MedMNIST v2) fixes the official split and gives 28x28
arrays; BUSI at 128 px gives resolution and the near-duplicate groups. `match` finds which is which, so
that one split serves both and no near-duplicate of a test image goes uncounted.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.optimize import linear_sum_assignment

Pixels = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]

MALIGNANT = 0  # BreastMNIST's own order: 0 malignant, 1 normal or benign
SPLITS = ("train", "val", "test")
CROPS = np.arange(25, 51) / 50  # share of the longer side that a centre crop keeps
MATCH_RMS = 8.0  # grey levels; the worst true pair is below 6, the nearest stranger above 10


@dataclass(frozen=True)
class BreastSet:
    """780 images in BreastMNIST's order: train, val, test, one after the other."""

    small: Pixels  # (780, 28, 28) as MedMNIST ships them
    large: Pixels  # (780, 128, 128) centre-cropped from BUSI, original aspect ratio restored
    label: Whole  # (780,) 0 malignant, 1 not
    split: npt.NDArray[np.str_]  # (780,) train, val or test
    group: Whole  # (780,) near-duplicate group
    normal: npt.NDArray[np.bool_]  # (780,) no lesion at all, as BUSI says
    busi: Whole  # (780,) row of the BUSI array
    crop: Numbers  # (780, 2) share of width and height that the centre crop keeps
    match_rms: Numbers  # (780,) grey levels between MedMNIST's pixels and ours

    def rows(self, *splits: str) -> Whole:
        """Row numbers of the named splits."""
        return np.flatnonzero(np.isin(self.split, splits))

    def clean(self, split: str, against: tuple[str, ...]) -> Whole:
        """Rows of `split` with no near-duplicate in any of `against`."""
        seen = set(self.group[self.rows(*against)].tolist())
        return np.asarray([row for row in self.rows(split) if int(self.group[row]) not in seen], dtype=np.int64)


def centre(image: Pixels, crop: npt.ArrayLike, side: int) -> Pixels:
    """Centre-crop `image` to the shares in `crop` (width, height) and resize to a square of `side`."""
    height, width = image.shape
    keep_w, keep_h = (float(v) for v in np.asarray(crop))
    box = (
        width * (1 - keep_w) / 2,
        height * (1 - keep_h) / 2,
        width * (1 + keep_w) / 2,
        height * (1 + keep_h) / 2,
    )
    return np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC, box=box))


def match(
    small: Pixels, small_label: Whole, busi: Pixels, malignant: npt.NDArray[np.bool_]
) -> tuple[Whole, Numbers, Numbers]:
    """Row of BUSI for each BreastMNIST image, the crop that explains it, and the error left.

    MedMNIST cut each image to its shorter side; the BUSI copy here was stretched to a square first. The
    crop is therefore also the original's aspect ratio.
    """
    crops = [(keep, 1.0) for keep in CROPS] + [(1.0, keep) for keep in CROPS[:-1]]
    target = small.reshape(len(small), -1).astype(np.float32)
    best = np.full((len(busi), len(small)), np.inf, np.float32)
    chosen = np.zeros(best.shape, np.int64)
    forbidden = malignant[:, None] != (small_label == MALIGNANT)[None]
    for number, crop in enumerate(crops):
        have = np.stack([centre(image, crop, 28) for image in busi]).reshape(len(busi), -1).astype(np.float32)
        error = (have**2).sum(1)[:, None] + (target**2).sum(1)[None] - 2 * have @ target.T
        error = np.where(forbidden, 1e12, np.maximum(error, 0) / target.shape[1])
        closer = error < best
        best[closer], chosen[closer] = error[closer], number
    row, column = linear_sum_assignment(best)
    row = row[np.argsort(column)]
    column = np.arange(len(small))
    rms = np.sqrt(best[row, column].astype(np.float64))
    if float(rms.max()) > MATCH_RMS:
        raise ValueError(f"BreastMNIST and BUSI do not match: worst pair differs by {rms.max():.1f} grey levels")
    return row, np.asarray([crops[k] for k in chosen[row, column]]), rms


def load(folder: Path) -> BreastSet:
    """Read `breastmnist/` and `busi/` under `folder` and put them side by side."""
    mnist = np.load(folder / "breastmnist" / "breastmnist.npz")
    small = np.concatenate([mnist[f"{name}_images"] for name in SPLITS])
    label = np.concatenate([mnist[f"{name}_labels"] for name in SPLITS]).astype(np.int64).reshape(-1)
    split = np.concatenate([np.full(len(mnist[f"{name}_labels"]), name) for name in SPLITS])
    busi = np.load(folder / "busi" / "busi_128_gray.npz")
    group_of = _groups(folder / "busi" / "near_duplicate_groups.csv")
    row, crop, rms = match(small, label, busi["images"], busi["labels"] == 1)
    files = [str(name) for name in busi["files"][row]]
    large = np.stack([centre(busi["images"][r], c, 128) for r, c in zip(row, crop, strict=True)])
    group = np.asarray([group_of[name] for name in files], dtype=np.int64)
    return BreastSet(small, large, label, split, group, busi["labels"][row] == 2, row, crop, rms)


def _groups(path: Path) -> dict[str, int]:
    with path.open(newline="", encoding="utf-8") as stream:
        return {line["file"]: int(line["near_dup_group"]) for line in csv.DictReader(stream)}


def at_side(data: BreastSet, side: int) -> Pixels:
    """All images at `side` pixels: MedMNIST's own arrays at 28, the BUSI copies above that."""
    if side == data.small.shape[1]:
        return data.small
    return np.stack([centre(image, (1.0, 1.0), side) for image in data.large])

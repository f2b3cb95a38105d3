"""Lung nodules for training: LIDC-IDRI slices with the nodule cut out, and what can be measured on them.

The background is zero, so the picture itself tells the nodule's size; that is why every result stands beside
size alone. Labels are radiologists' ratings (1-2 benign, 4-5 malignant), not pathology; 3 is absent.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

FILES = ("lidc_nodules/lidc_slices_64.npz", "lidc_nodules/slices.csv", "lidc_nodules/radiomics_solidNodules.csv")
SHOWN = 3  # slices that the network sees: the largest ones
MEASURES = ("diameter", "area", "slices", "total_area", "roundness", "elongation", "grey", "unevenness", "rim")
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class NoduleSet:
    """699 nodules of 393 examinations: measures (N, 9), the three largest slices (N, 3, 64, 64), label, exam."""

    measures: Floats
    slices: npt.NDArray[np.uint8]
    malignant: npt.NDArray[np.bool_]
    exam: npt.NDArray[np.str_]


def load(folder: Path) -> NoduleSet:
    """Read the slices and put those of a nodule together."""
    images = np.load(folder / FILES[0])["images"]
    table = pd.read_csv(folder / FILES[1])
    table["area"] = (images > 0).reshape(len(images), -1).sum(1)
    sizes = pd.read_csv(folder / FILES[2]).set_index(["exam_id", "nodule_id"])["diameter_mm"]
    measures, shown, label, exam = [], [], [], []
    for key, rows in table.groupby(["exam_id", "nodule_id"]):
        largest = rows.sort_values("area", ascending=False).index.to_numpy()
        areas = rows["area"].to_numpy(np.float64)
        measures.append([float(sizes[key]), areas.max(), len(rows), areas.sum(), *shape(images[largest[0]])])
        shown.append(images[np.resize(largest[:SHOWN], SHOWN)])
        label.append(bool(rows["malignant"].iloc[0]))
        exam.append(key[0])
    return NoduleSet(np.asarray(measures), np.stack(shown), np.asarray(label), np.asarray(exam))


def shape(image: npt.NDArray[np.uint8]) -> tuple[float, float, float, float, float]:
    """Roundness, elongation, mean grey level, its unevenness, and rim against core, of the cut-out nodule."""
    inside = image > 0
    padded = np.pad(inside, 1)
    core = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:] & inside
    rim = inside & ~core
    area, edge = float(inside.sum()), float(max(rim.sum(), 1))
    rows, columns = np.nonzero(inside)
    spread = np.linalg.eigvalsh(np.cov(np.stack([rows, columns])) + 0.1 * np.eye(2)) if area > 2 else np.ones(2)
    grey = image[inside].astype(np.float64)
    middle = float(image[core].mean()) if core.any() else float(grey.mean())
    return (
        4 * np.pi * area / edge**2,
        float(np.sqrt(spread[1] / spread[0])),
        float(grey.mean()),
        float(grey.std()),
        float(image[rim].mean()) - middle,
    )

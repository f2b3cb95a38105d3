"""Groups of test images that the images themselves tell, where the data name no sex, age or device.

Brightness and contrast stand for the device and its settings, of which nothing was delivered: a film or scan that is
darker or flatter than most should not be read worse. The cuts are thirds of the training images, so that no test
image has a part in them. They are no groups of patients, and nothing is claimed of those.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from models.training.measure import Floats, Truth
from models.training.value_measure import Held, Rows, ValueSet, by_subgroup

THIRDS = {"brightness": ("dark", "middle", "bright"), "contrast": ("low", "middle", "high")}
Names = dict[str, npt.NDArray[np.str_]]


def grey_groups(images: npt.NDArray[np.uint8], train: Rows) -> Names:
    """For every image the third of mean grey level and of its standard deviation that it falls in."""
    flat = images.reshape(len(images), -1).astype(np.float64)
    told = {}
    for (name, words), values in zip(THIRDS.items(), (flat.mean(1), flat.std(1)), strict=True):
        place = np.digitize(values, np.quantile(values[train], [1 / 3, 2 / 3]))
        told[name] = np.asarray([f"{number + 1} {word}" for number, word in enumerate(words)])[place]
    return told


def measured(
    prob: Floats, truth: Truth, group: npt.NDArray[Any], *, threshold: float, rows: Rows, named: Names
) -> dict[str, Any]:
    """AUC, sensitivity, specificity with intervals by group among `rows`; of too few cases their number alone."""
    same = np.full(len(prob), threshold)
    held = Held(prob, same, same, same, prob, np.zeros(len(prob), np.int64))  # quantiles are not looked at here
    return by_subgroup(held, ValueSet(prob[:, None], truth, group, named), rows)


def against(
    prob: Floats,
    truth: Truth,
    group: npt.NDArray[Any],
    *,
    threshold: float,
    rows: Rows,
    positive: str,
    kind: npt.NDArray[np.str_],
) -> dict[str, Any]:
    """Every kind of negative image by itself against all positive ones, among `rows`."""
    told: dict[str, Any] = {}
    for name in sorted(set(kind[rows[~truth[rows]]].tolist())):
        here = rows[truth[rows] | (kind[rows] == name)]
        alone = {f"{positive} against": np.full(len(prob), name)}
        told |= measured(prob, truth, group, threshold=threshold, rows=here, named=alone)
    return told

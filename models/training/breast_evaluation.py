"""Evaluating the breast ultrasound model on BreastMNIST's official test part.

The test part is measured whole, and without the images that have a near-duplicate in training or
validation: the official split did not keep near-duplicates together.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from sklearn.metrics import roc_auc_score

from models.inputs import ImageInput
from models.runtime.preprocess import prepare, read, resize
from models.training import evaluation, image_groups, measure
from models.training.breast_data import MALIGNANT, BreastSet, Pixels
from models.training.evaluation import Floats, Rows, tensor
from models.training.export import outputs
from models.training.shown import turned
from models.training.wrap import ultrasound

PUBLISHED = {
    "source": "Yang et al., MedMNIST v2, Scientific Data 2023;10:41, BreastMNIST, 28 x 28",
    "ResNet-18": {"auc": 0.901, "accuracy": 0.863},
}


def measured(
    data: BreastSet, images: Pixels, model: bytes, *, chosen: dict[str, Any], rule: ImageInput, folder: Path
) -> dict[str, Any]:
    """All test-part results; `images` are those of `data` as the model takes them."""
    test, clean = data.rows("test"), data.clean("test", ("train", "val"))
    got = outputs(model, tensor(images))
    prob, truth = got["prob"][:, 0].astype(np.float64), data.label == MALIGNANT
    threshold, pair = chosen["threshold"], (chosen["quantile_positive"], chosen["quantile_negative"])
    dirty, val, train = np.setdiff1d(test, clean), data.clean("val", ("train",)), data.rows("train")

    def on(rows: Rows) -> dict[str, Any]:
        return measure.with_intervals(prob[rows], truth[rows], threshold, data.group[rows], 0)

    return {
        "test": on(test),
        "test_without_near_duplicates": on(clean),
        "test_near_duplicates_only": measure.scores(prob[dirty], truth[dirty], threshold),
        "validation_without_near_duplicates": measure.scores(prob[val], truth[val], threshold),
        "test_at_half": measure.scores(prob[test], truth[test], 0.5),
        "before_calibration": evaluation.uncalibrated(got["member"][test], truth[test]),
        "members": evaluation.members(got["member"][test], truth[test]),
        "baselines": evaluation.baselines(
            images[train],
            truth[train],
            test=images[test],
            test_truth=truth[test],
            prob=prob[test],
            group=data.group[test],
        ),
        "subgroups": subgroups(data, images, prob, threshold),
        "conformal": {
            "alpha": evaluation.ALPHA,
            "test": measure.coverage(prob[test], truth[test], pair),
            "test_without_near_duplicates": measure.coverage(prob[clean], truth[clean], pair),
        },
        "through_dicom": _through_dicom(data, model, prob, rule, chosen["distance_max"]),
        "out_of_distribution": evaluation.refused_by_distance(
            model, _strangers(data, images, folder), chosen["distance_max"]
        ),
        "published": PUBLISHED,
    }


def subgroups(data: BreastSet, images: Pixels, prob: Floats, threshold: float) -> dict[str, Any]:
    """By kind of image that is not malignant, and by grey levels; the set knows no age, origin, device or size."""
    truth, test = data.label == MALIGNANT, data.rows("test")
    kind = np.where(data.normal, "no lesion", "benign lesion")
    greys = image_groups.grey_groups(images, data.rows("train"))
    shared = {"threshold": threshold, "rows": test}
    return image_groups.against(
        prob, truth, data.group, positive="malignant", kind=kind, **shared
    ) | image_groups.measured(prob, truth, data.group, named=greys, **shared)


def _through_dicom(data: BreastSet, model: bytes, prob: Floats, rule: ImageInput, limit: float) -> dict[str, Any]:
    """The test images as 128-pixel DICOM files through the server's own preprocessing."""
    test, truth = data.rows("test"), data.label == MALIGNANT
    got = outputs(model, np.stack([prepare(read(ultrasound(data.large[row])), rule).tensor for row in test]))
    other = got["prob"][:, 0].astype(np.float64)
    gap = np.abs(other - prob[test])
    over = {"least_shown": round(float(got["shown"].min()), 4)} if "shown" in got else {}
    return {
        "auc": round(float(roc_auc_score(truth[test], other)), 4),
        "mean_probability_difference": round(float(gap.mean()), 4),
        "largest_probability_difference": round(float(gap.max()), 4),
        "refused_by_distance": round(float((np.linalg.norm(got["embedding"], axis=1) > limit).mean()), 4),
        "grey_level_difference_rms": round(float(data.match_rms[test].mean()), 2),
        **over,
    }


def turned_over(data: BreastSet, model: bytes, chosen: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Test images and what turning makes of them: refused by the rule for that, and by it or the distance."""
    sets = {f"test images, {name}": way for name, way in turned(data.large[data.rows("test")]).items()}
    sets |= {
        name: images for name, images in _strangers(data, data.large, folder).items() if not name.startswith("test")
    }
    found = {}
    for name, images in sets.items():
        got = outputs(model, tensor(np.ascontiguousarray(images)))
        over = got["shown"][:, 0] < chosen["shown_min"]
        far = np.linalg.norm(got["embedding"], axis=1) > chosen["distance_max"]
        found[name] = {"refused": round(float(over.mean()), 4), "or_by_distance": round(float((over | far).mean()), 4)}
    return {"limit": chosen["shown_min"]} | found


def _strangers(data: BreastSet, images: Pixels, folder: Path) -> dict[str, npt.NDArray[np.uint8]]:
    side, test = images.shape[1], images[data.rows("test")]
    noise = np.random.default_rng(0)
    return {
        "test images": test,
        "uniform noise": noise.integers(0, 256, (200, side, side), dtype=np.uint8),
        "test images with grey levels turned over": 255 - test,
        "test images upside down": test[:, ::-1],
        "chest films (PneumoniaMNIST test)": _films(folder, side),
        "chest films (NIH, 11)": from_files(sorted((folder / "nih_cxr_examples").glob("*.png")), side),
        "mammograms (MIAS, 12)": from_files(sorted((folder / "mias" / "samples_1024").glob("*")), side),
    }


def _films(folder: Path, side: int) -> npt.NDArray[np.uint8]:
    """The test part of PneumoniaMNIST; above its 28 pixels one film in four, enlarged."""
    films: npt.NDArray[np.uint8] = np.load(folder / "pneumoniamnist" / "pneumoniamnist.npz")["test_images"]
    return films if side == films.shape[1] else np.stack([resize(film, side) for film in films[::4]])


def from_files(paths: list[Path], side: int) -> npt.NDArray[np.uint8]:
    """Picture files as squares of `side`; the files delivered are square already."""
    grey = [np.asarray(Image.open(path).convert("L")) for path in paths]
    return np.stack([resize(image[: min(image.shape), : min(image.shape)], side) for image in grey])

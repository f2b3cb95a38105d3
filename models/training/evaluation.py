"""What evaluating any pack has in common; every number comes through ONNX Runtime from the exported file.

Validation images decide slope, threshold, quantiles and distance limit; test images decide nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.covariance import LedoitWolf
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from models.training import measure
from models.training.export import outputs

ALPHA = 0.1
WANTED_SENSITIVITY = 0.9
POSITIVE = 0  # label and column of the positive answer in every pack made here
Floats = npt.NDArray[np.float64]
Truth = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]


def tensor(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """(N, H, W) bytes to the graph's input (N, H, W, 1)."""
    return images[..., None].astype(np.float32)


def whitening(embedding: npt.NDArray[np.float32]) -> tuple[Floats, Floats]:
    """Centre and whitening matrix of the training embeddings, covariance shrunk (Ledoit and Wolf, 2004)."""
    fitted = LedoitWolf().fit(embedding.astype(np.float64))
    values, vectors = np.linalg.eigh(fitted.covariance_)
    return fitted.location_, vectors / np.sqrt(values)


def choose(member: Floats, truth: Truth, distance: Floats) -> dict[str, Any]:
    """Slope, intercept, threshold, quantiles and distance limit from validation images only."""
    score = member.mean(1)
    slope, intercept = measure.calibrate(score, truth)
    prob = measure.apply_platt(score, slope, intercept)
    return {
        "slope": slope,
        "intercept": intercept,
        "threshold": round(measure.threshold_for(prob, truth, WANTED_SENSITIVITY), 4),
        "quantile_positive": round(measure.quantile(prob[truth], ALPHA), 6),
        "quantile_negative": round(measure.quantile(1 - prob[~truth], ALPHA), 6),
        "distance_max": round(float(np.percentile(distance, 99)), 3),
        "n": len(truth),
        "positive": int(truth.sum()),
    }


def uncalibrated(member: npt.NDArray[np.float32], truth: Truth) -> dict[str, float]:
    """Brier score and calibration error of the plain ensemble mean."""
    score = member.mean(1).astype(np.float64)
    return {"brier": float(np.mean((score - truth) ** 2)), "ece": measure.ece(score, truth)}


def members(member: npt.NDArray[np.float32], truth: Truth) -> dict[str, Any]:
    """Each member alone at threshold .5, uncalibrated: its value, the mean and the range."""
    each = [measure.scores(member[:, k].astype(np.float64), truth, 0.5) for k in range(member.shape[1])]
    return {
        name: {
            "each": [round(one[name], 4) for one in each],
            "mean": round(float(np.mean([one[name] for one in each])), 4),
            "range": [round(min(one[name] for one in each), 4), round(max(one[name] for one in each), 4)],
        }
        for name in ("auc", "accuracy", "sensitivity", "specificity")
    }


def baselines(
    train: npt.NDArray[np.uint8],
    train_truth: Truth,
    *,
    test: npt.NDArray[np.uint8],
    test_truth: Truth,
    prob: Floats,
    group: Rows,
) -> dict[str, Any]:
    """What needs no network: mean grey level, and a logistic model of five grey-level statistics."""
    known, asked = _grey_levels(train), _grey_levels(test)
    centre, spread = known.mean(0), known.std(0)
    linear = LogisticRegression(max_iter=1000).fit((known - centre) / spread, train_truth)
    linear_prob = linear.predict_proba((asked - centre) / spread)[:, 1]
    sign = 1.0 if roc_auc_score(train_truth, known[:, 0]) >= 0.5 else -1.0  # direction from training images
    return {
        "always_negative_accuracy": round(float((~test_truth).mean()), 4),
        "mean_grey_level_auc": round(float(roc_auc_score(test_truth, sign * asked[:, 0])), 4),
        "grey_level_statistics_auc": round(float(roc_auc_score(test_truth, linear_prob)), 4),
        "model_minus_grey_level_statistics": measure.difference(prob, linear_prob, test_truth, group, 0),
    }


def _grey_levels(images: npt.NDArray[np.uint8]) -> Floats:
    flat = images.reshape(len(images), -1).astype(np.float64)
    return np.column_stack([flat.mean(1), flat.std(1), *np.percentile(flat, [10, 50, 90], axis=1)])


def refused_by_distance(model: bytes, sets: dict[str, npt.NDArray[np.uint8]], limit: float) -> dict[str, float]:
    """Share of each set that the distance alone refuses, header checks set aside."""
    out = {"limit": limit}
    for name, images in sets.items():
        far = np.linalg.norm(outputs(model, tensor(np.ascontiguousarray(images)))["embedding"], axis=1)
        out[name] = round(float((far > limit).mean()), 4)
    return out

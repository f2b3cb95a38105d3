"""From what a third-party graph gives, logits or one number, to a probability for each label.

A graph of our own gives calibrated probabilities (`none`) and passes through. Which rule applies is written in the
manifest by whoever packed the graph; nothing is guessed from the numbers.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gateway.domain.errors import Fault
from models.manifest import Scored
from models.runtime.ask import check_probabilities

Floats = npt.NDArray[np.float32]


def probabilities(raw: npt.NDArray[np.generic], manifest: Scored) -> Floats:
    """(B, labels), each row summing to 1; `Fault` where the graph's answer has another shape than was declared."""
    activation, labels = manifest.output.activation, len(manifest.labels)
    values = np.asarray(raw, np.float64)
    if activation in ("sigmoid", "positive"):
        return _of_positive(values.reshape(len(values), -1), activation, manifest)
    if activation == "softmax" and values.shape[1:] != (labels,):
        raise Fault(f"{manifest.name} answered with shape {values.shape[1:]}; its manifest has {labels} labels")
    if activation == "softmax":
        values = np.exp(values - values.max(1, keepdims=True))
        values /= values.sum(1, keepdims=True)
    return _checked(values, labels)


def _of_positive(values: npt.NDArray[np.float64], activation: str, manifest: Scored) -> Floats:
    if values.shape[1] != 1:
        raise Fault(f"{manifest.name} answered with {values.shape[1]} numbers where one was declared")
    chance = 1 / (1 + np.exp(-np.clip(values, -60, 60))) if activation == "sigmoid" else values
    out = np.repeat(1 - chance, 2, 1)
    out[:, manifest.positive_column] = chance[:, 0]
    return _checked(out, 2)


def _checked(values: npt.NDArray[np.float64], labels: int) -> Floats:
    found = values.astype(np.float32)
    check_probabilities(found, labels)
    return found

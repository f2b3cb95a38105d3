"""A third-party graph on images: one output, no map and no embedding, served like one of our own.

The map is made by covering a part of the image at a time and watching the answer (Zeiler and Fergus, 2014,
arXiv:1311.2901). Nothing measures how far an image is from those that the graph was trained on: for such a pack
only the header is a guard, and its card has to say so.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from gateway.domain.errors import Fault, Invalid
from models.inputs import ImageInput
from models.runtime.activation import probabilities
from models.runtime.ask import ask
from models.runtime.session import MAX_BATCH, Answer, Session, difference, golden_vectors, within_tolerance

Floats = npt.NDArray[np.float32]
LEAST, MOST = 1e-4, 1 - 1e-4  # of a probability, before its log-odds are taken


class ForeignSession(Session):
    """The counterpart of `Session` for `origin = "third-party"`; `run` may be called from several threads."""

    def run(self, batch: Floats) -> Answer:
        """(B, height, width, 1) grey levels to probabilities and the map of what covering a part changes."""
        if not 1 <= len(batch) <= MAX_BATCH:
            raise Fault(f"batch of {len(batch)}; 1 to {MAX_BATCH} are served")
        prob = self.probabilities(batch)
        cam = np.stack([self._covered(image, row) for image, row in zip(batch, prob, strict=True)])
        column = self.manifest.positive_column
        return Answer(prob, prob[:, column : column + 1], cam[:, None], np.zeros((len(batch), 1), np.float32))

    def probabilities(self, batch: Floats) -> Floats:
        """(B, height, width, 1) grey levels to (B, labels)."""
        rule = self.manifest.input
        if batch.shape[1:] != (rule.height, rule.width, 1) or batch.dtype != np.float32:
            raise Fault(f"batch has shape {batch.shape[1:]} and type {batch.dtype}")
        (raw,) = ask(self.graph, [self.manifest.output.prob], {rule.tensor: as_declared(batch, rule)})
        return probabilities(raw, self.manifest)

    def _covered(self, image: Floats, prob: Floats) -> Floats:
        """(height, width): how much the positive label's log-odds fall when this part is grey."""
        cells, column = self.manifest.output.cam_cells, self.manifest.positive_column
        rows, columns = _edges(image.shape[0], cells), _edges(image.shape[1], cells)
        copies = np.repeat(image[None], cells * cells, 0)
        for place in range(cells * cells):
            row, col = divmod(place, cells)
            copies[place, rows[row] : rows[row + 1], columns[col] : columns[col + 1]] = image.mean()
        covered = np.concatenate(
            [self.probabilities(copies[start : start + MAX_BATCH]) for start in range(0, len(copies), MAX_BATCH)]
        )[:, column]
        fall = (_log_odds(prob[column : column + 1]) - _log_odds(covered)).reshape(cells, cells)
        size = (image.shape[1], image.shape[0])
        return np.asarray(Image.fromarray(fall.astype(np.float32)).resize(size, Image.Resampling.BILINEAR))

    def _check_contract(self) -> None:
        rule, name, inputs = self.manifest.input, self.manifest.name, self.graph.inputs
        if [port.name for port in inputs] != [rule.tensor]:
            raise Invalid(f"the graph of {name} must have {rule.tensor} as its one input")
        given, wanted = inputs[0].shape[1:], _shape(rule)
        if len(given) != 3 or any(n not in (None, w) for n, w in zip(given, wanted, strict=True)):
            raise Invalid(f"the graph of {name} takes {list(given)}, its manifest says {list(wanted)}")
        if self.manifest.output.prob not in {port.name for port in self.graph.outputs}:
            raise Invalid(f"the graph of {name} has no output {self.manifest.output.prob}")

    def _check_golden(self) -> float:
        pixels, expected = golden_vectors(self.package, "pixels", "prob")
        error = 0.0
        for start in range(0, len(pixels), MAX_BATCH):
            part = slice(start, start + MAX_BATCH)
            error = max(error, difference(self.probabilities(pixels[part]), expected[part]))
        return within_tolerance(error, self.provider, self.manifest)


def as_declared(batch: Floats, rule: ImageInput) -> Floats:
    """Grey levels 0 to 255 in the layout, scale and channels that the graph was trained with."""
    values = np.repeat(batch * np.float32(rule.scale), rule.channels, -1)
    if rule.mean:
        values = values - np.asarray(rule.mean, np.float32)
    if rule.deviation:
        values = values / np.asarray(rule.deviation, np.float32)
    return np.ascontiguousarray(values.transpose(0, 3, 1, 2) if rule.layout == "NCHW" else values, np.float32)


def _shape(rule: ImageInput) -> tuple[int, int, int]:
    if rule.layout == "NCHW":
        return rule.channels, rule.height, rule.width
    return rule.height, rule.width, rule.channels


def _edges(length: int, parts: int) -> list[int]:
    return [round(length * k / parts) for k in range(parts + 1)]


def _log_odds(prob: Floats) -> Floats:
    bounded = np.clip(prob, LEAST, MOST)
    return np.asarray(np.log(bounded) - np.log1p(-bounded))

"""The text detection network and what turns its probability map into boxes.

PP-OCRv4 (weights/SOURCE.md) answers for each pixel whether it lies in the shrunk kernel of a line of text; a kernel
is grown back by the offset area x ratio / perimeter (DB, Liao et al. 2020, section 3.4). Boxes are upright, because a
mask may be generous.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from gateway.domain.errors import Fault, Forbidden
from models.runtime.providers import Device, Policy, open_on
from models.text_search.components import components
from models.text_search.rectangle import Rectangle

WEIGHTS: Final = Path(__file__).parent / "weights" / "ppocr_v4_det.onnx"
SHA256: Final = "d2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9"
NAME: Final = "ppocr-v4-det"
_KERNEL: Final = 0.3  # a pixel belongs to a kernel above this
_UNCLIP: Final = 1.8
_PIXELS: Final = 1536 * 1152  # of one run; a larger picture is made smaller first
_SMALL: Final = 512  # a picture with shorter sides is doubled: small type is lost otherwise
_MULTIPLE: Final = 32
_FAVOURITE: Final = 40  # rows of a line, in the second look at it
_LONGEST: Final = 640
_CONFIRMED: Final = 0.05  # of the box is kernel
_MOST: Final = 2000  # boxes of one picture
Bytes = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Line:
    """Where a line of text may be, with the mean probability of its kernel."""

    box: Rectangle
    confidence: float


class TextDetector:
    """A warm session of the network; `provider` is the one that it really uses."""

    def __init__(self, policy: Policy, threads: int | None = None, weights: Path = WEIGHTS, device: int = 0) -> None:
        content = weights.read_bytes()
        if hashlib.sha256(content).hexdigest() != SHA256:
            raise Forbidden("the weights of the text detector are not the ones that were examined")
        opened = open_on(content, Device(policy, device, threads=threads))
        self._session: Any = opened.session
        self._input = self._session.get_inputs()[0].name
        self.provider = opened.provider

    def lines(self, picture: Bytes, least: float = 0.5) -> list[Line]:
        """Lines of text in `picture` (rows, columns) or (rows, columns, 3), with at least this confidence."""
        rows, columns = picture.shape[:2]
        scaled = _scaled(picture)
        probability = self._run(scaled)
        found = components(probability > _KERNEL, probability)
        score = found.weight / np.maximum(found.area, 1)
        found, score = found.chosen(score >= least), score[score >= least]
        down, right = rows / scaled.shape[0], columns / scaled.shape[1]
        lines = []
        for place in np.argsort(-score)[:_MOST]:
            height = int(found.bottom[place] - found.top[place])
            width = int(found.right[place] - found.left[place])
            if min(height, width) < 2:
                continue
            grow = height * width * _UNCLIP / (2 * (height + width)) + 1
            box = Rectangle(
                int(np.floor((found.left[place] - grow) * right)),
                int(np.floor((found.top[place] - grow) * down)),
                int(np.ceil((found.right[place] + grow) * right)),
                int(np.ceil((found.bottom[place] + grow) * down)),
            )
            lines.append(Line(box.within(rows, columns), float(score[place])))
        return lines

    def confirms(self, picture: Bytes, box: Rectangle) -> bool:
        """Whether the box alone, at the network's favourite size and upside down in grey, is writing too.

        Lung, lesions and glands that look like a line of text in the whole picture do not do so by themselves.
        """
        short = min(box.width, box.height)
        part = box.grown(max(4, short // 2)).within(*picture.shape[:2])
        rows, columns = (min(max(round(side * _FAVOURITE / short), 32), _LONGEST) for side in (part.height, part.width))
        crop = Image.fromarray(picture[part.slices]).resize((columns, rows), Image.Resampling.BILINEAR)
        edge = _FAVOURITE // 4
        inner = slice(edge, max(rows - edge, edge + 1)), slice(edge, max(columns - edge, edge + 1))
        return any(
            (self._run(view)[inner] > _KERNEL).mean() > _CONFIRMED
            for view in (np.asarray(crop), 255 - np.asarray(crop))
        )

    def _run(self, picture: Bytes) -> Numbers:
        rows, columns = picture.shape[:2]
        colour = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)
        tensor = np.full((1, 3, rows + -rows % _MULTIPLE, columns + -columns % _MULTIPLE), -1.0, np.float32)
        tensor[0, :, :rows, :columns] = colour.transpose(2, 0, 1)
        tensor[0, :, :rows, :columns] *= 2 / 255
        tensor[0, :, :rows, :columns] -= 1
        try:
            answer = self._session.run(None, {self._input: tensor})[0]
        except Exception as error:
            raise Fault(f"the text detector failed ({type(error).__name__})") from error
        return np.asarray(answer[0, 0, :rows, :columns], np.float32)


def _scaled(picture: Bytes) -> Bytes:
    rows, columns = picture.shape[:2]
    factor = 2.0 if max(rows, columns) < _SMALL else min(1.0, (_PIXELS / (rows * columns)) ** 0.5)
    if factor == 1.0:
        return picture
    size = (max(1, round(columns * factor)), max(1, round(rows * factor)))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR))

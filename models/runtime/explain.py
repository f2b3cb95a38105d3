"""Why the model said so: a heat map over the image, the box around its hot part, and a sentence.

The map is the class activation map that the graph itself gives (Zhou et al., 2016, arXiv:1512.04150),
which for this kind of network equals Grad-CAM up to scale. It is coarse, and the sentence says how coarse.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from models.manifest import ImageManifest
from models.runtime.orientation import AS_IT_CAME
from models.runtime.preprocess import Prepared, Window

SIDE = 256  # pixels; large enough to read, small enough to send with every report
GREYS, WARMTHS, SHADES = 64, 12, 16  # levels of the palette: greys alone, and shades of grey under each warmth
EVERYWHERE = 0.9  # share of the area that the model saw, from which a box around the hot part tells nothing
HOT = 0.5  # share of the map's peak that counts as hot


@dataclass(frozen=True)
class Box:
    """Rows and columns of the original frame, counted from 1 as a viewer does, both ends included."""

    first_row: int
    last_row: int
    first_column: int
    last_column: int


@dataclass(frozen=True)
class Explanation:
    """PNG of the map over the image, the box around the hot part (None: no part speaks for it), the text."""

    png: bytes
    box: Box | None
    text: str


def explain(
    prepared: Prepared,
    cam: npt.NDArray[np.float32],
    member: npt.NDArray[np.float32],
    manifest: ImageManifest,
) -> Explanation:
    """`cam` (height, width) evidence for the positive label, `member` (M,) each member's probability."""
    heat = _heat(cam)
    box = _box(heat, prepared.window)
    return Explanation(_overlay(prepared, heat), box, _sentence(box, prepared.window, member, manifest))


def _heat(cam: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Evidence for the label only, scaled to 0..1; all zero where nothing speaks for it."""
    for_it = np.maximum(cam, 0.0)
    peak = float(for_it.max())
    return np.asarray(for_it / peak if peak > 0 else for_it, np.float32)


def _box(heat: npt.NDArray[np.float32], window: Window) -> Box | None:
    hot = heat >= HOT
    if not hot.any():
        return None
    rows, columns = np.flatnonzero(hot.any(1)), np.flatnonzero(hot.any(0))
    tall, wide = window.height / heat.shape[0], window.width / heat.shape[1]
    down = window.top + int(rows[0] * tall) + 1, window.top + min(int(np.ceil((rows[-1] + 1) * tall)), window.height)
    left, right = int(columns[0] * wide) + 1, min(int(np.ceil((columns[-1] + 1) * wide)), window.width)
    return _as_it_came(down, (window.left + left, window.left + right), window)


def _as_it_came(rows: tuple[int, int], columns: tuple[int, int], window: Window) -> Box:
    """The box of the turned frame in the frame that was sent, which is what a viewer shows."""
    rows = window.turn.back(*rows, window.rows, rows=True)
    columns = window.turn.back(*columns, window.columns, rows=False)
    return Box(*columns, *rows) if window.turn.transposed else Box(*rows, *columns)


def _sentence(box: Box | None, window: Window, member: npt.NDArray[np.float32], manifest: ImageManifest) -> str:
    title = next(label.title for label in manifest.labels if label.name == manifest.output.positive)
    cells = manifest.output.cam_cells
    where = f'No part of the image speaks for the answer "{title}".'
    if box is not None:
        where = f'The evidence for "{title}" {_place(box, window)}.'
        if window.turn != AS_IT_CAME:
            where += " The picture shows the image turned as the model saw it."
    if not manifest.output.cam:
        return (
            f"{where} The map has {cells} by {cells} cells, each covered in turn: it shows where the answer depends "
            "on the image, not the outline of a lesion. Whether the image is like those that the model was trained "
            "on was not measured."
        )
    return (
        f"{where} The map has {cells} by {cells} cells: it shows what the model used, not the outline of a lesion. "
        f"The {len(member)} networks gave {float(member.min()):.2f} to {float(member.max()):.2f} before calibration."
    )


def _place(box: Box, window: Window) -> str:
    """Where the hot part lies; a box around nearly everything that the model saw says that there is no such part."""
    seen = (box.last_row - box.first_row + 1) * (box.last_column - box.first_column + 1)
    if seen >= EVERYWHERE * window.height * window.width:
        return "is spread over the whole image: no part of it stands out"
    rows, columns = (window.columns, window.rows) if window.turn.transposed else (window.rows, window.columns)
    return (
        f"lies mostly in rows {box.first_row} to {box.last_row} of {rows}, "
        f"columns {box.first_column} to {box.last_column} of {columns}"
    )


def _overlay(prepared: Prepared, heat: npt.NDArray[np.float32]) -> bytes:
    grey = np.asarray(Image.fromarray(prepared.square).resize((SIDE, SIDE), Image.Resampling.BILINEAR), np.float32)
    warm = Image.fromarray((heat * 255).astype(np.uint8)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    picture = Image.fromarray(_indices(grey / 255.0, np.asarray(warm, np.float32) / 255.0))
    picture.putpalette(_PALETTE)
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=3)
    return out.getvalue()


def _indices(grey: npt.NDArray[np.float32], share: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Places in the palette, computed: a search for the best colours takes longer than all the rest of an image."""
    cold = np.rint(grey * (GREYS - 1))
    warm = np.minimum((share * WARMTHS).astype(np.int32), WARMTHS - 1) * SHADES + np.rint(grey * (SHADES - 1)) + GREYS
    return np.where(share < 0.5 / WARMTHS, cold, warm).astype(np.uint8)


def _palette() -> bytes:
    """Red, green, blue of every place: the greys, then grey mixed with yellow to red by each warmth."""
    greys = np.repeat(np.rint(np.linspace(0, 255, GREYS))[:, None], 3, 1)
    share = ((np.arange(WARMTHS) + 0.5) / WARMTHS)[:, None, None]
    under = np.linspace(0, 255, SHADES)[None, :, None]
    colour = np.concatenate([np.full_like(share, 255.0), 220.0 * (1.0 - share), np.zeros_like(share)], 2)
    mixed = under * (1.0 - 0.55 * share) + colour * (0.55 * share)
    return np.concatenate([greys, mixed.reshape(-1, 3)]).clip(0, 255).astype(np.uint8).tobytes()


_PALETTE = _palette()

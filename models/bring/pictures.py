"""ROC curve and reliability diagram for the card, drawn with Pillow: no plotting library at a hospital."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageDraw

from models.bring.numbers import Floats, Truth

SIDE, EDGE = 420, 48
_BLUE, _GREY, _BLACK = (31, 119, 180), (170, 170, 170), (0, 0, 0)


def roc(prob: Floats, truth: Truth, threshold: float, title: str) -> bytes:
    """Sensitivity against 1 - specificity, with the working point."""
    order = np.argsort(-prob, kind="stable")
    last = np.r_[np.diff(prob[order]) != 0, True]
    rise = np.r_[0.0, np.cumsum(truth[order])[last] / truth.sum()]
    run = np.r_[0.0, np.cumsum(~truth[order])[last] / (~truth).sum()]
    said = prob >= threshold
    point = (float(said[~truth].mean()), float(said[truth].mean()))
    return _drawn(list(zip(run.tolist(), rise.tolist(), strict=True)), [point], title, "1 - specificity", "sensitivity")


def reliability(prob: Floats, truth: Truth, title: str, bins: int = 8) -> bytes:
    """Observed share of positives against the predicted, over bins of equal count."""
    parts = [part for part in np.array_split(np.argsort(prob), bins) if len(part)]
    points = [(float(prob[part].mean()), float(truth[part].mean())) for part in parts]
    return _drawn(points, points, title, "predicted probability", "observed share")


def _drawn(
    line: list[tuple[float, float]], dots: list[tuple[float, float]], title: str, below: str, beside: str
) -> bytes:
    picture = Image.new("RGB", (SIDE, SIDE), (255, 255, 255))
    pen = ImageDraw.Draw(picture)
    pen.rectangle((EDGE, EDGE, SIDE - EDGE, SIDE - EDGE), outline=_BLACK)
    pen.line((*_place((0, 0)), *_place((1, 1))), fill=_GREY)
    pen.line([_place(point) for point in line], fill=_BLUE, width=2)
    for point in dots:
        x, y = _place(point)
        pen.ellipse((x - 3, y - 3, x + 3, y + 3), fill=_BLACK)
    pen.text((EDGE, EDGE // 3), title[:60], fill=_BLACK)
    pen.text((EDGE, SIDE - EDGE // 2), f"{below} (0 to 1)", fill=_BLACK)
    pen.text((4, EDGE - 14), beside, fill=_BLACK)
    out = io.BytesIO()
    picture.save(out, "PNG", optimize=True)
    return out.getvalue()


def _place(point: tuple[float, float]) -> tuple[float, float]:
    inner = SIDE - 2 * EDGE
    return EDGE + point[0] * inner, SIDE - EDGE - point[1] * inner

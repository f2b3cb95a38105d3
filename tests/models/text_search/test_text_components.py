"""Connected components and the top-hat: the arithmetic under the morphological detector."""

from __future__ import annotations

import numpy as np
import pytest
from harness.burned_text import write_text
from hypothesis import given, settings
from hypothesis import strategies as st

from models.text_search.components import components
from models.text_search.tophat import FAINT, STRONG, rows_of_glyphs, top_hat


def _by_flood(mask: np.ndarray) -> set[tuple[int, int, int, int, int]]:
    """Boxes and areas by filling from pixel to pixel, as a child would."""
    left, found = mask.copy(), set()
    while left.any():
        stack = [tuple(np.argwhere(left)[0])]
        left[stack[0]] = False
        pixels = []
        while stack:
            row, column = stack.pop()
            pixels.append((row, column))
            for down in range(max(0, row - 1), min(mask.shape[0], row + 2)):
                for right in range(max(0, column - 1), min(mask.shape[1], column + 2)):
                    if left[down, right]:
                        left[down, right] = False
                        stack.append((down, right))
        rows, columns = zip(*pixels, strict=True)
        found.add((min(rows), min(columns), max(rows) + 1, max(columns) + 1, len(pixels)))
    return found


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 14), st.integers(1, 14), st.integers(0, 2**32 - 1), st.floats(0.05, 0.9))
def test_components_are_those_of_a_flood(rows: int, columns: int, seed: int, share: float) -> None:
    """Every random picture falls into the same components by runs as by filling."""
    mask = np.random.default_rng(seed).random((rows, columns)) < share
    found = components(mask, mask.astype(np.float32) * 2)
    boxes = zip(found.top, found.left, found.bottom, found.right, found.area, strict=True)
    assert {tuple(int(side) for side in box) for box in boxes} == _by_flood(mask)
    assert np.allclose(found.weight, 2 * found.area)


def test_a_spiral_is_one_component() -> None:
    """A long winding line is joined, however far apart its runs are."""
    mask = np.zeros((41, 41), np.bool_)
    for ring in range(0, 20, 2):
        mask[ring, ring : 41 - ring] = mask[40 - ring, ring : 41 - ring] = True
        mask[ring : 41 - ring, 40 - ring] = True
        mask[ring + 2 : 41 - ring, ring] = True
        mask[ring + 2, ring : ring + 3] = True
    assert len(components(mask)) == 1


def test_the_top_hat_is_that_of_the_definition() -> None:
    """Least and greatest value of each square, taken naively, give the same."""
    picture = np.random.default_rng(3).integers(0, 256, (23, 31)).astype(np.uint8)

    def each(values: np.ndarray, extreme: object, fill: int) -> np.ndarray:
        padded = np.pad(values, 3, constant_values=fill)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (7, 7))
        return extreme(windows, axis=(2, 3))  # type: ignore[operator]

    opened = each(each(picture, np.min, 255), np.max, 0)
    assert (top_hat(picture) == picture - np.minimum(opened, picture)).all()


@pytest.mark.parametrize(("ground", "ink", "passes"), [(0, 255, (STRONG,)), (255, 0, (STRONG,)), (20, 75, (FAINT,))])
@pytest.mark.parametrize("size", [9, 12, 16, 24])
def test_rows_of_glyphs_hold_the_ink(ground: int, ink: int, passes: tuple[object, ...], size: int) -> None:
    """Bright, dark and faint writing on an even ground is found, marks between it apart, and nothing else is."""
    picture = np.full((80, 400), ground, np.uint8)
    written = write_text(picture, "MUSTER 19610203", (30, 25), size, ink)
    found = rows_of_glyphs(picture, passes, dark=picture)  # type: ignore[arg-type]
    mask = np.zeros_like(written)
    for row in found:
        mask[row.box.within(*picture.shape).slices] = True
    assert mask[written].mean() > 0.85
    assert mask.mean() < 0.35


def test_ticks_and_lines_are_no_row() -> None:
    """Two marks, a ruler's vertical ticks and a frame are no writing."""
    picture = np.zeros((120, 120), np.uint8)
    picture[10:100:12, 100:106] = 200
    picture[20:22, 10:80] = 200
    picture[40:50, 20:24] = picture[40:50, 30:34] = 200
    assert rows_of_glyphs(picture, (STRONG,), dark=picture) == []

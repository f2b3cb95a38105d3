"""What is found on synthetic frames and on real ones without text, and where it is left alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from harness.burned_text import scan, sector_mask, write_text, written
from harness.searched import detector
from harness.studies import demo_files

from gateway.domain.errors import Forbidden
from models.runtime.providers import Policy
from models.text_search import regions
from models.text_search.detector import WEIGHTS, TextDetector
from models.text_search.frames import Shown
from models.text_search.look import look
from models.text_search.rectangle import Rectangle, covered


def _shown(frame: np.ndarray) -> Shown:
    return Shown(frame, frame, frame)


def _recall(seed: int, size: int, grey: int, over: str) -> float:
    """The share of strings whose ink is covered up to a twentieth."""
    made = written(seed, size, grey, over)
    mask = covered([one.box for one in look(_shown(made.frame), [], detector()).found], *made.frame.shape)
    return float(np.mean([mask[ink].mean() >= 0.95 for ink in made.inks]))


def test_weights_that_were_changed_are_refused(tmp_path: Path) -> None:
    """One bit is enough."""
    content = bytearray(WEIGHTS.read_bytes())
    content[-1] ^= 1
    (tmp_path / "changed.onnx").write_bytes(content)
    with pytest.raises(Forbidden):
        TextDetector(Policy.CPU_ONLY, 1, tmp_path / "changed.onnx")


@pytest.mark.parametrize(("size", "grey"), [(9, 255), (12, 110), (16, 255), (24, 255)])
def test_text_on_the_margin_is_found(size: int, grey: int) -> None:
    """Bright or dim, large or small: every string beside the scan is covered."""
    assert _recall(1, size, grey, "margin") == 1.0


@pytest.mark.parametrize("size", [12, 16, 24])
def test_bright_text_over_tissue_is_found(size: int) -> None:
    """From twelve pixels on, at least nine in ten strings over speckle are covered."""
    assert _recall(1, size, 255, "tissue") >= 0.9


def test_a_scan_without_text_is_left_alone() -> None:
    """Speckle, a grey bar and depth ticks: less than one in a hundred pixels of tissue is masked, and no doubt."""
    frame, sector = scan(np.random.default_rng(5))
    seen = look(_shown(frame), [], detector())
    assert covered([one.box for one in seen.found], *frame.shape)[sector].mean() < 0.01
    assert seen.doubtful == ()


def test_the_demo_keeps_its_lesions() -> None:
    """Of three real ultrasound images only the letters that one of them bears are covered."""
    boxes = []
    for path in demo_files():
        frame = pydicom.dcmread(path).pixel_array
        boxes.append([one.box for one in look(_shown(frame), [], detector()).found])
    assert [len(found) for found in boxes] == [1, 0, 0]
    assert boxes[0][0].overlap(Rectangle(72, 216, 100, 230)) == 28 * 14
    assert boxes[0][0].area < 0.02 * 256 * 298


def test_even_rows_that_the_network_does_not_confirm_are_a_doubt() -> None:
    """Nine-pixel type over speckle, where the network misses it, is not passed in silence."""
    made = written(0, 9, 255, "tissue")
    seen = look(_shown(made.frame), [], detector())
    mask = covered([*(one.box for one in seen.found), *seen.doubtful], *made.frame.shape)
    assert np.mean([mask[ink].mean() >= 0.9 for ink in made.inks]) > np.mean(
        [covered([one.box for one in seen.found], *made.frame.shape)[ink].mean() >= 0.9 for ink in made.inks]
    )


def test_the_sector_is_told_from_its_margin() -> None:
    """The estimate holds the sector and little more; lines of text beside it stay margin."""
    frame, sector = scan(np.random.default_rng(2))
    for row in range(3):
        write_text(frame, "ST MARY HOSPITAL 4471902", (90, 10 + row * 90), 16, 255)
    tissue = regions.tissue(frame, [])
    assert tissue[sector].mean() > 0.95
    assert tissue[~sector_mask()].mean() < 0.2
    assert not tissue[:30, 90:300].any()


def test_declared_regions_bound_the_tissue() -> None:
    """Outside a declared region nothing counts as tissue; a region without a place declares nothing."""
    dataset = pydicom.Dataset()
    whole, half = pydicom.Dataset(), pydicom.Dataset()
    whole.RegionLocationMinX0, whole.RegionLocationMinY0 = 300, 200
    whole.RegionLocationMaxX1, whole.RegionLocationMaxY1 = 699, 4000
    half.RegionLocationMinX0 = 3
    dataset.SequenceOfUltrasoundRegions = [whole, half]
    (region,) = regions.declared(dataset, 768, 1024)
    assert region == Rectangle(300, 200, 700, 768)
    frame, _ = scan(np.random.default_rng(2))
    tissue = regions.tissue(frame, [region])
    assert not tissue[:, :300].any()
    assert tissue[300:600, 400:600].all()

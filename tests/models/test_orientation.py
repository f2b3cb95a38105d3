"""However a film was laid on the scanner, the network sees it as it was trained, and the report tells of the film."""

from __future__ import annotations

import io
from dataclasses import replace
from itertools import product

import numpy as np
import pydicom
import pytest

from gateway.domain.errors import Invalid, Unsupported
from models.inputs import ImageInput
from models.manifest import parse
from models.package import Package
from models.runtime.explain import explain
from models.runtime.orientation import directions, turn_to
from models.runtime.preprocess import Bytes, prepare, read
from models.training.wrap import ultrasound

UPRIGHT = ("L", "F")
STEPS = ("rescale", "window", "polarity", "grey", "upright", "centre-square", "resize-bicubic")
LAID = list(product((False, True), repeat=3))


def film() -> Bytes:
    """Taller than wide, no symmetry; one bright block, rows 41 to 50 and columns 61 to 70 counted from 1."""
    rows, columns = 120, 96
    grey = (np.add.outer(np.arange(rows), np.arange(columns) * 2) % 60 + 20).astype(np.uint8)
    grey[40:50, 60:70] = 250
    return grey


def laid(pixels: Bytes, *, mirrored: bool, overturned: bool, sideways: bool) -> tuple[Bytes, tuple[str, str]]:
    """The film as it was sent, and the directions of its rows and columns."""
    along, down = UPRIGHT
    if mirrored:
        pixels, along = pixels[:, ::-1], "R"
    if overturned:
        pixels, down = pixels[::-1], "H"
    if sideways:
        pixels, along, down = pixels.T, down, along
    return np.ascontiguousarray(pixels), (along, down)


def sent(pixels: Bytes, orientation: tuple[str, str] | None, cosines: list[float] | None = None) -> pydicom.FileDataset:
    dataset = pydicom.dcmread(io.BytesIO(ultrasound(pixels)))
    for keyword in ("PatientOrientation", "ImageOrientationPatient"):
        if keyword in dataset:
            del dataset[keyword]
    if orientation:
        dataset.PatientOrientation = list(orientation)
    if cosines:
        dataset.ImageOrientationPatient = cosines
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return read(out.getvalue())


def rule(package: Package, *, required: bool = False) -> ImageInput:
    return replace(package.manifest.input, steps=STEPS, orientation=UPRIGHT, orientation_required=required)


@pytest.mark.parametrize(("mirrored", "overturned", "sideways"), LAID)
def test_a_film_is_seen_the_same_however_it_was_laid(
    package: Package, *, mirrored: bool, overturned: bool, sideways: bool
) -> None:
    """All eight ways give one tensor, and the box of the explanation lies on the same spot of the film as sent."""
    wanted = prepare(sent(film(), UPRIGHT), rule(package)).tensor
    pixels, orientation = laid(film(), mirrored=mirrored, overturned=overturned, sideways=sideways)
    prepared = prepare(sent(pixels, orientation), rule(package))
    np.testing.assert_array_equal(prepared.tensor, wanted)
    cam = prepared.tensor[..., 0] - 200
    told = explain(prepared, cam, np.asarray([0.5], np.float32), package.manifest)
    assert told.box is not None
    inside = pixels[told.box.first_row - 1 : told.box.last_row, told.box.first_column - 1 : told.box.last_column]
    assert (inside == 250).sum() >= 60, "the bright block is in it"
    assert inside.size <= 400, "and little else"
    assert f"of {pixels.shape[0]}, columns" in told.text
    assert f"of {pixels.shape[1]}." in told.text
    assert ("turned" in told.text) == (orientation != UPRIGHT)


def test_without_the_step_nothing_is_turned(package: Package) -> None:
    """What a pack was not trained with is not done to its images."""
    pixels, orientation = laid(film(), mirrored=True, overturned=True, sideways=False)
    plain = prepare(sent(pixels, orientation), package.manifest.input)
    assert not np.array_equal(plain.tensor, prepare(sent(film(), UPRIGHT), package.manifest.input).tensor)


def test_another_plane_is_refused(package: Package) -> None:
    """A lateral film, and a head seen from above, are not what a model on frontal films takes."""
    for orientation in (("A", "F"), ("L", "P")):
        with pytest.raises(Unsupported, match="plane"):
            prepare(sent(film(), orientation), rule(package))


def test_a_header_that_does_not_say_is_refused_where_the_pack_wants_that(package: Package) -> None:
    """Otherwise the image is taken as it lies."""
    silent = sent(film(), None)
    np.testing.assert_array_equal(
        prepare(silent, rule(package)).tensor, prepare(sent(film(), UPRIGHT), rule(package)).tensor
    )
    with pytest.raises(Unsupported, match="does not say"):
        prepare(silent, rule(package, required=True))


@pytest.mark.parametrize(
    ("cosines", "found"),
    [
        ([1, 0, 0, 0, 1, 0], ("L", "P")),
        ([-0.9, 0.1, 0.2, 0, 0.1, -0.99], ("R", "F")),
        ([0, 1, 0, 0, 0, -1], ("P", "F")),
        ([1, 0, 0, 1, 0, 0], None),
        ([0.7, 0, 0], None),
    ],
)
def test_slices_say_it_by_cosines(cosines: list[float], found: tuple[str, str] | None) -> None:
    """PS3.3 C.7.6.2.1.1: x to the left, y to the back, z to the head; oblique slices by their main direction."""
    assert directions(sent(film(), None, cosines)) == found


def test_oblique_and_careless_headers_are_read(package: Package) -> None:
    """Several letters name an oblique direction, the main one first; a single word or a strange one says nothing."""
    dataset = sent(film(), None)
    dataset.PatientOrientation = ["LP", "FA"]
    assert turn_to(dataset, UPRIGHT, required=True) == turn_to(sent(film(), UPRIGHT), UPRIGHT, required=True)
    for strange in ("L", ["L"], ["X", "F"], ["", "F"], ["L", "F", "A"], None):
        dataset.PatientOrientation = strange
        assert directions(dataset) is None


@pytest.mark.parametrize(
    ("steps", "more", "complaint"),
    [
        (STEPS, "", "upright"),
        (STEPS[:4] + STEPS[5:], 'orientation = ["L", "F"]', "upright"),
        (STEPS, 'orientation = ["L", "R"]', "directions"),
        (STEPS, 'orientation = ["L", "down"]', "directions"),
        (STEPS, 'orientation = ["L"]', "directions"),
        ((*STEPS[:4], "centre-square", "upright", "resize-bicubic"), 'orientation = ["L", "F"]', "before"),
        (STEPS[:4] + STEPS[5:], "orientation_required = true", "orientation"),
        (STEPS, 'orientation = ["L", "F"]', None),
    ],
)
def test_a_manifest_says_it_whole(package: Package, steps: tuple[str, ...], more: str, complaint: str | None) -> None:
    """Step and directions stand together, the directions are of two axes, and a cut comes after the turn."""
    text = package.content["manifest.toml"].decode()
    old = next(line for line in text.splitlines() if line.startswith("steps = "))
    changed = text.replace(old, "steps = [" + ", ".join(f'"{step}"' for step in steps) + f"]\n{more}").encode()
    if complaint is None:
        assert parse(changed).input.orientation == UPRIGHT
        return
    with pytest.raises(Invalid, match=complaint):
        parse(changed)

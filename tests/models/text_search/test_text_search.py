"""The search of whole objects: every form of pixels, cines, what is masked, held, and left byte for byte."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pydicom
import pytest
from harness.burned_text import scan, speckle, write_text, written
from harness.searched import as_file, compressed, masked, search, shot
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from gateway.domain.clearance import ALL_FRAMES, Box
from gateway.domain.errors import GatewayError, Invalid
from models.text_search import device_rules

ROWS, COLUMNS = 240, 320
TEXT = "SMITH^JOHN 4471902"


def picture(seed: int = 1, text: str = TEXT, grey: int = 255) -> tuple[np.ndarray, np.ndarray]:
    """A small scan with a line of text on its black margin, and the ink."""
    frame = np.zeros((ROWS, COLUMNS), np.uint8)
    frame[60:220, 60:260] = speckle(np.random.default_rng(seed), 160, 200)
    return frame, write_text(frame, text, (20, 14), 16, grey)


def _plain() -> tuple[Dataset, np.ndarray]:
    frame, ink = picture()
    return shot(frame), ink


def _inverted() -> tuple[Dataset, np.ndarray]:
    frame, ink = picture()
    return shot(255 - frame, PhotometricInterpretation="MONOCHROME1"), ink


def _twelve_bits() -> tuple[Dataset, np.ndarray]:
    frame, ink = picture()
    values = frame.astype(np.uint16) * 4 + ink.astype(np.uint16) * 3000
    return shot(values, BitsStored=12, HighBit=11), ink


def _signed() -> tuple[Dataset, np.ndarray]:
    frame, ink = picture()
    return shot(frame.astype(np.int16) * 8 - 1024), ink


def _windowed_away() -> tuple[Dataset, np.ndarray]:
    """Tissue fills the window up to its end; the text lies above it and would look like more tissue."""
    frame, ink = picture()
    values = np.where(ink, 60000, np.minimum(frame, 90).astype(np.uint16) * 10)
    return shot(values.astype(np.uint16), WindowCenter=400, WindowWidth=800), ink


def _colour() -> tuple[Dataset, np.ndarray]:
    frame, ink = picture(text="")
    colour = np.repeat(frame[..., None], 3, axis=2)
    ink = write_text(colour, TEXT, (20, 14), 16, 255)
    colour[ink] = (255, 230, 0)
    return shot(colour), ink


def _planar() -> tuple[Dataset, np.ndarray]:
    what, ink = _colour()
    colour = np.frombuffer(what.PixelData, np.uint8).reshape(ROWS, COLUMNS, 3)
    what.PixelData, what.PlanarConfiguration = colour.transpose(2, 0, 1).tobytes(), 1
    return what, ink


def _ybr() -> tuple[Dataset, np.ndarray]:
    frame, ink = picture()
    colour = np.stack([frame, np.full_like(frame, 128), np.full_like(frame, 128)], axis=2)
    return shot(colour, PhotometricInterpretation="YBR_FULL"), ink


def _palette() -> tuple[Dataset, np.ndarray]:
    """Indices that look like nothing until the palette is applied: neighbours lie far apart in grey."""
    frame, ink = picture()
    order = np.random.default_rng(0).permutation(256).astype(np.uint8)
    palette = order.astype(np.uint16) * 257
    what = shot(np.argsort(order).astype(np.uint8)[frame], PhotometricInterpretation="PALETTE COLOR")
    for colour in ("Red", "Green", "Blue"):
        setattr(what, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 16])
        setattr(what, f"{colour}PaletteColorLookupTableData", palette.astype("<u2").tobytes())
    return what, ink


def _implicit() -> tuple[Dataset, np.ndarray]:
    what, ink = _twelve_bits()
    what.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    return what, ink


def _big_endian() -> tuple[Dataset, np.ndarray]:
    what, ink = _twelve_bits()
    values = np.frombuffer(what.PixelData, "<u2").astype(">u2")
    what.PixelData = values.tobytes()
    what.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    return what, ink


def _jpeg() -> tuple[Dataset, np.ndarray]:
    frame, ink = picture()
    written = io.BytesIO()
    Image.fromarray(frame).save(written, "JPEG", quality=90)
    return compressed(shot(frame), JPEGBaseline8Bit, [written.getvalue()]), ink


def _jpeg_colour() -> tuple[Dataset, np.ndarray]:
    what, ink = _colour()
    colour = np.frombuffer(what.PixelData, np.uint8).reshape(ROWS, COLUMNS, 3)
    written = io.BytesIO()
    Image.fromarray(colour).save(written, "JPEG", quality=90)
    return compressed(what, JPEGBaseline8Bit, [written.getvalue()], PhotometricInterpretation="YBR_FULL_422"), ink


def _encoded(syntax: str) -> Callable[[], tuple[Dataset, np.ndarray]]:
    def make() -> tuple[Dataset, np.ndarray]:
        what, ink = _twelve_bits()
        what.compress(syntax)
        return what, ink

    return make


FORMS = {
    "8 bit": _plain,
    "MONOCHROME1": _inverted,
    "12 of 16 bit": _twelve_bits,
    "signed": _signed,
    "above the window": _windowed_away,
    "RGB": _colour,
    "planar": _planar,
    "YBR_FULL": _ybr,
    "palette": _palette,
    "implicit": _implicit,
    "big endian": _big_endian,
    "JPEG": _jpeg,
    "JPEG colour": _jpeg_colour,
    "RLE": _encoded(RLELossless),
    "JPEG 2000": _encoded(JPEG2000Lossless),
}


def _as_shown(dataset: pydicom.Dataset) -> np.ndarray:
    """What a viewer would show, bright is high; another program's decoding."""
    values = dataset.pixel_array.astype(np.int64)
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        palette = np.frombuffer(dataset.RedPaletteColorLookupTableData, "<u2").astype(np.int64)
        return palette[values]
    if values.ndim == 3:
        return values.max(axis=2)
    return -values if dataset.PhotometricInterpretation == "MONOCHROME1" else values


@pytest.mark.parametrize("form", FORMS)
def test_text_is_gone_in_every_form_of_pixels(form: str) -> None:
    """The ink is as black as the margin, pixels beyond the boxes are as they were, and the stamps are there."""
    what, ink = FORMS[form]()
    file = as_file(what)
    found = search().search(file, None)
    assert found.finding.doubt is None
    assert found.pixel_data is not None
    after = masked(file, found)
    shown, before = _as_shown(after), _as_shown(pydicom.dcmread(io.BytesIO(file)))
    assert (shown[ink] == shown.min()).all()
    outside = np.ones_like(ink)
    for box in found.finding.boxes:
        outside[box.top : box.top + box.height, box.left : box.left + box.width] = False
    assert outside.mean() > 0.85
    assert (shown[outside] == before[outside]).all()
    assert after.BurnedInAnnotation == "NO"
    assert not after.file_meta.TransferSyntaxUID.is_encapsulated


def test_an_object_without_text_keeps_its_pixels() -> None:
    """Nothing to mask: no new pixels, only the mark that they were searched."""
    frame, _ = picture(text="")
    file = as_file(shot(frame))
    found = search().search(file, None)
    assert (found.pixel_data, found.finding.boxes, found.finding.doubt) == (None, (), None)
    after = masked(file, found)
    assert after.BurnedInAnnotation == "NO"
    assert after.PixelData == pydicom.dcmread(io.BytesIO(file)).PixelData


@pytest.mark.parametrize("kind", [np.uint16, np.int16])
def test_overlays_in_unused_bits_are_cleared(kind: type) -> None:
    """Bits above the stored ones become zero, or the sign; the picture is the same."""
    frame, _ = picture(text="")
    values = (frame.astype(kind) * 8) - (512 if kind is np.int16 else 0)
    hidden = values.view(np.uint16) & 0x0FFF
    hidden[5:20, 40:90] |= 0x4000
    file = as_file(shot(hidden.view(kind), BitsStored=12, HighBit=11))
    found = search().search(file, None)
    assert found.pixel_data is not None
    assert (np.frombuffer(found.pixel_data, kind).reshape(ROWS, COLUMNS) == values).all()


def cine(frames: int = 20, *, banner: str = TEXT, overlay: str = "", clock: bool = False) -> np.ndarray:
    """A sector whose speckle moves under a banner that does not; `overlay` is dim and lies over tissue."""
    made = []
    for number in range(frames):
        frame = np.zeros((ROWS, COLUMNS), np.uint8)
        frame[50:230, 40:300] = speckle(np.random.default_rng(number), 180, 260)
        write_text(frame, banner, (10, 10), 16, 255)
        write_text(frame, overlay, (90, 120), 16, 110)
        if clock:
            write_text(frame, f"10:41:{number:02}", (230, 28), 14, 220)
        made.append(frame)
    return np.stack(made)


def test_what_stands_still_in_a_cine_is_masked_in_every_frame() -> None:
    """Banner, running clock, and even dim writing over tissue, which no single frame would give away."""
    frames = cine(overlay="DOE JANE 1961", clock=True)
    file = as_file(shot(frames))
    found = search().search(file, None)
    assert found.finding.doubt is None
    shown = masked(file, found).pixel_array
    assert shown[:, :44].max() == 0
    _, ink = picture(text="")
    ink = write_text(np.zeros((ROWS, COLUMNS), np.uint8), "DOE JANE 1961", (90, 120), 16, 110)
    assert (shown[:, ink] == 0).mean() > 0.95
    tissue = np.zeros((ROWS, COLUMNS), np.bool_)
    tissue[60:220, 50:290] = True
    assert (shown[:, tissue] == frames[:, tissue]).mean() > 0.93


def test_text_in_one_frame_of_a_cine_is_found() -> None:
    """A name that is shown for one frame alone, among many that are looked at in passing."""
    frames = cine(banner="")
    ink = write_text(frames[7], "SMITH^JOHN 1961", (80, 100), 18, 255)
    file = as_file(shot(frames))
    found = search().search(file, None)
    assert (masked(file, found).pixel_array[7][ink] == 0).all()


def test_outside_the_declared_region_of_a_cine_nothing_is_left() -> None:
    """The scanner says where the scan is: the rest goes, whatever it shows."""
    region = Dataset()
    region.RegionLocationMinX0, region.RegionLocationMinY0 = 40, 50
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = 299, 229
    file = as_file(shot(cine(), SequenceOfUltrasoundRegions=[region]))
    shown = masked(file, search().search(file, None)).pixel_array
    assert shown[:, :34].max() == 0


def test_frames_are_masked_each_by_itself_and_equal_ones_alike() -> None:
    """Three frames, two of them equal: the text of each goes, the third is not touched."""
    first, ink = picture()
    clean, _ = picture(seed=2, text="")
    file = as_file(shot(np.stack([first, clean, first])))
    found = search().search(file, None)
    shown = masked(file, found).pixel_array
    assert {box.frame for box in found.finding.boxes} == {0, 2}
    assert shown[0][ink].max() == shown[2][ink].max() == 0
    assert (shown[1] == clean).all()


def test_a_persons_boxes_are_masked_exactly() -> None:
    """No detector adds or takes away: text beside the box stays, what the box covers is black."""
    frame, ink = picture()
    file = as_file(shot(np.stack([frame, frame])))
    found = search().search(file, [Box(1, 100, 80, 50, 40, "person"), Box(ALL_FRAMES, 300, 230, 500, 500, "person")])
    shown = masked(file, found).pixel_array
    assert (shown[0] == frame)[:230].all()
    assert shown[1, 80:120, 100:150].max() == shown[:, 230:, 300:].max() == 0
    assert shown[1][ink].max() == 255
    assert (found.finding.detectors, found.finding.doubt) == (("person",), None)


def test_a_known_devices_rectangle_is_masked() -> None:
    """An iU22 picture of 768 rows loses its banner, though nothing is written there."""
    frame, _ = scan(np.random.default_rng(1))
    frame[:75] = 40
    file = as_file(shot(frame, ManufacturerModelName="iU22"))
    found = search().search(file, None)
    assert found.finding.detectors[0] == "device-rules"
    assert masked(file, found).pixel_array[:75].max() == 0


def test_too_much_to_mask_is_a_doubt_with_a_picture() -> None:
    """A page full of writing goes to a person, unchanged, with its proposed boxes and a preview."""
    page = np.full((400, 600), 255, np.uint8)
    for row in range(16):
        write_text(page, "REPORT OF EXAMINATION " + TEXT, (20, 10 + row * 24), 18, 0)
    found = search().search(as_file(shot(page)), None)
    assert found.finding.doubt is not None
    assert "of what is shown" in found.finding.doubt
    assert found.pixel_data is None
    assert found.finding.boxes
    assert found.preview is not None
    with Image.open(io.BytesIO(found.preview)) as shown:
        assert shown.size == (600, 400)


@pytest.mark.parametrize(
    "changes",
    [
        {"BitsAllocated": 32, "BitsStored": 32, "HighBit": 31},
        {"BitsStored": 6, "HighBit": 7},
        {"NumberOfFrames": 100_000},
        {"Rows": 60_000},
        {"SamplesPerPixel": 2},
    ],
)
def test_a_form_that_cannot_be_searched_is_a_doubt(changes: dict[str, Any]) -> None:
    """What the search does not know or may not take goes to a person and is never passed."""
    frame, _ = picture()
    found = search().search(as_file(shot(frame, **changes)), None)
    assert found.finding.doubt
    assert found.pixel_data is None


def test_a_search_without_end_is_a_doubt() -> None:
    """Time is bounded for each object."""
    ticks = iter(range(0, 10**6, 100))
    found = search(clock=lambda: float(next(ticks)), seconds=50.0).search(as_file(_plain()[0]), None)
    assert found.finding.doubt == "the search of its frames takes longer than 50 s"


def test_pixels_that_do_not_decode_are_invalid() -> None:
    """Too short, or no codestream: the sender's fault, said without a value."""
    short = shot(picture()[0])
    short.PixelData = short.PixelData[:1000]
    broken = compressed(shot(picture()[0]), JPEG2000Lossless, [b"\xff\x4f\xff\x51" + bytes(60)])
    for what in (short, broken):
        with pytest.raises(Invalid):
            search().search(as_file(what), None)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_no_file_makes_the_search_fail_in_another_way(data: st.DataObject) -> None:
    """A header of random values gives an answer or an error of ours, and no pixels of another size."""
    values = st.sampled_from([0, 1, 2, 3, 7, 8, 12, 15, 16, 64])
    changes: dict[str, Any] = {
        "Rows": data.draw(values),
        "Columns": data.draw(values),
        "SamplesPerPixel": data.draw(st.sampled_from([1, 3])),
        "BitsStored": data.draw(values),
        "HighBit": data.draw(values),
        "PixelRepresentation": data.draw(st.sampled_from([0, 1])),
        "NumberOfFrames": data.draw(st.sampled_from([1, 2, 14])),
        "PhotometricInterpretation": data.draw(
            st.sampled_from(["MONOCHROME1", "MONOCHROME2", "RGB", "YBR_FULL", "YBR_FULL_422", "PALETTE COLOR", "X"])
        ),
        "PlanarConfiguration": data.draw(st.sampled_from([0, 1])),
    }
    seed = data.draw(st.integers(0, 9))
    noise = np.random.default_rng(seed).integers(0, 256, (64, 64)).astype(np.uint8)
    what = shot(noise, **changes)
    what.BitsAllocated = data.draw(st.sampled_from([8, 16]))
    file = as_file(what)
    try:
        found = search().search(file, None)
    except GatewayError:
        return
    if found.pixel_data is not None:
        wanted = what.Rows * what.Columns * what.SamplesPerPixel * what.NumberOfFrames * what.BitsAllocated // 8
        assert len(found.pixel_data) >= wanted


def test_large_pictures_are_searched_in_less_memory() -> None:
    """A film of more than three megapixels is shown smaller; its boxes are in its own pixels."""
    film = np.zeros((1700, 1800), np.uint16)
    film[300:1600, 300:1600] = np.repeat(np.repeat(speckle(np.random.default_rng(1), 130, 130), 10, 0), 10, 1)
    ink = write_text(eight := np.zeros((1700, 1800), np.uint8), "SMITH^JOHN", (900, 80), 60, 255)
    film += eight.astype(np.uint16) * 16
    file = as_file(shot(film))
    found = search().search(file, None)
    assert found.finding.doubt is None
    assert masked(file, found).pixel_array[ink].max() == 0


def test_device_rules_of_a_hospital(tmp_path: Any) -> None:
    """A second file adds rules; one that matches by a removed attribute, or by nothing, is refused by its number."""
    own = tmp_path / "own.json"
    own.write_text('{"rules": [{"name": "a", "match": {"Manufacturer": "acme"}, "boxes": [[1, 2, 3, 4]]}]}')
    rules = device_rules.load(own)
    assert device_rules.rectangles(rules, shot(picture()[0]), ROWS, COLUMNS) == [(1, 2, 4, 6)]
    for wrong in (
        '{"rules": [{"name": "a", "match": {"PatientName": "x"}, "boxes": [[1, 2, 3, 4]]}]}',
        '{"rules": [{"name": "a", "match": {}, "boxes": [[1, 2, 3, 4]]}]}',
        '{"rules": [{"name": "a", "match": {"Manufacturer": "x"}, "boxes": [[1, 2, 0, 4]]}]}',
        '{"rules": [{"name": "a", "match": {"Manufacturer": "x"}, "boxes": [[1, 2]]}]}',
        '{"rules": 3}',
        "[",
    ):
        own.write_text(wrong)
        with pytest.raises(Invalid, match=r"own\.json"):
            device_rules.load(own)


def test_syntaxes_that_hold_pixels_keep_their_own() -> None:
    """Native objects stay in their transfer syntax."""
    for make, syntax in ((_implicit, ImplicitVRLittleEndian), (_plain, ExplicitVRLittleEndian)):
        file = as_file(make()[0])
        assert masked(file, search().search(file, None)).file_meta.TransferSyntaxUID == syntax


def test_written_frames_are_what_they_say() -> None:
    """The generator burns what it returns as ink."""
    made = written(3, 16, 255, "margin")
    assert all(made.frame[ink].min() > 90 for ink in made.inks)

"""What the network sees of a DICOM image is what it was trained on, in every form that carries it."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
    generate_uid,
)

from gateway.domain.errors import Invalid, Unsupported
from models.package import Package
from models.runtime import preprocess
from models.runtime.codestream import announced_size
from models.runtime.preprocess import prepare, read
from models.training.wrap import ultrasound

Bytes = npt.NDArray[np.uint8]


def golden_images(package: Package) -> Bytes:
    with np.load(io.BytesIO(package.content["golden.npz"])) as golden:
        pixels: Bytes = golden["pixels"][..., 0]
    return pixels


def picture(rows: int = 96, columns: int = 128) -> Bytes:
    grid = np.add.outer(np.arange(rows) * 2, np.arange(columns))
    return (grid % 200 + 20).astype(np.uint8)


def saved(dataset: Dataset) -> bytes:
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def changed(pixels: Bytes, change: Callable[[Dataset], object]) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(ultrasound(pixels)))
    change(dataset)
    return saved(dataset)


def test_training_arrays_survive_the_wrap_exactly(package: Package) -> None:
    """A 28 x 28 array of the validation part, as a DICOM file, becomes the very tensor that was evaluated."""
    for image in golden_images(package):
        tensor = prepare(read(ultrasound(image)), package.manifest.input).tensor
        np.testing.assert_array_equal(tensor[..., 0], image)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless], ids=["RLE", "JPEG 2000"])
def test_lossless_transfer_syntaxes_give_the_same_tensor(package: Package, syntax: pydicom.uid.UID) -> None:
    """A losslessly compressed image gives the tensor of the uncompressed one."""
    plain = prepare(read(ultrasound(picture())), package.manifest.input).tensor
    packed = changed(picture(), lambda dataset: dataset.compress(syntax, generate_instance_uid=False))
    np.testing.assert_array_equal(prepare(read(packed), package.manifest.input).tensor, plain)


def test_deflated_and_implicit_vr_give_the_same_tensor(package: Package) -> None:
    """Deflated and implicit VR files give the tensor of the plain one."""
    plain = prepare(read(ultrasound(picture())), package.manifest.input).tensor

    def deflate(dataset: Dataset) -> None:
        dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian

    np.testing.assert_array_equal(prepare(read(changed(picture(), deflate)), package.manifest.input).tensor, plain)
    dataset = pydicom.dcmread(io.BytesIO(ultrasound(picture())))
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    out = io.BytesIO()
    dataset.save_as(out, implicit_vr=True, enforce_file_format=True)
    np.testing.assert_array_equal(prepare(read(out.getvalue()), package.manifest.input).tensor, plain)


def test_monochrome1_is_turned_over(package: Package) -> None:
    """The same picture stored as MONOCHROME1 gives the same tensor."""
    plain = prepare(read(ultrasound(picture())), package.manifest.input).tensor

    def turn(dataset: Dataset) -> None:
        dataset.PhotometricInterpretation = "MONOCHROME1"

    turned = changed(255 - picture(), turn)
    np.testing.assert_array_equal(prepare(read(turned), package.manifest.input).tensor, plain)


def test_colour_of_a_grey_picture_is_that_grey(package: Package) -> None:
    """An RGB image with equal channels gives the tensor of the grey one."""

    def colour(dataset: Dataset) -> None:
        dataset.SamplesPerPixel, dataset.PlanarConfiguration = 3, 0
        dataset.PhotometricInterpretation = "RGB"
        dataset.PixelData = np.repeat(picture()[..., None], 3, 2).tobytes()

    plain = prepare(read(ultrasound(picture())), package.manifest.input).tensor
    got = prepare(read(changed(picture(), colour)), package.manifest.input).tensor
    np.testing.assert_array_equal(got, plain)


def test_twelve_bits_with_rescale_and_window_become_the_window(package: Package) -> None:
    """Stored values with slope, intercept and a window give the grey levels that the window shows."""
    stored = (picture().astype(np.uint16) * 8 + 100).astype("<u2")

    def deepen(dataset: Dataset) -> None:
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
        dataset.RescaleSlope, dataset.RescaleIntercept = "2", "-200"
        dataset.WindowCenter, dataset.WindowWidth, dataset.VOILUTFunction = "2040", "4080", "LINEAR_EXACT"
        dataset.PixelData = stored.tobytes()

    plain = prepare(read(ultrasound(picture())), package.manifest.input).tensor
    got = prepare(read(changed(picture(), deepen)), package.manifest.input).tensor
    np.testing.assert_array_equal(got, plain)


def test_the_middle_of_the_longer_side_is_kept(package: Package) -> None:
    """What lies outside the centre square has no influence, and the window says what was kept."""
    wide = picture(64, 128)
    framed = wide.copy()
    framed[:, :32] = framed[:, 96:] = 255
    first, second = (prepare(read(ultrasound(p)), package.manifest.input) for p in (wide, framed))
    np.testing.assert_array_equal(first.tensor, second.tensor)
    assert (first.window.left, first.window.width, first.window.columns) == (32, 64, 128)


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("Rows", 60000), ("Columns", 8), ("NumberOfFrames", "500"), ("BitsAllocated", 32), ("SamplesPerPixel", 4)],
)
def test_bounds_are_checked_on_the_header(package: Package, keyword: str, value: object) -> None:
    """A header beyond the manifest's bounds is refused before pixels are decoded (the pixels do not fit it)."""
    data = changed(picture(), lambda dataset: setattr(dataset, keyword, value))
    with pytest.raises(Unsupported):
        prepare(read(data), package.manifest.input)


def test_frames_are_taken_only_as_declared(package: Package) -> None:
    """A two-frame image is refused by a single-frame manifest, and gives its middle frame where that is declared."""

    def double(dataset: Dataset) -> None:
        dataset.NumberOfFrames = "2"
        dataset.PixelData = picture()[::-1].tobytes() + picture().tobytes()

    data = changed(picture(), double)
    with pytest.raises(Unsupported, match="frames"):
        prepare(read(data), package.manifest.input)
    middle = replace(package.manifest.input, frames="middle", max_frames=2)
    plain = prepare(read(ultrasound(picture())), package.manifest.input).tensor
    np.testing.assert_array_equal(prepare(read(data), middle).tensor, plain)


def test_truncated_pixels_are_invalid(package: Package) -> None:
    """Pixel data shorter than the header says is refused, not guessed."""

    def cut(dataset: Dataset) -> None:
        dataset.PixelData = dataset.PixelData[:100]

    with pytest.raises(Invalid, match="decoded"):
        prepare(read(changed(picture(), cut)), package.manifest.input)


def test_a_deflate_bomb_is_refused() -> None:
    """A deflated file that inflates beyond the limit is refused while it is measured."""

    def deflate(dataset: Dataset) -> None:
        dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian

    small = changed(picture(), deflate)
    end = preprocess._meta_end(small)
    squeeze = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    bomb = small[:end] + squeeze.compress(bytes(1 << 23)) + squeeze.flush()
    assert len(bomb) < 1 << 15
    with pytest.raises(Invalid, match="inflates"):
        read(bomb, limit=1 << 22)


@pytest.mark.parametrize("data", [b"", b"junk" * 100, bytes(128) + b"DICM", generate_uid().encode() * 50])
def test_what_is_not_dicom_is_invalid(data: bytes) -> None:
    """Bytes that are no DICOM file raise Invalid, whatever the parser thought of them."""
    with pytest.raises(Invalid):
        read(data)


def announcing(dataset: Dataset, marker: bytes, at: int, size: bytes) -> None:
    """The encoded frame with another size behind its marker."""
    frame = bytearray(get_frame(dataset.PixelData, 0, number_of_frames=1))
    place = frame.index(marker) + at
    frame[place : place + len(size)] = size
    dataset.PixelData = encapsulate([bytes(frame)])


def test_a_codestream_that_announces_more_than_the_header_is_refused_before_it_is_decoded(
    package: Package,
) -> None:
    """A few bytes that claim gigabytes never reach the codec."""

    def bomb(dataset: Dataset) -> None:
        dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
        announcing(dataset, b"\xff\x51", 6, struct.pack(">2I", 60000, 60000))

    with pytest.raises(Invalid, match="codestream"):
        prepare(read(changed(picture(), bomb)), package.manifest.input, lambda _: pytest.fail("decoded"))


@pytest.mark.parametrize(
    ("stream", "size"),
    [
        (b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc0\x00\x0b\x08\x01\x02\x03\x04\x01\x01\x11\x00", (0x0102, 0x0304)),
        (b"\xff\xd8\xff\xf7\x00\x0b\x08\x00\x60\x00\x80\x01\x01\x11\x00", (96, 128)),
        (b"\xff\xd8\xff\xff\xc3\x00\x0b\x08\x00\x60\x00\x80\x01\x01\x11\x00", (96, 128)),
        (b"\xff\xd8\xff\xda\x00\x02\x00\x00\x00\x00\x00", None),
        (b"\xff\xd8\xff\xc0", None),
        (b"\xff\x4f\xff\x51\x00", None),
        (b"not an image at all", None),
    ],
    ids=["baseline", "JPEG-LS", "fill byte", "scan first", "cut", "cut J2K", "nothing"],
)
def test_the_announced_size_is_read_from_the_codestream(stream: bytes, size: tuple[int, int] | None) -> None:
    """Rows and columns stand in the first frame header; a stream without one announces nothing."""
    assert announced_size(stream) == size


@pytest.mark.parametrize(
    ("centre", "width", "function"),
    [
        ("50", "0", "LINEAR"),
        ("50", "-5", "LINEAR"),
        ("50", "nan", "LINEAR"),
        ("inf", "50", "LINEAR"),
        ("50", "0", "SIGMOID"),
        ("50", "0", "LINEAR_EXACT"),
        ("50", "inf", "SIGMOID"),
    ],
)
def test_a_window_that_is_none_is_refused(package: Package, centre: str, width: str, function: str) -> None:
    """PS3.3 C.11.2.1.2: a width of nothing makes black and white of an image, which a model would score."""
    dataset = read(ultrasound(picture()))
    dataset.WindowCenter, dataset.WindowWidth = float(centre), float(width)
    dataset.VOILUTFunction = function
    with pytest.raises(Invalid, match="window"):
        prepare(dataset, package.manifest.input)

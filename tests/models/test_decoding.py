"""Every transfer syntax that a hospital sends: decoded as other codecs do, or refused with the reason."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
import pydicom.uid as uids
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileDataset

from gateway.domain.errors import Invalid, Unsupported
from models.runtime import decode_child
from models.runtime.decode_pool import DecodePool
from models.runtime.decoding import ENCODED, NATIVE, Coded, coded_frame, decode_here, decoded, refusal
from models.runtime.predict import Predictor
from models.training.wrap import ultrasound

Bytes = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def pool() -> Iterator[DecodePool]:
    made = DecodePool(2, 60.0)
    yield made
    made.close()


def picture(rows: int = 96, columns: int = 128) -> Bytes:
    grid = np.add.outer(np.arange(rows) * 2, np.arange(columns))
    return (grid % 200 + 20).astype(np.uint8)


def plain() -> FileDataset:
    return pydicom.dcmread(io.BytesIO(ultrasound(picture())))


def again(dataset: Dataset) -> FileDataset:
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return pydicom.dcmread(io.BytesIO(out.getvalue()))


def by_dcmtk(program: str, *words: str) -> Callable[[Path], FileDataset]:
    """The picture as DCMTK encodes it."""

    def make(folder: Path) -> FileDataset:
        source, target = folder / "plain.dcm", folder / "coded.dcm"
        source.write_bytes(ultrasound(picture()))
        subprocess.run([program, *words, str(source), str(target)], check=True, capture_output=True, timeout=30)
        return pydicom.dcmread(target)

    return make


def by_pydicom(syntax: str) -> Callable[[Path], FileDataset]:
    def make(_folder: Path) -> FileDataset:
        dataset = plain()
        dataset.compress(syntax, generate_instance_uid=False)
        return again(dataset)

    return make


def native(syntax: str) -> Callable[[Path], FileDataset]:
    def make(_folder: Path) -> FileDataset:
        dataset = plain()
        dataset.file_meta.TransferSyntaxUID = syntax
        out = io.BytesIO()
        dataset.save_as(out, implicit_vr=syntax == uids.ImplicitVRLittleEndian, enforce_file_format=True)
        return pydicom.dcmread(io.BytesIO(out.getvalue()))

    return make


def by_openjph(syntax: str, *, reversible: bool) -> Callable[[Path], FileDataset]:
    """High-throughput JPEG 2000 by the codec of its authors."""

    def make(_folder: Path) -> FileDataset:
        from imagecodecs import htj2k_encode

        dataset = plain()
        dataset.PixelData = pydicom.encaps.encapsulate([htj2k_encode(picture(), reversible=reversible)])
        dataset["PixelData"].VR = "OB"
        dataset.file_meta.TransferSyntaxUID = syntax
        return again(dataset)

    return make


dcmtk, openjph = pytest.mark.peer("dcmtk"), pytest.mark.peer("imagecodecs")
# what is made, its transfer syntax, and how far the values may be from the original
TABLE = [
    (native(uids.ImplicitVRLittleEndian), "1.2.840.10008.1.2", 0),
    (native(uids.ExplicitVRLittleEndian), "1.2.840.10008.1.2.1", 0),
    (native(uids.DeflatedExplicitVRLittleEndian), "1.2.840.10008.1.2.1.99", 0),
    pytest.param(by_dcmtk("dcmcjpeg", "+eb", "+q", "95"), "1.2.840.10008.1.2.4.50", 40, marks=dcmtk),
    pytest.param(by_dcmtk("dcmcjpeg", "+ee", "+q", "95"), "1.2.840.10008.1.2.4.51", 40, marks=dcmtk),
    pytest.param(by_dcmtk("dcmcjpeg", "+el"), "1.2.840.10008.1.2.4.57", 0, marks=dcmtk),
    pytest.param(by_dcmtk("dcmcjpeg", "+e1"), "1.2.840.10008.1.2.4.70", 0, marks=dcmtk),
    pytest.param(by_dcmtk("dcmcjpls", "+el"), "1.2.840.10008.1.2.4.80", 0, marks=dcmtk),
    pytest.param(by_dcmtk("dcmcjpls", "+en", "+md", "2"), "1.2.840.10008.1.2.4.81", 2, marks=dcmtk),
    (by_pydicom(uids.JPEG2000Lossless), "1.2.840.10008.1.2.4.90", 0),
    pytest.param(by_openjph(uids.HTJ2KLossless, reversible=True), "1.2.840.10008.1.2.4.201", 0, marks=openjph),
    pytest.param(by_openjph(uids.HTJ2KLosslessRPCL, reversible=True), "1.2.840.10008.1.2.4.202", 0, marks=openjph),
    pytest.param(by_openjph(uids.HTJ2K, reversible=False), "1.2.840.10008.1.2.4.203", 8, marks=openjph),
    pytest.param(by_dcmtk("dcmcrle"), "1.2.840.10008.1.2.5", 0, marks=dcmtk),
]


@pytest.mark.parametrize(("make", "syntax", "most"), TABLE, ids=[str(getattr(row, "values", row)[1]) for row in TABLE])
def test_a_syntax_is_decoded_to_the_original(
    make: Callable[[Path], FileDataset], syntax: str, most: int, pool: DecodePool, tmp_path: Path
) -> None:
    """A picture that another program encoded comes back, exactly where the syntax is lossless."""
    dataset = make(tmp_path)
    assert dataset.file_meta.TransferSyntaxUID == syntax
    values = decoded(dataset, 0, 1, pool)
    assert values.shape == picture().shape
    assert int(np.abs(values.astype(int) - picture().astype(int)).max()) <= most


# real files of other makers
FILES = [
    ("693_J2KI.dcm", "1.2.840.10008.1.2.4.91"),
    ("MR_small_jp2klossless.dcm", "1.2.840.10008.1.2.4.90"),
    ("SC_rgb_jpeg_dcmtk.dcm", "1.2.840.10008.1.2.4.50"),
    ("MR_small_RLE.dcm", "1.2.840.10008.1.2.5"),
    ("MR_small_jpeg_ls_lossless.dcm", "1.2.840.10008.1.2.4.80"),
    ("SC_rgb_jls_lossy_line.dcm", "1.2.840.10008.1.2.4.81"),
]


@pytest.mark.parametrize(("name", "syntax"), FILES)
def test_a_foreign_file_is_the_same_from_the_pool_and_from_pydicom(name: str, syntax: str, pool: DecodePool) -> None:
    """What a child answers is bit for bit what pydicom's own call gives for the whole object."""
    path = str(get_testdata_file(name, download=False))
    dataset = pydicom.dcmread(path)
    assert dataset.file_meta.TransferSyntaxUID == syntax
    frames = int(dataset.get("NumberOfFrames") or 1)
    expected = pydicom.pixels.pixel_array(path, index=0)
    np.testing.assert_array_equal(decoded(dataset, 0, frames, pool), expected)


@pytest.mark.peer("dcmtk")
@pytest.mark.peer("imagecodecs")
def test_twelve_bit_jpeg_is_what_dcmtk_makes_of_it(pool: DecodePool, tmp_path: Path) -> None:
    """JPEG Extended with 12 bits, by two codecs of one lineage: no value differs by more than rounding."""
    source, target = get_testdata_file("JPGExtended.dcm", download=False), tmp_path / "plain.dcm"
    subprocess.run(["dcmdjpeg", str(source), str(target)], check=True, capture_output=True, timeout=30)
    ours = decoded(pydicom.dcmread(source), 0, 1, pool)
    theirs = pydicom.dcmread(target).pixel_array
    assert ours.max() > 255
    assert int(np.abs(ours.astype(int) - theirs.astype(int)).max()) <= 1


REFUSED = [
    (uids.MPEG2MPML, "video"),
    (uids.MPEG4HP41F, "video"),
    (uids.HEVCMP51, "video"),
    (uids.JPIPHTJ2KReferenced, "JPIP"),
    (uids.JPEG2000MC, "Part 2"),
    ("1.2.840.10008.1.2.4.110", "JPEG XL"),
    ("1.2.840.10008.1.2.8.1", "deflated one by one"),
    (uids.SMPTEST211020UncompressedProgressiveActiveVideo, "SMPTE"),
    ("1.2.840.10008.1.2.4.52", "retired"),
    ("2.25.7", "private"),
]


@pytest.mark.parametrize(("syntax", "why"), REFUSED)
def test_a_syntax_that_is_not_decoded_has_its_reason(syntax: str, why: str) -> None:
    """The refusal says what is in the way."""
    assert why in str(refusal(syntax))


def test_an_image_in_such_a_syntax_is_refused_by_that(predictor: Predictor) -> None:
    """A video sent to a model for single images is not scored, and its transfer syntax is named as the cause."""
    dataset = plain()
    dataset.compress(uids.RLELossless, generate_instance_uid=False)
    dataset.file_meta.TransferSyntaxUID = uids.MPEG2MPML
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    told = predictor.predict([out.getvalue()]).images[0].refusal
    assert told is not None
    assert (told.code, "video" in told.text) == ("transfer-syntax", True)


def test_big_endian_is_what_little_endian_is() -> None:
    """The same picture in both orders of bytes has the same values."""
    first, second = (get_testdata_file(name, download=False) for name in ("MR_small.dcm", "MR_small_bigendian.dcm"))
    values = [decoded(pydicom.dcmread(path), 0, 1, decode_here) for path in (first, second)]
    np.testing.assert_array_equal(*values)


def test_every_syntax_of_the_standard_is_decoded_or_refused() -> None:
    """No transfer syntax that pydicom knows is left to chance."""
    known = {str(uid) for uid in uids.AllTransferSyntaxes}
    assert {uid for uid in known if refusal(uid) is None} == {*NATIVE, *ENCODED} & known
    assert len(known) > 30


def coded(frame: bytes | None = None) -> Coded:
    dataset = plain()
    dataset.compress(uids.RLELossless, generate_instance_uid=False)
    whole = pydicom.encaps.get_frame(dataset.PixelData, 0, number_of_frames=1)
    return coded_frame(dataset, str(uids.RLELossless), frame or whole)


def test_a_codec_that_crashes_costs_its_frame_and_nothing_else() -> None:
    """The frame is refused after a second child broke on it too; the next one is decoded by a third."""
    made = DecodePool(1, 60.0)
    try:
        deadly = _Deadly(made)
        with pytest.raises(Invalid, match="broke"):
            deadly(signal.SIGSEGV, times=2)
        np.testing.assert_array_equal(made(coded()), picture())
        np.testing.assert_array_equal(deadly(signal.SIGKILL, times=1), picture())
    finally:
        made.close()


class _Deadly:
    """Kills the child that has just been given a frame, as a crash in a codec would."""

    def __init__(self, pool: DecodePool) -> None:
        self._pool = pool

    def __call__(self, number: int, times: int) -> npt.NDArray[np.generic]:
        left = times
        usable = self._pool._usable

        def dying(child):  # type: ignore[no-untyped-def]
            nonlocal left
            made = usable(child)
            if left:
                left -= 1
                os.kill(made.process.pid, signal.SIGSTOP)
                ask = made.ask

                def asked(frame: Coded):  # type: ignore[no-untyped-def]
                    os.kill(made.process.pid, number)
                    os.kill(made.process.pid, signal.SIGCONT)
                    return ask(frame)

                made.ask = asked
            return made

        self._pool._usable = dying  # type: ignore[method-assign]
        try:
            return self._pool(coded())
        finally:
            self._pool._usable = usable  # type: ignore[method-assign]


def test_a_codec_that_does_not_end_is_ended() -> None:
    """A child that keeps silent is killed when the frame's time is over, and the frame is refused by that."""
    made = DecodePool(1, 0.5)
    try:
        child = made._idle.get()
        assert child is not None
        os.kill(child.process.pid, signal.SIGSTOP)
        made._idle.put(child)
        with pytest.raises(Invalid, match=r"in 0\.5 s"):
            made(coded())
    finally:
        made.close()


def test_a_frame_that_says_less_than_it_holds_is_invalid(pool: DecodePool) -> None:
    """Rows that do not fit the frame, junk, and an empty frame are refused; the child lives on."""
    sound = coded()
    for bad in (replace(sound, rows=9600), replace(sound, frame=b"junk" * 50), replace(sound, frame=b"")):
        with pytest.raises(Invalid):
            pool(bad)
    np.testing.assert_array_equal(pool(sound), decode_here(sound))


def test_a_child_ends_with_its_worker() -> None:
    """When the one who asks has gone, the process that decodes goes too."""
    made = DecodePool(1, 60.0)
    child = made._idle.get()
    assert child is not None
    assert child.process.stdin is not None
    child.process.stdin.close()
    assert child.process.wait(30) == 0


def test_messages_are_bounded() -> None:
    """A length that is beyond the limit is not believed."""
    out = io.BytesIO()
    decode_child.write_message(out, {"a": 1}, b"12345")
    out.seek(0)
    assert decode_child.read_message(out, 5) == ({"a": 1}, b"12345")
    out.seek(0)
    with pytest.raises(ValueError, match="long"):
        decode_child.read_message(out, 4)


def test_without_the_extra_twelve_bits_are_refused_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal tells the operator what to install."""
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(Unsupported, match="jpeg12"):
        decode_here(replace(coded(), syntax="1.2.840.10008.1.2.4.51", stored=12, allocated=16))

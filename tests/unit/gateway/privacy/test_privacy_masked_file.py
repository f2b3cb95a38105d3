"""New pixels in a de-identified file: what it then says, and that the file as it was comes back bit for bit."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate

from gateway.domain.errors import Fault, Invalid
from gateway.privacy.dataset import EXPLICIT, EXPLICIT_BIG, IMPLICIT, Encoding, deflate
from gateway.privacy.engine import deidentify
from gateway.privacy.masked_file import TRANSFER_SYNTAX, ReplacedPixels, replace_pixels, restore_pixels
from gateway.privacy.pseudonyms import Pseudonymiser
from gateway.privacy.rules import INFERENCE, compile_rules

IMPLICIT_LE, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
EXPLICIT_LE, DEFLATED, JPEG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.50"
IMAGE = {
    0x00280002: ("US", b"\1\0"),
    0x00280004: ("CS", b"MONOCHROME2"),
    0x00280010: ("US", b"\x80\0"),
    0x00280011: ("US", b"\x80\0"),
    0x00280100: ("US", b"\x08\0"),
}
GREY = bytes(range(256)) * 64


def cleaned(
    make: Any, pseudonymiser: Pseudonymiser, *, encoding: Encoding = EXPLICIT, syntax: str = EXPLICIT_LE
) -> bytes:
    data = make(IMAGE | {0x7FE00010: ("OW" if encoding.implicit else "OB", GREY)}, encoding)
    if syntax == DEFLATED:
        data = deflate([data])
    return b"".join(deidentify(data, syntax, compile_rules(INFERENCE), lambda key: pseudonymiser).parts)


def encapsulated(make: Any, pseudonymiser: Pseudonymiser) -> bytes:
    """A file whose pixels are two fragments, with an extended offset table."""
    offsets = {0x7FE00001: ("OV", bytes(8)), 0x7FE00002: ("OV", b"\x08" + bytes(7))}
    data = make(IMAGE | offsets) + b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff" + encapsulate([b"OLDPIXEL", b"OLDPIXEL"])
    data += b"\xfe\xff\xdd\xe0\0\0\0\0"
    return b"".join(deidentify(data, JPEG, compile_rules(INFERENCE), lambda key: pseudonymiser).parts)


def read(made: ReplacedPixels) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(b"".join(made.parts)))


def masked(grey: bytes) -> bytes:
    picture = np.frombuffer(grey, np.uint8).reshape(128, 128).copy()
    picture[:8, :40] = 7
    return picture.tobytes()


@pytest.mark.parametrize(
    ("encoding", "syntax"),
    [
        (IMPLICIT, "1.2.840.10008.1.2"),
        (EXPLICIT, EXPLICIT_LE),
        (EXPLICIT_BIG, "1.2.840.10008.1.2.2"),
        (EXPLICIT, DEFLATED),
    ],
    ids=["implicit", "explicit", "big", "deflated"],
)
def test_masked_pixels_are_in_and_the_old_ones_come_back(
    encoding: Encoding, syntax: str, make: Any, pseudonymiser: Pseudonymiser
) -> None:
    """In every native syntax the new pixels are read by pydicom and the old file is rebuilt exactly."""
    before = cleaned(make, pseudonymiser, encoding=encoding, syntax=syntax)
    made = replace_pixels(before, masked(GREY))
    after = read(made)
    assert after.PixelData == masked(GREY)
    assert after.BurnedInAnnotation == "NO"
    codes = [item.CodeValue for item in after.DeidentificationMethodCodeSequence]
    assert codes[-1] == "113101"
    assert codes.count("113101") == 1
    assert restore_pixels(made.parts, made.removed) == before
    if syntax != DEFLATED:
        assert len(made.removed) < len(GREY) // 4  # the blocks that differ only


def test_a_lossy_picture_becomes_a_native_one(make: Any, pseudonymiser: Pseudonymiser) -> None:
    """Fragments give way to native pixels with another syntax and photometric interpretation, and come back."""
    before = encapsulated(make, pseudonymiser)
    made = replace_pixels(
        before, GREY * 3, {TRANSFER_SYNTAX: EXPLICIT_LE, 0x00280002: 3, 0x00280004: "RGB", 0x00280006: 0}
    )
    after = read(made)
    assert after.file_meta.TransferSyntaxUID == EXPLICIT_LE
    assert (after.PhotometricInterpretation, after.SamplesPerPixel, after.PlanarConfiguration) == ("RGB", 3, 0)
    assert after.PixelData == GREY * 3
    assert after["PixelData"].VR == "OB"
    assert "ExtendedOffsetTable" not in after
    assert b"OLDPIXEL" not in b"".join(made.parts)
    assert restore_pixels(b"".join(made.parts), made.removed) == before


def test_fragments_give_way_to_fragments(make: Any, pseudonymiser: Pseudonymiser) -> None:
    """An encapsulated syntax takes the items that pydicom gives, and ends them."""
    before = encapsulated(make, pseudonymiser)
    made = replace_pixels(before, encapsulate([b"NEWPIXELNEW!"]), {TRANSFER_SYNTAX: "1.2.840.10008.1.2.4.80"})
    after = read(made)
    assert after.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.80"
    assert after.PixelData == encapsulate([b"NEWPIXELNEW!"])
    assert restore_pixels(made.parts, made.removed) == before


def test_masking_twice_records_it_once(make: Any, pseudonymiser: Pseudonymiser) -> None:
    """A second mask of the same file adds no second code, and both steps can be undone in turn."""
    before = cleaned(make, pseudonymiser)
    first = replace_pixels(before, masked(GREY))
    second = replace_pixels(b"".join(first.parts), bytes(len(GREY)))
    codes = [item.CodeValue for item in read(second).DeidentificationMethodCodeSequence]
    assert codes.count("113101") == 1
    assert restore_pixels(restore_pixels(second.parts, second.removed), first.removed) == before


def test_only_the_image_is_changed(make: Any, pseudonymiser: Pseudonymiser) -> None:
    """Attributes outside group 0028, another header encoding, or a file without pixels are refused."""
    before = cleaned(make, pseudonymiser)
    with pytest.raises(Fault):
        replace_pixels(before, GREY, {0x00100010: "X"})
    with pytest.raises(Fault):
        replace_pixels(before, GREY, {TRANSFER_SYNTAX: "1.2.840.10008.1.2"})
    empty = deidentify(make(), EXPLICIT_LE, compile_rules(INFERENCE), lambda key: pseudonymiser)
    with pytest.raises(Invalid, match="no Pixel Data"):
        replace_pixels(b"".join(empty.parts), GREY)


def test_another_files_pixels_are_refused(make: Any, pseudonymiser: Pseudonymiser) -> None:
    """Removed pixels of one file do not go into another."""
    made = replace_pixels(cleaned(make, pseudonymiser), masked(GREY))
    with pytest.raises(Invalid):
        restore_pixels(encapsulated(make, pseudonymiser), made.removed)

"""Real files: every Part 10 file that pydicom ships goes through the codec and the engine.

Files that break PS3.5 or lack what a stored object must have are listed with the reason they are refused.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

import pydicom
import pytest

from gateway.domain.errors import Invalid
from gateway.privacy.dataset import inflate, parse, write
from gateway.privacy.engine import Deidentified, deidentify, restore
from gateway.privacy.part10 import split
from gateway.privacy.pseudonyms import Pseudonymiser
from gateway.privacy.rules import INFERENCE, compile_rules

DEFLATED = "1.2.840.10008.1.2.1.99"
NO_SERIES, NO_CLASS = "has no Series Instance UID", "has no SOP Class UID"
REFUSED = {
    "JPEGLSNearLossless_08.dcm": NO_SERIES,
    "JPEGLSNearLossless_16.dcm": NO_SERIES,
    "SC_rgb_jls_lossy_line.dcm": NO_SERIES,
    "SC_rgb_jls_lossy_sample.dcm": NO_SERIES,
    "UN_sequence.dcm": NO_CLASS,
    "empty_charset_LEI.dcm": NO_CLASS,
    "priv_SQ.dcm": NO_CLASS,
    "chrSQEncoding.dcm": NO_CLASS,
    "chrSQEncoding1.dcm": NO_CLASS,
    "rtdose_rle.dcm": f"{NO_CLASS}.* of VR UI",  # every UID is of VR UN
    "rtdose_rle_1frame.dcm": NO_CLASS,
    "MR_truncated.dcm": "longer than what holds it",
    "rtplan_truncated.dcm": "longer than what holds it",
    "SC_rgb_jpeg.dcm": "has no VR of PS3.5",  # says Explicit VR and is Implicit
    "nested_priv_SQ.dcm": "out of order or where it may not",  # group 0001
    "meta_missing_tsyntax.dcm": "names no transfer syntax",
    "no_meta_group_length.dcm": "no sound length",
}


def sample_files() -> list[Path]:
    """The files that are in the package itself; nothing is downloaded."""
    folder = Path(pydicom.__file__).parent / "data"
    paths = [*folder.glob("test_files/*.dcm"), *folder.glob("charset_files/*.dcm")]
    return sorted(path for path in paths if path.read_bytes()[128:132] == b"DICM")


def through(path: Path, pseudonymiser: Pseudonymiser) -> tuple[str, memoryview, Deidentified]:
    syntax, body = split(path.read_bytes())
    return syntax, body, deidentify(body, syntax, compile_rules(INFERENCE), lambda key: pseudonymiser)


SAMPLES = sample_files()
SOUND = [path for path in SAMPLES if path.name not in REFUSED]


@pytest.mark.parametrize("path", SOUND, ids=lambda path: path.name)
@pytest.mark.filterwarnings("ignore")
def test_a_real_file_comes_through_with_its_pixels(path: Path, pseudonymiser: Pseudonymiser) -> None:
    """Parse and write are lossless, pydicom reads the result with equal pixel data, restore gives it back."""
    syntax, body, done = through(path, pseudonymiser)
    deflated = syntax == DEFLATED
    assert b"".join(write(parse(body, syntax))) == (inflate(body, 1 << 28) if deflated else body)
    before, after = pydicom.dcmread(path), pydicom.dcmread(io.BytesIO(b"".join(done.parts)))
    assert after.get("PixelData") == before.get("PixelData")
    assert not any(element.tag.is_private for element in after.iterall())
    back = restore(done.parts, done.removed)
    assert (inflate(back, 1 << 28) == inflate(body, 1 << 28)) if deflated else back == body


@pytest.mark.parametrize("name", REFUSED)
def test_a_broken_real_file_is_refused_with_its_reason(name: str, pseudonymiser: Pseudonymiser) -> None:
    """What breaks the standard, or could not be stored, is Invalid for the stated reason."""
    path = next(path for path in SAMPLES if path.name == name)
    with pytest.raises(Invalid, match=REFUSED[name]):
        through(path, pseudonymiser)


@pytest.mark.parametrize("path", [path for path in SOUND if path.name.startswith("chr")], ids=lambda path: path.name)
@pytest.mark.filterwarnings("ignore")
def test_a_name_in_a_real_charset_sample_is_read_and_removed(path: Path, pseudonymiser: Pseudonymiser) -> None:
    """The identity has the name that pydicom reads, and the output has none of its bytes."""
    _, _, done = through(path, pseudonymiser)
    source = pydicom.dcmread(path)
    raw = source.get_item("PatientName").value
    assert done.identity.patient_name.rstrip("=") == str(source.PatientName)
    out = b"".join(done.parts)
    assert all(part not in out for part in re.split(rb"[=^ ]", raw) if len(part) > 3)


def test_there_are_real_files() -> None:
    """The samples are there, most of them sound."""
    assert len(SAMPLES) - len(REFUSED) > 40

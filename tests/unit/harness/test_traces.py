"""The search for planted words finds them: in every encoding, in small contents and large, at every place."""

from __future__ import annotations

import base64
import json

import pytest
from harness.six_scripts import PATIENTS, Patient
from harness.traces import CODECS, found_in, needles

LARGE = 9 << 20
EDGES = (
    0,
    1,
    (1 << 16) - 3,
    (1 << 17) - 3,
    (1 << 17) - 1,
    (3 << 16) - 1,
    (4 << 20) - 5,
    (4 << 20) - 1,
    4 << 20,
    (8 << 20) + 3,
)


@pytest.mark.parametrize("patient", PATIENTS, ids=lambda patient: patient.script)
def test_each_spelling_is_found(patient: Patient) -> None:
    """A word is found as text of every encoding, in JSON, in a URL, in capitals, and inside base64."""
    for word in patient.words:
        sought = needles([word])
        assert found_in(b"<" + word.encode(patient.codec) + b">", needles([word], [patient.codec]))
        assert found_in(b"<" + word.encode("utf-16-be") + b">", sought)
        assert found_in(json.dumps({"x": word}).encode(), sought)
        assert found_in(f"x{word.upper()}".encode(), sought)
        for before in range(3):
            assert found_in(base64.b64encode(b"%" * before + word.encode() + b"%%%"), sought)


@pytest.mark.parametrize("place", EDGES)
def test_a_large_content_hides_nothing(place: int) -> None:
    """A needle is found across the edges of the pieces that a large content is read in."""
    needle = PATIENTS[4].words[2].encode("gb18030")
    content = bytearray(LARGE)
    content[place : place + len(needle)] = needle
    sought = needles(PATIENTS[4].words)
    assert needle in sought
    assert found_in(bytes(content), sought) == [needle]
    assert found_in(bytes(LARGE), sought) == []


def test_needles_are_long_enough() -> None:
    """No needle is so short that chance would plant it, and no word is without one."""
    for patient in PATIENTS:
        for word in patient.words:
            found = needles([word], CODECS)
            assert found
            assert min(map(len, found)) >= 6

"""The independent checker and structured content: Table E.3.4-1 by concept, and texts that no concept excuses."""

from __future__ import annotations

from typing import Any

import pytest
from harness.checked import Elements, at_depth, claim, clean, code, judged, part10, problems

METHODS = frozenset({"113100", "113104", "113105", "113107", "113108"})
STRICT = frozenset({"113100", "113104"})


def concept(value: str, scheme: str = "DCM") -> Elements:
    return {0x00080100: ("SH", value.encode()), 0x00080102: ("SH", scheme.encode()), 0x00080104: ("LO", b"Any")}


def item(kind: str, value: str, scheme: str = "DCM", **content: tuple[str, Any]) -> Elements:
    held = {int(tag[1:], 16): what for tag, what in content.items()}
    return {0x0040A040: ("CS", kind.encode()), 0x0040A043: ("SQ", [concept(value, scheme)]), **held}


def found(methods: frozenset[str], *items: Elements, tag: int = 0x0040A730, depth: int = 0) -> set[str]:
    temporal = b"MODIFIED" if "113107" in methods else b"REMOVED"
    stamps: dict[int, tuple[str, Any]] = {
        0x00120064: ("SQ", [code(value) for value in sorted(methods)]),
        0x00280303: ("CS", temporal),
    }
    elements = {**clean(), **stamps, **at_depth(depth, {tag: ("SQ", list(items))})}
    return {str(problem) for problem in judged(part10(elements), claim(methods)).problems}


NUMBER = item("NUM", "410668003", "SCT", x0040A300=("SQ", [{0x0040A30A: ("DS", b"12")}]))


def test_codes_numbers_and_cleaned_texts_pass() -> None:
    """A report that keeps codes, numbers and technical words is not refused."""
    plain = item("TEXT", "121071", x0040A160=("UT", b"Mass in the left breast"))
    coded = item("CODE", "121071", x0040A168=("SQ", [concept("123", "SCT")]))
    assert found(METHODS, plain, coded, NUMBER) == set()


def test_free_text_needs_a_claim_that_it_was_cleaned() -> None:
    """Without Clean Descriptors a text that is no dummy is named with its item."""
    plain = item("TEXT", "77", "99LOCAL", x0040A160=("UT", b"Mass in the left breast"))
    assert found(STRICT, NUMBER, plain) == {"content-text at (0040,A730)[1]"}
    assert found(STRICT, item("TEXT", "77", "99LOCAL", x0040A160=("UT", b"REMOVED"))) == set()


def test_an_address_in_a_cleaned_text_is_found() -> None:
    """What looks like identity is refused though the text is said to be cleaned."""
    called = item("TEXT", "121071", x0040A160=("UT", b"call 030-555-1234"))
    assert found(METHODS, called) == {"content-text at (0040,A730)[0]"}


def test_an_item_of_action_x_may_not_be_there() -> None:
    """The accession number (DCM 121022, TEXT) is to be removed, dummy or not."""
    for value in (b"A-77", b"REMOVED"):
        listed = item("TEXT", "121022", x0040A160=("UT", value))
        problem = found(METHODS, NUMBER, listed)
        assert problem == {"content-not-removed at (0040,A730)[1]"}


def test_an_item_of_action_d_holds_dummies() -> None:
    """A person observer's name (DCM 121008, PNAME) may stand as a dummy only."""
    assert found(METHODS, NUMBER, item("PNAME", "121008", x0040A123=("PN", b"REMOVED"))) == set()
    named = found(METHODS, NUMBER, item("PNAME", "121008", x0040A123=("PN", b"Quill^Z")))
    assert "content-not-replaced at (0040,A730)[1]" in named


def test_dates_pass_under_the_option_for_modified_dates() -> None:
    """A content date (DCM 111018) is kept, shifted, where that is claimed, and refused elsewhere."""
    dated = item("DATE", "111018", x0040A121=("DA", b"20240105"))
    assert found(METHODS, NUMBER, dated) == set()
    assert found(STRICT, NUMBER, dated) != set()


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_content_is_judged_at_every_depth(depth: int) -> None:
    """Nested containers and content inside other sequences are no hiding place."""
    inner = item("TEXT", "121022", x0040A160=("UT", b"A-77"))
    outer = item("CONTAINER", "121070", x0040A730=("SQ", [inner]))
    assert any("content-not-removed" in each for each in found(METHODS, NUMBER, outer, depth=depth))


def test_without_the_option_no_content_may_be_there() -> None:
    """The basic profile leaves a dummy sequence at most."""
    assert problems({0x0040A730: ("SQ", [NUMBER])}) == {"not-replaced at (0040,A730)"}


def test_text_drawn_into_a_picture_is_found() -> None:
    """Graphic annotations may keep lines under Clean Graphics, but no text."""
    methods = frozenset({"113100", "113103"})
    text = {0x00700008: ("SQ", [{0x00700006: ("ST", b"left")}])}
    lines = {0x00700009: ("SQ", [{0x00700022: ("FL", bytes(8))}])}
    assert found(methods, lines, tag=0x00700001) == set()
    assert found(methods, text, tag=0x00700001) == {"not-replaced at (0070,0001)[0]/(0070,0008)[0]/(0070,0006)"}

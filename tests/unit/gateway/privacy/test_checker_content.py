"""The independent checker and structured content: Table E.3.4-1 by concept, and texts that no concept excuses."""

from __future__ import annotations

from typing import Any

import pytest
from harness.checked import BASIC_METHODS, Elements, at_depth, claim, clean, code, judged, part10, problems

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
    assert problems({0x0040A730: ("SQ", [NUMBER])}, claim(BASIC_METHODS)) == {"not-replaced at (0040,A730)"}


def test_an_age_past_90_is_found() -> None:
    """A subject's age (DCM 121033) is told up to 90 years only."""

    def aged(years: bytes) -> Elements:
        return item("NUM", "121033", x0040A300=("SQ", [{0x0040A30A: ("DS", years)}]))

    assert found(METHODS, NUMBER, aged(b"90")) == set()
    assert found(METHODS, NUMBER, aged(b"94")) == {"age at (0040,A730)[1]"}


def test_what_is_drawn_into_a_picture_is_found() -> None:
    """Neither lines, which may be handwriting, nor text stays of a graphic annotation; a dummy may."""
    methods = frozenset({"113100", "113103"})
    lines = {0x00700009: ("SQ", [{0x00700022: ("FL", b"lineline")}])}
    text = {0x00700008: ("SQ", [{0x00700006: ("ST", b"left")}])}
    for drawn in (lines, text):
        assert found(methods, drawn, tag=0x00700001) == {"not-replaced at (0070,0001)"}
    assert found(methods, {0x00700009: ("SQ", [{0x00700022: ("FL", bytes(8))}])}, tag=0x00700001) == set()


SAFE = {0x00190010: ("LO", b"SIEMENS MR HEADER"), 0x0019100C: ("IS", b"1000")}


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_safe_private_attributes_pass_under_their_option(depth: int) -> None:
    """One of Table E.3.10-1 with its creator passes where that is claimed, and nowhere else."""
    methods = frozenset({"113100", "113111"})
    stamped = {0x00120064: ("SQ", [code(value) for value in sorted(methods)]), 0x00280303: ("CS", b"REMOVED")}
    file = part10({**clean(), **stamped, **at_depth(depth, SAFE)})
    assert judged(file, claim(methods)).passed
    assert {problem.code for problem in judged(part10({**clean(), **at_depth(depth, SAFE)})).problems} == {"private"}


@pytest.mark.parametrize(
    "elements",
    [
        {0x00190010: ("LO", b"SOMEBODY ELSE"), 0x0019100C: ("IS", b"1000")},
        {0x00190010: ("LO", b"SIEMENS MR HEADER"), 0x0019100C: ("IS", b"Quill")},
        {0x00190010: ("LO", b"SIEMENS MR HEADER"), 0x001910FE: ("IS", b"1000")},
        {0x00190010: ("LO", b"SIEMENS MR HEADER"), 0x0019110C: ("IS", b"1000")},
        {0x0019100C: ("IS", b"1000")},
    ],
)
def test_other_private_attributes_do_not_pass(elements: Elements) -> None:
    """Another creator, place, block or form, and an element that nobody has reserved."""
    methods = frozenset({"113100", "113111"})
    stamped = {0x00120064: ("SQ", [code(value) for value in sorted(methods)]), 0x00280303: ("CS", b"REMOVED")}
    verdict = judged(part10({**clean(), **stamped, **elements}), claim(methods))
    assert {problem.code for problem in verdict.problems} == {"private"}

"""The form about a held object, value by value: what is proposed for which frames, what a form may ask."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.clearance import ALL_FRAMES, Box
from gateway.domain.errors import Invalid
from gateway.flow.decide_held import MOST_BOXES
from gateway.servers.web.body import Fields
from gateway.servers.web.console.held_form import MOST_DRAWN, filled, order
from gateway.servers.web.console.proposed_boxes import MOST_FRAMES, MOST_OTHERS, MOST_SHOWN, proposals

NONE = proposals(())
OFFERED = ("mask", "release", "reject")


def boxes(frames: int, places: int = 1, confidence: float = 0.9) -> list[Box]:
    return [
        Box(frame, place, place, 10, 10, "v4", confidence - place / 1e4)
        for place in range(places)
        for frame in range(frames)
    ]


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        ([ALL_FRAMES], "every frame"),
        ([4], "frame 5"),
        ([0, 1, 2], "frames 1–3"),
        ([0, 2, 6], "3 of frames 1–7"),
        ([2, ALL_FRAMES], "every frame"),
        (list(range(MOST_FRAMES + 1)), "every frame"),
    ],
)
def test_frames_in_words(frames: list[int], words: str) -> None:
    """Frames are counted from 1, and the words say what is masked, not only what was found."""
    (one,) = proposals(Box(frame, 1, 2, 3, 4, "v4") for frame in frames).shown
    assert one.frames == words
    masked = {box.frame for box in one.asked}
    assert masked == ({ALL_FRAMES} if words == "every frame" else set(frames))


def test_one_place_is_one_proposal() -> None:
    """The same rectangle in many frames is one line of the form, with every detector that saw it."""
    found = [Box(0, 1, 1, 9, 9, "v4", 0.5), Box(1, 1, 1, 9, 9, "top-hat", 0.8), Box(0, 1, 1, 9, 8, "v4")]
    first, second = sorted(proposals(found).shown, key=lambda one: one.height)
    assert (second.detectors, second.confidence, len(second.boxes)) == (("v4", "top-hat"), 0.8, 2)
    assert first.height == 8


@pytest.mark.parametrize("places", [MOST_SHOWN, MOST_SHOWN + MOST_OTHERS, MOST_SHOWN + MOST_OTHERS + 1, 3000])
def test_any_number_of_boxes_can_be_masked(places: int) -> None:
    """However many places a noisy picture has, all of them are masked with fewer boxes than one decision may have."""
    proposed = proposals(boxes(MOST_FRAMES + 1, places))
    assert len(proposed.shown) == MOST_SHOWN
    assert [one.top for one in proposed.shown] == sorted(one.top for one in proposed.shown)
    fields = [("action", "mask"), ("reason", "r"), ("others", "1"), *_chosen(range(MOST_SHOWN)), *_drawn(MOST_DRAWN)]
    asked = order(tuple(fields), OFFERED, proposed, 4000, 4000).boxes
    assert len(asked) <= MOST_BOXES
    for place in range(places):
        assert any(_holds(box, place) for box in asked), place


def test_the_most_that_a_form_can_ask_is_a_decision() -> None:
    """Every proposal in its most frames, all others and all that can be drawn stay within a decision's bound."""
    proposed = proposals(boxes(MOST_FRAMES, MOST_SHOWN + MOST_OTHERS))
    fields = (("action", "mask"), ("reason", "r"), ("others", "1"), *_chosen(range(MOST_SHOWN)), *_drawn(MOST_DRAWN))
    assert len(order(fields, OFFERED, proposed, 4000, 4000).boxes) <= MOST_BOXES


def test_the_same_box_twice_is_one() -> None:
    """A box that is drawn and given in numbers too is masked once."""
    sides = [("left", "1"), ("top", "2"), ("width", "3"), ("height", "4")]
    fields = (("action", "mask"), ("reason", "r"), ("box", "1,2,3,4"), *sides)
    assert order(fields, OFFERED, NONE, 10, 10).boxes == (Box(ALL_FRAMES, 1, 2, 3, 4, "person"),)


@given(st.lists(st.tuples(st.sampled_from(["action", "reason", "box", "left", "proposed"]), st.text(max_size=20))))
def test_any_form_is_an_order_or_invalid(fields: list[tuple[str, str]]) -> None:
    """No form fails in any other way than by Invalid, and any can be shown again."""
    given_fields: Fields = (("action", "mask"), *fields) if len(fields) % 2 else tuple(fields)
    with suppress(Invalid):
        order(given_fields, OFFERED, proposals(boxes(2)), 100, 100)
    assert len(filled(given_fields).drawn) <= MOST_DRAWN


def _chosen(numbers: range) -> list[tuple[str, str]]:
    return [("proposed", str(number)) for number in numbers]


def _drawn(count: int) -> list[tuple[str, str]]:
    return [("box", f"{number},0,5,5") for number in range(count)]


def _holds(box: Box, place: int) -> bool:
    across = box.left <= place and place + 10 <= box.left + box.width
    return across and box.top <= place and place + 10 <= box.top + box.height

"""No text makes the cleaning slow, fail or give back what it was to take out."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.privacy.free_text.clean import LONGEST, FreeText
from gateway.privacy.free_text.findings import Category, Find, merged
from gateway.privacy.free_text.folding import bare, shape
from gateway.privacy.free_text.known import KnownIdentity

KNOWN = KnownIdentity(names=frozenset({"Smith^John", "张^伟"}), numbers=frozenset({"MRN-4711-X"}))
TEXTS = FreeText(KNOWN, lambda value: value)
SECONDS = 20.0  # of this thread's own processor time, many times what is needed: a search without a bound takes hours
UNITS = [
    "a",
    "1",
    "1 ",
    "1.",
    ":",
    "ab:",
    "a@",
    "a.",
    "Abc ",
    "signed by ",
    "李",
    "市区",
    "王主任",
    "01/",
    "\n",
    " ",
    "Dr. ",
    "Abc of ",
    "12 rue ",
    "Dr. Abc 12 Main ",
    "http://",
    "MRN: ",
    "(",
    "A-",
    "ア",
    "가",
    "+1-",
    "John ",
    "discussed a ",
    "Aa",
    ", MD",
    "www.",
    "x.com/",
    "\u0301",
    "ﷺ",
    "19",
    "May ",
    "[NAME] ",
    "\\",
    "<div>",
]


@pytest.mark.parametrize("unit", UNITS)
def test_repetition_does_not_make_a_search_slow(unit: str) -> None:
    """The longest text made of one repeated piece is done within bounds."""
    text = (unit * (LONGEST // len(unit)))[: LONGEST // 2]
    began = time.thread_time()
    TEXTS.clean(text)
    assert time.thread_time() - began < SECONDS


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=300))
def test_any_text_is_cleaned(text: str) -> None:
    """No text, of whatever characters, makes it fail."""
    assert isinstance(TEXTS.clean(text).text, str)


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="ab 1.,:\n-()[]张医", max_size=40), st.text(alphabet="ab 1.,:\n-()[]张医", max_size=40))
def test_a_known_name_goes_whatever_stands_around(before: str, after: str) -> None:
    """Neighbours that are no letters do not hide it."""
    cleaned = TEXTS.clean(f"{before} Smith {after} 张伟")
    assert "Smith" not in cleaned.text
    assert "张伟" not in cleaned.text


@given(st.text(max_size=60))
def test_folding_leads_back_to_the_characters_as_written(text: str) -> None:
    """Every stretch of a folded text has its place in the original."""
    for folded in (shape(text), bare(text)):
        for at in range(len(folded.text)):
            start, end = folded.span(at, at + 1)
            assert 0 <= start < end <= len(text)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 10), st.sampled_from(list(Category))), max_size=12))
def test_finds_end_up_in_order_and_apart(places: list[tuple[int, int, Category]]) -> None:
    """Everything found stays covered, once."""
    text = "x" * 41
    finds = [Find(start, start + length, category) for start, length, category in places]
    made = merged(finds, text)
    assert all(one.end <= two.start for one, two in pairwise(made))
    covered = {at for find in made for at in range(find.start, find.end)}
    assert covered == {at for find in finds for at in range(find.start, find.end)}

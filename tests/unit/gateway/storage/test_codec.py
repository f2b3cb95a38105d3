"""What is stored as JSON comes back as it was, for every value that a domain type can hold."""

from __future__ import annotations

import math
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.errors import Fault, Invalid
from gateway.domain.finding import Code, Finding, ImageFinding, Label, Provenance
from gateway.domain.model import AppliesTo
from gateway.domain.report import NotAnalysed, ReportContent
from gateway.storage import codec
from gateway.storage.audit_trail import Details

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
CODE = st.builds(Code, TEXT, TEXT, TEXT, TEXT)
LABEL = st.builds(Label, TEXT, CODE, NUMBER)
IMAGE = st.builds(
    ImageFinding,
    sop_instance_uid=TEXT,
    labels=st.lists(LABEL, max_size=3).map(tuple),
    decided=st.none() | TEXT,
    explanation=TEXT,
    heat_map=st.none() | TEXT,
    refusal_code=st.none() | TEXT,
    refusal=st.none() | TEXT,
)
FINDING = st.builds(
    Finding,
    id=TEXT,
    task_id=TEXT,
    study_id=TEXT,
    revision=st.integers(1, 1 << 31),
    question=CODE,
    decided=st.none() | LABEL,
    conclusion=TEXT,
    threshold=st.none() | NUMBER,
    images=st.lists(IMAGE, max_size=2).map(tuple),
    made_by=st.builds(Provenance, *[TEXT] * 7, st.lists(TEXT, max_size=3).map(tuple)),
    created_at=st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)
CONTENT = st.builds(
    ReportContent,
    st.lists(FINDING, max_size=2).map(tuple),
    st.lists(st.builds(NotAnalysed, TEXT, TEXT, TEXT, TEXT), max_size=2).map(tuple),
    TEXT,
)
TEXTS = st.lists(TEXT, max_size=4).map(tuple)
HEADER = st.dictionaries(TEXT, st.none() | TEXT | st.integers(-(1 << 63), (1 << 63) - 1), max_size=5)
DETAILS = st.dictionaries(
    TEXT, st.none() | st.booleans() | TEXT | st.integers(-(1 << 53), 1 << 53) | NUMBER | st.lists(TEXT), max_size=5
)


@given(
    st.one_of(
        st.tuples(st.just(Finding), FINDING),
        st.tuples(st.just(ReportContent), CONTENT),
        st.tuples(st.just(AppliesTo), st.builds(AppliesTo, TEXTS, TEXTS, TEXTS)),
        st.tuples(st.just(tuple[str, ...]), TEXTS),
        st.tuples(st.just(dict[str, str | int | None]), HEADER),
        st.tuples(st.just(Details), DETAILS),
    )
)
def test_round_trip(case: tuple[type, object]) -> None:
    """Any value of a stored type is read back equal."""
    shape, value = case
    assert codec.decode(shape, codec.encode(shape, value)) == value


@given(DETAILS)
def test_text_does_not_depend_on_the_order_of_keys(details: dict[str, object]) -> None:
    """Equal mappings have one text, because the audit's code is over the text."""
    reversed_details = dict(reversed(list(details.items())))
    assert codec.encode(Details, details) == codec.encode(Details, reversed_details)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_lacks_are_invalid(number: float) -> None:
    """NaN and the infinities are refused when they are written."""
    with pytest.raises(Invalid):
        codec.encode(Label, Label("x", Code("", "", "", ""), number))


def test_a_lone_surrogate_is_invalid() -> None:
    """Text that has no UTF-8 form is refused, and the message does not repeat it."""
    with pytest.raises(Invalid, match=r"^a tuple holds a value that cannot be stored as JSON$"):
        codec.encode(tuple[str, ...], ("\ud800",))


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"a":{}}', "null"])
def test_a_text_of_another_shape_is_a_fault(text: str) -> None:
    """A stored text that does not fit its type is our mistake, and the message does not repeat it."""
    with pytest.raises(Fault, match=r"^a stored Finding cannot be read$"):
        codec.decode(Finding, text)


_TWO_THREADS = """
import sys, threading
from gateway.storage import codec
sys.setswitchinterval(1e-6)
for turn in range(300):
    parts = "".join(f"@dataclass\\nclass Part{n}:\\n    g: int = 0\\n" for n in range(8))
    whole = "@dataclass\\nclass Whole:\\n" + "".join(f"    f{n}: 'Part{n % 8} | None' = None\\n" for n in range(40))
    names = {"__name__": "__main__"}
    exec("from dataclasses import dataclass\\n" + parts + whole, names)
    globals().update(names)
    holder = "@dataclass\\nclass {}:\\n    a: Whole\\n"
    exec("from dataclasses import dataclass\\n" + holder.format("One") + holder.format("Two"), globals())
    both = threading.Barrier(2)
    def read(shape):
        both.wait()
        codec.decode(shape, '{"a": {"f1": {"g": 1}, "f39": {"g": 2}}}')
    threads = [threading.Thread(target=read, args=(shape,)) for shape in (One, Two)]
    [one.start() for one in threads]
    [one.join() for one in threads]
"""


def test_two_threads_may_read_a_shape_for_the_first_time_together() -> None:
    """What one thread still finds out about a dataclass is not used by another, which would end the process."""
    done = subprocess.run([sys.executable, "-c", _TWO_THREADS], cwd=Path(__file__).parents[4], timeout=120, check=False)
    assert done.returncode == 0

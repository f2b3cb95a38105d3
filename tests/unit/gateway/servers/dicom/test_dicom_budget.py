"""The budget of bytes in flight."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.servers.dicom.budget import ByteBudget


@given(st.lists(st.integers(0, 100), max_size=30))
def test_reservations_never_pass_the_limit(counts):
    """Whatever is asked for, no more than the limit is granted, and all of it can be given back."""
    budget = ByteBudget(150)
    granted = [count for count in counts if budget.reserve(count)]
    assert budget.reserved == sum(granted) <= 150
    for count in granted:
        budget.release(count)
    assert budget.reserved == 0

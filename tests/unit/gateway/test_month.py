"""A month is a month of UTC, written in one way."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.commands.model_month import _month
from gateway.domain.errors import Invalid


def test_a_month_ends_where_the_next_begins() -> None:
    """December ends with the year, February with its last day."""
    assert _month("2026-12") == (datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
    assert _month("2028-02") == (datetime(2028, 2, 1, tzinfo=UTC), datetime(2028, 3, 1, tzinfo=UTC))


@pytest.mark.parametrize("text", ["", "2026", "2026-1", "2026-13", "2026-00", "0001-01", "9999-12", "2026-01-05", "x"])
def test_what_is_no_month_is_refused(text: str) -> None:
    """With how it is written; never with a fault from the calendar's ends."""
    with pytest.raises(Invalid, match="YYYY-MM"):
        _month(text)

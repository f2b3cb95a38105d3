"""Dates, tokens, references, page links, forms: the values that come in from outside, one by one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.errors import Invalid
from gateway.servers.web.body import parse_fields
from gateway.servers.web.console.form_token import FormTokens
from gateway.servers.web.fhir.date_range import parse

NOON = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2026", datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        ("2026-12", datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        ("eq2026-11-03", datetime(2026, 11, 3, tzinfo=UTC), datetime(2026, 11, 4, tzinfo=UTC)),
        ("2026-11-03T12:00Z", NOON, NOON + timedelta(minutes=1)),
        ("2026-11-03T13:00:00+01:00", NOON, NOON + timedelta(seconds=1)),
        ("2026-11-03T13:00:00 01:00", NOON, NOON + timedelta(seconds=1)),
        ("2026-11-03T12:00:00.000Z", NOON, NOON + timedelta(milliseconds=1)),
        ("ge2026-11-03T12:00:00Z", NOON, None),
        ("gt2026-11-03", datetime(2026, 11, 4, tzinfo=UTC), None),
        ("le2026-11-03", None, datetime(2026, 11, 4, tzinfo=UTC)),
        ("lt2026-11-03T12:00:00Z", None, NOON),
    ],
)
def test_date_means_a_range(text: str, start: datetime | None, end: datetime | None) -> None:
    """A date of any precision is the range it covers; a prefix opens one end."""
    found = parse(text)
    assert (found.start, found.end) == (start, end)


@given(st.text(max_size=40))
def test_any_text_is_a_date_or_invalid(text: str) -> None:
    """No text makes the date parser fail in any other way than by Invalid."""
    try:
        parse(text)
    except Invalid:
        return


@given(st.binary(max_size=300))
def test_any_bytes_are_fields_or_invalid(raw: bytes) -> None:
    """No query makes the field parser fail in any other way than by Invalid, and no control character passes."""
    try:
        fields = parse_fields(raw)
    except Invalid:
        return
    assert all(char.isprintable() for name, value in fields for char in name + value)


def test_form_token_is_bound_to_form_and_cookie() -> None:
    """A token fits its own form and cookie alone, and never an empty cookie."""
    forms = FormTokens(b"k" * 32)
    given_token = forms.token("sign-in", "cookie")
    assert forms.fits("sign-in", "cookie", given_token)
    assert not forms.fits("sign-out", "cookie", given_token)
    assert not forms.fits("sign-in", "other", given_token)
    assert not forms.fits("sign-in", "", forms.token("sign-in", ""))
    assert not forms.fits("sign-in", "cookie", "ä")

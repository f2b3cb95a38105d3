"""Page tokens: they come back, for an hour, for one client and scope, and hold nothing readable."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.errors import Invalid
from gateway.servers.web.fhir.page_link import PageLinks
from gateway.servers.web.refusal import Refusal

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
FIELDS = (("patient.identifier", "MRN-77182"), ("_count", "5"))
PLACE = [1 << 60, [[1.5, "name", -3], 7]]


def links(client: str = "ehr", kind: str = "Patient", at: datetime = NOW, key: bytes = b"k" * 32) -> PageLinks:
    return PageLinks(key, client, kind, lambda: at)


def test_a_token_comes_back() -> None:
    """Parameters and place are what was sealed; the token itself says nothing of them."""
    token = links().seal(FIELDS, PLACE)
    assert links().open(token) == (FIELDS, PLACE)
    assert "MRN" not in token
    assert links().open(links().seal((), [])) == ((), [])


@pytest.mark.parametrize("other", [links(client="pacs"), links(kind="Observation"), links(key=b"x" * 32)])
def test_a_token_is_for_one_client_and_type(other: PageLinks) -> None:
    """Nobody else can open it."""
    with pytest.raises(Invalid):
        other.open(links().seal(FIELDS, PLACE))


@pytest.mark.parametrize("place", [0, 10, 20, -1])
def test_an_altered_token_is_refused(place: int) -> None:
    """One changed character is enough."""
    token = links().seal(FIELDS, PLACE)
    at = place % len(token)
    altered = token[:at] + ("A" if token[at] != "A" else "Q") + token[at + 1 :]
    with pytest.raises(Invalid):
        links().open(altered)


def test_a_token_lives_an_hour() -> None:
    """After that the search begins anew: 410."""
    token = links().seal(FIELDS, PLACE)
    assert links(at=NOW + timedelta(minutes=59)).open(token)
    with pytest.raises(Refusal) as refused:
        links(at=NOW + timedelta(minutes=61)).open(token)
    assert (refused.value.status, refused.value.code) == (410, "expired")


@given(st.lists(st.tuples(st.text(max_size=20), st.text(max_size=20)), max_size=5), st.integers(0, 1000))
def test_what_a_link_was_made_of_comes_back(fields: list[tuple[str, str]], shown: int) -> None:
    """Any parameters, and any place in what they found."""
    assert links().open(links().seal(tuple(fields), [shown, "abc"])) == (tuple(fields), [shown, "abc"])


@given(st.text(max_size=200))
def test_no_text_opens_as_a_page_link(text: str) -> None:
    """Made-up tokens are Invalid and nothing else."""
    with pytest.raises(Invalid):
        links().open(text)

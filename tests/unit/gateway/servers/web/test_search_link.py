"""Page tokens of a search: they come back, for an hour, for one client and type, and hold nothing readable."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gateway.domain.criterion import Place
from gateway.domain.errors import Invalid
from gateway.flow.record.search import Position
from gateway.servers.web.fhir.search_link import SearchLinks
from gateway.servers.web.refusal import Refusal

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
FIELDS = (("patient.identifier", "MRN-77182"), ("_count", "5"))
POSITION = Position(1 << 60, Place((1.5, "name", -3), 7))


def links(client: str = "ehr", kind: str = "Patient", at: datetime = NOW, key: bytes = b"k" * 32) -> SearchLinks:
    return SearchLinks(key, client, kind, lambda: at)


def test_a_token_comes_back() -> None:
    """Parameters and place are what was sealed; the token itself says nothing of them."""
    token = links().seal(FIELDS, POSITION)
    assert links().open(token) == (FIELDS, POSITION)
    assert "MRN" not in token
    assert links().open(links().seal((), Position(3))) == ((), Position(3))


@pytest.mark.parametrize("other", [links(client="pacs"), links(kind="Observation"), links(key=b"x" * 32)])
def test_a_token_is_for_one_client_and_type(other: SearchLinks) -> None:
    """Nobody else can open it."""
    with pytest.raises(Invalid):
        other.open(links().seal(FIELDS, POSITION))


@pytest.mark.parametrize("place", [0, 10, 20, -1])
def test_an_altered_token_is_refused(place: int) -> None:
    """One changed character is enough."""
    token = links().seal(FIELDS, POSITION)
    at = place % len(token)
    altered = token[:at] + ("A" if token[at] != "A" else "Q") + token[at + 1 :]
    with pytest.raises(Invalid):
        links().open(altered)


def test_a_token_lives_an_hour() -> None:
    """After that the search begins anew: 410."""
    token = links().seal(FIELDS, POSITION)
    assert links(at=NOW + timedelta(minutes=59)).open(token)
    with pytest.raises(Refusal) as refused:
        links(at=NOW + timedelta(minutes=61)).open(token)
    assert (refused.value.status, refused.value.code) == (410, "expired")

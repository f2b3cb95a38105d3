"""What is remembered of bearer tokens, and when it is asked for again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from gateway.domain.access import Caller, Client, Grant
from gateway.domain.ids import ClientId
from gateway.flow.known_grants import FRESH_SECONDS, SECONDS, Holder, KnownGrants

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
HASH = b"\x07" * 32


def holder() -> Holder:
    client = Client(ClientId("1"), "fhir", "ehr", None, ("system/*.rs",), (), True, NOW)
    return Holder(Grant(HASH, "ehr", "token", client.scopes, NOW + timedelta(hours=1)), Caller.of(client, "", ""), None)


def test_a_token_is_asked_for_again_after_seconds() -> None:
    """What was looked up serves for so long and no longer."""
    at = [0.0]
    known = KnownGrants(clock=lambda: at[0])
    known.keep(holder(), known.era)
    at[0] = SECONDS - 0.1
    known.find(HASH)  # sent to ask anew, but never came back
    assert known.find(HASH) is not None
    at[0] = SECONDS
    assert known.find(HASH) is None


def test_what_is_taken_back_is_forgotten_at_once() -> None:
    """Also where it was read before and comes to be kept after."""
    known = KnownGrants()
    era = known.era
    known.keep(holder(), era)
    known.forget()
    assert known.find(HASH) is None
    known.keep(holder(), era)
    assert known.find(HASH) is None


def test_one_asks_anew_while_the_others_go_on() -> None:
    """Half of the time over, the first is sent to the database, and is not answered from memory there either."""
    at = [0.0]
    known = KnownGrants(clock=lambda: at[0])
    known.keep(holder(), known.era)
    at[0] = FRESH_SECONDS
    assert known.find(HASH) is None
    assert known.fresh(HASH) is None
    assert known.find(HASH) is not None
    known.keep(holder(), known.era)
    assert known.find(HASH) is not None
    assert known.fresh(HASH) is not None

"""Published key sets: when they are asked for anew; and how many requests somebody may make."""

from __future__ import annotations

import json

import pytest

from gateway.domain.errors import Unavailable
from gateway.flow.key_sets import FRESH_SECONDS, MOST_SETS, PAUSE_SECONDS, STALE_SECONDS, KeySets
from gateway.flow.request_rate import RequestRate, TooManyRequests

URL = "https://keys.example/jwks"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Published:
    """A key set at an address; `out` makes it silent."""

    def __init__(self, *kids: str) -> None:
        self.kids, self.asked, self.out = list(kids), 0, False

    def __call__(self, url: str) -> bytes:
        self.asked += 1
        if self.out:
            raise Unavailable("out")
        return json.dumps({"keys": [{"kid": kid} for kid in self.kids]}).encode()


def test_a_known_key_is_not_asked_for_again_while_fresh() -> None:
    """Within five minutes one fetch serves, then the set is fetched anew."""
    clock, published = Clock(), Published("a")
    sets = KeySets(published, clock)
    for _ in range(5):
        sets.with_key(URL, "a")
    assert published.asked == 1
    clock.now += FRESH_SECONDS + 1
    sets.with_key(URL, "a")
    assert published.asked == 2


def test_an_unknown_key_asks_again_but_seldom() -> None:
    """A rotated key is found by asking anew; made-up kids cause no more than one fetch in half a minute."""
    clock, published = Clock(), Published("a")
    sets = KeySets(published, clock)
    for number in range(50):
        sets.with_key(URL, f"made-up-{number}")
    assert published.asked == 1
    published.kids.append("b")
    clock.now += PAUSE_SECONDS
    assert '"b"' in sets.with_key(URL, "b")
    assert published.asked == 2


def test_what_was_fetched_serves_on_for_an_hour() -> None:
    """While the address is silent the last set serves, but not for ever, and silence is not hammered."""
    clock, published = Clock(), Published("a")
    sets = KeySets(published, clock)
    sets.with_key(URL, "a")
    published.out = True
    clock.now += STALE_SECONDS - 1
    assert '"a"' in sets.with_key(URL, "a")
    for _ in range(10):
        sets.with_key(URL, "a")
    assert published.asked == 2
    clock.now += 2
    with pytest.raises(Unavailable):
        sets.with_key(URL, "a")


def test_memory_of_sets_is_bounded() -> None:
    """However many addresses there are, only so many sets are kept."""
    sets = KeySets(Published("a"), Clock())
    for number in range(MOST_SETS + 50):
        sets.with_key(f"{URL}/{number}", "a")
    assert len(sets._sets) == MOST_SETS


def test_requests_flow_at_their_rate() -> None:
    """Five seconds' worth may come at once; then one for each share of a second, and another name is untouched."""
    clock = Clock()
    rate = RequestRate(2.0, clock=clock)
    for _ in range(10):
        rate.take("a")
    with pytest.raises(TooManyRequests) as refused:
        rate.take("a")
    assert refused.value.seconds == 1
    rate.take("b")
    clock.now += 0.5
    rate.take("a")
    with pytest.raises(TooManyRequests):
        rate.take("a")


def test_memory_of_rates_is_bounded() -> None:
    """However many names ask, only so many buckets are kept."""
    rate = RequestRate(1.0, capacity=50, clock=Clock())
    for number in range(500):
        rate.take(str(number))
    assert len(rate._buckets) == 50

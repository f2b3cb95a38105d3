"""Places for connections, with connections that only note their end."""

from __future__ import annotations

import math
import time

from gateway.servers.dicom.policy import Ending
from gateway.servers.dicom.roster import Place, Roster
from gateway.servers.dicom.settings import Limits


class Quiet:
    """Stands for a connection that has been idle for some seconds; 0 is busy."""

    def __init__(self, host: str, idle_seconds: float) -> None:
        self.peer_host = host
        self.quiet_since = time.monotonic() - idle_seconds if idle_seconds else math.inf
        self.endings: list[Ending] = []

    def cut(self, ending: Ending) -> None:
        self.endings.append(ending)


def test_the_longest_idle_gives_way():
    """At the total limit the connection idle for longest is cut, and no other."""
    roster = Roster(Limits(connections=3), evictable_seconds=10)
    busy, idle, idler = Quiet("a", 0), Quiet("b", 20), Quiet("c", 30)
    assert [roster.add(one) for one in (busy, idle, idler)] == [Place.SERVED] * 3
    assert roster.add(Quiet("d", 1)) is Place.SERVED
    assert (busy.endings, idle.endings, idler.endings) == ([], [], [Ending.EVICTED])


def test_the_briefly_idle_stay():
    """A connection idle for less than the setting is not cut: the new one is refused, then closed."""
    roster = Roster(Limits(connections=1, refusals=1), evictable_seconds=10)
    resting = Quiet("a", 5)
    assert roster.add(resting) is Place.SERVED
    assert roster.add(Quiet("b", 1)) is Place.REFUSED
    assert roster.add(Quiet("b", 1)) is Place.CLOSED
    assert resting.endings == []


def test_a_peer_gets_its_place_back():
    """A peer at its own limit is refused until one of its connections has ended."""
    roster = Roster(Limits(connections_per_peer=1), evictable_seconds=10)
    first, second = Quiet("a", 1), Quiet("a", 1)
    assert roster.add(first) is Place.SERVED
    assert roster.add(second) is Place.REFUSED
    roster.remove(second)
    roster.remove(first)
    assert roster.all() == []
    assert roster.add(Quiet("a", 1)) is Place.SERVED

"""The sweeper's loop: when a chore looks, when it is spared, and that nothing committed goes unnoticed."""

from __future__ import annotations

import threading
from collections.abc import Callable

from gateway.domain.errors import Unavailable
from gateway.flow.sweep import Chore, Sweeper


class Version:
    """What the database says of itself; counts how often it was asked, and ends the loop after `most` times."""

    def __init__(self, stop: threading.Event, most: int) -> None:
        self.value, self.asked = 0, 0
        self._stop, self._most = stop, most

    def __call__(self) -> int:
        self.asked += 1
        if self.asked >= self._most:
            self._stop.set()
        return self.value


def swept(work: Callable[[Version], int], *, asked: int, rest: float) -> int:
    """How often a chore has looked until the version was asked for so often."""
    stop = threading.Event()
    version, looks = Version(stop, asked), []

    def look() -> int:
        looks.append(version.asked)
        return work(version)

    sweeper = Sweeper([Chore("test", look, 0.001, rest=rest)], stop, version)
    sweeper.start()
    sweeper.join(30)
    assert stop.is_set()
    return len(looks)


def test_looks_are_spared_while_nothing_is_committed() -> None:
    """After a look that found nothing there is no second until the version differs."""
    assert swept(lambda _: 0, asked=20, rest=3600.0) == 1


def test_a_commit_during_a_look_is_noticed() -> None:
    """The version is read before the look, so what is committed meanwhile brings another."""

    def commit_once(version: Version) -> int:
        version.value = 1
        return 0

    assert swept(commit_once, asked=20, rest=3600.0) == 2


def test_what_time_alone_brings_about_is_noticed_too() -> None:
    """Where the rest is over the chore looks although nothing was committed."""
    assert swept(lambda _: 0, asked=20, rest=1e-9) == 20


def test_who_found_work_or_failed_looks_again() -> None:
    """There may be more, and what could not be done is still to be done."""

    def fail(_: Version) -> int:
        raise Unavailable("out")

    assert swept(lambda _: 1, asked=20, rest=3600.0) == 20
    assert swept(fail, asked=4, rest=3600.0) == 4

"""The deadline watch, with connections that only count."""

from __future__ import annotations

import math
import threading
import time

from gateway.servers.dicom.deadline import DeadlineWatch

_PATIENCE = 20.0


class Waiting:
    """Stands for a connection: a deadline, and a note that it has passed."""

    def __init__(self) -> None:
        self.deadline = math.inf
        self.expired = threading.Event()

    def expire(self) -> None:
        self.deadline = math.inf
        self.expired.set()


def test_an_earlier_deadline_wakes_the_watch():
    """A deadline set while the watch sleeps for a later one is kept, and the later one is left alone."""
    late, soon = Waiting(), Waiting()
    late.deadline = time.monotonic() + 3600
    watch = DeadlineWatch(lambda: [late, soon])
    watch.start()
    soon.deadline = time.monotonic() + 0.05
    watch.moved(soon.deadline)
    assert soon.expired.wait(_PATIENCE)
    assert not late.expired.is_set()
    watch.stop()


def test_a_watch_without_deadlines_can_be_stopped():
    """The watch sleeps without end when nothing is due, and stop still ends it."""
    watch = DeadlineWatch(list)
    watch.start()
    watch.stop()
    assert not watch._thread.is_alive()

"""sweep: looks, again and again, for work that nobody is holding.

Studies gone quiet, tasks without a holder, deliveries due, the next anchor of the audit trail: each is a chore
with its own pause, in its own thread, so that a slow or broken one delays no other. A chore that fails backs
off and goes on; this loop is one of the four places where every exception is caught.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.domain.errors import GatewayError

log = logging.getLogger(__name__)
LONGEST_PAUSE = 30.0  # seconds between attempts of a chore that keeps failing


@dataclass(frozen=True)
class Chore:
    """`work` is repeated after `pause` seconds; a result other than 0 means there may be more at once."""

    name: str
    work: Callable[[], int]
    pause: float


class Sweeper:
    """Runs chores until it is told to stop."""

    def __init__(self, chores: Sequence[Chore], stop: threading.Event) -> None:
        self._stop = stop
        self._threads = [
            threading.Thread(target=self._run, args=(chore,), name=f"sweep-{chore.name}", daemon=True)
            for chore in chores
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self, timeout: float) -> None:
        for thread in self._threads:
            thread.join(timeout)

    def _run(self, chore: Chore) -> None:
        failures = 0
        while not self._stop.is_set():
            done = 0
            try:
                done = chore.work()
                failures = 0
            except GatewayError as error:
                failures += 1
                _report(chore, failures, error.category.value, str(error))
            except Exception as error:
                failures += 1
                _report(chore, failures, "fault", type(error).__name__)
            pause = min(chore.pause * (1 << min(failures, 10)), LONGEST_PAUSE) if failures else chore.pause
            self._stop.wait(0 if done else pause)


def _report(chore: Chore, failures: int, kind: str, reason: str) -> None:
    """The first failure of a row and then every tenth, so that an outage fills no disk."""
    if failures % 10 == 1:
        fields = {"chore": chore.name, "failures": failures, "kind": kind, "reason": reason}
        log.warning("chore failed", extra={"fields": fields})

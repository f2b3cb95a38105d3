"""sweep: looks, again and again, for work that nobody is holding.

Studies gone quiet, tasks without a holder, deliveries due, the next anchor of the audit trail: each is a chore
with its own pause, in its own thread, so that a slow or broken one delays no other. A chore that fails backs
off and goes on; this loop is one of the four places where every exception is caught.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.domain.errors import GatewayError

log = logging.getLogger(__name__)
LONGEST_PAUSE = 30.0  # seconds between attempts of a chore that keeps failing


@dataclass(frozen=True)
class Chore:
    """`work` is repeated after `pause` seconds; a result of `full` or more means there may be more at once.

    While the database stands as at the last look, and that found nothing, looks are spared for up to `rest` seconds:
    what only time brings about is noticed that much later.
    """

    name: str
    work: Callable[[], int]
    pause: float
    full: int = 1
    rest: float = 0.0


class Sweeper:
    """Runs chores until it is told to stop. `version` differs once anything was committed; it is cheap to ask."""

    def __init__(self, chores: Sequence[Chore], stop: threading.Event, version: Callable[[], object]) -> None:
        self._stop = stop
        self._version = version
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
        nothing_at: object = None
        looked = -math.inf
        while not self._stop.is_set():
            done = 0
            try:
                if chore.rest:
                    version = self._version()
                    if version == nothing_at and time.monotonic() - looked < chore.rest:
                        self._stop.wait(chore.pause)
                        continue
                    nothing_at, looked = version, time.monotonic()
                done = chore.work()
                if done:
                    nothing_at = None
                failures = 0
            except GatewayError as error:
                failures += 1
                _report(chore, failures, error.category.value, str(error))
            except Exception as error:
                failures += 1
                _report(chore, failures, "fault", type(error).__name__)
            if failures:
                nothing_at = None
            pause = min(chore.pause * (1 << min(failures, 10)), LONGEST_PAUSE) if failures else chore.pause
            self._stop.wait(0 if done >= chore.full else pause)


def _report(chore: Chore, failures: int, kind: str, reason: str) -> None:
    """The first failure of a row and then every tenth, so that an outage fills no disk."""
    if failures % 10 == 1:
        fields = {"chore": chore.name, "failures": failures, "kind": kind, "reason": reason}
        log.warning("chore failed", extra={"fields": fields})

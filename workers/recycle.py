"""Ends a worker that has done its share or grown too large, after it has finished what it holds.

Why: native libraries leak and arenas grow, and a fresh process is the one cure for all of it. The worker sends itself
the signal by which an operator stops it, so that there is one way of stopping and it is tested every day; whoever
runs the worker (`dxgate up`, systemd, a container platform) starts it anew.
"""

from __future__ import annotations

import logging
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from workers.turns import NOT_NOW

log = logging.getLogger(__name__)
_STATM = Path("/proc/self/statm")


def resident_mib() -> int:
    """Resident memory of this process now; where the system does not tell, the most that it ever was."""
    if _STATM.exists():
        return int(_STATM.read_text().split()[1]) * resource.getpagesize() >> 20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak >> 20 if sys.platform == "darwin" else peak >> 10


def _stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@dataclass
class Recycle:
    """Called with the outcome of every message; 0 means no limit. `stop` is called once at most.

    A message whose task was not ours to do is no work: after an outage many ring for what is done already, and a
    worker that counted them would do nothing but start.
    """

    max_tasks: int = 0
    max_memory_mib: int = 0
    stop: Callable[[], None] = _stop
    resident: Callable[[], int] = resident_mib
    _done: int = field(default=0, init=False)
    _asked: bool = field(default=False, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __call__(self, outcome: str) -> None:
        if outcome in ("not ours", NOT_NOW):
            return
        with self._lock:
            self._done += 1
            reason = self._reason()
        if reason is not None:
            self.because(reason)

    def because(self, reason: str) -> None:
        """Ends the worker for a reason of somebody else's."""
        with self._lock:
            if self._asked:
                return
            self._asked = True
        log.info("worker recycles", extra={"fields": {"reason": reason, "tasks": self._done}})
        self.stop()

    def _reason(self) -> str | None:
        if self.max_tasks and self._done >= self.max_tasks:
            return "tasks"
        if self.max_memory_mib and self.resident() >= self.max_memory_mib:
            return "memory"
        return None

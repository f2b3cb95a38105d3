"""Where handlers run: a few threads for the work, others for sign-ins, so that neither can starve the other.

Few on purpose: handlers compute more than they wait, and Python runs one at a time. Measured with eight
connections reading one report on two cores: 159 reads in a second with two threads, 119 with forty.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import anyio.to_thread
from anyio import CapacityLimiter

T = TypeVar("T")
WORK_THREADS = 2
SIGN_IN_THREADS = 4
BUNDLE_THREADS = 4  # the entries of a batch wait for their commits one after the other


class Threads:
    """One for each application."""

    def __init__(self) -> None:
        self._work = CapacityLimiter(WORK_THREADS)
        self._sign_in = CapacityLimiter(SIGN_IN_THREADS)
        self._bundle = CapacityLimiter(BUNDLE_THREADS)

    async def work(self, run: Callable[..., T], *arguments: object) -> T:
        return await anyio.to_thread.run_sync(run, *arguments, limiter=self._work)

    async def sign_in(self, run: Callable[..., T], *arguments: object) -> T:
        return await anyio.to_thread.run_sync(run, *arguments, limiter=self._sign_in)

    async def bundle(self, run: Callable[..., T], *arguments: object) -> T:
        return await anyio.to_thread.run_sync(run, *arguments, limiter=self._bundle)

"""Starts the roles of one machine in order, keeps them running and stops them in reverse order.

Containers and systemd run each role by itself; this is for `dxgate up`, where one command must be enough. The
module imports next to nothing; what it is told to preload, its children share (forked.py).
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway import forked
from gateway.child import Child, Guard, Role
from gateway.domain.errors import Conflict, Unavailable

_READY_POLL_SECONDS = 0.02
_MAX_START_ATTEMPTS = 3


@dataclass(frozen=True)
class BackOff:
    """Pauses between a process's end and its next start: doubling, and short again after a good life."""

    first_seconds: float = 0.25
    longest_seconds: float = 30.0
    reset_after_seconds: float = 30.0

    def after(self, previous: float, lived: float) -> float:
        if previous == 0 or lived >= self.reset_after_seconds:
            return self.first_seconds
        return min(previous * 2, self.longest_seconds)


@contextmanager
def only_one(lock_file: Path) -> Iterator[None]:
    """Hold `lock_file` for the length of the block; Conflict where another process holds it."""
    lock_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip()
            raise Conflict(f"dxgate already runs on this home (process {holder or 'unknown'})") from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)


def say_to_stderr(name: str, line: str) -> None:
    """The usual voice: one line, with the role's name before it. A reader who has gone away stops nothing."""
    with suppress(OSError):
        sys.stderr.write(f"{name:<8}| {line}\n")
        sys.stderr.flush()


class Supervisor:
    """Runs stages of roles: those of one stage start together, a stage starts when the one before is ready."""

    def __init__(
        self,
        stages: Sequence[Sequence[Role]],
        *,
        preload: Sequence[str] = (),
        say: Callable[[str, str], None] = say_to_stderr,
        back_off: BackOff = BackOff(),
    ) -> None:
        self._stages = stages
        self._preload = preload
        self._say = say
        self._back_off = back_off
        self._guard = Guard()
        self._children: dict[str, Child] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._stop = asyncio.Event()
        self._hurry = False

    async def run(self, when_ready: Callable[[], None]) -> None:
        """Returns after SIGINT or SIGTERM and a clean stop; Unavailable where a role does not become ready."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGCHLD, self._check_children)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._ask_to_stop)
        try:
            if await self._or_stop(self._start_all()):
                when_ready()
                await self._stop.wait()
        finally:
            await self._stop_all()
            self._guard.close()

    def _ask_to_stop(self) -> None:
        """The first signal stops in order; the second kills."""
        if self._stop.is_set():
            self._hurry = True
            for child in self._children.values():
                child.kill()
        self._stop.set()

    def _check_children(self) -> None:
        self._guard.revive()
        for child in list(self._children.values()):
            child.check()

    async def _or_stop(self, work: Coroutine[Any, Any, None]) -> bool:
        """Run `work` to its end, or give it up when asked to stop; says whether it ended by itself."""
        task = asyncio.ensure_future(work)
        stop = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait((task, stop), return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait((task,))
            return False
        task.result()
        return True

    async def _start_all(self) -> None:
        """The first stage runs while modules are imported; a fork from the second stage on has them."""
        for number, stage in enumerate(self._stages):
            starting = [asyncio.ensure_future(self._bring_up(role)) for role in stage]
            if number == 0:
                starting.append(asyncio.ensure_future(forked.preload(self._preload)))
            try:
                await asyncio.gather(*starting)
            finally:
                for task in starting:
                    task.cancel()

    async def _bring_up(self, role: Role) -> None:
        """Start a role for the first time; Unavailable after some attempts, which says that it never will."""
        pause = 0.0
        for _ in range(1 if role.once else _MAX_START_ATTEMPTS):
            await asyncio.sleep(pause)
            try:
                child = self._start(role)
            except OSError as error:
                raise Unavailable(f"{role.name} cannot be run: {error.strerror}") from None
            if await self._becomes_ready(child):
                if not role.once:
                    self._keepers.append(asyncio.ensure_future(self._keep(role, child)))
                return
            self._say(role.name, f"ended before it was ready ({_ending(child.returncode)})")
            pause = self._back_off.after(pause, child.lived)
        raise Unavailable(f"{role.name} does not start; its last lines say why")

    def _start(self, role: Role) -> Child:
        child = Child(role, self._guard, self._say)
        self._children[role.name] = child
        return child

    async def _becomes_ready(self, child: Child) -> bool:
        """Wait for readiness; a child that ends first or takes too long is not ready, and is gone afterwards."""
        role = child.role
        try:
            async with asyncio.timeout(role.ready_seconds):
                while not child.exited.is_set():
                    if not role.once and role.is_ready(child.pid):
                        return True
                    await _wait(child.exited, _READY_POLL_SECONDS)
        except TimeoutError:
            self._say(role.name, f"is not ready after {role.ready_seconds:g} s")
            child.kill()
            await child.exited.wait()
            return False
        return role.once and child.returncode == 0

    async def _keep(self, role: Role, child: Child) -> None:
        """Start a role again whenever its process ends."""
        pause = 0.0
        while True:
            await child.exited.wait()
            pause = self._back_off.after(pause, child.lived)
            self._say(role.name, f"ended ({_ending(child.returncode)}); starts again in {pause:g} s")
            await asyncio.sleep(pause)
            try:
                child = self._start(role)
            except OSError as error:  # out of memory or processes: the ended child stands in for the next round
                self._say(role.name, f"cannot be run: {error.strerror}")
                continue
            await self._becomes_ready(child)

    async def _stop_all(self) -> None:
        """Stop what runs, last started first, so that nobody loses what it leans on."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        names = [role.name for stage in self._stages for role in stage]
        for name in reversed(names):
            child = self._children.get(name)
            if child is not None and not child.exited.is_set():
                await child.stop(0 if self._hurry else child.role.grace_seconds)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)


def _ending(returncode: int | None) -> str:
    if returncode is not None and returncode < 0:
        known = {each.value: each.name for each in signal.Signals}  # most real-time signals have no name
        return f"killed by {known.get(-returncode, f'signal {-returncode}')}"
    return f"exit code {returncode}"

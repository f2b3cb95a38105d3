"""One child process of the supervisor: started in its own session, heard line by line, ended with all its own.

No process survives its supervisor. Linux kills the direct child itself (PR_SET_PDEATHSIG); the guard, a shell
that waits for the end of a pipe, kills the process groups, in which grandchildren live too.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO

from gateway import forked
from gateway.domain.errors import Fault

MAX_LINE_BYTES = 16384
_READ_BYTES = 65536
_PR_SET_PDEATHSIG = 1  # prctl(2)
_GUARD = """\
groups=" "
while read -r sign group; do
  case $sign in
    +) groups="$groups$group " ;;
    -) case $groups in *" $group "*) groups="${groups%% $group *} ${groups#* $group }" ;; esac ;;
  esac
done
for group in $groups; do kill -KILL -"$group" 2>/dev/null; done
"""


@dataclass(frozen=True)
class Role:
    """What to run under which name, and how it shows that it is ready.

    `is_ready` is asked with the process id until it says yes. A role that runs `once` is ready by its exit with 0.
    """

    name: str
    command: tuple[str, ...]
    is_ready: Callable[[int], bool] = lambda _pid: True
    once: bool = False
    ready_seconds: float = 30.0
    grace_seconds: float = 15.0
    environment: Mapping[str, str] = field(default_factory=dict)
    forget: Callable[[int], None] = lambda _pid: None
    """Called with the process id after the process has gone."""
    run: Callable[[], int] | None = None
    """The same as `command`, for a fork of the supervisor; used where a fork is possible."""


class Guard:
    """Kills every known process group as soon as the supervisor is gone, however it went."""

    def __init__(self) -> None:
        self._groups: set[int] = set()
        self._process: subprocess.Popen[bytes] | None = None

    def watch(self, group: int) -> None:
        self._groups.add(group)
        if self._process is None:
            self._start()
        else:
            self._tell(f"+ {group}\n")

    def unwatch(self, group: int) -> None:
        self._groups.discard(group)
        self._tell(f"- {group}\n")

    def revive(self) -> None:
        """Replace a guard that has been killed."""
        if self._process is not None and self._process.poll() is not None:
            self._start()

    def close(self) -> None:
        """Let the guard go; groups still watched are killed."""
        if self._process is not None:
            with suppress(OSError):
                self._pipe(self._process).close()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
            self._process = None

    def _start(self) -> None:
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(  # noqa: S603 - a constant command
            ["/bin/sh", "-c", _GUARD], stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, start_new_session=True
        )
        for group in self._groups:
            self._tell(f"+ {group}\n")

    def _tell(self, line: str) -> None:
        if self._process is not None:
            with suppress(OSError):  # a guard that was just killed hears it when it is revived
                pipe = self._pipe(self._process)
                pipe.write(line.encode())
                pipe.flush()

    @staticmethod
    def _pipe(process: subprocess.Popen[bytes]) -> IO[bytes]:
        if process.stdin is None:
            raise Fault("the guard was started without a pipe")
        return process.stdin


class Child:
    """A running process of a role. Made and ended on the event loop's thread."""

    def __init__(self, role: Role, guard: Guard, say: Callable[[str, str], None]) -> None:
        self.role = role
        self.exited = asyncio.Event()
        self.returncode: int | None = None
        self._guard = guard
        self._say = say
        self._started = time.monotonic()
        self.pid, self._output = _start(role)
        guard.watch(self.pid)
        self._pending = b""
        self._deaf = False
        os.set_blocking(self._output, False)
        asyncio.get_running_loop().add_reader(self._output, self._hear)

    @property
    def lived(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def check(self) -> None:
        """Notice the end of the process. The group is killed while the zombie still holds its number."""
        if self.exited.is_set():
            return
        if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return
        self._signal_group(signal.SIGKILL)
        self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self._guard.unwatch(self.pid)
        self._hear()
        self._close_output()
        self.role.forget(self.pid)
        self.exited.set()

    async def stop(self, grace: float) -> None:
        """SIGTERM to the group, SIGKILL after `grace` seconds; returns when the process is gone."""
        self._signal_group(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.exited.wait(), grace)
        except TimeoutError:
            self._say(self.role.name, f"did not stop within {grace:g} s and is killed")
            self._signal_group(signal.SIGKILL)
            await self.exited.wait()

    def kill(self) -> None:
        self._signal_group(signal.SIGKILL)

    def _signal_group(self, number: int) -> None:
        if not self.exited.is_set():
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    def _hear(self) -> None:
        """Pass on whole lines of what there is to read now."""
        if self._deaf:
            return
        with suppress(BlockingIOError):
            data = os.read(self._output, _READ_BYTES)
            if not data:
                self._close_output()
            *lines, self._pending = (self._pending + data).split(b"\n")
            if len(self._pending) > MAX_LINE_BYTES:
                lines, self._pending = [*lines, self._pending], b""
            for line in lines:
                self._pass_on(line)

    def _pass_on(self, line: bytes) -> None:
        self._say(self.role.name, line[:MAX_LINE_BYTES].decode("utf-8", "replace").rstrip("\r"))

    def _close_output(self) -> None:
        if not self._deaf:
            self._deaf = True
            asyncio.get_running_loop().remove_reader(self._output)
            os.close(self._output)
            if self._pending:
                self._pass_on(self._pending)
                self._pending = b""


def _start(role: Role) -> tuple[int, int]:
    """The process id, and the reading end of what the process says."""
    prepare = _prepare(os.getpid())
    if role.run is not None and forked.may_fork():
        return forked.fork(role.run, f"dxgate {role.name}", _environment(role), prepare)
    hear, speak = os.pipe2(os.O_CLOEXEC) if hasattr(os, "pipe2") else os.pipe()
    try:
        process = subprocess.Popen(  # noqa: S603 - commands are built from settings, without a shell
            role.command,
            stdin=subprocess.DEVNULL,
            stdout=speak,
            stderr=subprocess.STDOUT,
            env=_environment(role),
            start_new_session=True,
            preexec_fn=prepare,  # noqa: PLW1509 - it calls prctl and setrlimit alone
        )
    except BaseException:
        os.close(hear)
        raise
    finally:
        os.close(speak)
    process.returncode = 0  # we wait for it ourselves, and know its end from the kernel
    return process.pid, hear


def _environment(role: Role) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}
    return {**inherited, "PYTHONUNBUFFERED": "1", **role.environment}


def _prepare(parent: int) -> Callable[[], None]:
    """Runs first in the child, before any exec: no core dumps, and SIGKILL at the parent's death."""
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

    def prepare() -> None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a dump would hold identity
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return prepare

"""Runs a role in a fork of the supervisor, which has imported what several roles need, instead of a new interpreter.

Why: importing is most of what a start costs, and the pages of imported code are the larger part of a small role's
memory. A fork has both for nothing. Linux only, and only while the process has one thread, for a fork copies no other.
"""

from __future__ import annotations

import asyncio
import atexit
import ctypes
import gc
import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NoReturn, cast

from setproctitle import setproctitle

_TASKS: Final = Path("/proc/self/task")
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)
_M_ARENA_MAX: Final = -8  # mallopt(3)


async def preload(modules: Sequence[str]) -> None:
    """Import one after the other, and let the event loop breathe in between."""
    if sys.platform != "linux":
        return
    for name in modules:
        importlib.import_module(name)
        await asyncio.sleep(0)
    gc.collect()
    gc.freeze()  # what is here stays; a collection in a child would write to every page and so copy it


def may_fork() -> bool:
    """Whether a fork is a whole copy of this process."""
    return sys.platform == "linux" and len(os.listdir(_TASKS)) == 1


def fork(
    run: Callable[[], int], title: str, environment: Mapping[str, str], prepare: Callable[[], None]
) -> tuple[int, int]:
    """The child's process id and the reading end of what it says; `prepare` is called first in the child.

    Returns when the child leads a session of its own, so that its group can be signalled.
    """
    supervisor = os.getpid()
    hear, speak = os.pipe2(os.O_CLOEXEC)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # its reader may have gone
            stream.flush()
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # until the child hears them itself
    try:
        child = os.fork()
    except OSError:
        os.close(hear)
        os.close(speak)
        raise
    finally:
        if os.getpid() == supervisor:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    if child:
        os.close(speak)
        os.read(hear, 1)
        return child, hear
    _live(run, title, environment, prepare, speak)


def _live(
    run: Callable[[], int], title: str, environment: Mapping[str, str], prepare: Callable[[], None], speak: int
) -> NoReturn:
    """The child's life. It never returns into the supervisor's frames, which are still below it."""
    code = 1
    try:
        os.setsid()
        prepare()
        os.write(speak, b"\n")
        _leave_the_supervisor(speak)
        _become(title, environment)
        code = run()
    except SystemExit as wish:
        code = wish.code if isinstance(wish.code, int) else int(wish.code is not None)
    except BaseException as error:  # nothing may reach the frames below; a message may quote patient data
        with suppress(OSError):
            from gateway.logging import describe

            known = describe(error)
            os.write(2, f"ended by {known['error']} at {known['trace']}\n".encode())
    finally:
        _end(code)


def _leave_the_supervisor(speak: int) -> None:
    """Its files, signals and event loop are not ours.

    Files are pointed at nothing rather than closed: an object of the supervisor that owns one may be collected here
    and close its number, which by then could be a file of this role.
    """
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    os.dup2(nothing, 0)
    os.dup2(speak, 1)
    os.dup2(speak, 2)
    for number in map(int, os.listdir("/proc/self/fd")):
        if number > 2 and number != nothing:
            with suppress(OSError):  # the listing's own
                os.fstat(number)
                os.dup2(nothing, number, inheritable=False)
    signal.set_wakeup_fd(-1)
    for each in _SIGNALS:
        signal.signal(each, signal.default_int_handler if each is signal.SIGINT else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    asyncio.set_event_loop(None)
    cast(Any, asyncio.events)._set_running_loop(None)


def _become(title: str, environment: Mapping[str, str]) -> None:
    """What a new interpreter would get from its command line and environment."""
    setproctitle(title)  # before the environment changes, for it writes over the old one's place
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = title.split()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(line_buffering=True, write_through=True)
    if arenas := environment.get("MALLOC_ARENA_MAX"):  # read by glibc at a program's start only
        with suppress(AttributeError):
            ctypes.CDLL(None).mallopt(_M_ARENA_MAX, int(arenas))


def _end(code: int) -> NoReturn:
    """As an interpreter ends: threads that are waited for, exit functions, then nothing more of Python."""
    with suppress(BaseException):
        cast(Any, threading)._shutdown()
        cast(Any, atexit)._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)

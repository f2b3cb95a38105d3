"""Decodes compressed frames in a few child processes, so that a codec that crashes or hangs costs one frame.

Implements `Decode`. Native pixels never come here; they need no codec. A child is started when it is needed, replaced
when it died, and given up when it takes longer than a frame may.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import numpy as np

from gateway.domain.errors import Busy, Invalid, Unavailable, Unsupported
from models.runtime.decode_child import read_message, write_message
from models.runtime.decoding import Coded, Values, header

log = logging.getLogger(__name__)
PATIENCE: Final = 120.0  # seconds that a frame waits for a child
FRAMES: Final = 5000  # that one child decodes before it is replaced; codecs leak
_ROOT: Final = str(Path(__file__).resolve().parents[2])
_KINDS: Final = frozenset("uif")


class _Child:
    """One process; used by one thread at a time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._left = FRAMES
        self.overdue = False
        environment = {"PYTHONPATH": _ROOT, "PATH": os.defpath, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(  # noqa: S603 - a constant command
            [sys.executable, "-P", "-m", "models.runtime.decode_child", str(seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # a codec may quote what it reads
            env=environment,
        )

    @property
    def usable(self) -> bool:
        return self._left > 0 and self.process.poll() is None

    def ask(self, coded: Coded) -> tuple[dict[str, Any], bytes]:
        """EOFError or OSError where the child ended, killed or not; ValueError for an answer that is none."""
        self._left -= 1
        watch = threading.Timer(self._seconds, self._give_up)
        watch.start()
        try:
            write_message(_pipe(self.process.stdin), header(coded), coded.frame)
            return read_message(_pipe(self.process.stdout), coded.most)
        finally:
            watch.cancel()

    def _give_up(self) -> None:
        self.overdue = True
        self.process.kill()

    def end(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(OSError):
                _pipe(pipe).close()
        self.process.kill()
        self.process.wait()


class DecodePool:
    """At most `children` frames are decoded at a time, each in at most `seconds`."""

    def __init__(self, children: int, seconds: float) -> None:
        self._seconds = seconds
        self._idle: queue.LifoQueue[_Child | None] = queue.LifoQueue()  # None: a place without a process yet
        for _ in range(children - 1):
            self._idle.put(None)
        self._idle.put(_Child(seconds))  # the first is ready when the first frame comes
        self._count = children

    def __call__(self, coded: Coded) -> Values:
        """Invalid for a frame that no codec takes, or that breaks one; Busy where no child becomes free."""
        for _ in range(2):
            answer = self._tried(coded)
            if answer is not None:
                return _values(*answer, coded)
        raise Invalid("pixel data cannot be decoded: the codec broke on it")

    def _tried(self, coded: Coded) -> tuple[dict[str, Any], bytes] | None:
        """The child's answer; None where it ended, which may have been the frame's doing or somebody else's."""
        try:
            child = self._idle.get(timeout=PATIENCE)
        except queue.Empty:
            raise Busy("the decoders are all at work") from None
        try:
            child = self._usable(child)
            return self._asked(child, coded)
        finally:
            self._idle.put(child if child is not None and child.usable else self._gone(child))

    def close(self) -> None:
        for _ in range(self._count):
            child = self._idle.get(timeout=PATIENCE)
            if child is not None:
                child.end()

    def _asked(self, child: _Child, coded: Coded) -> tuple[dict[str, Any], bytes] | None:
        try:
            return child.ask(coded)
        except (EOFError, OSError, ValueError, KeyError, TypeError):
            child.end()
        overdue = child.overdue or child.process.returncode == -signal.SIGXCPU
        log.warning("decoder ended", extra={"fields": {"syntax": coded.syntax, "overdue": overdue}})
        if overdue:
            raise Invalid(f"pixel data cannot be decoded in {self._seconds:g} s")
        return None

    def _usable(self, child: _Child | None) -> _Child:
        """One that died while it was idle was not killed by a frame, and is replaced without a word."""
        if child is not None and child.usable:
            return child
        self._gone(child)
        try:
            return _Child(self._seconds)
        except OSError as error:
            raise Unavailable(f"no process for decoding can be started ({type(error).__name__})") from error

    @staticmethod
    def _gone(child: _Child | None) -> None:
        if child is not None:
            child.end()


def _values(head: dict[str, Any], body: bytes, coded: Coded) -> Values:
    if "error" in head:
        kind = Unsupported if head["error"] == "unsupported" else Invalid
        raise kind(str(head.get("text"))[:200])
    try:
        kind_of, shape = np.dtype(str(head["type"])), tuple(int(size) for size in head["shape"])
        if kind_of.kind not in _KINDS or shape[:2] != (coded.rows, coded.columns):
            raise Invalid("decoded rows and columns differ from the header")
        return np.frombuffer(bytearray(body), kind_of).reshape(shape)
    except (KeyError, TypeError, ValueError) as error:
        raise Invalid("pixel data cannot be decoded: the decoder's answer is none") from error


def _pipe(pipe: object) -> BinaryIO:
    if pipe is None:
        raise OSError("started without a pipe")
    return cast("BinaryIO", pipe)

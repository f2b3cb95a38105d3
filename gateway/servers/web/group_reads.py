"""Many small reads in one unit of work: they gather in the loop, are read and audited in one thread, and answered.

A read of one resource is a query of microseconds; opening a unit of work for it, and waking a thread to begin and the
loop to end, cost many times that. So what arrives in one turn of the loop goes to the thread together, what arrives
while one batch is carried out is the next batch, and the loop is woken once for all that comes back. The same thread
commits the rows of the audit trail that the reads leave: to hand them to another would cost more than to write them.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from gateway.domain.errors import Busy, GatewayError, Unavailable
from gateway.ports import Database, UnitOfWork
from gateway.servers.web.fhir.exchange import Answer
from gateway.servers.web.fhir.pending import OF_THE_CLIENT, Again, Outcome, Pending

MOST_IN_BATCH = 32
MOST_WAITING = 1024
_IDLE_SECONDS = 5.0
_LOOK_SECONDS = 1.0
Read = Callable[[UnitOfWork], Outcome]
Said = Answer | Again
Name = tuple[str, str]
"""Type and id of a resource."""


@dataclass(frozen=True)
class _Waiting:
    read: Read
    about: Name | None
    answer: asyncio.Future[Said]
    home: _Home


class _Home:
    """One event loop: what begins there in one turn goes out together, and it is woken once for all that returns."""

    def __init__(self, loop: asyncio.AbstractEventLoop, send: Callable[[list[_Waiting]], None], seconds: float) -> None:
        self.loop = loop
        self._send = send
        self._seconds = seconds
        self._begun: list[_Waiting] = []
        self._count = 0  # of what has begun and has not come back, whether or not somebody waits for it still
        self._open: deque[tuple[float, asyncio.Future[Said]]] = deque()
        self._done: deque[tuple[asyncio.Future[Said], Said | BaseException]] = deque()
        self._woken = False
        self._lock = threading.Lock()

    def begin(self, read: Read, about: Name | None) -> asyncio.Future[Said]:
        """Busy where too many wait. In the loop alone, as all that has no lock."""
        if self._count >= MOST_WAITING:
            raise Busy("too many reads are waiting for the database")
        self._count += 1
        answer: asyncio.Future[Said] = self.loop.create_future()
        if not self._begun:
            self.loop.call_soon(self._go)
        self._begun.append(_Waiting(read, about, answer, self))
        if not self._open:
            self.loop.call_later(_LOOK_SECONDS, self._look)
        self._open.append((self.loop.time() + self._seconds, answer))
        return answer

    def _go(self) -> None:
        begun, self._begun = self._begun, []
        self._send(begun)

    def _look(self) -> None:
        """One timer for all: a deadline of its own for each read would cost as much as the read."""
        now = self.loop.time()
        while self._open and (self._open[0][1].done() or self._open[0][0] <= now):
            _, answer = self._open.popleft()
            if not answer.done():
                answer.set_exception(Unavailable("the database has not answered in time"))
        if self._open:
            self.loop.call_later(_LOOK_SECONDS, self._look)

    def give(self, given: Sequence[tuple[asyncio.Future[Said], Said | BaseException]]) -> None:
        """From any thread; lost where the loop has ended, and with it whoever waited."""
        with self._lock:
            self._done.extend(given)
            if self._woken:
                return
            self._woken = True
        try:
            self.loop.call_soon_threadsafe(self._hand_out)
        except RuntimeError:  # closed
            self._done.clear()

    def _hand_out(self) -> None:
        with self._lock:
            self._woken = False
            done, self._done = self._done, deque()
        self._count -= len(done)
        for answer, said in done:
            if answer.done():
                continue
            if isinstance(said, BaseException):
                answer.set_exception(said)
            else:
                answer.set_result(said)


class GroupReads:
    """One reading thread over `database`, which lives while there is something to read; `actor` signs its units."""

    def __init__(self, database: Database, actor: str, seconds: float = 60.0) -> None:
        """Who waits longer than `seconds` is told that the database does not answer."""
        self._database = database
        self._actor = actor
        self._seconds = seconds
        self._waiting: SimpleQueue[list[_Waiting]] = SimpleQueue()
        self._changed = threading.Lock()
        self._alive = False
        self._home: _Home | None = None

    async def read(self, read: Read, about: Name | None = None) -> Said:
        """What is said, once what it waited for is committed. Busy where too many wait, Unavailable after a time.

        `about` is the resource that will be looked for: all of a batch are asked for at once.
        """
        loop = asyncio.get_running_loop()
        if self._home is None or self._home.loop is not loop:
            self._home = _Home(loop, self._send, self._seconds)
        return await self._home.begin(read, about)

    def _send(self, begun: list[_Waiting]) -> None:
        with self._changed:
            self._waiting.put(begun)
            if self._alive:
                return
            try:
                threading.Thread(target=self._run, name="group-reads", daemon=True).start()
            except RuntimeError:  # the system gives no more threads; perhaps it does for the next
                unserved = self._all_of(self._waiting.get())
                _give(unserved, [Unavailable("no thread can be started to read")] * len(unserved))
            else:
                self._alive = True

    def _run(self) -> None:
        try:
            while batch := self._next():
                for at in range(0, len(batch), MOST_IN_BATCH):
                    self._carry_out(batch[at : at + MOST_IN_BATCH])
        except BaseException:  # whatever it was, the next read begins with another thread
            with self._changed:
                self._alive = False
            raise

    def _next(self) -> list[_Waiting]:
        """All that waits; empty where nothing has come for a while: the thread ends."""
        try:
            batch = self._waiting.get(timeout=_IDLE_SECONDS)
        except Empty:
            with self._changed:
                if self._waiting.empty():
                    self._alive = False
                    return []
                batch = self._waiting.get()
        return self._all_of(batch)

    def _all_of(self, batch: list[_Waiting]) -> list[_Waiting]:
        """With what else waits at this moment."""
        try:
            while True:
                batch = batch + self._waiting.get_nowait()
        except Empty:
            return batch

    def _carry_out(self, batch: list[_Waiting]) -> None:
        """Together; where that fails, one after the other, so that each fails alone."""
        try:
            said = self._together(batch)
        except Exception as error:  # the thread must outlive whatever ails the database
            if len(batch) > 1 and not isinstance(error, Unavailable):
                for one in batch:
                    self._carry_out([one])
                return
            said = [error] * len(batch)
        _give(batch, said)

    def _together(self, batch: list[_Waiting]) -> list[Said | Exception]:
        """Whatever is raised is the batch's; what is returned is durable."""
        if self._database.one_writes:
            with self._database.read() as unit:
                outcomes = _outcomes(batch, unit)
            if not any(isinstance(one, Pending) for one in outcomes):
                return _following(outcomes, [None] * len(outcomes))
            with self._database.begin(self._actor) as unit:
                written = _written(outcomes, unit)
        else:  # one unit for both: the way to the server is long
            with self._database.begin(self._actor) as unit:
                outcomes = _outcomes(batch, unit)
                written = _written(outcomes, unit)
        return _following(outcomes, written)


def _outcomes(batch: list[_Waiting], unit: UnitOfWork) -> list[Outcome | GatewayError]:
    unit.resources.foresee([one.about for one in batch if one.about is not None])
    return [_outcome(one, unit) for one in batch]


def _outcome(waiting: _Waiting, unit: UnitOfWork) -> Outcome | GatewayError:
    """A refusal that leaves the unit as it was is an outcome too. What nobody waits for any more is not read."""
    if waiting.answer.done():
        return Busy("nobody waits for this any more")
    try:
        return waiting.read(unit)
    except GatewayError as error:
        if error.category in OF_THE_CLIENT:
            return error
        raise


def _written(outcomes: Sequence[Outcome | GatewayError], unit: UnitOfWork) -> list[object]:
    """Durable when it returns, where there is anything to write."""
    written = [one.write(unit) if isinstance(one, Pending) else None for one in outcomes]
    if any(isinstance(one, Pending) for one in outcomes):
        unit.commit()
    return written


def _following(outcomes: Sequence[Outcome | GatewayError], written: Sequence[object]) -> list[Said | Exception]:
    return [
        _then(one, result) if isinstance(one, Pending) else one for one, result in zip(outcomes, written, strict=True)
    ]


def _then(pending: Pending, written: object) -> Said | Exception:
    try:
        return pending.then(written)
    except GatewayError as error:
        return error


def _give(batch: list[_Waiting], said: Sequence[Said | Exception]) -> None:
    """To the loop of each; nearly always there is one."""
    given = [(one.answer, each) for one, each in zip(batch, said, strict=True)]
    for home in dict.fromkeys(one.home for one in batch):
        home.give([each for one, each in zip(batch, given, strict=True) if one.home is home])

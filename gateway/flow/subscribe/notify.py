"""notify: sends what subscriptions wait for, each endpoint in a thread of its own, in order, until it is acknowledged.

Retries have no limit and back off; after three failures the Subscription itself says so. An event counts as told when
the endpoint has answered 2xx and that is committed: after a crash in between it is told twice, never not at all.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from gateway.domain.errors import Busy, Deleted, Forbidden, GatewayError, Missing, Unmet
from gateway.domain.subscription import Subscriber, SubscriptionState
from gateway.flow.record.asked import Asked, Resource
from gateway.flow.record.store import Record
from gateway.flow.scopes import of_context, permits
from gateway.flow.subscribe.message import Caller, Message
from gateway.flow.subscribe.own import owner_of
from gateway.flow.subscribe.watch import KIND
from gateway.formats.fhir.search.read_wanted import Reading
from gateway.formats.fhir.subscription.wish import Wish, read_wish
from gateway.formats.fhir.wire.json_form import parse_json
from gateway.ports import Database, Hook, UnitOfWork

log = logging.getLogger(__name__)
ACTOR: Final = "notify"
ENDPOINTS_AT_ONCE: Final = 16
MESSAGES_AT_ONCE: Final = 100
LONGEST_PAUSE: Final = timedelta(minutes=10)
HOLD: Final = timedelta(minutes=5)  # a holder gives the subscription back after this long
_ERRORS_SEEN: Final = 3
_TRIES: Final = 5


@dataclass(frozen=True)
class _Open:
    """One subscription held for sending, in clear."""

    held: Subscriber
    resource: Resource = field(repr=False)
    wish: Wish
    client: str


@dataclass(frozen=True)
class SendNotifications:
    """A chore of the sweeper; `first_pause` is the wait after a first failure."""

    database: Database
    record: Record
    hook: Hook
    base: str
    first_pause: timedelta
    timeout: float
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(ENDPOINTS_AT_ONCE, thread_name_prefix="notify"), repr=False
    )
    _busy: set[bytes] = field(default_factory=set, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __call__(self, limit: int = 500) -> int:
        """How many endpoints were begun with; those that are still busy are left alone."""
        with self.database.read() as unit:
            due = unit.subscriptions.due(self.now(), limit)
        queues: dict[bytes, list[Subscriber]] = defaultdict(list)
        for one in due:
            queues[one.endpoint].append(one)
        begun = 0
        for endpoint, queue in queues.items():
            with self._lock:
                if endpoint in self._busy:
                    continue
                self._busy.add(endpoint)
            self._threads.submit(self._serve, endpoint, queue)
            begun += 1
        return begun

    @property
    def _lease(self) -> timedelta:
        """For one message: who is killed while sending is followed by another so much later."""
        return timedelta(seconds=self.timeout * 2 + 10)

    def settle(self) -> None:
        """Waits for what was begun; nothing is begun any more."""
        self._threads.shutdown(wait=True)

    def _serve(self, endpoint: bytes, queue: Sequence[Subscriber]) -> None:
        """One endpoint's subscriptions, one after the other; a mistake in one costs no other."""
        try:
            for waiting in queue:
                try:
                    self._one(waiting)
                except GatewayError as error:
                    log.warning("notify.postponed kind=%s", error.category.value)
                except Exception:
                    log.exception("notify.crash")
        finally:
            with self._lock:
                self._busy.discard(endpoint)

    def _one(self, waiting: Subscriber) -> None:
        now = self.now()
        with self.database.begin(ACTOR) as unit:
            held = unit.subscriptions.claim(waiting, now, now + self._lease)
            unit.commit()
        if held is None:
            return
        try:
            opened = self._opened(held)
            if opened is None:
                return
            if opened.wish.ends_at is not None and opened.wish.ends_at <= now:
                self._say(held, "off", {})
                return
            self._send_all(opened)
        except Busy:  # nobody has failed: the next look takes it up again
            self._release(held)
        except GatewayError as error:
            self._failed(held, f"{error.category.value}: {error}")
        except Exception as error:
            self._failed(held, f"fault: {type(error).__name__}")
            raise

    def _opened(self, held: Subscriber) -> _Open | None:
        """None, and the row is forgotten, where the resource is gone. Forbidden where its client may not any more."""
        with self.database.read() as unit:
            found = unit.resources.of_keys([held.key])
            if found and not found[0].is_deleted:
                resource = parse_json(self.record.opened.unseen(unit, found[0]))
                client = unit.access.client("fhir", owner_of(resource))
                wish = read_wish(resource, Reading(self.base))
                # nobody is signed in here: what an app may do for a person does not count
                scopes = of_context(client.scopes, "system") if client is not None and client.active else ()
                if client is None or not permits(scopes, wish.interest.kind, "r"):
                    raise Forbidden("the client that subscribed may not read what it subscribed to")
                return _Open(replace(held, version=found[0].version), resource, wish, client.name)
        with self.database.begin(ACTOR) as unit:
            unit.subscriptions.forget(held.id)
            unit.commit()
        return None

    def _send_all(self, opened: _Open) -> None:
        """Handshake, then events in order, then a heartbeat where it is time for one."""
        held, started = opened.held, self.now()
        if not held.greeted:
            self._send(opened, self._caller(opened, held).greeting())
            held = self._passed(opened, held, {"greeted": True})
        for _ in range(MESSAGES_AT_ONCE):
            if held.sent >= held.numbered or self.now() - started > HOLD:
                break
            message = self._next(opened, held)
            if message is None:
                break
            self._send(opened, message)
            held = self._passed(opened, held, {"sent": message.last}, message)
        if held.heartbeat_at is not None and held.heartbeat_at <= self.now():
            self._send(opened, self._caller(opened, held).pulse())
            held = self._passed(opened, held, {})
        self._release(held)

    def _release(self, held: Subscriber) -> None:
        with self.database.begin(ACTOR) as unit:
            unit.subscriptions.progress(held, {"lease_until": None})
            unit.commit()

    def _caller(self, opened: _Open, held: Subscriber) -> Caller:
        return Caller(self.base, held, opened.wish, self.now())

    def _next(self, opened: _Open, held: Subscriber) -> Message | None:
        """The next message; opening identity for it is durable in the trail before anything leaves."""
        with self.database.begin(ACTOR) as unit:
            events = unit.subscriptions.events(held.id, held.sent, held.numbered, opened.wish.together)
            if not events:
                return None
            unit.subscriptions.progress(held, {"lease_until": self.now() + self._lease})
            message = self._caller(opened, held).news(unit, self.record.opened, events)
            unit.commit()
        return message

    def _send(self, opened: _Open, message: Message) -> None:
        wish = opened.wish
        seconds = min(float(wish.timeout or self.timeout), self.timeout)
        for request in message.requests:
            self.hook.send(request.method, request.url, request.body, wish.headers, seconds)

    def _passed(
        self, opened: _Open, held: Subscriber, changes: Mapping[str, Any], message: Message | None = None
    ) -> Subscriber:
        """The endpoint has answered: that is committed, and the Subscription is active if it was not."""
        beat = opened.wish.heartbeat
        done = {
            **changes,
            "failures": 0,
            "last_error": None,
            "heartbeat_at": None if beat is None else self.now() + timedelta(seconds=beat),
        }
        with self.database.begin(ACTOR) as unit:
            if not unit.subscriptions.progress(held, done):
                raise Busy("another sender has taken over")
            if message is not None:
                self._note(unit, opened, message)
            if held.state != "active":
                self._patch(unit, held, "active", None)
            unit.commit()
        with self.database.read() as unit:
            now = unit.subscriptions.get(held.id)
        if now is None or now.attempt != held.attempt or now.state == "off" or now.greeted is False:
            raise Busy("the subscription has changed")
        return now

    def _note(self, unit: UnitOfWork, opened: _Open, message: Message) -> None:
        """Who was told what: numbers of events and how much of each."""
        unit.audit.record(
            "notification:send",
            opened.held.id,
            ACTOR,
            client=opened.client,
            content=opened.wish.content,
            first=message.first,
            last=message.last,
        )

    def _failed(self, held: Subscriber, reason: str) -> None:
        with self.database.read() as unit:
            now = unit.subscriptions.get(held.id)
        if now is None or now.attempt != held.attempt:
            return
        failures = now.failures + 1
        pause = min(self.first_pause * (1 << min(failures - 1, 16)), LONGEST_PAUSE)
        changes = {
            "failures": failures,
            "last_error": reason[:500],
            "due_at": self.now() + pause,
            "lease_until": None,
        }
        if failures >= _ERRORS_SEEN and now.state not in ("error", "off"):
            self._say(now, "error", changes, reason[:500])
            return
        with self.database.begin(ACTOR) as unit:
            unit.subscriptions.progress(now, changes)
            unit.commit()

    def _say(
        self, held: Subscriber, state: SubscriptionState, changes: Mapping[str, Any], reason: str | None = None
    ) -> None:
        """The state in the resource, and with it in the row."""
        with self.database.begin(ACTOR) as unit:
            if unit.subscriptions.progress(held, {"lease_until": None, **changes}):
                self._patch(unit, held, state, reason)
                unit.commit()

    def _patch(self, unit: UnitOfWork, held: Subscriber, state: SubscriptionState, reason: str | None) -> None:
        """Busy, and nothing of the unit is committed, where a client was first: what it wants is read anew then."""

        def patched(resource: Resource) -> Resource:
            kept = {name: value for name, value in resource.items() if name != "error"}
            return {**kept, "status": state} | ({"error": reason} if reason else {})

        asked = Asked("PATCH", KIND, held.id, patch=patched, if_match=frozenset((str(held.version),)))
        try:
            written = self.record.within(unit, [asked], ACTOR)
        except (Unmet, Missing, Deleted):
            written = None
        if written is None:
            raise Busy("the subscription was changed meanwhile")

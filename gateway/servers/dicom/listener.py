"""Listens for DICOM associations on one port, shared with other processes, one thread per association.

The accept loop never waits for a peer: the TLS handshake and every read happen in the association's thread.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
import threading
import time
from collections.abc import Mapping
from types import MappingProxyType

from gateway.servers.dicom.association import AcceptorRole, Association
from gateway.servers.dicom.budget import ByteBudget
from gateway.servers.dicom.connection import Connection
from gateway.servers.dicom.deadline import DeadlineWatch
from gateway.servers.dicom.negotiation import implementation_version
from gateway.servers.dicom.policy import LOCAL_LIMIT_EXCEEDED, AssociationObserver, AssociationPolicy, Ending
from gateway.servers.dicom.roster import Place, Roster
from gateway.servers.dicom.service import Service, StoreHandler
from gateway.servers.dicom.settings import ListenerSettings

_log = logging.getLogger(__name__)

_BACKLOG = 512
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_EXHAUSTED_SECONDS = 0.2
_NO_SERVICES: Mapping[str, Service] = MappingProxyType({})


class DicomListener:
    """A DICOM storage SCP; several processes may listen on one port (SO_REUSEPORT)."""

    def __init__(
        self,
        settings: ListenerSettings,
        store: StoreHandler,
        policy: AssociationPolicy,
        observer: AssociationObserver,
        services: Mapping[str, Service] = _NO_SERVICES,
    ) -> None:
        self._settings = settings
        self._stopping = threading.Event()
        self._stopped = threading.Event()
        self._roster = Roster(settings.limits, settings.timeouts.evictable)
        self._watch = DeadlineWatch(self._roster.all)
        self._role = AcceptorRole(
            settings=settings,
            store=store,
            policy=policy,
            observer=observer,
            services=services,
            budget=ByteBudget(settings.limits.in_flight_bytes),
            version=implementation_version(),
            stopping=self._stopping.is_set,
        )
        self._threads: set[threading.Thread] = set()
        self._socket: socket.socket | None = None
        self._port = settings.port

    @property
    def port(self) -> int:
        """The port listened on; when 0 was asked for, known after `start`."""
        return self._port

    def start(self) -> None:
        """Binds and begins to accept; an address that cannot be bound raises OSError."""
        family = socket.AF_INET6 if ":" in self._settings.host else socket.AF_INET
        address = (self._settings.host, self._settings.port)
        self._socket = socket.create_server(address, family=family, backlog=_BACKLOG, reuse_port=True)
        self._port = int(self._socket.getsockname()[1])
        self._watch.start()
        self._acceptor = threading.Thread(
            target=self._accept_all, args=(self._socket,), name="dicom-accept", daemon=True
        )
        self._acceptor.start()

    def stop(self, grace_seconds: float) -> None:
        """Stops accepting, cuts idle associations, lets running messages finish, then cuts those too."""
        listening = self._socket
        if listening is None:
            return
        until = time.monotonic() + grace_seconds
        self._stopping.set()
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)  # wakes the accept loop
        self._acceptor.join()
        listening.close()
        for connection in self._roster.all():
            if connection.quiet_since <= time.monotonic():
                connection.cut(Ending.STOPPED)
        self._join_threads(until)
        for connection in self._roster.all():
            connection.cut(Ending.STOPPED)
        self._join_threads(time.monotonic() + 2 * self._settings.timeouts.linger)
        self._watch.stop()
        self._stopped.set()

    def wait(self) -> None:
        """Blocks until `stop` has done its work."""
        self._stopped.wait()

    def _accept_all(self, listening: socket.socket) -> None:
        while not self._stopping.is_set():
            try:
                accepted, peer = listening.accept()
            except OSError as error:
                if not self._stopping.is_set():
                    _log.warning("dicom.accept-failed errno=%s", error.errno)
                if error.errno in _EXHAUSTED:  # accept would fail at once again until something is closed
                    self._stopping.wait(_EXHAUSTED_SECONDS)
                continue
            try:
                self._begin(accepted, peer)
            except (OSError, RuntimeError) as error:  # the peer has gone, or no thread can be started
                _log.warning("dicom.connection-dropped error=%s", type(error).__name__)
                accepted.close()

    def _begin(self, accepted: socket.socket, peer: tuple[str, int]) -> None:
        connection = Connection(
            accepted,
            (str(peer[0]), int(peer[1])),
            linger_seconds=self._settings.timeouts.linger,
            deadline_moved=self._watch.moved,
        )
        place = self._roster.add(connection)
        if place is Place.CLOSED:
            connection.close()
            return
        refusal = LOCAL_LIMIT_EXCEEDED if place is Place.REFUSED else None
        association = Association(self._role, connection, refusal)
        thread = threading.Thread(target=self._serve, args=(association, connection), daemon=True)
        self._threads.add(thread)
        try:
            thread.start()
        except RuntimeError:
            self._threads.discard(thread)
            self._roster.remove(connection)
            raise

    def _serve(self, association: Association, connection: Connection) -> None:
        try:
            association.run()
        finally:
            self._roster.remove(connection)
            self._threads.discard(threading.current_thread())

    def _join_threads(self, until: float) -> None:
        for thread in list(self._threads):
            thread.join(max(0.0, until - time.monotonic()))

"""One association, served by one thread from its first byte to its last (PS3.8 section 9.2, acceptor side).

The acceptor's states of the standard are positions in the code here: awaiting the request (`_establish`),
transferring data (`_exchange`), awaiting the close (`Connection.last_word`). What is out of turn is aborted.
"""

from __future__ import annotations

import contextlib
import logging
import math
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from gateway.servers.dicom import pdu
from gateway.servers.dicom.associate import AssociateRequest, parse_request, user_name
from gateway.servers.dicom.budget import ByteBudget
from gateway.servers.dicom.connection import Connection, ConnectionEnded
from gateway.servers.dicom.message import MessageAssembly
from gateway.servers.dicom.negotiation import Agreement, formal_rejection, negotiate
from gateway.servers.dicom.policy import (
    TEMPORARY_CONGESTION,
    AssociationInfo,
    AssociationObserver,
    AssociationPolicy,
    Ending,
    Rejection,
)
from gateway.servers.dicom.request import RequestRouter
from gateway.servers.dicom.service import Service, StoreHandler
from gateway.servers.dicom.settings import ListenerSettings
from gateway.servers.dicom.stream import PduStream

_log = logging.getLogger(__name__)

_CUT = frozenset({Ending.TIMEOUT, Ending.EVICTED, Ending.STOPPED})


@dataclass(frozen=True)
class AcceptorRole:
    """What all associations of one listener share."""

    settings: ListenerSettings
    store: StoreHandler
    policy: AssociationPolicy
    observer: AssociationObserver
    services: Mapping[str, Service]
    budget: ByteBudget
    version: str
    stopping: Callable[[], bool]


class Association:
    """Serves one connection; `run` is the thread's whole life and never raises."""

    def __init__(self, role: AcceptorRole, connection: Connection, refusal: Rejection | None) -> None:
        self._role = role
        self._connection = connection
        self._refusal = refusal
        self._id = secrets.token_hex(8)
        self._info: AssociationInfo | None = None

    def run(self) -> None:
        """Serves until the end, reports it and closes the connection."""
        ending = Ending.FAULT
        try:
            ending = self._serve()
        except ConnectionEnded as ended:
            ending = ended.ending
            if ending in _CUT:
                self._abort_cut()
        except pdu.ProtocolViolation as violation:
            ending = Ending.VIOLATION
            _log.info("dicom.violation association=%s rule=%s", self._id, violation)
            self._connection.last_word(pdu.abort(violation.abort_reason))
        except Exception as error:  # an edge: nothing a peer sends may end the listener
            _log.error("dicom.fault association=%s error=%s", self._id, type(error).__name__)
            self._connection.last_word(pdu.abort(pdu.NOT_SPECIFIED))
        finally:
            self._report(ending)
            self._connection.close()

    def _serve(self) -> Ending:
        settings = self._role.settings
        limits, timeouts = settings.limits, settings.timeouts
        self._connection.quiet_since = time.monotonic()
        self._connection.ceiling = self._connection.quiet_since + timeouts.artim
        self._connection.arm(timeouts.artim)
        tls_subject = self._connection.secure(settings.tls) if settings.tls else None
        stream = PduStream(
            self._connection,
            buffer_bytes=max(settings.max_pdu, limits.associate_bytes),
            pdu_seconds=timeouts.pdu,
        )
        agreement = self._establish(stream, tls_subject)
        if agreement is None:
            return Ending.ABORTED
        self._connection.ceiling = math.inf
        return self._transfer(stream, agreement)

    def _establish(self, stream: PduStream, tls_subject: str | None) -> Agreement | None:
        settings = self._role.settings
        kind, body = stream.next_pdu(patience=settings.timeouts.artim, most_bytes=settings.limits.associate_bytes)
        if kind == pdu.ABORT:
            return None
        if kind != pdu.ASSOCIATE_RQ:
            raise pdu.ProtocolViolation(pdu.UNEXPECTED_PDU, "the first PDU is not an A-ASSOCIATE-RQ")
        request = parse_request(body)
        rejection = self._refusal or formal_rejection(request) or self._admit(request, tls_subject)
        if rejection is not None:
            _log.info("dicom.rejected association=%s %s", self._id, rejection)
            self._connection.last_word(pdu.reject(rejection))
            return None
        agreement = negotiate(
            request,
            self._role.services,
            maximum_length=settings.max_pdu,
            version=self._role.version,
        )
        self._connection.send(agreement.reply)
        return agreement

    def _admit(self, request: AssociateRequest, tls_subject: str | None) -> Rejection | None:
        proposal = AssociationInfo(
            association_id=self._id,
            calling_ae=request.calling_ae or "",
            called_ae=request.called_ae or "",
            peer_host=self._connection.peer_host,
            peer_port=self._connection.peer_port,
            implementation_uid=request.implementation_uid,
            implementation_version=request.implementation_version,
            tls_subject=tls_subject,
            user_identity=user_name(request.credentials),
            credentials=request.credentials,
        )
        try:
            rejection = self._role.policy.admit(proposal)
            if rejection is None:
                info = replace(proposal, credentials=None)
                self._role.observer.opened(info)
                self._info = info
        except Exception as error:  # an edge: what cannot be judged or recorded is not begun
            _log.error("dicom.admission-failed association=%s error=%s", self._id, type(error).__name__)
            return TEMPORARY_CONGESTION
        return rejection

    def _transfer(self, stream: PduStream, agreement: Agreement) -> Ending:
        assert self._info is not None  # noqa: S101 - set by the admission that led here
        settings = self._role.settings
        assembly = MessageAssembly(
            agreement.contexts,
            command_bytes=settings.limits.command_bytes,
            object_bytes=settings.limits.object_bytes,
            budget=self._role.budget,
        )
        router = RequestRouter(
            info=self._info,
            agreement=agreement,
            store=self._role.store,
            services=self._role.services,
            connection=self._connection,
            release=assembly.release,
        )
        try:
            return self._exchange(stream, assembly, router)
        finally:
            assembly.release()

    def _exchange(self, stream: PduStream, assembly: MessageAssembly, router: RequestRouter) -> Ending:
        settings, connection = self._role.settings, self._connection
        timeouts = settings.timeouts
        while True:
            if not assembly.in_progress:
                connection.ceiling = math.inf
                connection.quiet_since = time.monotonic()
                if self._role.stopping():
                    raise ConnectionEnded(Ending.STOPPED)
            patience = timeouts.pdu if assembly.in_progress else timeouts.idle
            kind, body = stream.next_pdu(patience=patience, most_bytes=settings.max_pdu)
            if kind == pdu.DATA:
                self._take(body, assembly, router)
            elif kind == pdu.RELEASE_RQ:
                connection.last_word(pdu.RELEASE_REPLY)
                return Ending.RELEASED
            elif kind == pdu.ABORT:
                return Ending.ABORTED
            else:
                raise pdu.ProtocolViolation(pdu.UNEXPECTED_PDU, "PDU is out of turn")

    def _take(self, body: memoryview, assembly: MessageAssembly, router: RequestRouter) -> None:
        timeouts = self._role.settings.timeouts
        for context_id, control, fragment in pdu.values(body):
            if not assembly.in_progress:
                self._connection.quiet_since = math.inf
                self._connection.ceiling = time.monotonic() + timeouts.message
            message = assembly.take(context_id, control, fragment)
            if message is not None:
                self._connection.disarm()
                try:
                    router.answer(message, send_seconds=timeouts.pdu)
                finally:
                    assembly.release()

    def _abort_cut(self) -> None:
        with contextlib.suppress(ConnectionEnded):
            self._connection.send(pdu.abort(pdu.NOT_SPECIFIED, by_user=True))

    def _report(self, ending: Ending) -> None:
        if self._info is None:
            return
        try:
            self._role.observer.released(self._info, ending)
        except Exception as error:  # an edge: the association is over either way
            _log.error("dicom.release-not-recorded association=%s error=%s", self._id, type(error).__name__)

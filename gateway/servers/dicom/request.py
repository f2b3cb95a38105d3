"""Answers one DIMSE request: C-ECHO, C-STORE, or the service of another SOP class (PS3.7 section 9.1 and 10.1).

No request stays without a reply: what is not understood is refused with a status, because a sender that gets
none waits for ever.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from gateway.domain.errors import GatewayError, Invalid
from gateway.servers.dicom import dimse, pdu, status
from gateway.servers.dicom.connection import Connection
from gateway.servers.dicom.message import Message
from gateway.servers.dicom.negotiation import AcceptedContext, Agreement
from gateway.servers.dicom.policy import AssociationInfo
from gateway.servers.dicom.service import Service, ServiceReply, ServiceRequest, StoreHandler, StoreRequest
from gateway.servers.dicom.sop_class import VERIFICATION, is_storage
from gateway.servers.dicom.uid import encode_uid, parse_uid

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RequestRouter:
    """Finds who answers a message on one association, and sends the answer."""

    info: AssociationInfo
    agreement: Agreement
    store: StoreHandler
    services: Mapping[str, Service]
    connection: Connection
    release: Callable[[], None]  # of the message's share of memory

    def answer(self, message: Message, *, send_seconds: float) -> None:
        """Deals with one message and sends every reply, each within `send_seconds`."""
        field = dimse.number(message.command, dimse.COMMAND_FIELD)
        if field == dimse.C_CANCEL_RQ:
            return  # what it would cancel has been answered already: one message at a time
        if field & dimse.RESPONSE:
            raise pdu.ProtocolViolation(pdu.UNEXPECTED_PARAMETER, "a response without a request")
        message_id = dimse.number(message.command, dimse.MESSAGE_ID)
        for reply in self._guarded(self._replies(field, message)):
            self._reply(message, field, message_id, reply, send_seconds)

    def _replies(self, field: int, message: Message) -> Iterator[ServiceReply]:
        context = self.agreement.contexts[message.context_id]
        service = self.services.get(context.abstract_syntax)
        if service is not None:
            yield from service(
                ServiceRequest(
                    association=self.info,
                    abstract_syntax_uid=context.abstract_syntax,
                    transfer_syntax_uid=context.transfer_syntax,
                    command=message.command,
                    dataset=message.dataset,
                )
            )
        elif field == dimse.C_STORE_RQ and is_storage(context.abstract_syntax):
            yield self._stored(context, message)
        elif field == dimse.C_ECHO_RQ and context.abstract_syntax == VERIFICATION:
            yield ServiceReply(status.SUCCESS)
        else:
            yield ServiceReply(status.UNRECOGNISED_OPERATION)

    def _guarded(self, replies: Iterator[ServiceReply]) -> Iterator[ServiceReply]:
        """The replies; an error among them becomes the last one, so that the sender gets a status."""
        association = self.info.association_id
        try:
            yield from replies
        except GatewayError as error:
            _log.info("dicom.request-refused association=%s category=%s", association, error.category.value)
            yield _refused(status.store_status(error), str(error))
        except Exception as error:  # an edge: the sender gets a status whatever happens behind
            _log.error("dicom.request-failed association=%s error=%s", association, type(error).__name__)
            yield _refused(status.store_status(error), "internal error")

    def _stored(self, context: AcceptedContext, message: Message) -> ServiceReply:
        sop_class = parse_uid(message.command.get(dimse.AFFECTED_SOP_CLASS_UID, b""))
        instance = parse_uid(message.command.get(dimse.AFFECTED_SOP_INSTANCE_UID, b""))
        if sop_class != context.abstract_syntax:
            return _refused(status.SOP_CLASS_NOT_SUPPORTED, "SOP class is not that of the context")
        if instance is None:
            return _refused(status.INVALID_OBJECT_INSTANCE, "SOP instance UID is malformed")
        if message.refusal is not None:
            raise message.refusal
        if message.dataset is None:
            raise Invalid("no data set")
        request = StoreRequest(self.info, sop_class, instance, context.transfer_syntax, message.dataset)
        try:
            self.store(request)
        finally:
            self.release()  # before the answer, so that what the sender sends next finds room
        return ServiceReply(status.SUCCESS, {dimse.AFFECTED_SOP_INSTANCE_UID: encode_uid(instance)})

    def _reply(self, message: Message, field: int, message_id: int, reply: ServiceReply, send_seconds: float) -> None:
        context = self.agreement.contexts[message.context_id]
        has_data = dimse.A_DATA_SET if reply.dataset else dimse.NO_DATA_SET
        elements = {
            dimse.AFFECTED_SOP_CLASS_UID: encode_uid(context.abstract_syntax),
            dimse.COMMAND_FIELD: dimse.short(field | dimse.RESPONSE),
            dimse.MESSAGE_ID_RESPONDED_TO: dimse.short(message_id),
            dimse.DATA_SET_TYPE: dimse.short(has_data),
            dimse.STATUS: dimse.short(reply.status),
            **reply.elements,
        }
        peer_max = self.agreement.peer_max
        answer = pdu.data(message.context_id, dimse.encode_command(elements), command=True, peer_max=peer_max)
        if reply.dataset:
            answer += pdu.data(message.context_id, reply.dataset, command=False, peer_max=peer_max)
        self.connection.arm(send_seconds)
        self.connection.send(answer)


def _refused(code: int, reason: str) -> ServiceReply:
    return ServiceReply(code, {dimse.ERROR_COMMENT: dimse.comment(reason)})

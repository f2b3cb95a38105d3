"""Gathers the fragments of P-DATA into whole DIMSE messages, one at a time (PS3.8 Annex E, PS3.7 section 6.3).

An own state of three phases: no message, command being gathered, data set being gathered. An object that is
too large or finds no memory is drained, so that its sender gets an answer instead of an abort.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from gateway.domain.errors import Busy, GatewayError, Invalid
from gateway.servers.dicom.budget import ByteBudget
from gateway.servers.dicom.dimse import DATA_SET_TYPE, NO_DATA_SET, decode_command, number
from gateway.servers.dicom.pdu import COMMAND, INVALID_PARAMETER, LAST, UNEXPECTED_PARAMETER, ProtocolViolation

_RESERVATION_STEP = 256 * 1024


@dataclass(frozen=True)
class Message:
    """One complete message; `refusal` says why its data set was dropped while being received."""

    context_id: int
    command: dict[int, bytes]
    dataset: bytearray | None
    refusal: GatewayError | None


class MessageAssembly:
    """The receiving half of one association; holds at most one message, within the limits it is given."""

    def __init__(self, contexts: Container[int], *, command_bytes: int, object_bytes: int, budget: ByteBudget) -> None:
        self._contexts = contexts
        self._command_bytes = command_bytes
        self._object_bytes = object_bytes
        self._budget = budget
        self._reserved = 0
        self._forget()

    @property
    def in_progress(self) -> bool:
        """Whether a message has begun and is not complete."""
        return self._context_id is not None

    def take(self, context_id: int, control: int, fragment: memoryview) -> Message | None:
        """One presentation data value; the message that it completes, or None."""
        if self._context_id is None:
            if context_id not in self._contexts:
                raise ProtocolViolation(INVALID_PARAMETER, "presentation context id was not accepted")
            self._context_id = context_id
        elif context_id != self._context_id:
            raise ProtocolViolation(UNEXPECTED_PARAMETER, "messages on two contexts are interleaved")
        if bool(control & COMMAND) is (self._fields is not None):
            raise ProtocolViolation(UNEXPECTED_PARAMETER, "command and data set fragments are out of order")
        if self._fields is None:
            return self._take_command(context_id, control, fragment)
        self._take_data(fragment)
        if not control & LAST:
            return None
        message = Message(context_id, self._fields, self._data, self._refusal)
        self._forget()
        return message

    def release(self) -> None:
        """Gives back the memory budget: after a message was dealt with, and when the association ends."""
        self._budget.release(self._reserved)
        self._reserved = 0

    def _take_command(self, context_id: int, control: int, fragment: memoryview) -> Message | None:
        if len(self._command) + len(fragment) > self._command_bytes:
            raise ProtocolViolation(INVALID_PARAMETER, "command set is too long")
        self._command += fragment
        if not control & LAST:
            return None
        fields = decode_command(self._command)
        if number(fields, DATA_SET_TYPE) != NO_DATA_SET:
            self._fields = fields
            return None
        self._forget()
        return Message(context_id, fields, None, None)

    def _take_data(self, fragment: memoryview) -> None:
        if self._refusal is not None:
            return
        needed = len(self._data) + len(fragment)
        if needed > self._object_bytes:
            self._drop(Invalid(f"object is larger than {self._object_bytes} bytes"))
            return
        if needed > self._reserved:
            step = -(-(needed - self._reserved) // _RESERVATION_STEP) * _RESERVATION_STEP
            if not self._budget.reserve(step):
                self._drop(Busy("too many bytes in flight"))
                return
            self._reserved += step
        self._data += fragment

    def _drop(self, refusal: GatewayError) -> None:
        self._refusal = refusal
        self._data = bytearray()
        self.release()

    def _forget(self) -> None:
        self._context_id: int | None = None
        self._command = bytearray()
        self._fields: dict[int, bytes] | None = None
        self._data = bytearray()
        self._refusal: GatewayError | None = None

"""Gathers the fragments of P-DATA into whole DIMSE messages, one at a time (PS3.8 Annex E, PS3.7 section 6.3).

An own state of three phases: no message, command being gathered, data set being gathered. An object that is
too large or finds no memory is drained, so that its sender gets an answer instead of an abort.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field

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


@dataclass
class _Partial:
    """What has come of one message: `fields` is set when the command is whole and a data set follows."""

    context_id: int
    command: bytearray = field(default_factory=bytearray)
    fields: dict[int, bytes] | None = None
    data: bytearray = field(default_factory=bytearray)
    refusal: GatewayError | None = None


class MessageAssembly:
    """The receiving half of one association; holds at most one message, within the limits it is given."""

    def __init__(self, contexts: Container[int], *, command_bytes: int, object_bytes: int, budget: ByteBudget) -> None:
        self._contexts = contexts
        self._command_bytes = command_bytes
        self._object_bytes = object_bytes
        self._budget = budget
        self._reserved = 0
        self._partial: _Partial | None = None

    @property
    def in_progress(self) -> bool:
        """Whether a message has begun and is not complete."""
        return self._partial is not None

    def take(self, context_id: int, control: int, fragment: memoryview) -> Message | None:
        """One presentation data value; the message that it completes, or None."""
        partial = self._partial or self._begin(context_id)
        if context_id != partial.context_id:
            raise ProtocolViolation(UNEXPECTED_PARAMETER, "messages on two contexts are interleaved")
        if bool(control & COMMAND) is (partial.fields is not None):
            raise ProtocolViolation(UNEXPECTED_PARAMETER, "command and data set fragments are out of order")
        if partial.fields is None:
            return self._take_command(partial, control, fragment)
        self._take_data(partial, fragment)
        if not control & LAST:
            return None
        self._partial = None
        return Message(context_id, partial.fields, partial.data, partial.refusal)

    def release(self) -> None:
        """Gives back the memory budget: after a message was dealt with, and when the association ends."""
        self._budget.release(self._reserved)
        self._reserved = 0

    def _begin(self, context_id: int) -> _Partial:
        if context_id not in self._contexts:
            raise ProtocolViolation(INVALID_PARAMETER, "presentation context id was not accepted")
        self._partial = _Partial(context_id)
        return self._partial

    def _take_command(self, partial: _Partial, control: int, fragment: memoryview) -> Message | None:
        if len(partial.command) + len(fragment) > self._command_bytes:
            raise ProtocolViolation(INVALID_PARAMETER, "command set is too long")
        partial.command += fragment
        if not control & LAST:
            return None
        fields = decode_command(partial.command)
        if number(fields, DATA_SET_TYPE) != NO_DATA_SET:
            partial.fields = fields
            return None
        self._partial = None
        return Message(partial.context_id, fields, None, None)

    def _take_data(self, partial: _Partial, fragment: memoryview) -> None:
        if partial.refusal is not None:
            return
        needed = len(partial.data) + len(fragment)
        if needed > self._object_bytes:
            self._drop(partial, Invalid(f"object is larger than {self._object_bytes} bytes"))
        elif needed > self._reserved and not self._reserve(needed - self._reserved):
            self._drop(partial, Busy("too many bytes in flight"))
        else:
            partial.data += fragment

    def _reserve(self, missing: int) -> bool:
        step = -(-missing // _RESERVATION_STEP) * _RESERVATION_STEP
        if not self._budget.reserve(step):
            return False
        self._reserved += step
        return True

    def _drop(self, partial: _Partial, refusal: GatewayError) -> None:
        partial.refusal = refusal
        partial.data = bytearray()
        self.release()

"""FHIR messages: what is asked by one, and the message that answers it (R4 Messaging, MessageHeader).

The answer names MessageHeader.id of what it answers, and takes its event and, as destination, its source.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from gateway.domain.ids import derive_id
from gateway.domain.message import RELIABLE
from gateway.formats.fhir.element import Resource, element, instant
from gateway.formats.fhir.wire.issue import refused

Code = Literal["ok", "transient-error", "fatal-error"]
OPERATION: Final = "process-message"
_TRANSPORT: Final = "http://terminology.hl7.org/CodeSystem/message-transport"
_FILED: Final = (
    "Whatever its event, a message is filed: its focus is updated or created, what the focus refers to is created "
    "where it is not here yet. It is answered at once."
)


@dataclass(frozen=True)
class Message:
    """A request by message: `entries` are those after the header."""

    header: Resource = field(repr=False)
    entries: tuple[Resource, ...] = field(repr=False)
    identifier: str = field(repr=False)

    @property
    def id(self) -> str:
        """MessageHeader.id, by which the sender knows it."""
        return str(self.header["id"])


def is_message(sent: Resource) -> bool:
    """Whether it is a Bundle of type message that begins with its header, so that it may be answered by one."""
    entries = sent.get("entry")
    first = entries[0] if isinstance(entries, list) and entries and isinstance(entries[0], dict) else {}
    header = first.get("resource")
    is_headed = isinstance(header, dict) and header.get("resourceType") == "MessageHeader"
    return sent.get("resourceType") == "Bundle" and sent.get("type") == "message" and is_headed


def read_message(sent: Resource) -> Message:
    """The message in a Bundle that was checked; InvalidResource where there is nothing in it to be answered."""
    header = sent["entry"][0]["resource"]
    place = "Bundle.entry[0].resource"
    if not header.get("id"):
        raise refused("required", "a message has an id in its header, by which it is answered", f"{place}.id")
    if not header["source"].get("endpoint"):
        text = "a message has the endpoint of its source, to which the answer turns"
        raise refused("required", text, f"{place}.source.endpoint")
    if "response" in header:
        raise refused("not-supported", "this message answers another one: none is sent from here", f"{place}.response")
    own = sent.get("identifier", {})
    named = f"{own.get('system', '')}|{own['value']}" if own.get("value") else ""
    return Message(header, tuple(sent["entry"][1:]), named)


def answer(message: Message, base: str, code: Code, at: datetime, details: Resource | None = None) -> Resource:
    """The message that answers; without `details` the same for the same message and time."""
    own_id = derive_id("message-answer", message.id, message.identifier, instant(at), code)
    outcome = f"urn:uuid:{uuid.UUID(derive_id('message-outcome', own_id))}"
    sender = message.header["source"]
    header = element(
        resourceType="MessageHeader",
        id=own_id,
        eventCoding=message.header.get("eventCoding"),
        eventUri=message.header.get("eventUri"),
        destination=[element(name=sender.get("name"), endpoint=sender["endpoint"])],
        source={"name": "dxgate", "software": "dxgate", "endpoint": f"{base}/${OPERATION}"},
        response=element(identifier=message.id, code=code, details={"reference": outcome} if details else None),
    )
    entries: list[Any] = [{"fullUrl": f"urn:uuid:{uuid.UUID(own_id)}", "resource": header}]
    if details is not None:
        entries.append({"fullUrl": outcome, "resource": details})
    own_name = f"urn:uuid:{uuid.UUID(derive_id('message-bundle', own_id))}"
    return {
        "resourceType": "Bundle",
        "identifier": {"system": "urn:ietf:rfc:3986", "value": own_name},
        "type": "message",
        "timestamp": instant(at),
        "entry": entries,
    }


def messaging(base: str) -> Resource:
    """The row of the CapabilityStatement."""
    return {
        "endpoint": [{"protocol": {"system": _TRANSPORT, "code": "http"}, "address": f"{base}/${OPERATION}"}],
        "reliableCache": int(RELIABLE.total_seconds() // 60),
        "documentation": _FILED,
    }

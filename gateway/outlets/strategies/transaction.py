"""transaction: everything as one Bundle, whole or not at all (FHIR R4 3.1.0.11.2)."""

from __future__ import annotations

import re
from typing import Any

from gateway.domain.errors import Unavailable
from gateway.formats.fhir.bundle import transaction
from gateway.formats.fhir.element import encode
from gateway.outlets.fhir_connection import decoded, issues, refusal, stored_as
from gateway.outlets.strategies.sending import Sending

_STATUS = re.compile(r"([1-5][0-9]{2})(?: .*)?", re.DOTALL)


def send_transaction(sending: Sending) -> str:
    """Conditional creates and updates, so that a retry makes no second resource."""
    answer = sending.connection.request("POST", "", transaction(sending.rendered))
    if answer.status != 200:
        raise refusal(answer.status, answer.body)
    return _acknowledgement(answer.body)


def _acknowledgement(answer: bytes) -> str:
    """Location and version of each entry. Unavailable for an answer that is not a FHIR server's."""
    bundle = decoded(answer)
    entries = bundle.get("entry")
    if bundle.get("type") != "transaction-response" or not isinstance(entries, list) or not entries:
        raise Unavailable("the EHR's answer is not a transaction-response")
    responses = [entry.get("response") if isinstance(entry, dict) else None for entry in entries]
    return "; ".join(filter(None, map(_accepted, responses))) or f"{len(entries)} entries accepted"


def _accepted(response: Any) -> str:
    """What one entry was stored as; the refusal where its status is not success."""
    if not isinstance(response, dict):
        raise Unavailable("the EHR's answer is not a transaction-response")
    status = _STATUS.fullmatch(str(response.get("status", "")))
    if status is None:
        raise Unavailable("the EHR's answer has an entry without status")
    if not status[1].startswith("2"):
        raise refusal(int(status[1]), encode({"issue": issues(response.get("outcome"))}))
    return stored_as(response)

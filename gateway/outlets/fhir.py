"""Outlet to an EHR that speaks FHIR: one transaction Bundle for each report version (FHIR R4 3.1.0.11.2).

What went wrong decides who acts: the network, a busy or failing server and refused credentials are tried again,
what the server refuses for its content goes to a person. The server's own words never leave this file, for an
OperationOutcome may quote the patient; only its issue codes do.
"""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec

from gateway.config import DestinationSettings
from gateway.domain.errors import Busy, Conflict, Forbidden, GatewayError, Invalid, Unavailable
from gateway.domain.report import Delivery
from gateway.formats.fhir.bundle import transaction
from gateway.formats.fhir.element import MEDIA_TYPE, Resource, encode
from gateway.formats.fhir.outcome import ISSUE_CODES
from gateway.formats.fhir.render import render
from gateway.ports import ReportDocument

ANSWER_LIMIT = 8 << 20  # bytes; a server may send all stored resources back, though asked not to
_BUSY = frozenset({408, 425, 429})
_LOCATION = re.compile(r"(?:^|/)([A-Z][A-Za-z]{1,40}/[A-Za-z0-9.-]{1,64}(?:/_history/[A-Za-z0-9.-]{1,64})?)$")
_ETAG = re.compile(r'(?:W/)?"[A-Za-z0-9.-]{1,64}"')
_STATUS = re.compile(r"([1-5][0-9]{2})(?: .*)?", re.DOTALL)


class FhirOutlet:
    """Sends to one EHR over kept-alive connections; used by one thread, `close` ends it."""

    def __init__(
        self,
        settings: DestinationSettings,
        base_url: str,
        organization_name: str,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._base_url = base_url
        self._organization_name = organization_name
        self._seconds = settings.timeout_seconds
        self._url = settings.url.rstrip("/")
        headers = {
            "Accept": MEDIA_TYPE,
            "Accept-Encoding": "identity",  # a small compressed answer could be a large one in memory
            "Content-Type": MEDIA_TYPE,
            "Prefer": "return=minimal",
        }
        if settings.bearer_token:
            headers["Authorization"] = f"Bearer {settings.bearer_token}"
        self._client = httpx.Client(
            headers=headers,
            auth=httpx.BasicAuth(settings.username, settings.password) if settings.username else None,
            timeout=settings.timeout_seconds,
            verify=ssl.create_default_context(),  # the certificates that the operating system trusts
            follow_redirects=False,  # identity goes to the configured address and nowhere else
            trust_env=False,  # proxies and passwords of the environment are not settings of ours
            transport=transport,
        )

    def send(self, delivery: Delivery, document: ReportDocument) -> str:
        """Deliver and return the ids and versions that the EHR gave, without patient data.

        Unavailable, Busy, Conflict: try again later. Invalid, Forbidden: the EHR refuses this content.
        """
        body = encode(transaction(render(document, self._base_url, self._organization_name)))
        status, answer = self._post(body)
        if status != 200:
            raise _refusal(status, answer)
        return _acknowledgement(answer)

    def close(self) -> None:
        self._client.close()

    def _post(self, body: bytes) -> tuple[int, bytes]:
        deadline = time.monotonic() + self._seconds
        try:
            with self._client.stream("POST", self._url, content=body) as response:
                return response.status_code, _bounded(response.iter_raw(), deadline)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unavailable(f"the EHR cannot be reached ({type(error).__name__})") from None


def _bounded(parts: Iterator[bytes], deadline: float) -> bytes:
    found = bytearray()
    for part in parts:
        found += part
        if len(found) > ANSWER_LIMIT:
            raise Unavailable(f"the EHR's answer is longer than {ANSWER_LIMIT} bytes")
        if time.monotonic() > deadline:
            raise Unavailable("the EHR's answer took too long")
    return bytes(found)


def _acknowledgement(answer: bytes) -> str:
    """Location and version of each entry. Unavailable for an answer that is not a FHIR server's."""
    bundle = _decoded(answer)
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
        raise _refusal(int(status[1]), encode({"issue": _issues(response.get("outcome"))}))
    location = _LOCATION.search(str(response.get("location", "")))
    etag = _ETAG.fullmatch(str(response.get("etag", "")))
    return " ".join(part for part in (location and location[1], etag and etag[0]) if part)


def _refusal(status: int, answer: bytes) -> GatewayError:
    """The error for a status other than 200, with issue codes but no words of the server."""
    codes = sorted({code for code in map(_issue_code, _issues(_decoded(answer))) if code})
    said = f"the EHR answered {status}" + (f" ({', '.join(codes)})" if codes else "")
    if status in _BUSY:
        return Busy(said)
    if status >= 500 or status == 401:  # credentials run out and are renewed; the report is not at fault
        return Unavailable(said)
    if status == 409:
        return Conflict(said)
    return Forbidden(said) if status == 403 else Invalid(said)


def _issues(outcome: Any) -> list[Any]:
    issues = outcome.get("issue") if isinstance(outcome, dict) else None
    return issues[:20] if isinstance(issues, list) else []


def _issue_code(issue: Any) -> str | None:
    code = issue.get("code") if isinstance(issue, dict) else None
    return code if isinstance(code, str) and code in ISSUE_CODES else None


def _decoded(answer: bytes) -> Resource:
    try:
        found = msgspec.json.decode(answer)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return {}
    return found if isinstance(found, dict) else {}

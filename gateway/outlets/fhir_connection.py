"""A connection to an EHR's FHIR server: bounded requests and answers, and what a refusal means for the sender.

What went wrong decides who acts: the network, a busy or failing server and refused credentials are tried again,
what the server refuses for its content goes to a person. The server's own words never leave this file, for an
OperationOutcome may quote the patient; only its issue codes do.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import msgspec

from gateway.config import DestinationSettings
from gateway.domain.errors import Busy, Conflict, Forbidden, GatewayError, Invalid, Unavailable
from gateway.formats.fhir.element import MEDIA_TYPE, Resource, encode
from gateway.formats.fhir.outcome import ISSUE_CODES
from gateway.outlets.fhir_login import ClientCredentials
from gateway.whole_time import TimedTransport, WholeTime

ANSWER_LIMIT: Final = 8 << 20  # bytes; a server may send all stored resources back, though asked not to
_BUSY = frozenset({408, 425, 429})
_LOCATION = re.compile(r"(?:^|/)([A-Z][A-Za-z]{1,40}/[A-Za-z0-9.-]{1,64}(?:/_history/[A-Za-z0-9.-]{1,64})?)$")
_ETAG = re.compile(r'(?:W/)?"[A-Za-z0-9.-]{1,64}"')


@dataclass(frozen=True)
class Answer:
    """What the server said. `body` may quote the patient and has no text form."""

    status: int
    location: str | None
    etag: str | None
    body: bytes = field(repr=False)

    @property
    def resource(self) -> Resource:
        """The body as JSON object; empty where it is none."""
        return decoded(self.body)

    @property
    def stored_as(self) -> str:
        """Where it was stored, and as which version, in the server's own ids."""
        return " ".join(part for part in (self.location, self.etag) if part)


class FhirConnection:
    """Kept-alive connections to one server; used by one thread, `close` ends it."""

    def __init__(self, settings: DestinationSettings, transport: httpx.BaseTransport | None = None) -> None:
        self._seconds, self._whole = settings.timeout_seconds, WholeTime()
        self._url = settings.url.rstrip("/")
        self._login = ClientCredentials(settings) if settings.token_url else None
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
            follow_redirects=False,  # identity goes to the configured address and nowhere else
            trust_env=False,  # proxies and passwords of the environment are not settings of ours
            transport=transport or TimedTransport(self._whole, _tls(settings)),
        )

    def close(self) -> None:
        self._client.close()

    def request(
        self, method: str, path: str, resource: Resource | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Any status; Unavailable where the server cannot be reached or says too much."""
        answer = self._request(method, path, resource, headers or {})
        if answer.status == 401 and self._login is not None:
            self._login.forget()
            answer = self._request(method, path, resource, headers or {})
        return answer

    def _request(self, method: str, path: str, resource: Resource | None, headers: Mapping[str, str]) -> Answer:
        address = f"{self._url}/{path}" if path else self._url
        body = encode(resource) if resource is not None else None
        try:
            with self._whole.of(self._seconds):
                login = {"Authorization": self._login.header(self._client)} if self._login is not None else {}
                with self._client.stream(method, address, content=body, headers={**login, **headers}) as response:
                    content = _bounded(response.iter_raw())
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unavailable(f"the EHR cannot be reached ({type(error).__name__})") from None
        location = _LOCATION.search(response.headers.get("location", ""))
        etag = _ETAG.fullmatch(response.headers.get("etag", ""))
        return Answer(response.status_code, location and location[1], etag and etag[0], content)

    def get(self, path: str) -> Resource:
        answer = self.request("GET", path)
        if answer.status != 200:
            raise refusal(answer.status, answer.body)
        return answer.resource

    def create(self, resource: Resource) -> Answer:
        """Where the server has put it. Unavailable where it does not say."""
        kind = str(resource["resourceType"])
        answer = self.request("POST", kind, resource)
        if answer.status not in (200, 201):
            raise refusal(answer.status, answer.body)
        if answer.location is None or not answer.location.startswith(f"{kind}/"):
            raise Unavailable("the EHR does not say where it has stored what it took")
        return answer

    def update(self, resource: Resource, etag: str | None) -> Answer:
        """Conflict where the server's version is another one than `etag`."""
        path = f"{resource['resourceType']}/{resource['id']}"
        answer = self.request("PUT", path, resource, {"If-Match": etag} if etag else None)
        if answer.status == 412:
            raise Conflict("the EHR has a newer version than the one that was read")
        if answer.status not in (200, 201):
            raise refusal(answer.status, answer.body)
        return Answer(answer.status, answer.location or path, answer.etag, answer.body)


def refusal(status: int, answer: bytes) -> GatewayError:
    """The error for a status that is no success, with issue codes but no words of the server."""
    codes = sorted({code for code in map(_issue_code, issues(decoded(answer))) if code})
    said = f"the EHR answered {status}" + (f" ({', '.join(codes)})" if codes else "")
    if status in _BUSY:
        return Busy(said)
    if status >= 500 or status == 401:  # credentials run out and are renewed; the report is not at fault
        return Unavailable(said)
    if status == 409:
        return Conflict(said)
    return Forbidden(said) if status == 403 else Invalid(said)


def issues(outcome: Any) -> list[Any]:
    found = outcome.get("issue") if isinstance(outcome, dict) else None
    return found[:20] if isinstance(found, list) else []


def stored_as(response: Mapping[str, Any]) -> str:
    """Location and version that one entry of a bundle's answer names."""
    location = _LOCATION.search(str(response.get("location", "")))
    etag = _ETAG.fullmatch(str(response.get("etag", "")))
    return " ".join(part for part in (location and location[1], etag and etag[0]) if part)


def decoded(answer: bytes) -> Resource:
    try:
        found = msgspec.json.decode(answer)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def _issue_code(issue: Any) -> str | None:
    code = issue.get("code") if isinstance(issue, dict) else None
    return code if isinstance(code, str) and code in ISSUE_CODES else None


def _bounded(parts: Iterator[bytes]) -> bytes:
    found = bytearray()
    for part in parts:
        found += part
        if len(found) > ANSWER_LIMIT:
            raise Unavailable(f"the EHR's answer is longer than {ANSWER_LIMIT} bytes")
    return bytes(found)


def _tls(settings: DestinationSettings) -> ssl.SSLContext:
    """The certificates that the operating system trusts, or those of the settings; ours where we have one."""
    try:
        context = ssl.create_default_context(cafile=settings.tls_ca or None)
        if settings.tls_certificate:
            context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise Invalid(f"a certificate of destination {settings.name} cannot be read ({type(error).__name__})") from None
    return context

"""What a FHIR interaction gets and what it gives: the request checked, the answer not yet written.

Header rules of HL7 FHIR R4 3.1.0: content negotiation, Prefer, conditional read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime, parsedate_to_datetime

from starlette.requests import Request
from starlette.responses import Response

from gateway.domain.access import Caller, Client
from gateway.domain.errors import Category, Fault, GatewayError
from gateway.flow.attempts import TooManyAttempts
from gateway.flow.grant_access import NotAuthenticated
from gateway.flow.opening_quota import TooManyOpenings
from gateway.flow.request_rate import TooManyRequests
from gateway.formats.fhir.capability import Served
from gateway.formats.fhir.element import MEDIA_TYPE, Resource, encode
from gateway.formats.fhir.outcome import LOGIN, OUTCOMES, issue
from gateway.servers.web.body import Fields
from gateway.servers.web.refusal import Refusal

CONTENT_TYPE = f"{MEDIA_TYPE}; charset=utf-8"
_JSON = frozenset({"json", "application/json", "application/fhir+json", "text/json"})
_ANY = frozenset({"*/*", "application/*", "text/*"})
_CHALLENGES = 'Bearer realm="dxgate", Basic realm="dxgate", charset="UTF-8"'


@dataclass(frozen=True)
class FhirRequest:
    """One request to a known address. `fields` are the parameters of the query and the form, in order."""

    interaction: str
    served: Served
    id: str
    version: str
    fields: Fields = field(repr=False)
    lenient: bool
    by_post: bool
    if_none_match: str
    if_modified_since: str


@dataclass(frozen=True)
class Answer:
    """Status, resource (None for no body) and headers beside those that every answer has."""

    status: int
    resource: Resource | None = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self, *, head: bool = False) -> Response:
        """`head`: the same headers without the body (RFC 9110 9.3.2)."""
        if self.resource is None:
            return Response(status_code=self.status, headers=dict(self.headers))
        body = encode(self.resource)
        headers = {"Content-Length": str(len(body)), **self.headers}
        return Response(b"" if head else body, self.status, headers, media_type=CONTENT_TYPE)


def actor_of(client: Client) -> str:
    """How the audit trail calls who asks: a client, or the person for whom it asks."""
    return client.actor if isinstance(client, Caller) else f"client:{client.name}"


def answered(resource: Resource, request: FhirRequest) -> Answer:
    """200 with ETag and Last-Modified, or 304 where the client has this version already (R4 3.1.0.5.1)."""
    told = resource.get("meta", {})
    headers: dict[str, str] = {}
    if "versionId" in told:
        headers["ETag"] = f'W/"{told["versionId"]}"'
    if "lastUpdated" in told:
        headers["Last-Modified"] = _http_date(told["lastUpdated"])
    if _is_known(request, headers):
        return Answer(304, None, headers)
    return Answer(200, resource, headers)


def refused(error: GatewayError) -> Answer:
    """The OperationOutcome for an error; the one table from category to status is formats/fhir/outcome.py."""
    headers: dict[str, str] = {}
    if isinstance(error, Refusal):
        return Answer(error.status, issue(error.code, str(error), error.expression), error.headers)
    if isinstance(error, NotAuthenticated):
        return Answer(LOGIN[0], issue(LOGIN[1], str(error)), {"WWW-Authenticate": _CHALLENGES})
    status, code = OUTCOMES[error.category]
    if isinstance(error, TooManyAttempts | TooManyOpenings | TooManyRequests):
        headers["Retry-After"] = str(error.seconds)
    elif error.category in (Category.BUSY, Category.UNAVAILABLE):
        headers["Retry-After"] = "5"
    text = "internal error" if isinstance(error, Fault) else str(error)
    return Answer(status, issue(code, text), headers)


def check_format(request: Request, fields: Fields) -> None:
    """Refusal 406 where the client wants anything but JSON; `_format` wins over Accept (R4 3.1.0.1.11)."""
    named = [value for name, value in fields if name == "_format"]
    accepted = request.headers.get("accept", "*/*")[:1024].split(",")
    wanted = [named[-1].replace(" ", "+")] if named else accepted  # an unescaped + in a URL arrives as a space
    if not any(_is_json(each, anything=not named) for each in wanted):
        raise Refusal(406, "not-supported", f"only {MEDIA_TYPE} is spoken here")


def prefers_lenient(request: Request) -> bool:
    """Prefer: handling=lenient (R4 3.1.1.3)."""
    return "handling=lenient" in request.headers.get("prefer", "").replace(" ", "").lower()


def _is_json(media_range: str, *, anything: bool) -> bool:
    kind, *parameters = (part.strip().lower() for part in media_range.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name == "q" and value.strip("0.") == "":
            return False
        if name == "fhirversion" and value not in ("4.0", "4.0.1"):
            return False
    return kind in _JSON or (anything and kind in _ANY)


def _is_known(request: FhirRequest, headers: Mapping[str, str]) -> bool:
    if request.if_none_match:
        tags = [tag.strip().removeprefix("W/") for tag in request.if_none_match[:1024].split(",")]
        return headers.get("ETag", "").removeprefix("W/") in tags or (tags == ["*"])
    if request.if_modified_since and "Last-Modified" in headers:
        try:
            since = parsedate_to_datetime(request.if_modified_since[:64])
            return parsedate_to_datetime(headers["Last-Modified"]) <= since
        except (ValueError, TypeError):
            return False
    return False


def _http_date(instant: str) -> str:
    return format_datetime(datetime.fromisoformat(instant), usegmt=True)

"""What a FHIR interaction gets and what it gives: the request checked, the answer not yet written.

Header rules of HL7 FHIR R4 3.1.0: content negotiation, Prefer, conditional read, version-aware writes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime, parsedate_to_datetime
from functools import lru_cache
from typing import Final, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gateway.domain.access import Caller, Client
from gateway.domain.errors import Category, Deleted, Fault, GatewayError, Unmet
from gateway.domain.resource import StoredVersion
from gateway.flow.attempts import TooManyAttempts
from gateway.flow.grant_access import NotAuthenticated
from gateway.flow.opening_quota import TooManyOpenings
from gateway.flow.record.asked import ANY_VERSION
from gateway.flow.request_rate import TooManyRequests
from gateway.formats.fhir.element import MEDIA_TYPE, Resource, encode
from gateway.formats.fhir.outcome import LOGIN, OUTCOMES, issue, outcome
from gateway.formats.fhir.search.read_criterion import printable
from gateway.formats.fhir.wire.issue import InvalidResource
from gateway.formats.fhir.wire.json_form import parse_json
from gateway.formats.fhir.wire.xml_form import encode_xml
from gateway.servers.web.body import Fields
from gateway.servers.web.refusal import Refusal

CONTENT_TYPE = f"{MEDIA_TYPE}; charset=utf-8"
XML_MEDIA_TYPE = "application/fhir+xml"
XML_CONTENT_TYPE = f"{XML_MEDIA_TYPE}; charset=utf-8"
OF_THE_ANSWER: Final = ("_format", "_pretty")
"""Parameters of every interaction: how the answer is written (R4 3.1.0.1.11, 3.1.0.1.12)."""
_JSON = frozenset({"json", "application/json", "application/fhir+json", "application/json+fhir", "text/json"})
_XML = frozenset({"xml", "application/xml", "application/fhir+xml", "application/xml+fhir", "text/xml"})
_QUALITY: Final = re.compile(r"0(\.[0-9]{1,3})?|1(\.0{1,3})?")
_ANY = frozenset({"*/*", "application/*"})
_ETAG: Final = re.compile(r'(?:W/)?"([A-Za-z0-9\-.]{1,64})"')
_MOST_TAGS: Final = 20
_RETURN: Final = re.compile(r"(?:^|[,;\s])return\s*=\s*\"?(minimal|representation|operationoutcome)")
_HANDLING: Final = re.compile(r"(?:^|[,;\s])handling\s*=\s*\"?(strict|lenient)", re.IGNORECASE)
_ASYNC: Final = re.compile(r"(?<![\w-])respond-async(?![\w-])", re.IGNORECASE)
Returns = Literal["minimal", "representation", "OperationOutcome"]
_RETURNS: Final[Mapping[str, Returns]] = {
    "minimal": "minimal",
    "representation": "representation",
    "operationoutcome": "OperationOutcome",
}
_MOST_ISSUES: Final = 100
_CHALLENGES = 'Bearer realm="dxgate", Basic realm="dxgate", charset="UTF-8"'


@dataclass(frozen=True)
class FhirRequest:
    """One request to a known address. `fields` are the parameters of the query and the form, in order.

    An entry of a Bundle is one as well: its `resource` is read already, `place` says which entry it is,
    `is_checked` that the resource was judged with the Bundle. `compartment` is the id of the Patient in whose
    compartment is searched; `kind` is empty where that is for all types.
    """

    interaction: str
    kind: str
    id: str
    version: str
    fields: Fields = field(repr=False)
    lenient: bool
    by_post: bool
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)
    resource: Resource | None = field(default=None, repr=False)
    full_url: str = field(default="", repr=False)
    place: str = ""
    is_checked: bool = False
    compartment: str = ""

    @property
    def media_type(self) -> str:
        """Of the body, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def fhir_version(self) -> str | None:
        """Of the body, where its media type says one (R4 3.1.0.1.11)."""
        return self._of_body("fhirversion")

    @property
    def charset(self) -> str | None:
        """Of the body, where its media type says one."""
        said = self._of_body("charset")
        return said.lower() if said else None

    def _of_body(self, parameter: str) -> str | None:
        parameters = (part.partition("=") for part in self.headers.get("content-type", "")[:1024].split(";")[1:])
        return next((v.strip().strip('"') for name, _, v in parameters if name.strip().lower() == parameter), None)

    @property
    def if_match(self) -> frozenset[str] | None:
        """The version ids of If-Match, or ANY_VERSION; Invalid for what is neither (R4 3.1.0.5, RFC 9110 13.1.1).

        A weak ETag compares like a strong one, as R4 has it: here a version id says all.
        """
        if "if-match" not in self.headers:
            return None
        told = self.headers["if-match"].strip()
        if told == ANY_VERSION:
            return frozenset((told,))
        named = [one.strip() for one in told.split(",", 2 * _MOST_TAGS) if one.strip()]  # empty ones: RFC 9110 5.6.1.2
        tags = [_ETAG.fullmatch(one) for one in named]
        if not all(tags) or not 0 < len(tags) <= _MOST_TAGS:
            text = f'If-Match is *, or up to {_MOST_TAGS} ETags by commas: W/"[version]"'
            raise Refusal(400, "invalid", text, expression=(f"{self.place}.request.ifMatch",) if self.place else ())
        return frozenset(tag[1] for tag in tags if tag is not None)

    @property
    def returns(self) -> Returns:
        """Prefer: return=... (R4 3.1.0.1.10); the resource where nothing is preferred."""
        match = _RETURN.search(self.headers.get("prefer", "")[:1024].lower())
        return _RETURNS[match[1]] if match else "representation"


@dataclass(frozen=True)
class Answer:
    """Status, resource (None for no body) and headers beside those that every answer has."""

    status: int
    resource: Resource | None = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)
    """The resource as JSON, where it is at hand as such."""
    modified: datetime | None = None

    def response(self, *, head: bool = False, xml: bool = False, pretty: bool = False) -> Response:
        """`head`: the same headers without the body (RFC 9110 9.3.2); `pretty`: for people to read."""
        body = encode(self.resource) if self.resource is not None else self.body
        if not body:
            return Response(status_code=self.status, headers=dict(self.headers))
        if xml:
            body = encode_xml(parse_json(body), pretty=pretty)
        elif pretty:
            body = msgspec.json.format(body, indent=2)
        headers = {"Content-Length": str(len(body)), **self.headers}
        kind = XML_CONTENT_TYPE if xml else CONTENT_TYPE
        return Response(b"" if head else body, self.status, headers, media_type=kind)


def actor_of(client: Client) -> str:
    """How the audit trail calls who asks: a client, or the person for whom it asks."""
    return client.actor if isinstance(client, Caller) else f"client:{client.name}"


def person_of(client: Client) -> str:
    """Name of the person for whom an app asks; empty for a system."""
    return client.person.name if isinstance(client, Caller) and client.person else ""


def version_headers(stored: StoredVersion) -> dict[str, str]:
    """ETag and Last-Modified of a version (R4 3.1.0.1.6)."""
    return {"ETag": f'W/"{stored.version}"', "Last-Modified": format_datetime(stored.at, usegmt=True)}


def not_modified(stored: StoredVersion, request: FhirRequest) -> Answer | None:
    """304 where the client has this version already (R4 3.1.0.5.1)."""
    if not ("if-none-match" in request.headers or "if-modified-since" in request.headers):
        return None
    headers = version_headers(stored)
    return Answer(304, None, headers) if _is_known(request, headers) else None


def refused(error: GatewayError) -> Answer:
    """The OperationOutcome for an error; the one table from category to status is formats/fhir/outcome.py."""
    headers: dict[str, str] = {}
    place = _list(error.place)
    if isinstance(error, Refusal):
        return Answer(error.status, issue(error.code, str(error), error.expression or place), error.headers)
    if isinstance(error, NotAuthenticated):
        return Answer(LOGIN[0], issue(LOGIN[1], str(error)), {"WWW-Authenticate": _CHALLENGES})
    if isinstance(error, InvalidResource):
        return Answer(_status_of(error), outcome(error.issues[:_MOST_ISSUES]), headers)
    status, code = OUTCOMES[error.category]
    if isinstance(error, Unmet):
        status, code = 412, "conflict"
    elif isinstance(error, Deleted):
        status, code = 410, "deleted"
    if isinstance(error, TooManyAttempts | TooManyOpenings | TooManyRequests):
        headers["Retry-After"] = str(error.seconds)
    elif error.category in (Category.BUSY, Category.UNAVAILABLE):
        headers["Retry-After"] = "5"
    text = "internal error" if isinstance(error, Fault) else str(error)
    return Answer(status, issue(code, text, place), headers)


def wants_xml(request: Request, fields: Fields) -> bool:
    """Whether the answer is XML; `_format` wins over Accept (R4 3.1.0.1.11). Refusal 406 for neither JSON nor XML."""
    named = [value for name, value in fields if name == "_format" and value]
    return _as_xml(named[-1] if named else None, accepted(request))


def refuse_unknown(request: FhirRequest, known: Collection[str] = OF_THE_ANSWER) -> None:
    """Refusal (400) for a parameter that would be ignored, unless the client prefers leniency."""
    for name, _ in request.fields if not request.lenient else ():
        if name not in known:
            text = f"{request.interaction} has no parameter {printable(name)}"
            raise Refusal(400, "not-supported", text, expression=(f"http.{printable(name)}",))


def wants_pretty(fields: Fields) -> bool:
    """Whether the answer is to be read by people (R4 3.1.0.1.12)."""
    return any(name == "_pretty" and value == "true" for name, value in fields)


def accepted(request: Request) -> str:
    """The media types of Accept."""
    return request.headers.get("accept", "")[:1024] or "*/*"


def wants_other(request: Request, fields: Fields) -> bool:
    """Whether neither JSON nor XML is accepted, which for a Binary means what it holds (R4 2.46)."""
    try:
        wants_xml(request, fields)
    except Refusal:
        return not any(name == "_format" for name, _ in fields)
    return False


@lru_cache(256)  # a client sends the same with every request
def _as_xml(named: str | None, accepted: str) -> bool:
    wanted = accepted.split(",") if named is None else [named.replace(" ", "+")]  # in a URL a + arrives as a space
    found = max((_rated(each, anything=named is None) for each in wanted), default=(0.0, False))
    if found[0] <= 0:
        raise Refusal(406, "not-supported", f"only {MEDIA_TYPE} and {XML_MEDIA_TYPE} are spoken here")
    return not found[1]


def prefers_lenient(headers: Mapping[str, str]) -> bool:
    """Prefer: handling=lenient (R4 3.1.1.3); of several only the first counts (RFC 7240 2)."""
    told = _HANDLING.search(headers.get("prefer", "")[:1024])
    return told is not None and told[1].lower() == "lenient"


def prefers_async(request: FhirRequest) -> bool:
    """Prefer: respond-async (RFC 7240 4.1)."""
    return bool(_ASYNC.search(request.headers.get("prefer", "")[:1024]))


def without_async(preferences: str) -> str:
    """What else is preferred."""
    return _ASYNC.sub("", preferences[:1024]).strip(" ,")


def accepts(kind: str, accepted: str) -> bool:
    """Whether a media type is wanted: by its own range, else by that of its type; q=0 is a no (RFC 9110 12.5.1)."""
    wanted: dict[str, float] = {}
    for media_range in accepted.split(","):
        named, *parameters = (part.strip().lower() for part in media_range.split(";"))
        wanted[named] = max(wanted.get(named, 0.0), _quality(parameters))
    return wanted.get(kind, wanted.get(f"{kind.partition('/')[0]}/*", 0.0)) > 0


def _quality(parameters: Sequence[str]) -> float:
    named = [value for name, _, value in (each.partition("=") for each in parameters) if name == "q"]
    if not named:
        return 1.0
    return float(named[-1]) if _QUALITY.fullmatch(named[-1]) else 0.0


def _rated(media_range: str, *, anything: bool) -> tuple[float, bool]:
    """How much a media range is wanted, and whether as JSON: of equals the one that needs no conversion."""
    kind, *parameters = (part.strip().lower() for part in media_range.split(";"))
    quality = _quality(parameters)
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name == "fhirversion" and value not in ("4.0", "4.0.1"):
            return 0.0, False
    if kind in _JSON or (anything and kind in _ANY):
        return quality, True
    return (quality, False) if kind in _XML else (0.0, False)


def _is_known(request: FhirRequest, headers: Mapping[str, str]) -> bool:
    none_match = request.headers.get("if-none-match", "")
    modified_since = request.headers.get("if-modified-since", "")
    if none_match:
        tags = [tag.strip().removeprefix("W/") for tag in none_match[:1024].split(",")]
        return headers.get("ETag", "").removeprefix("W/") in tags or (tags == ["*"])
    if modified_since and "Last-Modified" in headers:
        try:
            since = parsedate_to_datetime(modified_since[:64])
            return parsedate_to_datetime(headers["Last-Modified"]) <= since
        except (ValueError, TypeError):
            return False
    return False


def _status_of(error: InvalidResource) -> int:
    """400 for what cannot be read at all, 413 for too much, else 422 (R4 3.1.0.7.1)."""
    codes = {one.code for one in error.issues}
    if codes & {"too-long", "too-costly"}:
        return 413
    return 400 if codes <= {"structure", "invalid"} else 422


def _list(expression: str) -> list[str]:
    return [expression] if expression else []

"""Binary in its own form: what it holds comes and goes as it is, under its own media type (R4 2.46 Binary).

A browser that follows a link to one must not run it in the gateway's name, so it is always handed over as a file.
"""

from __future__ import annotations

import base64
import re
from typing import Final

from starlette.responses import Response

from gateway.formats.fhir.element import Resource, element
from gateway.formats.fhir.wire.json_form import parse_json
from gateway.servers.web.fhir.exchange import Answer, FhirRequest, accepts
from gateway.servers.web.refusal import Refusal

SECURITY_CONTEXT: Final = "x-security-context"
_MEDIA_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+\-]{0,63}/[a-z0-9][a-z0-9!#$&^_.+\-]{0,63}", re.ASCII)
_CHARSET: Final = re.compile(r";\s*charset\s*=\s*\"?([A-Za-z0-9._:\-]{1,40})\"?\s*(?:;|$)", re.ASCII | re.IGNORECASE)
_AS_A_FILE: Final = {
    "Content-Disposition": "attachment",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
}


def of_content(request: FhirRequest) -> Resource:
    """The Binary that a body of another form means. Refusal (415) where its media type is none."""
    if not _MEDIA_TYPE.fullmatch(request.media_type):
        raise Refusal(415, "not-supported", "the body of a Binary needs a media type of the form type/subtype")
    context = request.headers.get(SECURITY_CONTEXT, "").strip()
    binary = element(
        resourceType="Binary",
        id=request.id,
        contentType=request.media_type + _charset(request.headers.get("content-type", "")),
        securityContext={"reference": context} if context else None,
        data=base64.b64encode(request.body).decode("ascii"),
    )
    return {name: value for name, value in binary.items() if value}


def as_content(answer: Answer, accepted: str, *, head: bool) -> Response:
    """A Binary as what it holds; Refusal (406) where that has a media type that is not accepted."""
    if not answer.body:
        return answer.response(head=head)
    binary = parse_json(answer.body)
    told = str(binary.get("contentType", ""))
    kind = told.partition(";")[0].strip().lower()
    if not _MEDIA_TYPE.fullmatch(kind) or not accepts(kind, accepted):
        raise Refusal(406, "not-supported", "this Binary holds another media type; as FHIR it can be read")
    content = base64.b64decode(str(binary.get("data", "")))
    about = {"Content-Type": kind + _charset(told), "Content-Length": str(len(content))}
    return Response(b"" if head else content, answer.status, {**answer.headers, **_AS_A_FILE, **about})


def _charset(content_type: str) -> str:
    """The parameter as it was said, without which a text in another one than UTF-8 could not be read."""
    found = _CHARSET.search(content_type[:256])
    return f"; charset={found[1].lower()}" if found else ""

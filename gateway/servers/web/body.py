"""Request bodies and form fields, bounded in size, count and time before they are parsed.

A form is read by hand: the only forms here are urlencoded, and a multipart parser is a door we do not need.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import parse_qsl

import anyio
from starlette.requests import ClientDisconnect, Request

from gateway.domain.errors import Invalid, Unavailable
from gateway.servers.web.refusal import Refusal

BODY_SECONDS = 30.0
MAX_QUERY_BYTES = 16 * 1024
MAX_FIELDS = 100
MAX_VALUE = 2048
MAX_CRITERION = 12 * 1024  # of a search: lists of ids, and the token of a page that repeats them
FORM = "application/x-www-form-urlencoded"

Fields = tuple[tuple[str, str], ...]


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body, at most `limit` bytes, within 30 s."""
    announced = request.headers.get("content-length", "0")
    if not announced.isdigit() or int(announced[:20]) > limit:
        raise _too_large(limit)
    parts: list[bytes] = []
    size = 0
    try:
        with anyio.fail_after(BODY_SECONDS):
            async for part in request.stream():
                size += len(part)
                if size > limit:
                    raise _too_large(limit)
                parts.append(part)
    except TimeoutError:
        raise Refusal(408, "timeout", f"the body did not arrive within {BODY_SECONDS:.0f} s") from None
    except ClientDisconnect:
        raise Unavailable("the client has gone") from None
    return b"".join(parts)


async def read_form(
    request: Request,
    limit: int = MAX_QUERY_BYTES,
    longest: int = MAX_VALUE,
    texts: Mapping[str, int] = MappingProxyType({}),
) -> Fields:
    """The fields of an urlencoded form, in order, none of no body; no value is longer than `longest`.

    Those named in `texts` may be as long as is said there and have line breaks.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    wrong = Refusal(415, "not-supported", f"the body must be {FORM}")
    if kind not in ("", FORM):
        raise wrong
    body = await read_body(request, limit)
    if body and not kind:
        raise wrong
    return parse_fields(body, longest, texts)


def query_fields(request: Request) -> Fields:
    """Of an address, whose values may be long: its length as a whole bounds them."""
    raw: bytes = request.scope.get("query_string", b"")
    if not raw:
        return ()
    if len(raw) > MAX_QUERY_BYTES:
        raise Refusal(414, "too-long", f"a query has at most {MAX_QUERY_BYTES} bytes; use POST _search")
    return parse_fields(raw, MAX_CRITERION)


def parse_fields(raw: bytes, longest: int = MAX_VALUE, texts: Mapping[str, int] = MappingProxyType({})) -> Fields:
    """Names and values; Invalid where they are too many, too long, not UTF-8, or hold control characters."""
    try:
        found = parse_qsl(raw.decode("utf-8"), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except UnicodeDecodeError:
        raise Invalid("parameters must be UTF-8") from None
    except ValueError:
        raise Invalid(f"a request has at most {MAX_FIELDS} parameters") from None
    for name, value in found:
        most = texts.get(name, longest)
        if len(name) > MAX_VALUE or len(value) > most:
            raise Invalid(f"a parameter has at most {most} characters")
        breaks = "\r\n\t" if name in texts else ""
        if not all(char.isprintable() or char in breaks for char in name + value):
            raise Invalid("a parameter holds control characters")
    return tuple(found)


def field(fields: Fields, name: str) -> str | None:
    """The value of a field that may stand once; Invalid where it is repeated."""
    values = [value for key, value in fields if key == name]
    if len(values) > 1:
        raise Invalid(f"the parameter {name} must not be repeated")
    return values[0] if values else None


def _too_large(limit: int) -> Refusal:
    return Refusal(413, "too-long", f"a body here has at most {limit} bytes", headers={"Connection": "close"})

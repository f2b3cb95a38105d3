"""A graph that runs on an inference server: the Open Inference Protocol v2 over HTTP (KServe, Triton, MLServer).

The worker prepares the tensors and judges the answers; the server only multiplies. Tensors travel in binary
(Triton's binary tensor data extension); a server that lacks it answers in JSON, and is then sent JSON. What a server
says is data from outside: its size, its shapes and its numbers are checked, its words are never repeated.
"""

from __future__ import annotations

import math
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import msgspec
import numpy as np

from gateway.domain.errors import Busy, Fault, Forbidden, GatewayError, Invalid, Missing, Unavailable
from gateway.whole_time import TimedTransport, WholeTime
from models.runtime.graph import Port, Tensor

HEADER: Final = "Inference-Header-Content-Length"  # wire law of the binary tensor data extension
MOST_META: Final = 1 << 20  # bytes
MOST_ANSWER: Final = 256 << 20
_MOST_AXES: Final = 16
PAUSE: Final = 0.2  # seconds before the second attempt; it doubles
_TYPES: Final[dict[str, np.dtype[Any]]] = {
    "FP32": np.dtype("<f4"),
    "FP16": np.dtype("<f2"),
    "FP64": np.dtype("<f8"),
    "INT64": np.dtype("<i8"),
}
_NAMES: Final = {"f4": "FP32", "f2": "FP16", "f8": "FP64", "i8": "INT64"}
_AGAIN: Final = frozenset({408, 425, 429, 502, 503, 504})
_PERHAPS_JSON: Final = frozenset({400, 415, 422, 500})  # what servers without the extension answer to it
_OWN: Final = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True)
class Server:
    """How the model on the server is reached."""

    url: str  # https://host/v2/models/NAME, with /versions/VERSION or without
    bearer_token: str = ""
    ca: str = ""
    allow_http: bool = False
    timeout_seconds: float = 30.0
    attempts: int = 3
    connections: int = 4


class RemoteGraph:
    """Implements Graph; `run` may be called from several threads at once."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._url = _checked(server)
        self._binary: bool | None = None  # not known before the first answer
        self._whole = WholeTime()
        self._client = _client(server, self._whole)
        self.version = ""
        try:
            self._describe()
        except BaseException:
            self._client.close()
            raise

    def _describe(self) -> None:
        model = self._described(self._url)
        about = self._described(f"{self._url.partition('/v2/')[0]}/v2")
        self._inputs, self._outputs = _ports(model.get("inputs")), _ports(model.get("outputs"))
        self.provider = f"remote:{_word(model.get('platform'))}"
        self.reason = "the settings name an inference server for this package"
        self.runtime = f"{_word(about.get('name'))} {_word(about.get('version'))}"

    @property
    def inputs(self) -> tuple[Port, ...]:
        return self._inputs

    @property
    def outputs(self) -> tuple[Port, ...]:
        return self._outputs

    @property
    def metadata(self) -> Mapping[str, str] | None:
        return None

    def run(self, outputs: Sequence[str], tensors: Mapping[str, Tensor]) -> list[Tensor]:
        """Unavailable and Busy: the server is out, to be tried later. Fault: it answers something unusable."""
        binary = self._binary is not False
        status, answered, answer = self._inferred(outputs, tensors, binary=binary)
        if (
            self._binary is None
            and status in _PERHAPS_JSON
            and all(np.isfinite(values).all() for values in tensors.values())
        ):
            binary = False
            status, answered, answer = self._inferred(outputs, tensors, binary=binary)
        if status != 200:
            raise _refusal(status)
        self._binary = binary  # a server that took JSON only has not got the extension; one that took binary has
        self.version, values = _answered(outputs, answer, answered.get(HEADER))
        return values

    def close(self) -> None:
        self._client.close()

    def _inferred(
        self, outputs: Sequence[str], tensors: Mapping[str, Tensor], *, binary: bool
    ) -> tuple[int, httpx.Headers, bytes]:
        head, body = _request(outputs, tensors, binary=binary)
        headers = {"Content-Type": "application/octet-stream", HEADER: str(len(head))} if binary else {}
        return self._asked("POST", f"{self._url}/infer", MOST_ANSWER, head + body, headers)

    def _described(self, url: str) -> dict[str, Any]:
        status, _, answer = self._asked("GET", url, MOST_META)
        if status != 200:
            raise _refusal(status)
        return _object(answer)

    def _asked(
        self, method: str, url: str, most: int, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, httpx.Headers, bytes]:
        """Again after what may pass; inference changes nothing on the server, so that repeating it does no harm."""
        for attempt in range(1, self._server.attempts + 1):
            try:
                status, answered, answer = self._once(method, url, most, body, headers or {})
            except Unavailable:
                if attempt == self._server.attempts:
                    raise
            else:
                if status not in _AGAIN or attempt == self._server.attempts:
                    return status, answered, answer
            time.sleep(PAUSE * (1 << (attempt - 1)))
        raise Unavailable("the inference server was not asked")

    def _once(
        self, method: str, url: str, most: int, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, httpx.Headers, bytes]:
        told = {"Accept-Encoding": "identity"} | dict(headers)  # a small compressed answer could be a large one
        if body and "Content-Type" not in told:
            told["Content-Type"] = "application/json"
        try:
            with (
                self._whole.of(self._server.timeout_seconds),
                self._client.stream(method, url, content=body or None, headers=told) as response,
            ):
                return response.status_code, response.headers, _bounded(response.iter_raw(), most)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unavailable(f"the inference server cannot be reached ({_why(error)})") from None


def _client(server: Server, whole: WholeTime) -> httpx.Client:
    """Invalid where the settings name certificates that cannot be read, or a token that is none."""
    try:
        context = ssl.create_default_context(cafile=server.ca or None)
    except (OSError, ValueError) as error:
        raise Invalid(f"models.remote: ca cannot be read ({type(error).__name__})") from error
    if not (server.bearer_token.isascii() and server.bearer_token.isprintable()):
        raise Invalid("models.remote: bearer_token must be printable ASCII")
    return httpx.Client(
        headers={"Authorization": f"Bearer {server.bearer_token}"} if server.bearer_token else {},
        timeout=server.timeout_seconds,
        follow_redirects=False,  # pixels go to the configured address and nowhere else
        trust_env=False,
        transport=TimedTransport(whole, context, server.connections),
    )


def _why(error: BaseException) -> str:
    """The kind of failure; of a certificate that is not accepted, that."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__ if cause is None else "its certificate is not accepted"


def _checked(server: Server) -> str:
    """The address without its last slash; Invalid where it is not the address of a model, or not safe."""
    try:
        parts = urlsplit(server.url)
    except ValueError as error:
        raise Invalid("models.remote: url is not an address") from error
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise Invalid("models.remote: url must be https://host/v2/models/NAME")
    if "/v2/models/" not in parts.path:
        raise Invalid("models.remote: url must name a model, as in https://host/v2/models/NAME")
    if parts.scheme == "http" and not server.allow_http and parts.hostname not in _OWN:
        raise Invalid("models.remote: url without TLS needs allow_http, except on this machine")
    return server.url.rstrip("/")


def _request(outputs: Sequence[str], tensors: Mapping[str, Tensor], *, binary: bool) -> tuple[bytes, bytes]:
    """The JSON head, and behind it the tensors where they are sent in binary."""
    given, parts = [], []
    for name, values in tensors.items():
        kind = _NAMES.get(values.dtype.str[1:])
        if kind is None:
            raise Fault(f"tensors of type {values.dtype} are not sent")
        told: dict[str, Any] = {"name": name, "shape": list(values.shape), "datatype": kind}
        if binary:
            part = np.ascontiguousarray(values, _TYPES[kind]).tobytes()
            told["parameters"] = {"binary_data_size": len(part)}
            parts.append(part)
        elif not np.isfinite(values).all():
            raise Fault("a value that is not known cannot be sent as JSON; the server needs the binary extension")
        else:
            told["data"] = values.ravel().tolist()
        given.append(told)
    wanted = [{"name": name, **({"parameters": {"binary_data": True}} if binary else {})} for name in outputs]
    return msgspec.json.encode({"inputs": given, "outputs": wanted}), b"".join(parts)


def _answered(outputs: Sequence[str], answer: bytes, head: str | None) -> tuple[str, list[Tensor]]:
    """The version that answered, and the wanted outputs in their order; Fault where one does not fit."""
    size = len(answer) if head is None else _size(head, len(answer))
    told, rest = _object(answer[:size]), memoryview(answer)[size:]
    found: dict[str, Tensor] = {}
    for one in _list(told.get("outputs")):
        shape, kind = one.get("shape"), _TYPES.get(str(one.get("datatype")))
        if not isinstance(shape, list) or len(shape) > _MOST_AXES or not all(map(_is_size, shape)):
            raise Fault("the inference server's answer has an output without shape")
        if kind is None:
            raise Fault("the inference server's answer has an output of another type")
        parameters = one.get("parameters")
        part = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
        values: Tensor
        if part is not None:
            cut = _size(part, len(rest))
            values, rest = np.frombuffer(rest[: cut - cut % kind.itemsize], kind), rest[cut:]
        else:
            values = _numbers(one.get("data"), kind)
        if values.size != math.prod(shape):
            raise Fault("the inference server's answer does not fit its own shape")
        found[str(one.get("name"))] = values.reshape(shape)
    if not set(outputs) <= set(found):
        raise Fault("the inference server's answer lacks an output")
    return str(told.get("model_version") or "")[:64], [found[name] for name in outputs]


def _is_size(told: Any) -> bool:
    return isinstance(told, int) and 0 <= told <= 1 << 24


def _numbers(data: Any, kind: np.dtype[Any]) -> Tensor:
    try:
        return np.asarray(data, kind).ravel()
    except (TypeError, ValueError, OverflowError) as error:
        raise Fault("the inference server's answer holds something that is no number") from error


def _size(text: Any, most: int) -> int:
    try:
        size = int(text)
    except (TypeError, ValueError, OverflowError) as error:
        raise Fault("the inference server's answer has a size that is no number") from error
    if not 0 <= size <= most:
        raise Fault("the inference server's answer is shorter than it says")
    return size


def _ports(told: Any) -> tuple[Port, ...]:
    ports = []
    for one in _list(told):
        shape = one.get("shape")
        if not isinstance(shape, list) or len(shape) > _MOST_AXES or not all(isinstance(n, int) for n in shape):
            raise Fault("the inference server describes a tensor without shape")
        sizes = tuple(n if n >= 0 else None for n in shape)
        ports.append(Port(str(one.get("name"))[:256], sizes, str(one.get("datatype"))[:16]))
    return tuple(ports)


def _list(told: Any) -> list[dict[str, Any]]:
    if not isinstance(told, list) or len(told) > 256 or not all(isinstance(one, dict) for one in told):
        raise Fault("the inference server's answer is not of the Open Inference Protocol")
    return told


def _object(answer: bytes) -> dict[str, Any]:
    try:
        told = msgspec.json.decode(answer)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Fault("the inference server's answer is not JSON") from error
    if not isinstance(told, dict):
        raise Fault("the inference server's answer is not of the Open Inference Protocol")
    return told


def _word(told: Any) -> str:
    """A server's own name or version as it may stand in a report: short, printable, without spaces."""
    text = "".join(c for c in str(told or "unknown") if c.isascii() and (c.isalnum() or c in "._-+"))
    return text[:64] or "unknown"


def _bounded(parts: Iterator[bytes], most: int) -> bytes:
    found = bytearray()
    for part in parts:
        found += part
        if len(found) > most:
            raise Fault(f"the inference server's answer is longer than {most} bytes")
    return bytes(found)


def _refusal(status: int) -> GatewayError:
    if status in (401, 403):
        return Forbidden(f"the inference server refuses our credentials ({status})")
    if status == 404:
        return Missing("the inference server does not know the model")
    if status == 429:
        return Busy("the inference server is busy")
    if status in _AGAIN:
        return Unavailable(f"the inference server is not available ({status})")
    return Fault(f"the inference server answers {status}")

"""An inference server as the specification has it: Open Inference Protocol v2 with the binary tensor data extension.

Written from the protocol's and Triton's documents and strict where they say "must": a request that leaves them is
answered 400 and remembered in `broken`. The graph itself runs in ONNX Runtime.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

HEADER = "Inference-Header-Content-Length"
TYPES = {"FP32": np.dtype("<f4")}


@dataclass
class InferenceServer:
    """One model. `binary` off: a server that knows JSON only. `answers`: statuses given before anything is run."""

    graph: bytes
    name: str
    binary: bool = True
    answers: list[int] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)
    spoil: Callable[[dict[str, Any], bytes], tuple[Any, bytes]] = lambda head, body: (head, body)
    port: int = 0

    def __post_init__(self) -> None:
        self.session = onnxruntime.InferenceSession(self.graph, providers=["CPUExecutionProvider"])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v2/models/{self.name}"

    def described(self) -> dict[str, Any]:
        def ports(nodes: Any) -> list[dict[str, Any]]:
            return [
                {"name": n.name, "datatype": "FP32", "shape": [s if isinstance(s, int) else -1 for s in n.shape]}
                for n in nodes
            ]

        session = self.session
        told = {"inputs": ports(session.get_inputs()), "outputs": ports(session.get_outputs())}
        return {"name": self.name, "versions": ["1"], "platform": "onnxruntime_onnx", **told}

    def infer(self, data: bytes, length: str | None) -> tuple[dict[str, Any], bytes]:
        """Head and body of the answer; ValueError for a request that the specification does not allow."""
        if length is not None and not self.binary:
            raise ValueError("no binary extension here")
        head = json.loads(data[: int(length)] if length is not None else data)
        rest = data[int(length) :] if length is not None else b""
        tensors = {}
        for one in head["inputs"]:
            shape, kind = one["shape"], TYPES[one["datatype"]]
            size = one.get("parameters", {}).get("binary_data_size")
            if size is None:
                values = np.asarray(one["data"], kind)
            else:
                values, rest = np.frombuffer(rest[:size], kind), rest[size:]
            if values.size != int(np.prod(shape)):
                raise ValueError("shape and data differ")
            tensors[one["name"]] = values.reshape(shape)
        if rest:
            raise ValueError("bytes that belong to no input")
        wanted = {one["name"]: one.get("parameters", {}).get("binary_data", False) for one in head["outputs"]}
        self.batches.append(len(next(iter(tensors.values()))))
        return _answer(self.name, wanted, self.session.run(list(wanted), tensors))


def _answer(name: str, wanted: dict[str, bool], values: list[Any]) -> tuple[dict[str, Any], bytes]:
    outputs, body = [], b""
    for (output, binary), value in zip(wanted.items(), values, strict=True):
        told: dict[str, Any] = {"name": output, "datatype": "FP32", "shape": list(value.shape)}
        part = np.ascontiguousarray(value, "<f4").tobytes()
        if binary:
            told["parameters"] = {"binary_data_size": len(part)}
            body += part
        else:
            told["data"] = np.asarray(value, np.float32).ravel().tolist()
        outputs.append(told)
    return {"model_name": name, "model_version": "1", "outputs": outputs}, body


@contextmanager
def serving(server: InferenceServer) -> Iterator[InferenceServer]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16  # head and body in one packet

        def do_GET(self) -> None:
            base = f"/v2/models/{server.name}"
            known = {base: server.described(), "/v2": {"name": "stub server", "version": "1.2", "extensions": []}}
            if self.path in known:
                self._send(200, json.dumps(known[self.path]).encode())
            else:
                self._send(404, b"{}")

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            server.tokens.append(self.headers.get("Authorization"))
            if server.answers:
                self._send(server.answers.pop(0), b'{"error": "patient data, perhaps"}')
                return
            try:
                head, body = server.infer(data, self.headers.get(HEADER))
            except Exception as error:
                server.broken.append(str(error))
                self._send(400, b'{"error": "no"}')
                return
            head, body = server.spoil(head, body)
            text = head if isinstance(head, bytes) else json.dumps(head).encode()
            self._send(200, text + body, {HEADER: str(len(text))} if body else {})

        def _send(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.port = httpd.server_address[1]
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join(10)


MLSERVER_RUNTIME = """
import numpy as np, onnxruntime
from mlserver import MLModel
from mlserver.types import InferenceResponse, ResponseOutput
class Onnx(MLModel):
    async def load(self):
        self.session = onnxruntime.InferenceSession(self.settings.parameters.uri, providers=["CPUExecutionProvider"])
        return True
    async def predict(self, payload):
        given = {one.name: np.asarray(one.data, np.float32).reshape(one.shape) for one in payload.inputs}
        names = [one.name for one in payload.outputs]
        made = self.session.run(names, given)
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=[
            ResponseOutput(name=n, shape=list(v.shape), datatype="FP32", data=v.ravel().tolist())
            for n, v in zip(names, made)])
"""


def mlserver_folder(folder: Path, server: InferenceServer, port: int) -> None:
    """What `mlserver start` needs to serve the same graph."""
    folder.mkdir()
    (folder / "model.onnx").write_bytes(server.graph)
    (folder / "onnx_runtime.py").write_text(MLSERVER_RUNTIME)
    told = server.described() | {"implementation": "onnx_runtime.Onnx", "parameters": {"version": "1"}}
    told["parameters"]["uri"] = str(folder / "model.onnx")
    (folder / "model-settings.json").write_text(json.dumps(told))
    ports = {"http_port": port, "grpc_port": 0, "metrics_port": 0, "host": "127.0.0.1", "parallel_workers": 0}
    (folder / "settings.json").write_text(json.dumps(ports | {"metrics_endpoint": None}))

"""An inference server that is slow, broken or somebody else's: how long it may hold us, and what is believed of it."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness.authority import Authority
from harness.inference_server import InferenceServer, serving
from harness.rude_server import drip, speaking

from gateway.domain.errors import Fault, Invalid, Unavailable
from models.package import Package
from models.runtime.predict import Predictor
from models.runtime.remote import RemoteGraph, Server
from models.runtime.session import Session

BATCH = np.zeros((2, 28, 28, 1), np.float32)
OUTPUTS = ["prob", "embedding"]
MODEL = "/v2/models/x"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture
def server(package: Package) -> Iterator[InferenceServer]:
    with serving(InferenceServer(package.content["model.onnx"], package.manifest.name)) as made:
        yield made


@pytest.mark.parametrize("text", [b"HTTP/1.1 200 OK\r\nX-Head: " + b"a" * 4000, ANSWER[:-2] + b" " * 4000])
def test_a_server_that_drips_is_given_up_when_its_time_is_over(text: bytes) -> None:
    """Head or body, letter by letter: one request may take its time and no more, whatever arrives meanwhile."""
    with speaking(drip(text.replace(b"Length: 2", b"Length: 9999"))) as base, pytest.raises(Unavailable):
        RemoteGraph(Server(base + MODEL, timeout_seconds=0.3, attempts=1))


def test_a_server_that_does_not_read_is_given_up(server: InferenceServer) -> None:
    """A batch that nobody takes does not hold its owner."""
    opened = RemoteGraph(Server(server.url, timeout_seconds=0.3, attempts=1))
    with speaking(lambda _: time.sleep(60)) as base:
        opened._url = base + MODEL
        with pytest.raises(Unavailable):
            opened.run(OUTPUTS, {"pixels": np.zeros((64, 400, 400, 1), np.float32)})


def test_a_server_that_dies_in_the_middle_of_an_answer_is_unavailable(server: InferenceServer) -> None:
    """Half an answer is none; the task is given back."""
    opened = RemoteGraph(Server(server.url, timeout_seconds=5, attempts=1))

    def half(connection: socket.socket) -> None:
        connection.recv(1 << 20)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + b"{" * 100)
        connection.close()

    with speaking(half) as base:
        opened._url = base + MODEL
        with pytest.raises(Unavailable):
            opened.run(OUTPUTS, {"pixels": BATCH})


def test_a_server_of_another_name_is_not_spoken_to(tmp_path: Path, server: InferenceServer) -> None:
    """TLS: a certificate of the right authority for another host is not accepted, and the reason says so."""
    authority = Authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("other", "inference.example").pair)

    def tls(connection: socket.socket) -> None:
        context.wrap_socket(connection, server_side=True).recv(100)

    with speaking(tls) as base:
        told = Server(base.replace("http://127.0.0.1", "https://localhost") + MODEL, ca=authority.ca, attempts=1)
        with pytest.raises(Unavailable, match="certificate is not accepted"):
            RemoteGraph(told)


def test_one_failure_does_not_cost_the_binary_form(server: InferenceServer) -> None:
    """A server that has taken binary tensors answers 500 once: a fault, after which it still gets binary, NaN too."""
    opened = RemoteGraph(Server(server.url))
    opened.run(OUTPUTS, {"pixels": BATCH})
    server.answers += [500]
    with pytest.raises(Fault):
        opened.run(OUTPUTS, {"pixels": BATCH})
    opened.run(["prob"], {"pixels": np.full_like(BATCH, np.nan)})


def test_a_failure_that_passes_costs_no_image(server: InferenceServer, package: Package, demo: list[bytes]) -> None:
    """One 500 in the middle of a study: the image is asked for once more, and the study is answered whole."""
    predictor = Predictor(Session(package, graph=RemoteGraph(Server(server.url))))
    server.answers += [500]
    assert predictor.predict(demo).study.scored == len(demo)


NESTED = b"[" * 100_000


def outputs(**told: Any) -> Callable[[dict[str, Any], bytes], tuple[Any, bytes]]:
    def spoil(head: dict[str, Any], body: bytes) -> tuple[Any, bytes]:
        head["outputs"][0] |= told
        return head, body

    return spoil


@pytest.mark.parametrize(
    "spoil",
    [
        lambda *_: (b'{"outputs": ' + NESTED, b""),
        lambda *_: (b'{"outputs": [{"name": "\xff"}]}', b""),
        outputs(shape=[2, *[1] * 100, 2]),
        outputs(shape=[1 << 24] * 12),
        outputs(parameters={"binary_data_size": 1e300}),
        outputs(parameters={}, data=[[1], [2, 3]]),
        outputs(parameters={}, data=[10**400] * 4),
        outputs(parameters={}, data={"a": 1}),
    ],
    ids=["nested", "not text", "many axes", "overflow", "huge size", "ragged", "huge number", "no list"],
)
def test_an_answer_that_breaks_readers_is_a_fault(server: InferenceServer, spoil: Callable[..., Any]) -> None:
    """None of these raises anything else."""
    opened = RemoteGraph(Server(server.url))
    server.spoil = spoil
    with pytest.raises(Fault):
        opened.run(OUTPUTS, {"pixels": BATCH})


def test_a_description_that_breaks_readers_is_a_fault() -> None:
    """The same at the door: a server that describes itself in a hundred thousand brackets refuses its pack."""
    text = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(NESTED) + NESTED

    def say(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        connection.sendall(text)
        connection.recv(1 << 16)

    with speaking(say) as base, pytest.raises(Fault):
        RemoteGraph(Server(base + MODEL, attempts=1, timeout_seconds=5))


@pytest.mark.parametrize(
    "changes",
    [{"ca": "/nowhere/ca.pem"}, {"ca": __file__}, {"bearer_token": "a\nb"}, {"bearer_token": "ä"}],
    ids=["no file", "no certificate", "two lines", "not ASCII"],
)
def test_settings_that_cannot_be_used_are_named(server: InferenceServer, changes: dict[str, str]) -> None:
    """A wrong path or token refuses the pack with its setting; nothing else ends a worker."""
    with pytest.raises(Invalid, match=r"models\.remote: (ca|bearer_token)"):
        RemoteGraph(Server(server.url, **changes))


def test_an_address_that_is_none_is_named() -> None:
    """The parser of addresses has an exception of its own."""
    with pytest.raises(Invalid, match=r"models\.remote: url"):
        RemoteGraph(Server("https://[::1/v2/models/x"))


def test_another_model_under_the_same_name_is_proved_before_it_answers(
    server: InferenceServer, package: Package, demo: list[bytes]
) -> None:
    """The server gets a new version while we run: one with the same answers serves on, another one answers nobody."""
    manifest = replace(package.manifest, serving=replace(package.manifest.serving, max_batch=1))
    predictor = Predictor(Session(replace(package, manifest=manifest), graph=RemoteGraph(Server(server.url))))
    first = predictor.predict(demo)

    def renewed(head: dict[str, Any], body: bytes) -> tuple[Any, bytes]:
        head["model_version"] = "2"
        return head, body

    def replaced(head: dict[str, Any], body: bytes) -> tuple[Any, bytes]:
        values = np.frombuffer(body, "<f4").copy()
        size = head["outputs"][0]["parameters"]["binary_data_size"] // 4
        values[:size] = values[:size].reshape(-1, 2)[:, ::-1].ravel()  # the labels change places
        head["model_version"] = "3"
        return head, values.tobytes()

    asked = len(server.batches)
    server.spoil = renewed
    assert predictor.predict(demo).study == first.study
    assert len(server.batches) - asked > len(demo) + len(predictor.session.buckets), "it was proved again"
    server.spoil = replaced
    with pytest.raises(Fault):
        predictor.predict(demo)
    asked = len(server.batches)
    with pytest.raises(Fault):
        predictor.predict(demo)
    assert len(server.batches) - asked == 2 * len(demo), "another model is not proved again and again"
    server.spoil = renewed
    assert predictor.predict(demo).study == first.study

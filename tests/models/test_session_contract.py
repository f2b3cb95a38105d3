"""What a session promises, wherever its graph runs: here, on a server as specified, and on somebody else's server."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from conftest import MLSERVER
from harness.gateway_process import wait_for
from harness.inference_server import InferenceServer, mlserver_folder, serving
from harness.ports import free_port

from gateway.domain.errors import Busy, Fault, Forbidden, GatewayError, Invalid, Missing, Unavailable
from models.package import Package
from models.registry import describe
from models.runtime import remote as remotes
from models.runtime.graph import Graph
from models.runtime.predict import Predictor
from models.runtime.providers import Device, Policy
from models.runtime.remote import RemoteGraph, Server
from models.runtime.session import Session, local_graph


@contextmanager
def running_mlserver(folder: Path, package: Package) -> Iterator[str]:
    """MLServer in the environment that `make mlserver` makes, over the same graph."""
    port, name = free_port(), package.manifest.name
    mlserver_folder(folder, InferenceServer(package.content["model.onnx"], name), port)
    program = [str(MLSERVER), "start", "."]
    with (folder / "log").open("wb") as log:
        environment = {"PATH": os.defpath, "PYTHONPATH": str(folder), "HOME": str(folder)}
        process = subprocess.Popen(program, cwd=folder, env=environment, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}/v2/models/{name}"

    def ready() -> bool:
        assert process.poll() is None, (folder / "log").read_text()[-2000:]
        try:
            return httpx.get(f"{url}/ready", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    try:
        wait_for(ready, 60, "MLServer")
        yield url
    finally:
        process.terminate()
        process.wait(20)


PLACES = ["local", "server", "server with JSON only", pytest.param("mlserver", marks=pytest.mark.peer("mlserver"))]


@pytest.fixture(scope="module", params=PLACES)
def graph(
    request: pytest.FixtureRequest, package: Package, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Graph]:
    with ExitStack() as stack:
        if request.param == "local":
            yield local_graph(package, Device(Policy.CPU_ONLY))
            return
        if request.param == "mlserver":
            url = stack.enter_context(running_mlserver(tmp_path_factory.mktemp("mlserver") / "m", package))
        else:
            binary = request.param == "server"
            made = InferenceServer(package.content["model.onnx"], package.manifest.name, binary=binary)
            url = stack.enter_context(serving(made)).url
        opened = RemoteGraph(Server(url))
        stack.callback(opened.close)
        yield opened


@pytest.fixture(scope="module")
def placed(graph: Graph, package: Package) -> Session:
    return Session(package, graph=graph)


def test_the_golden_vectors_are_reproduced_at_every_batch_size(placed: Session) -> None:
    """A session is proved before it serves, and says how far from the record it is."""
    assert placed.golden_error < 1e-4
    assert placed.most in placed.buckets


def test_answers_are_those_of_the_session_here(placed: Session, session: Session) -> None:
    """The four outputs are the same numbers, one by one and in a batch that has to be padded."""
    tensors = list(np.random.default_rng(3).integers(0, 255, (3, 28, 28, 1)).astype(np.float32))
    for ours, theirs in zip(session.run_each(tensors), placed.run_each(tensors), strict=True):
        for name in ("prob", "member", "cam", "embedding"):
            np.testing.assert_allclose(getattr(theirs, name), getattr(ours, name), atol=1e-4)


def test_a_study_gets_the_same_report_and_names_what_made_it(
    placed: Session, predictor: Predictor, demo: list[bytes]
) -> None:
    """Decisions and words are equal; the provider is the one that was really used."""
    there = Predictor(placed)
    ours, theirs = predictor.predict(demo), there.predict(demo)
    assert [image.decided for image in theirs.images] == [image.decided for image in ours.images]
    assert theirs.study.text == ours.study.text
    assert theirs.provider == placed.provider == describe(placed)["provider"]
    local = placed.provider == "CPUExecutionProvider"
    assert local or placed.provider.startswith("remote:")
    assert describe(placed)["device"] == ("cpu" if local else "remote")
    assert theirs.runtime


def test_a_batch_of_the_wrong_shape_is_a_fault_before_it_is_sent(placed: Session) -> None:
    """What the manifest does not declare reaches no graph."""
    for shape in ((1, 28, 28, 3), (0, 28, 28, 1), (65, 28, 28, 1)):
        with pytest.raises(Fault):
            placed.run(np.zeros(shape, np.float32))


def test_another_graph_is_refused(graph: Graph, package: Package) -> None:
    """A graph whose golden vectors or inputs are not the pack's does not become a session."""
    manifest = package.manifest
    other = replace(manifest, input=replace(manifest.input, tensor="another"))
    with pytest.raises(Invalid, match="inputs or outputs"):
        Session(replace(package, manifest=other), graph=graph)


@pytest.fixture
def server(package: Package) -> Iterator[InferenceServer]:
    with serving(InferenceServer(package.content["model.onnx"], package.manifest.name)) as made:
        yield made
        assert made.broken == []


BATCH = np.zeros((2, 28, 28, 1), np.float32)
OUTPUTS = ["prob", "embedding"]


def test_what_may_pass_is_tried_again(server: InferenceServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two refusals that may pass are not the task's business; the third answer is used, the token sent each time."""
    monkeypatch.setattr(remotes, "PAUSE", 0.001)
    opened = RemoteGraph(Server(server.url, bearer_token="secret"))
    server.answers += [503, 429]
    assert opened.run(OUTPUTS, {"pixels": BATCH})[0].shape == (2, 2)
    assert server.tokens == ["Bearer secret"] * 3


@pytest.mark.parametrize(
    ("status", "kind"), [(503, Unavailable), (429, Busy), (401, Forbidden), (404, Missing), (302, Fault)]
)
def test_each_refusal_has_its_category_and_not_the_servers_words(
    server: InferenceServer, status: int, kind: type[GatewayError], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the server writes stays there; a redirection is not followed."""
    monkeypatch.setattr(remotes, "PAUSE", 0.001)
    opened = RemoteGraph(Server(server.url))
    server.answers += [status] * 3
    with pytest.raises(kind) as told:
        opened.run(OUTPUTS, {"pixels": BATCH})
    assert "patient" not in str(told.value)


def _cut(head: dict[str, Any], body: bytes) -> tuple[Any, bytes]:
    return head, body[:-4]


def _shaped(head: dict[str, Any], body: bytes) -> tuple[Any, bytes]:
    head["outputs"][0]["shape"] = [1 << 20, 1 << 20]
    return head, body


def _lacking(head: dict[str, Any], body: bytes) -> tuple[Any, bytes]:
    head["outputs"][0]["name"] = "else"
    return head, body


def _sized(head: dict[str, Any], body: bytes) -> tuple[Any, bytes]:
    head["outputs"][0]["parameters"]["binary_data_size"] = -8
    return head, body


def _typed(head: dict[str, Any], body: bytes) -> tuple[Any, bytes]:
    head["outputs"][0]["datatype"] = "BYTES"
    return head, body


@pytest.mark.parametrize(
    "spoil",
    [_cut, _shaped, _lacking, _sized, _typed, lambda *_: (b"not JSON", b""), lambda *_: (b'{"outputs": 7}', b"")],
    ids=["cut", "shape", "name", "size", "type", "no JSON", "no list"],
)
def test_an_answer_that_does_not_fit_is_a_fault(server: InferenceServer, spoil: Callable[..., Any]) -> None:
    """Nothing that a server says about sizes, names and types is believed."""
    opened = RemoteGraph(Server(server.url))
    server.spoil = spoil
    with pytest.raises(Fault):
        opened.run(OUTPUTS, {"pixels": BATCH})


def test_an_answer_without_end_is_cut_off(server: InferenceServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """More bytes than the limit are not read."""
    opened = RemoteGraph(Server(server.url))
    monkeypatch.setattr(remotes, "MOST_ANSWER", 64)
    with pytest.raises(Fault, match="longer"):
        opened.run(OUTPUTS, {"pixels": BATCH})


def test_a_server_that_is_down_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens: the pack is refused at the start, a task is given back later."""
    monkeypatch.setattr(remotes, "PAUSE", 0.001)
    with pytest.raises(Unavailable):
        RemoteGraph(Server(f"http://127.0.0.1:{free_port()}/v2/models/x"))


@pytest.mark.parametrize(
    "url",
    ["http://inference.example/v2/models/x", "ftp://h/v2/models/x", "https://h/x", "https://u:p@h/v2/models/x", "x"],
)
def test_an_unsafe_address_is_refused(url: str) -> None:
    """No TLS to another machine, no other scheme, no model, no password in the address."""
    with pytest.raises(Invalid, match=r"models\.remote"):
        RemoteGraph(Server(url))


def test_unknown_values_are_never_sent_as_numbers(server: InferenceServer) -> None:
    """JSON has no NaN: a server without the binary extension does not get a record with gaps."""
    opened = RemoteGraph(Server(server.url))
    opened._binary = False
    with pytest.raises(Fault, match="not known"):
        opened.run(OUTPUTS, {"pixels": np.full_like(BATCH, np.nan)})

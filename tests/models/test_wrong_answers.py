"""What a graph answers is not believed: a shape, chance or record that does not fit costs the answer, no worker."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from gateway.domain.errors import Fault, GatewayError, Invalid
from models.package import Package
from models.runtime.ask import ask
from models.runtime.foreign_session import ForeignSession
from models.runtime.graph import LocalGraph, Tensor
from models.runtime.predict import Predictor
from models.runtime.providers import Device, Policy, open_on
from models.runtime.session import Session, local_graph

CPU = Device(Policy.CPU_ONLY)
Spoil = Callable[[dict[str, Tensor]], object]


class Spoiled(LocalGraph):
    """The pack's own graph, whose outputs are spoiled from the moment that `spoil` is set."""

    spoil: Spoil | None = None

    def run(self, outputs: Sequence[str], tensors: Mapping[str, Tensor]) -> list[Tensor]:
        found = dict(zip(outputs, super().run(outputs, tensors), strict=True))
        if self.spoil is not None:
            self.spoil(found)
        return [found[name] for name in outputs]


def put(name: str, change: Callable[[Tensor], Tensor]) -> Spoil:
    return lambda found: found.update({name: change(found[name])})


SPOILS = {
    "a chance of five": put("prob", lambda v: v * 0 + [5, -4]),
    "chances that do not add up": put("prob", lambda v: v * 0 + 0.4),
    "chances of one label": put("prob", lambda v: v[:, :1]),
    "chances without columns": put("prob", lambda v: v[:, 0]),
    "a row too few": put("embedding", lambda v: v[:0]),
    "not a number": put("prob", lambda v: v * np.nan),
    "a map without sides": put("cam", lambda v: v[:, 0, 0, 0]),
    "an empty map": put("cam", lambda v: v[..., :0]),
    "two maps": put("cam", lambda v: np.repeat(v, 2, 1)),
    "no members": put("member", lambda v: v[:, :0]),
    "a member beyond one": put("member", lambda v: v + 7),
    "an embedding without columns": put("embedding", lambda v: v[:, 0]),
    "a scalar": put("embedding", lambda v: np.float32(1)),
}


@pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS)
def test_an_answer_of_another_form_is_a_fault_of_the_model(package: Package, demo: list[bytes], spoil: Spoil) -> None:
    """Loaded sound and spoiled afterwards, as by a server: no number of it is reported, and nothing else is raised."""
    graph = Spoiled(open_on(package.content["model.onnx"], CPU))
    session = Session(package, graph=graph)
    graph.spoil = spoil
    predictor = Predictor(session)
    with pytest.raises(Fault):
        predictor.predict(demo)
    graph.spoil = None
    assert predictor.predict(demo).study.scored == len(demo), "the owner of the session is still there"


@pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS)
def test_a_pack_with_such_a_graph_is_not_loaded(package: Package, spoil: Spoil) -> None:
    """Its golden vectors are asked before it serves anybody."""
    graph = Spoiled(open_on(package.content["model.onnx"], CPU))
    graph.spoil = spoil
    with pytest.raises(Fault):
        Session(package, graph=graph)


def recorded(package: Package, **changes: Callable[[Any], Any]) -> Package:
    """The pack with other golden vectors."""
    with np.load(io.BytesIO(package.content["golden.npz"])) as golden:
        values = {name: changes.get(name, lambda v: v)(golden[name]) for name in golden}
    out = io.BytesIO()
    np.savez(out, **values)
    return replace(package, content={**package.content, "golden.npz": out.getvalue()})


def third_party(package: Package) -> Package:
    manifest = package.manifest
    output = replace(manifest.output, member="", cam="", embedding="", shown="", shown_min=0.0, distance_max=0.0)
    return replace(package, manifest=replace(manifest, origin="third-party", output=output))


RECORDS = {
    "not a number": {"prob": lambda v: v * np.nan},
    "one column": {"prob": lambda v: v[:, :1]},
    "one number for all": {"prob": lambda v: v.mean(1)},
    "fewer than images": {"prob": lambda v: v[:-1]},
    "text": {"prob": lambda v: np.asarray([["x"] * v.shape[1]] * len(v))},
}


@pytest.mark.parametrize("changes", RECORDS.values(), ids=RECORDS)
@pytest.mark.parametrize("foreign", [False, True])
def test_golden_vectors_that_prove_nothing_refuse_their_pack(
    package: Package, changes: dict[str, Any], *, foreign: bool
) -> None:
    """A record of no numbers, or of another shape, would agree with every answer."""
    made = recorded(third_party(package) if foreign else package, **changes)
    with pytest.raises(Invalid, match=r"golden\.npz"):
        (ForeignSession if foreign else Session)(made, Policy.CPU_ONLY)


def test_golden_vectors_that_cannot_be_read_refuse_a_third_party_pack(package: Package) -> None:
    """They end no worker that looks at its folders."""
    made = third_party(package)
    for content in (b"junk", b""):
        with pytest.raises(GatewayError):
            ForeignSession(replace(made, content={**made.content, "golden.npz": content}), Policy.CPU_ONLY)


def test_a_graph_for_batches_of_four_answers_any_number(package: Package) -> None:
    """One image and seven are filled up to fours; each answer is the one that the free graph gives."""
    model = onnx.load_from_string(package.content["model.onnx"])
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 4
    fixed = LocalGraph(open_on(model.SerializeToString(), CPU))
    free = local_graph(package, CPU)
    with pytest.raises(Fault):
        fixed.run(["prob"], {"pixels": np.zeros((1, 28, 28, 1), np.float32)})
    batch = np.random.default_rng(5).integers(0, 256, (7, 28, 28, 1)).astype(np.float32)
    for count in (1, 4, 7):
        got, wanted = (ask(graph, ["prob"], {"pixels": batch[:count]})[0] for graph in (fixed, free))
        np.testing.assert_allclose(got, wanted, atol=1e-5)


@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.DOUBLE])
def test_a_graph_in_half_or_double_precision_is_given_what_it_takes(kind: int) -> None:
    """Prepared values are 32-bit floats; what such a graph gives are those again."""
    info = helper.make_tensor_value_info
    ports = [info("x", kind, ["batch", 3])], [info("y", kind, ["batch", 3])]
    body = helper.make_graph([helper.make_node("Softmax", ["x"], ["y"])], "half", *ports)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    graph = LocalGraph(open_on(model.SerializeToString(), CPU))
    (found,) = ask(graph, ["y"], {"x": np.asarray([[0, 1, 2]], np.float32)})
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[0.09, 0.245, 0.665]], atol=1e-2)
    if kind == TensorProto.FLOAT16:
        with pytest.raises(Fault, match="too large"):
            ask(graph, ["y"], {"x": np.asarray([[0, 1, 70000]], np.float32)})

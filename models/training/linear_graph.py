"""A fitted `design.Linear` as a checked ONNX file: raw values with NaN to probabilities and contributions.

Written node by node: no converter has to be believed, and the parity gate compares every output with numpy
at batch 1, 3 and 64, with every value missing, with none known and at extremes.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from models.training.design import Floats, Linear, Term, shares

OPSET = 17
IR_VERSION = 10  # ONNX Runtime 1.31 reads up to 13; onnx 1.23 would write 14
TOLERANCE = 1e-5
TENSOR = "values"


class _Graph:
    """Nodes and constants in the order they were added."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: npt.ArrayLike, kind: type = np.float32) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(value, kind), name))
        return name

    def add(self, op: str, inputs: list[str], output: str, **attributes: int) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output


def build(model: Linear, fields: int, metadata: Mapping[str, str]) -> bytes:
    """The graph `values` (batch, fields) to `prob` (batch, 2) and `contribution` (batch, fields)."""
    graph = _Graph()
    missing = graph.add("IsNaN", [TENSOR], "missing")
    known = graph.add("Not", [missing], "known")
    values = _ranked(graph, known) if model.by_rank else TENSOR
    fill = graph.constant("fill", model.fill)
    filled = graph.add("Where", [known, values, fill], "filled")
    raised = graph.add("Max", [filled, graph.constant("low", model.low)], "raised")
    safe = graph.add("Min", [raised, graph.constant("high", model.high)], "safe")
    columns, order = _columns(graph, model, safe)
    ordered = [model.terms[k] for k in order]
    here = _where(graph, ordered, _known(graph, ordered, known), known)
    centred = graph.add("Sub", [columns, graph.constant("centre", model.centre[order])], "centred")
    scaled = graph.add("Div", [centred, graph.constant("spread", model.spread[order])], "scaled")
    held = graph.add("Where", [here, scaled, graph.constant("nothing", 0.0)], "held")
    weighted = graph.add("Mul", [held, graph.constant("weight", model.weight[order])], "weighted")
    share = graph.constant("share", shares(model.terms, fields)[order])
    graph.add("MatMul", [weighted, share], "contribution")
    _answer(graph, model)
    return _file(graph, fields, metadata)


def _ranked(graph: _Graph, known: str) -> str:
    """`design.ranks`: every pair of the record's own values compared."""
    mine = graph.add("Unsqueeze", [TENSOR, graph.constant("axis_2", [2], np.int64)], "mine")
    theirs = graph.add("Unsqueeze", [TENSOR, graph.constant("axis_1", [1], np.int64)], "theirs")
    below = graph.add("Cast", [graph.add("Greater", [mine, theirs], "is_above")], "above_number", to=TensorProto.FLOAT)
    same = graph.add("Cast", [graph.add("Equal", [mine, theirs], "is_same")], "same_number", to=TensorProto.FLOAT)
    last = graph.constant("last_axis", [2], np.int64)
    higher = graph.add("ReduceSum", [below, last], "higher", keepdims=0)
    ties = graph.add("ReduceSum", [same, last], "ties", keepdims=0)
    one, half = graph.constant("one", 1.0), graph.constant("half", 0.5)
    shared = graph.add("Mul", [graph.add("Sub", [ties, one], "others"), half], "shared")
    count = graph.add("Cast", [known], "known_number", to=TensorProto.FLOAT)
    total = graph.add("ReduceSum", [count, "axis_1"], "total", keepdims=1)
    room = graph.add("Max", [graph.add("Sub", [total, one], "room_or_none"), one], "room")
    return graph.add("Div", [graph.add("Add", [higher, shared], "place"), room], "rank")


def _columns(graph: _Graph, model: Linear, safe: str) -> tuple[str, list[int]]:
    """All columns, grouped by kind; and the terms' numbers in that order."""
    parts, order = [], []
    for kind in ("linear", "log", "equals", "above", "product"):
        rows = [k for k, term in enumerate(model.terms) if term.kind == kind]
        if rows:
            parts.append(_group(graph, kind, [model.terms[k] for k in rows], safe, model.fill))
            order += rows
    return graph.add("Concat", parts, "columns", axis=1), order


def _group(graph: _Graph, kind: str, terms: list[Term], safe: str, fill: Floats) -> str:
    taken = _gather(graph, safe, [t.field for t in terms], f"{kind}_taken")
    value = [t.value for t in terms]
    if kind == "log":
        shifted = graph.add("Add", [taken, graph.constant("log_one", 1.0)], "log_shifted")
        return graph.add("Log", [shifted], "log_columns")
    if kind == "equals":
        same = graph.add("Equal", [taken, graph.constant("codes", value)], "equals_is")
        return graph.add("Cast", [same], "equals_columns", to=TensorProto.FLOAT)
    if kind == "above":
        return graph.add("Relu", [graph.add("Sub", [taken, graph.constant("knots", value)], "over")], "above_columns")
    if kind == "product":
        other = _gather(graph, safe, [t.other for t in terms], "product_other")
        first = graph.add("Sub", [taken, graph.constant("first_mean", [fill[t.field] for t in terms])], "first")
        second = graph.add("Sub", [other, graph.constant("second_mean", [fill[t.other] for t in terms])], "second")
        return graph.add("Mul", [first, second], "product_columns")
    return taken


def _gather(graph: _Graph, source: str, places: list[int], output: str) -> str:
    return graph.add("Gather", [source, graph.constant(f"{output}_at", places, np.int64)], output, axis=1)


def _known(graph: _Graph, terms: list[Term], known: str) -> str:
    first = _gather(graph, known, [t.field for t in terms], "known_first")
    second = _gather(graph, known, [t.other if t.other >= 0 else t.field for t in terms], "known_second")
    return graph.add("And", [first, second], "column_known")


def _where(graph: _Graph, terms: list[Term], here: str, known: str) -> str:
    """`here` and each term's condition; a graph without conditions has no node for them."""
    if all(term.only is None for term in terms):
        return here
    conditions = [term.only or (0, "always") for term in terms]
    places, wanted = [place for place, _ in conditions], [word for _, word in conditions]
    codes = [word if isinstance(word, float) else np.nan for word in wanted]  # NaN equals nothing
    has_code = graph.add(
        "Equal", [_gather(graph, TENSOR, places, "asked"), graph.constant("asked_codes", codes)], "has_code"
    )
    is_known = _gather(graph, known, places, "asked_known")
    is_unknown = graph.add("Not", [is_known], "asked_unknown")
    held = has_code
    for word, truth in (("known", is_known), ("unknown", is_unknown)):
        flag = graph.constant(f"wants_{word}", [w == word for w in wanted], np.bool_)
        held = graph.add("Or", [held, graph.add("And", [truth, flag], f"held_{word}")], f"held_or_{word}")
    always = graph.constant("wants_nothing", [w == "always" for w in wanted], np.bool_)
    return graph.add("And", [here, graph.add("Or", [held, always], "condition")], "column_counts")


def _answer(graph: _Graph, model: Linear) -> None:
    axis = graph.constant("fields_axis", [1], np.int64)
    total = graph.add("ReduceSum", ["contribution", axis], "summed", keepdims=1)
    logit = graph.add("Add", [total, graph.constant("intercept", model.intercept)], "logit")
    sloped = graph.add("Mul", [logit, graph.constant("platt_slope", model.platt[0])], "sloped")
    moved = graph.add("Add", [sloped, graph.constant("platt_intercept", model.platt[1])], "calibrated")
    positive = graph.add("Sigmoid", [moved], "positive")
    negative = graph.add("Sub", [graph.constant("whole", 1.0), positive], "negative")
    graph.add("Concat", [positive, negative], "prob", axis=1)


def _file(graph: _Graph, fields: int, metadata: Mapping[str, str]) -> bytes:
    put = helper.make_tensor_value_info
    made = helper.make_graph(
        graph.nodes,
        "linear",
        [put(TENSOR, TensorProto.FLOAT, ["batch", fields])],
        [
            put("prob", TensorProto.FLOAT, ["batch", 2]),
            put("contribution", TensorProto.FLOAT, ["batch", fields]),
        ],
        graph.constants,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    for key, value in sorted(metadata.items()):
        model.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString()
    return data


def outputs(model: bytes, raw: npt.ArrayLike) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """`prob` and `contribution` through ONNX Runtime: the numbers that are shipped."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    prob, contribution = session.run(["prob", "contribution"], {TENSOR: np.asarray(raw, np.float32)})
    return prob, contribution


def parity(linear: Linear, model: bytes, raw: Floats) -> dict[str, float]:
    """Largest differences to numpy over batches of 1, 3 and 64 with holes, nothing known, and extremes."""
    holes = np.random.default_rng(0)
    sample = raw[:64].copy()
    pierced = np.where(holes.random(sample.shape) < 0.3, np.nan, sample)
    extreme = np.stack([np.nanmin(raw, 0), np.nanmax(raw, 0), np.nanmax(raw, 0) * 10, np.nanmin(raw, 0) - 10])
    blank = np.full((2, raw.shape[1]), np.nan)
    worst = {"prob": 0.0, "contribution": 0.0, "batched_to_single": 0.0}
    for batch in (sample[:1], sample[:3], sample, pierced, extreme, blank):
        exact = batch.astype(np.float32).astype(np.float64)  # the graph sees single precision
        prob, contribution = outputs(model, batch)
        alone = np.concatenate([outputs(model, row[None])[0] for row in batch[:8]])
        worst["prob"] = max(worst["prob"], float(np.abs(prob[:, 0] - linear.prob(exact)).max()))
        scale = max(1.0, float(np.abs(contribution).max()))
        worst["contribution"] = max(
            worst["contribution"], float(np.abs(contribution - linear.parts(exact)).max()) / scale
        )
        worst["batched_to_single"] = max(worst["batched_to_single"], float(np.abs(alone - prob[:8]).max()))
    if max(worst.values()) > TOLERANCE:
        raise AssertionError(f"ONNX Runtime differs from numpy: {worst}")
    return worst

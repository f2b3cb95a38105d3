"""The first page of a new pack: `manifest.toml` filled from the graph, with FILL IN where only a person knows.

Until `evaluate` has measured the model both labels count as possible, so that the pack would answer every case with
"inconclusive": a model that nobody has measured decides nothing.
"""

from __future__ import annotations

import hashlib
import json
import re

from gateway.domain.errors import Invalid, Unsupported
from models.bring.graph import FLOATS, Graph, Tensor, answer, look

FILL_IN = "FILL IN"
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")

HEAD = """# {name}: what the model takes, gives and refuses. Everything marked FILL IN is yours to write.
name = {name_text}
version = "1.0.0"
title = "FILL IN: what it answers, in one line"
task = "{task}"
licence = "FILL IN: licence of the weights"
intended_use = "FILL IN: who uses the answer for what"
out_of_scope = "FILL IN: what it must not be used for"
device_memory_mib = 256
"""
ORIGIN = """origin = "third-party"  # the graph stays byte for byte as its maker published it
"""
QUESTION = """
[question]  # what the finding is about; a SNOMED CT or LOINC code where there is one
system = "urn:dxgate:finding"
scheme = "99DXGATE"
value = {name_text}
display = "FILL IN: the question in words"
"""
RULE = """
[output]
prob = {output}
activation = "{activation}"  # none: probabilities; softmax: logits; sigmoid, positive: one logit, one probability
positive = "positive"
threshold = 0.5  # set by `dxgate model evaluate`
{more}
[calibration]  # what the graph itself does to its numbers
method = "none"
slope = 1.0
intercept = 0.0

[conformal]
alpha = 0.1

[conformal.quantiles]  # set by `dxgate model evaluate`; 1.0 means that the label is always possible
negative = 1.0
positive = 1.0

[[labels]]  # in the order of the graph's columns
name = "negative"
title = "FILL IN: the answer no, in words"

[labels.code]
system = "urn:dxgate:finding"
scheme = "99DXGATE"
value = {no_text}
display = "FILL IN: the answer no"

[[labels]]
name = "positive"
title = "FILL IN: the answer yes, in words"

[labels.code]
system = "urn:dxgate:finding"
scheme = "99DXGATE"
value = {yes_text}
display = "FILL IN: the answer yes"
"""
SOURCE = """
[[sources]]  # what it was trained on
name = "FILL IN: training data"
licence = "FILL IN: its licence"
citation = "FILL IN: paper, or address where the graph was published"
sha256 = "not published"
"""
IMAGE = """
[applies_to]  # the only guard of such a model: keep it narrow
modality = ["FILL IN"]
body_part = []
body_part_required = false
sop_class = []
photometric = ["MONOCHROME1", "MONOCHROME2"]
age_min_years = 18
view = []  # ViewPosition in capitals, such as "PA"; "" lets a header pass that does not say
manufacturer = []  # Manufacturer in capitals, likewise

[input]
kind = "image"
tensor = {tensor}
channels = {channels}
height = {height}
width = {width}
layout = "{layout}"
scale = 1.0  # a channel is (grey level 0..255 * scale - mean) / deviation
mean = []
deviation = []
steps = ["rescale", "window", "polarity", "grey", "centre-square", "resize-bicubic"]
frames = "single"
min_side = {min_side}
max_side = 8192
max_frames = 1
min_contrast = 4.0
"""
PATIENT = """
[applies_to]
age_min_years = 18.0
age_max_years = 120.0
"""
FIELD = """
[[input.{key}]]
name = "{name}"
title = "FILL IN: {name}"
unit = "FILL IN: UCUM unit"
low = -1000000.0  # outside low to high a value is not believed
high = 1000000.0
typical = 0.0  # stands in for a value that is not known; delete the line where the graph takes NaN
# [[input.{key}.codes]]  # under which the value is found in a patient's record
# system = "http://loinc.org"
# value = "..."
"""
GENES = """
[input]
kind = "genotype"
rules = "rules.json"
genes = {genes}
"""


def manifest(name: str, kind: str, model: bytes) -> str:
    """The page for a graph (or, of kind genotype, for tables). Raises `Unsupported` for a graph that does not fit."""
    if not _NAME.fullmatch(name):
        raise Invalid("a model's name is lower-case words joined by hyphens")
    task = "rules" if kind == "genotype" else "classification"
    head = HEAD.format(name=name, name_text=json.dumps(name), task=task)
    question = QUESTION.format(name_text=json.dumps(name))
    if kind == "genotype":
        return head + question + GENES.format(genes=json.dumps(_genes(model))) + SOURCE
    graph = look(model)
    output, activation = answer(graph)
    more = "cam_cells = 7  # parts of the image, each way, that are covered in turn for the map\n"
    rule = RULE.format(
        output=json.dumps(output.name),
        activation=activation,
        more=more if kind == "image" else 'contribution = ""  # nothing in the graph explains it\n',
        no_text=json.dumps(f"{name}-negative"),
        yes_text=json.dumps(f"{name}-positive"),
    )
    made = {"image": _image, "record": _record, "series": _series}[kind](graph)
    digest = f"# sha256 of the graph as it came: {hashlib.sha256(model).hexdigest()}\n"
    return head + ORIGIN + digest + question + made + rule + SOURCE


def _genes(tables: bytes) -> list[str]:
    try:
        found = json.loads(tables)
        return sorted(set(found["diplotypes"]) | set(found["equations"]))
    except (ValueError, KeyError, TypeError) as error:
        raise Invalid("the tables are not JSON with diplotypes and equations") from error


def _only(graph: Graph, rank: int) -> Tensor:
    tensors = graph.inputs
    if len(tensors) != 1 or tensors[0].type not in FLOATS or len(tensors[0].shape) != rank:
        told = "; ".join(f"{one.name} {one.type} {list(one.shape)}" for one in tensors)
        raise Unsupported(f"the graph must have one input of floats with {rank} dimensions; it has {told}")
    return tensors[0]


def _image(graph: Graph) -> str:
    tensor = _only(graph, 4)
    _, first, second, third = tensor.shape
    is_channels_first = first in (1, 3) and third not in (1, 3)
    sizes = (first, second, third) if is_channels_first else (third, first, second)
    channels, height, width = (size or fallback for size, fallback in zip(sizes, (1, 224, 224), strict=True))
    if channels not in (1, 3) or height != width:
        raise Unsupported(f"images must be squares of 1 or 3 channels; the graph takes {list(tensor.shape[1:])}")
    return IMAGE.format(
        tensor=json.dumps(tensor.name),
        channels=channels,
        height=height,
        width=width,
        layout="NCHW" if is_channels_first else "NHWC",
        min_side=max(8, min(height, 128)),
    )


def _record(graph: Graph) -> str:
    tensor = _only(graph, 2)
    count = tensor.shape[1]
    if not count:
        raise Unsupported("the graph does not say how many values it takes")
    head = f'\n[input]\nkind = "record"\ntensor = {json.dumps(tensor.name)}\nmissing_max = 0.5\n'
    return PATIENT + head + "".join(FIELD.format(key="fields", name=f"value_{k + 1}") for k in range(count))


def _series(graph: Graph) -> str:
    shapes = {len(one.shape): one for one in graph.inputs}
    if set(shapes) != {2, 3} or len(graph.inputs) != 2 or None in (*shapes[3].shape[1:], shapes[2].shape[1]):
        raise Unsupported("a series needs the inputs (batch, bins, fields) and (batch, statics), both of known size")
    bins, fields, statics = shapes[3].shape[1], shapes[3].shape[2], shapes[2].shape[1]
    head = (
        f'\n[input]\nkind = "series"\ntensor = {json.dumps(shapes[3].name)}\n'
        f"static_tensor = {json.dumps(shapes[2].name)}\nbins = {bins}\nbin_minutes = 60\nmeasured_min = 1\n"
        "span_min_bins = 0\n"
    )
    rows = "".join(FIELD.format(key="fields", name=f"value_{k + 1}") for k in range(fields or 0))
    return (
        PATIENT
        + head
        + rows
        + "".join(FIELD.format(key="statics", name=f"static_{k + 1}") for k in range(statics or 0))
    )

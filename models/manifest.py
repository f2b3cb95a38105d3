"""The manifest of a model pack: one readable page that says what the model takes, gives and refuses.

Why a file of our own beside the ONNX: the graph knows tensors, the gateway must know modality, body part,
threshold, calibration and limits, and an auditor must be able to read them. Unknown keys are errors, so a
misspelt limit can never be silently without effect.
"""

from __future__ import annotations

import dataclasses
import math
import re
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gateway.domain.errors import Invalid
from gateway.domain.finding import Code

Frames = Literal["single", "first", "middle"]
MANIFEST_LIMIT = 64 * 1024  # bytes; a page that is longer is not a page
STEPS = ("rescale", "window", "polarity", "grey", "centre-square", "resize-bicubic")
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Scope:
    """What a DICOM object must be before its pixels are looked at. An empty tuple means: not limited."""

    modality: tuple[str, ...]
    body_part: tuple[str, ...]
    body_part_required: bool
    sop_class: tuple[str, ...]
    photometric: tuple[str, ...]
    sex: tuple[str, ...] = ()
    age_min_years: int = 0
    age_max_years: int = 150
    age_required: bool = False


@dataclass(frozen=True)
class ImageInput:
    """The graph's input tensor (batch, height, width, channels) and how pixels become it."""

    kind: Literal["image"]
    tensor: str
    channels: int
    height: int
    width: int
    steps: tuple[str, ...]
    frames: Frames
    min_side: int
    max_side: int
    max_frames: int
    min_contrast: float  # standard deviation of the prepared grey levels; below it there is no picture


@dataclass(frozen=True)
class Label:
    """One answer, in the order of the columns of the graph's probability output."""

    name: str
    title: str
    code: Code


@dataclass(frozen=True)
class Calibration:
    """How the graph turns its raw score into a probability; recorded here, done inside the graph."""

    method: str
    slope: float
    intercept: float


@dataclass(frozen=True)
class Conformal:
    """Class-conditional split conformal prediction: label c is possible if 1 - p_c <= quantile_c."""

    alpha: float
    quantiles: Mapping[str, float]


@dataclass(frozen=True)
class Output:
    """Names of the graph's outputs and the rule that turns a probability into an answer."""

    prob: str
    member: str
    cam: str
    embedding: str
    positive: str
    threshold: float
    cam_cells: int  # side of the map before it was enlarged: its true resolution
    distance_max: float  # Mahalanobis distance beyond which an image is not like the training images


@dataclass(frozen=True)
class Source:
    """One data set that the model was made from."""

    name: str
    licence: str
    citation: str
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """All of `manifest.toml`."""

    name: str
    version: str
    title: str
    task: Literal["classification"]
    question: Code
    licence: str
    intended_use: str
    out_of_scope: str
    device_memory_mib: int
    applies_to: Scope
    input: ImageInput
    output: Output
    labels: tuple[Label, ...]
    calibration: Calibration
    conformal: Conformal
    sources: tuple[Source, ...]
    files: Mapping[str, str]

    @property
    def positive_column(self) -> int:
        """Column of the probability output that belongs to the positive label."""
        return [label.name for label in self.labels].index(self.output.positive)


def parse(text: bytes) -> Manifest:
    """`manifest.toml` to a `Manifest`; raises `Invalid` naming the key that is wrong."""
    if len(text) > MANIFEST_LIMIT:
        raise Invalid(f"manifest is longer than {MANIFEST_LIMIT} bytes")
    try:
        table = tomllib.loads(text.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Invalid(f"manifest is not TOML: {error}") from error
    manifest: Manifest = _read(Manifest, table, "manifest")
    _check(manifest)
    return manifest


def _check(manifest: Manifest) -> None:
    names = [label.name for label in manifest.labels]
    image, output = manifest.input, manifest.output
    rules = (
        (bool(_NAME.fullmatch(manifest.name)), "name must be lower-case words joined by hyphens"),
        (bool(_VERSION.fullmatch(manifest.version)), "version must be three numbers"),
        (len(set(names)) == len(names) >= 2, "labels must be two or more, each named once"),
        (output.positive in names, "output.positive must be one of the labels"),
        (0 < output.threshold < 1, "output.threshold must lie between 0 and 1"),
        (output.distance_max > 0 and math.isfinite(output.distance_max), "output.distance_max must be positive"),
        (set(manifest.conformal.quantiles) == set(names), "conformal.quantiles must name every label"),
        (all(0 <= q <= 1 for q in manifest.conformal.quantiles.values()), "conformal.quantiles lie in 0 to 1"),
        (0 < manifest.conformal.alpha < 1, "conformal.alpha must lie between 0 and 1"),
        (image.channels == 1, "input.channels other than 1 are not supported"),
        (image.height == image.width and 8 <= image.height <= 1024, "input is a square of 8 to 1024"),
        (8 <= image.min_side <= image.max_side <= 16384, "input.min_side and max_side lie in 8 to 16384"),
        (1 <= image.max_frames <= 10000, "input.max_frames lies in 1 to 10000"),
        (set(image.steps) <= set(STEPS), f"input.steps may be {', '.join(STEPS)}"),
        (image.steps[-1:] == ("resize-bicubic",), "input.steps must end with resize-bicubic"),
        (bool(manifest.applies_to.modality), "applies_to.modality must not be empty"),
        (bool(manifest.sources), "sources must not be empty"),
        ("model.onnx" in manifest.files, "files must name model.onnx"),
        (all(_DIGEST.fullmatch(v) for v in manifest.files.values()), "files must be sha256 digests"),
    )
    for holds, complaint in rules:
        if not holds:
            raise Invalid(f"manifest: {complaint}")


def _read(kind: Any, value: Any, where: str) -> Any:
    """`value` as `kind`, which is a dataclass, a tuple, a mapping, a literal or a plain type."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _read_table(kind, value, where)
    if origin is tuple:
        if not isinstance(value, list):
            raise Invalid(f"{where} must be a list")
        return tuple(_read(inner[0], item, f"{where}[{place}]") for place, item in enumerate(value))
    if origin is Mapping or origin is typing.get_origin(Mapping[str, str]):
        if not isinstance(value, dict):
            raise Invalid(f"{where} must be a table")
        return types.MappingProxyType({k: _read(inner[1], v, f"{where}.{k}") for k, v in value.items()})
    if origin is Literal:
        if value not in inner:
            raise Invalid(f"{where} must be one of {', '.join(map(str, inner))}")
        return value
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise Invalid(f"{where} must be {kind.__name__}")
    return value


def _read_table(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise Invalid(f"{where} must be a table")
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    unknown = sorted(set(value) - set(fields))
    if unknown:
        raise Invalid(f"{where} has unknown keys: {', '.join(unknown)}")
    needed = [name for name, field in fields.items() if field.default is dataclasses.MISSING]
    missing = sorted(set(needed) - set(value))
    if missing:
        raise Invalid(f"{where} lacks keys: {', '.join(missing)}")
    return kind(**{name: _read(hints[name], item, f"{where}.{name}") for name, item in value.items()})

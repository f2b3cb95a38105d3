"""The manifest of a model pack: one readable page that says what the model takes, gives and refuses.

Why a file of our own beside the ONNX: the graph knows tensors, the gateway must know modality, body part,
threshold, calibration and limits, and an auditor must be able to read them. `input.kind` says what the model
takes: an image, a record of named values, a series of them over time, genotypes or a plan (rules, nothing learnt).
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from gateway.domain.errors import Invalid
from gateway.domain.finding import Code
from models.inputs import Field, GenotypeInput, ImageInput, PatientScope, PlanInput, RecordInput, Scope, SeriesInput
from models.strict import read

Activation = Literal["none", "softmax", "sigmoid", "positive"]
"""What the graph's answer is: a probability per label, a logit per label, or of the positive label alone a logit
(`sigmoid`) or a probability (`positive`)."""
Origin = Literal["own", "third-party"]
MANIFEST_LIMIT = 64 * 1024  # bytes; a page that is longer is not a page
MAX_FIELDS = 512
STEPS = ("rescale", "window", "polarity", "grey", "upright", "centre-square", "resize-bicubic")
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_DIGEST = re.compile(r"[0-9a-f]{64}")


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
    """Names of the graph's outputs and the rule that turns a probability into an answer.

    A third-party graph has `prob` alone: its map comes from covering parts of the image, and nothing measures
    how far an image is from those it was trained on.
    """

    prob: str
    positive: str
    threshold: float
    member: str = ""
    cam: str = ""
    embedding: str = ""
    cam_cells: int = 7  # side of the map before it was enlarged: its true resolution
    distance_max: float = 0.0  # Mahalanobis distance beyond which an image is not like the training images
    shown: str = ""  # probability that the image is upright and not inverted, where the graph tells
    shown_min: float = 0.0  # below it the image is refused
    activation: Activation = "none"


@dataclass(frozen=True)
class ValueOutput:
    """Names of the outputs of a graph on structured values, and the rule that makes an answer of them.

    `contribution` (batch, fields) adds up, with `intercept`, to the logit before calibration; it is empty
    where the graph is not linear, and the explanation then comes from leaving one field out at a time.
    """

    prob: str
    contribution: str
    positive: str
    threshold: float
    intercept: float = 0.0
    activation: Activation = "none"


@dataclass(frozen=True)
class Source:
    """One data set that the model was made from."""

    name: str
    licence: str
    citation: str
    sha256: str


@dataclass(frozen=True)
class Serving:
    """How the graph wants to be run. `max_batch` 0: as many as suit the provider.

    `runs_on` server: the pack holds no graph; an inference server that `models.remote` names runs it.
    """

    max_batch: int = 0
    runs_on: Literal["worker", "server"] = "worker"


@dataclass(frozen=True)
class Manifest:
    """What every `manifest.toml` says, whatever the model takes."""

    name: str
    version: str
    title: str
    task: Literal["classification", "rules"]
    question: Code
    licence: str
    intended_use: str
    out_of_scope: str
    device_memory_mib: int
    input: Any  # of its own class in every kind of manifest
    sources: tuple[Source, ...]
    files: Mapping[str, str]
    serving: Serving = field(default=Serving(), kw_only=True)

    @property
    def kind(self) -> str:
        """`input.kind`: image, record, series or genotype."""
        return str(self.input.kind)

    @property
    def artefact(self) -> str:
        """The file whose digest names the model: the graph, the tables of a pack of rules, or, where a server
        holds the graph, the golden vectors that it is proved against."""
        return "golden.npz" if self.serving.runs_on == "server" else "model.onnx"


@dataclass(frozen=True)
class Scored(Manifest):
    """A manifest of a graph that gives a calibrated probability per label."""

    labels: tuple[Label, ...]
    calibration: Calibration
    conformal: Conformal
    output: Any
    origin: Origin = field(default="own", kw_only=True)

    @property
    def positive_column(self) -> int:
        """Column of the probability output that belongs to the positive label."""
        return [label.name for label in self.labels].index(self.output.positive)


@dataclass(frozen=True)
class ImageManifest(Scored):
    """A model on the pixels of a DICOM object."""

    output: Output
    applies_to: Scope
    input: ImageInput


@dataclass(frozen=True)
class RecordManifest(Scored):
    """A model on named values of one point in time."""

    output: ValueOutput
    applies_to: PatientScope
    input: RecordInput


@dataclass(frozen=True)
class SeriesManifest(Scored):
    """A model on named values over time."""

    output: ValueOutput
    applies_to: PatientScope
    input: SeriesInput


@dataclass(frozen=True)
class RulesManifest(Manifest):
    """Published rules on genotypes."""

    input: GenotypeInput

    @property
    def artefact(self) -> str:
        return str(self.input.rules)


@dataclass(frozen=True)
class PlanManifest(RulesManifest):
    """Published rules on findings and a record, which make proposals for a physician."""

    input: PlanInput  # type: ignore[assignment]


KINDS = {
    "image": ImageManifest,
    "record": RecordManifest,
    "series": SeriesManifest,
    "genotype": RulesManifest,
    "plan": PlanManifest,
}
AnyManifest = ImageManifest | RecordManifest | SeriesManifest | RulesManifest
Rules = tuple[tuple[bool, str], ...]


def parse(text: bytes) -> AnyManifest:
    """`manifest.toml` to the manifest of its kind; raises `Invalid` naming the key that is wrong."""
    if len(text) > MANIFEST_LIMIT:
        raise Invalid(f"manifest is longer than {MANIFEST_LIMIT} bytes")
    try:
        table = tomllib.loads(text.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Invalid(f"manifest is not TOML: {error}") from error
    told = table.get("input")
    kind = told.get("kind") if isinstance(told, dict) else None
    if kind not in KINDS:
        raise Invalid(f"manifest.input.kind must be one of {', '.join(KINDS)}")
    manifest: AnyManifest = read(KINDS[kind], table, "manifest")
    for holds, complaint in (*_common(manifest), *_of_kind(manifest)):
        if not holds:
            raise Invalid(f"manifest: {complaint}")
    return manifest


def _common(manifest: Manifest) -> Rules:
    return (
        (bool(_NAME.fullmatch(manifest.name)), "name must be lower-case words joined by hyphens"),
        (bool(_VERSION.fullmatch(manifest.version)), "version must be three numbers"),
        (bool(manifest.sources), "sources must not be empty"),
        (manifest.artefact in manifest.files, f"files must name {manifest.artefact}"),
        (all(_DIGEST.fullmatch(v) for v in manifest.files.values()), "files must be sha256 digests"),
        (0 <= manifest.serving.max_batch <= 64, "serving.max_batch lies in 0 to 64"),
        (0 <= manifest.device_memory_mib <= 1 << 24, "device_memory_mib is out of range"),
        (isinstance(manifest, Scored) == (manifest.task == "classification"), "task does not fit input.kind"),
    )


def _of_kind(manifest: AnyManifest) -> Rules:
    if isinstance(manifest, ImageManifest):
        return (*_scored(manifest), *_image(manifest))
    if isinstance(manifest, RecordManifest):
        return (*_scored(manifest), *_record(manifest.input))
    if isinstance(manifest, SeriesManifest):
        return (*_scored(manifest), *_series(manifest.input))
    if isinstance(manifest, PlanManifest):
        return _fields(manifest.input.fields, "fields")
    return ((bool(manifest.input.genes), "input.genes must not be empty"),)


def _scored(manifest: Scored) -> Rules:
    names = [label.name for label in manifest.labels]
    return (
        (len(set(names)) == len(names) >= 2, "labels must be two or more, each named once"),
        (manifest.output.positive in names, "output.positive must be one of the labels"),
        (0 < manifest.output.threshold < 1, "output.threshold must lie between 0 and 1"),
        (set(manifest.conformal.quantiles) == set(names), "conformal.quantiles must name every label"),
        (all(0 <= q <= 1 for q in manifest.conformal.quantiles.values()), "conformal.quantiles lie in 0 to 1"),
        (0 < manifest.conformal.alpha < 1, "conformal.alpha must lie between 0 and 1"),
        (manifest.origin != "own" or manifest.output.activation == "none", "output.activation is for third-party"),
        (manifest.output.activation in ("none", "softmax") or len(names) == 2, "output.activation needs two labels"),
    )


def _image(manifest: ImageManifest) -> Rules:
    image, output = manifest.input, manifest.output
    own = manifest.origin == "own"
    parts = (output.member, output.cam, output.embedding)
    return (
        (not own or 0 < output.distance_max < math.inf, "output.distance_max must be positive"),
        (all(parts) if own else not any(parts), "output must name member, cam and embedding, third-party none of them"),
        (not output.shown or own, "output.shown is for graphs that have an embedding too"),
        (bool(output.shown) == (output.shown_min > 0), "output.shown and shown_min belong together"),
        (0 <= output.shown_min < 1, "output.shown_min lies in 0 to 1"),
        (2 <= output.cam_cells <= 64, "output.cam_cells lies in 2 to 64"),
        (image.channels in ((1,) if own else (1, 3)), "input.channels is 1; third-party graphs may have 3"),
        (not own or _raw(image), "input.layout, scale, mean and deviation are for third-party graphs"),
        (all(len(v) in (0, image.channels) for v in (image.mean, image.deviation)), "one mean, deviation per channel"),
        (all(d > 0 for d in image.deviation) and image.scale > 0, "input.scale and deviation must be positive"),
        (image.height == image.width and 8 <= image.height <= 1024, "input is a square of 8 to 1024"),
        (8 <= image.min_side <= image.max_side <= 16384, "input.min_side and max_side lie in 8 to 16384"),
        (1 <= image.max_frames <= 10000, "input.max_frames lies in 1 to 10000"),
        (set(image.steps) <= set(STEPS), f"input.steps may be {', '.join(STEPS)}"),
        (image.steps[-1:] == ("resize-bicubic",), "input.steps must end with resize-bicubic"),
        (
            ("upright" in image.steps) == bool(image.orientation),
            "upright and input.orientation belong together",
        ),
        (_are_directions(image.orientation), "input.orientation is two directions of different axes: L, R, A, P, H, F"),
        (bool(image.orientation) or not image.orientation_required, "orientation_required needs an orientation"),
        (_turned_first(image.steps), "the step upright comes before centre-square"),
        (bool(manifest.applies_to.modality), "applies_to.modality must not be empty"),
        (all(one == one.upper() for one in _in_capitals(manifest.applies_to)), "view, manufacturer: use capitals"),
    )


def _are_directions(orientation: tuple[str, ...]) -> bool:
    axes = [next((axis for axis in ("LR", "AP", "HF") if one in axis and len(one) == 1), one) for one in orientation]
    return not orientation or (len(axes) == len(set(axes)) == 2 and set(axes) <= {"LR", "AP", "HF"})


def _turned_first(steps: tuple[str, ...]) -> bool:
    """A cut is told in the rows and columns of the turned frame."""
    order = [step for step in steps if step in ("upright", "centre-square", "resize-bicubic")]
    return "upright" not in order or (order[0] == "upright" and order.count("upright") == 1)


def _in_capitals(scope: Scope) -> tuple[str, ...]:
    return (*scope.view, *scope.manufacturer)


def _raw(image: ImageInput) -> bool:
    """Grey levels 0 to 255 go in as they are."""
    return (image.layout, image.scale, image.mean, image.deviation) == ("NHWC", 1.0, (), ())


def _fields(fields: tuple[Field, ...], key: str) -> Rules:
    names = [one.name for one in fields]
    return (
        (0 < len(names) == len(set(names)) <= MAX_FIELDS, f"input.{key} must be 1 to {MAX_FIELDS}, each named once"),
        (all(math.isfinite(f.high - f.low) and f.low < f.high for f in fields), f"input.{key}: low is not below high"),
        (all(c.factor and math.isfinite(c.factor) for f in fields for c in f.conversions), "a factor must not be 0"),
        (all(f.low <= v <= f.high for f in fields for v in f.answers.values()), "an answer lies outside its range"),
        (all(set(f.shows_nothing) <= set(f.answers) for f in fields), "shows_nothing must name answers"),
    )


def _record(rule: RecordInput) -> Rules:
    given = [not math.isnan(one.typical) for one in rule.fields]
    return (
        *_fields(rule.fields, "fields"),
        (all(given) or not any(given), "input.fields: typical stands at every field or at none"),
        (0 <= rule.missing_max < 1, "input.missing_max lies in 0 to 1"),
        (set(rule.one_of) <= {one.name for one in rule.fields}, "input.one_of must name fields"),
        (all(0 < len(one.codes) <= MAX_FIELDS for one in rule.excludes), "input.excludes: an exclusion needs codes"),
        (all(0 <= one.days <= 36500 for one in rule.excludes), "input.excludes: days lies in 0 to 36500"),
    )


def _series(rule: SeriesInput) -> Rules:
    return (
        *_fields(rule.fields, "fields"),
        *_fields(rule.statics, "statics"),
        (1 <= rule.bins <= 1024 and 1 <= rule.bin_minutes <= 1440, "input.bins and bin_minutes are out of range"),
        (1 <= rule.measured_min <= len(rule.fields), "input.measured_min lies in 1 to the number of fields"),
        (0 <= rule.span_min_bins < rule.bins, "input.span_min_bins lies below input.bins"),
    )

"""What a model takes, as its manifest says it: an image, named values, a series of them, genotypes or a plan."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Frames = Literal["single", "first", "middle"]


@dataclass(frozen=True)
class Scope:
    """What a DICOM object must be before its pixels are looked at. An empty tuple means: not limited.

    In `view` and `manufacturer`, written in capitals, an empty word stands for a header that does not say.
    """

    modality: tuple[str, ...]
    body_part: tuple[str, ...]
    body_part_required: bool
    sop_class: tuple[str, ...]
    photometric: tuple[str, ...]
    sex: tuple[str, ...] = ()
    age_min_years: int = 0
    age_max_years: int = 150
    age_required: bool = False
    view: tuple[str, ...] = ()
    manufacturer: tuple[str, ...] = ()


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
    layout: Literal["NHWC", "NCHW"] = "NHWC"
    scale: float = 1.0  # a channel is (grey level * scale - mean) / deviation; three channels are the same grey
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()
    orientation: tuple[str, ...] = ()  # to which the step upright turns a frame: of a row, of a column, as ["L", "F"]
    orientation_required: bool = False  # whether an image whose header does not say how it lies is refused


@dataclass(frozen=True)
class PatientScope:
    """Whom a model on structured values was made for; an empty tuple means: not limited."""

    sex: tuple[str, ...] = ()
    age_min_years: float = 0.0
    age_max_years: float = 150.0


@dataclass(frozen=True)
class Concept:
    """A code under which a value is found in a record (`system` a FHIR URI)."""

    system: str
    value: str


@dataclass(frozen=True)
class Conversion:
    """`value in the field's unit = factor * value in this unit + offset`."""

    unit: str
    factor: float
    offset: float = 0.0


@dataclass(frozen=True)
class Field:
    """One named input in a UCUM unit; outside `low` to `high` it is not believed. `answers`: word to number.

    An answer that `shows_nothing` is a value like any other, but none for the input's `one_of`.
    """

    name: str
    title: str
    unit: str
    low: float
    high: float
    required: bool = False
    codes: tuple[Concept, ...] = ()
    conversions: tuple[Conversion, ...] = ()
    answers: Mapping[str, float] = field(default_factory=dict)
    shows_nothing: tuple[str, ...] = ()
    note: str = ""
    typical: float = math.nan  # what a third-party graph that takes no NaN is given where the value is not known


@dataclass(frozen=True)
class Excluded:
    """A condition that was ever diagnosed, or a measurement of the last `days` (0: ever), with which no record is
    scored. A code of ICD-9 or ICD-10 stands for those under it, every other one for itself alone."""

    title: str
    codes: tuple[Concept, ...]
    days: int = 0


@dataclass(frozen=True)
class RecordInput:
    """The graph's input tensor (batch, fields) of raw values with NaN for what is not known. Of the fields named in
    `one_of` at least one must be known, because it shows that the patient is of the model's population."""

    kind: Literal["record"]
    tensor: str
    missing_max: float  # share of the fields that may be absent
    fields: tuple[Field, ...]
    by_rank: bool = False  # the graph ranks the values within the record before anything else; recorded here
    one_of: tuple[str, ...] = ()
    excludes: tuple[Excluded, ...] = ()


@dataclass(frozen=True)
class SeriesInput:
    """Two tensors: (batch, bins, fields) of means per bin with NaN, and (batch, statics) of single values."""

    kind: Literal["series"]
    tensor: str
    static_tensor: str
    bins: int
    bin_minutes: int
    measured_min: int  # fields that must have been measured at least once
    span_min_bins: int  # bins between the first and the last measurement
    fields: tuple[Field, ...]
    statics: tuple[Field, ...]


@dataclass(frozen=True)
class GenotypeInput:
    """A diplotype (or a phenotype, or an activity score) per gene, or genotypes at the sites by which the tables define
    alleles, where they do; nothing is computed by a graph."""

    kind: Literal["genotype"]
    rules: Literal["rules.json"]  # the tables, inside the pack
    genes: tuple[str, ...]


@dataclass(frozen=True)
class PlanInput:
    """Named values of a record, and what models have said of the patient; rules make proposals of them."""

    kind: Literal["plan"]
    rules: Literal["rules.json"]
    fields: tuple[Field, ...]

"""What a model asks of a patient's record, and what is gathered for it: named values without identity.

A worker announces the needs of its models as rows, so that the gateway can gather without knowing a manifest. The
document that is gathered is all that a worker sees of a record: an age in years, times counted from the first value.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from gateway.domain.ids import BlobKey

RecordKind = Literal["record", "series", "genotype", "plan"]


@dataclass(frozen=True)
class Sought:
    """A code under which a value is found (`system` a FHIR URI)."""

    system: str
    code: str


@dataclass(frozen=True)
class Wanted:
    """One named value: where it is found, in which UCUM units it is taken, and the words it may have instead.

    A word that `shows_nothing` does not count for the `one_of` of the needs.
    """

    name: str
    title: str
    unit: str
    codes: tuple[Sought, ...] = ()
    other_units: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    required: bool = False
    shows_nothing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Site:
    """A place of the genome that tells alleles of a gene apart, in both builds (1-based, as in a VCF).

    `letters` are the sequences that the tables know over the window of `reference`, forward strand.
    """

    name: str  # rsID, or chromosome-position of GRCh38
    gene: str
    chromosome: str
    position_37: int
    reference_37: str
    position_38: int
    reference_38: str
    letters: tuple[str, ...]


@dataclass(frozen=True)
class Exclusion:
    """What a record may not hold where a model is asked: a condition, or a measurement of the last `days` (0: ever)."""

    title: str
    codes: tuple[Sought, ...]
    days: int = 0


@dataclass(frozen=True)
class Needs:
    """What a model on records asks. `measured_min` is the least number of `fields` that must be known at all, and of
    the fields named in `one_of` one at least; with anything of `excludes` on record the model is not asked."""

    kind: RecordKind
    fields: tuple[Wanted, ...] = ()
    statics: tuple[Wanted, ...] = ()
    genes: tuple[str, ...] = ()
    drugs: tuple[str, ...] = ()
    sites: tuple[Site, ...] = ()
    window_minutes: int = 0
    span_minutes: int = 0
    measured_min: int = 1
    one_of: tuple[str, ...] = ()
    excludes: tuple[Exclusion, ...] = ()


@dataclass(frozen=True)
class Value:
    """One gathered value: a number in `unit`, or a word; `minute` counts from the first value of a series."""

    name: str
    value: float | str = field(repr=False)
    unit: str = ""
    minute: int = 0


@dataclass(frozen=True)
class Genotype:
    """What a laboratory reported about one gene: a diplotype, a phenotype or an activity score."""

    gene: str
    diplotype: str = field(default="", repr=False)
    phenotype: str = field(default="", repr=False)
    score: str = field(default="", repr=False)


@dataclass(frozen=True)
class SiteCall:
    """What was confidently read at a site: the sequence of each copy. `phase` names a set of sites whose first and
    second stand on the same chromosome; 0 where that is not known."""

    site: str
    first: str = field(repr=False)
    second: str = field(repr=False)
    phase: int = 0


@dataclass(frozen=True)
class InputDocument:
    """The input of one model on one record, sealed under the patient's object key. Holds no identity.

    `drugs` are names of ingredients that the record lists, in lower case; `facts` are codes of a treatment plan;
    `unread` are reasons why genomic data of the record say nothing, or, of a record of values, names of those that are
    there in a unit that is not read. `excluded` says why the model is not for this record.
    """

    kind: RecordKind
    age_years: int | None
    sex: str | None
    values: tuple[Value, ...] = ()
    statics: tuple[Value, ...] = ()
    genotypes: tuple[Genotype, ...] = ()
    drugs: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    calls: tuple[SiteCall, ...] = ()
    unread: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()


@dataclass(frozen=True)
class RecordInput:
    """Where the sealed document of one model on one revision of a record lies."""

    id: str
    study_id: str
    revision: int
    model_id: str
    blob_key: BlobKey
    size: int
    digest: bytes

"""What a model said about a study, with exactly what made it; plain values, no identity, no numpy."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gateway.domain.ids import BlobKey, FindingId, ModelId, StudyId, TaskId


def in_words(probability: float) -> str:
    """Two decimals, and never a certainty that rounding makes."""
    if probability < 0.01:
        return "below 0.01"
    return "above 0.99" if probability > 0.99 else f"{probability:.2f}"


@dataclass(frozen=True)
class Code:
    """A coded concept: `system` is a FHIR system URI, `scheme` its DICOM coding scheme designator."""

    system: str
    scheme: str
    value: str
    display: str


@dataclass(frozen=True)
class Label:
    """One answer that a model can give, with the probability it gave it.

    `code` says what is looked for or foretold, `title` what is said where this label is decided ("raised risk of
    ..."): a code of a disease is no finding of it. Findings of before have no title.
    """

    name: str
    code: Code
    probability: float
    title: str = ""

    @property
    def answer(self) -> str:
        """The answer in words, where this label is decided."""
        return f"{self.title[:1].upper()}{self.title[1:]}" or self.code.display

    @property
    def probability_of(self) -> str:
        """Of what the probability is, in words: the label as the conclusion names it."""
        return f'Probability of "{self.name}"' if self.title else f"Probability of {self.code.display}"


@dataclass(frozen=True)
class ImageFinding:
    """One image's answer. `refusal` says why the image was not scored; then `labels` is empty.

    `distance` is how far the image is from those that the model learnt from, where it tells.
    """

    sop_instance_uid: str
    labels: tuple[Label, ...]
    decided: str | None
    explanation: str
    heat_map: BlobKey | None
    refusal_code: str | None = None
    refusal: str | None = None
    distance: float | None = None


@dataclass(frozen=True)
class GenePhenotype:
    """What a reported genotype means, and the row of the table that says so.

    `diplotype` is the pair of alleles; empty where several explain what was read, or none was told.
    """

    gene: str
    genotype: str
    phenotype: str
    score: str | None
    source: str
    diplotype: str = ""


@dataclass(frozen=True)
class DrugAdvice:
    """What a guideline says about a drug that the record lists; `text` None: the tables give no advice."""

    drug: str
    text: str | None
    genes: tuple[str, ...]
    level: str
    guideline: str
    source: str


@dataclass(frozen=True)
class Proposal:
    """One item of a proposed plan: what to do, by which guideline, and what in the record made the rule speak."""

    rule: str
    category: str
    text: str
    guideline: str
    because: tuple[str, ...]
    caution: str


@dataclass(frozen=True)
class RecordAnswer:
    """What a model said about a record: a probability for each label, or what rules made of it."""

    kind: str
    labels: tuple[Label, ...] = ()
    explanation: str = ""
    missing: tuple[str, ...] = ()
    set_aside: tuple[str, ...] = ()
    phenotypes: tuple[GenePhenotype, ...] = ()
    advice: tuple[DrugAdvice, ...] = ()
    proposals: tuple[Proposal, ...] = ()


@dataclass(frozen=True)
class Provenance:
    """What made a finding: model, digest, execution provider, runtime and the digests of its inputs."""

    model_id: ModelId
    model_name: str
    model_version: str
    model_sha256: str
    provider: str
    runtime: str
    worker: str
    input_digests: tuple[str, ...]


@dataclass(frozen=True)
class Finding:
    """One model's answer for one revision of a study. `decided` is None where the answer is inconclusive.

    `answer` is set, and `images` empty, where the study is a patient's record.
    """

    id: FindingId
    task_id: TaskId
    study_id: StudyId
    revision: int
    question: Code
    decided: Label | None
    conclusion: str
    threshold: float | None
    images: tuple[ImageFinding, ...]
    made_by: Provenance
    created_at: datetime
    answer: RecordAnswer | None = None

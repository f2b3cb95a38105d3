"""What a model refuses to score, with a code and a reason that may be shown and logged.

Why first and separate: a network answers anything, a chest film too. Cheap checks on the header come
before decoding; the distance of the embedding to the training images comes last (Lee et al., 2018,
arXiv:1807.03888; here with one shared covariance, shrunk, whose whitening lies inside the graph). A network that was
trained on photographs hardly minds an image upside down, so a pack may have a rule of its own for that (`shown`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from models.inputs import Scope
from models.manifest import ImageManifest
from models.runtime.preprocess import Prepared


@dataclass(frozen=True)
class Refusal:
    """Why an image was not scored. `code` is one of `CODES`; `text` holds no value from the header."""

    code: str
    text: str


CODES = (
    "unreadable",
    "modality",
    "sop-class",
    "photometric",
    "body-part",
    "body-part-missing",
    "view",
    "manufacturer",
    "sex",
    "age",
    "age-missing",
    "transfer-syntax",
    "geometry",
    "no-contrast",
    "no-answer",
    "unlike-training",
    "turned-over",
)
_AGE_UNITS = {"D": 365.25, "W": 52.18, "M": 12.0, "Y": 1.0}  # PS3.5 6.2, AS


def header_refusal(dataset: Dataset, scope: Scope) -> Refusal | None:
    """The first rule of the manifest's scope that this header breaks."""
    listed = (
        ("modality", "Modality", scope.modality, "This model is for another modality."),
        ("sop-class", "SOPClassUID", scope.sop_class, "This model is for other kinds of DICOM object."),
        ("photometric", "PhotometricInterpretation", scope.photometric, "Colour model not evaluated."),
    )
    for code, keyword, allowed, text in listed:
        if allowed and _word(dataset, keyword) not in allowed:
            return Refusal(code, text)
    return _body_part(dataset, scope) or _taken(dataset, scope) or _patient(dataset, scope)


def picture_refusal(prepared: Prepared, manifest: ImageManifest) -> Refusal | None:
    """An image without a picture in it."""
    if float(prepared.tensor.std()) < manifest.input.min_contrast:
        return Refusal("no-contrast", "The image is almost of one grey level.")
    return None


def distance(embedding: npt.NDArray[np.float32]) -> float:
    """Mahalanobis distance to the training images: the length of the whitened embedding (K,)."""
    return float(np.linalg.norm(embedding.astype(np.float64)))


def distance_refusal(measured: float, manifest: ImageManifest) -> Refusal | None:
    """An image that is further from the training images than validation images are."""
    limit = manifest.output.distance_max
    if measured <= limit:
        return None
    return Refusal(
        "unlike-training",
        f"The image is unlike those that the model learnt from (distance {measured:.1f}, limit {limit:.1f}).",
    )


def shown_refusal(shown: npt.NDArray[np.float32] | None, manifest: ImageManifest) -> Refusal | None:
    """An image that is upside down, on its side or inverted, as the pack's own rule on grey levels sees it."""
    limit = manifest.output.shown_min
    if shown is None or not limit or float(shown[0]) >= limit:
        return None
    return Refusal(
        "turned-over",
        "The image looks upside down, on its side or inverted (black for white): "
        f"{float(shown[0]):.2f} that it is not, limit {limit:.2f}.",
    )


def _body_part(dataset: Dataset, scope: Scope) -> Refusal | None:
    part = _word(dataset, "BodyPartExamined").upper()
    if not scope.body_part or part in scope.body_part:
        return None
    if part:
        return Refusal("body-part", "This model is for another part of the body.")
    if scope.body_part_required:
        return Refusal("body-part-missing", "The header does not name the part of the body.")
    return None


def _taken(dataset: Dataset, scope: Scope) -> Refusal | None:
    """From where, and by whose device. An empty word among those allowed lets a header pass that does not say."""
    for code, keyword, allowed, text in (
        ("view", "ViewPosition", scope.view, "This model is for other views, or the header does not name the view."),
        ("manufacturer", "Manufacturer", scope.manufacturer, "This model was not evaluated on images of this device."),
    ):
        if allowed and _word(dataset, keyword).upper() not in allowed:
            return Refusal(code, text)
    return None


def _patient(dataset: Dataset, scope: Scope) -> Refusal | None:
    sex, age = _word(dataset, "PatientSex"), _years(_word(dataset, "PatientAge"))
    if scope.sex and sex and sex not in scope.sex:
        return Refusal("sex", "The model was made from images of patients of another sex.")
    if age is None and scope.age_required:
        return Refusal("age-missing", "The header does not give the age, which this model depends on.")
    if age is not None and not scope.age_min_years <= age <= scope.age_max_years:
        return Refusal("age", f"The model is for ages {scope.age_min_years} to {scope.age_max_years} years.")
    return None


def _years(age: str) -> float | None:
    """Years of a DICOM age string; None where it is absent (as after de-identification) or malformed."""
    if len(age) == 4 and age[:3].isdigit() and age[3] in _AGE_UNITS:
        return int(age[:3]) / _AGE_UNITS[age[3]]
    return None


def _word(dataset: Dataset, keyword: str) -> str:
    return str(dataset.get(keyword) or "").strip()

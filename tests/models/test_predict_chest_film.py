"""The chest film pack: it scores children of its age only, and refuses who is not known to be one."""

from __future__ import annotations

import io
from collections.abc import Callable

import pydicom
import pytest
from pydicom.dataset import Dataset

from models.package import trusted_keys, verify
from models.registry import BUILT_IN
from models.runtime.predict import ImagePrediction, Predictor
from models.runtime.providers import Policy
from models.runtime.session import Session


@pytest.fixture(scope="module")
def chest_predictor() -> Predictor:
    return Predictor(Session(verify(BUILT_IN / "chest-film-pneumonia-cnn", trusted_keys()), Policy.CPU_ONLY))


def scored(predictor: Predictor, data: bytes, change: Callable[[Dataset], object]) -> ImagePrediction:
    dataset = pydicom.dcmread(io.BytesIO(data))
    change(dataset)
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return predictor.predict([out.getvalue()]).images[0]


def test_a_childs_film_is_scored(chest_predictor: Predictor, chest: bytes) -> None:
    """The demonstration film, under a header that gives a child's age, gets probabilities that sum to one."""
    image = scored(chest_predictor, chest, lambda dataset: setattr(dataset, "PatientAge", "003Y"))
    assert image.refusal is None
    assert sum(p for _, p in image.probabilities) == pytest.approx(1.0, abs=1e-6)
    assert [name for name, _ in image.probabilities] == ["pneumonia", "no-pneumonia"]


@pytest.mark.parametrize(("age", "code"), [("054Y", "age"), ("011M", "age"), ("", "age-missing")])
def test_other_and_unknown_ages_are_refused(chest_predictor: Predictor, chest: bytes, age: str, code: str) -> None:
    """An adult, an infant under one year and a film without a readable age are refused by code."""
    image = scored(chest_predictor, chest, lambda dataset: setattr(dataset, "PatientAge", age))
    assert image.refusal is not None
    assert image.refusal.code == code


def test_breast_ultrasound_is_refused(chest_predictor: Predictor, demo: list[bytes]) -> None:
    """The demonstration's ultrasound images are refused by their modality."""
    prediction = chest_predictor.predict(demo)
    assert {image.refusal.code for image in prediction.images if image.refusal} == {"modality"}
    assert prediction.study.scored == 0

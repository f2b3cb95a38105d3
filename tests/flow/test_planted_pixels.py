"""Identity burned into pixels, in a whole run: it is overwritten before a model may read it, or a person decides."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pydicom
import pytest
from harness.planted_run import PlantedRun, planted_run
from harness.six_scripts import PATIENTS, Patient, image
from harness.ultrasound import INK, glyphs

from gateway.domain.study import Instance

EVERYBODY = pytest.mark.parametrize("patient", PATIENTS, ids=lambda patient: patient.script)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlantedRun]:
    """One image of each patient, with name, number and date of birth drawn into it."""
    with planted_run(tmp_path_factory.mktemp("burned"), {}) as started:
        for patient in PATIENTS:
            started.send(patient, image(patient))
        started.wait_until_decided()
        yield started


def _instance(run: PlantedRun, patient: Patient) -> Instance:
    (found,) = run.instances(patient)
    return found


@EVERYBODY
def test_what_was_sent_shows_its_ink(patient: Patient) -> None:
    """The measure of the tests below sees the text where it has not been masked."""
    assert _still_told(image(patient).pixel_array, glyphs(patient.burned)) > 0.95


@EVERYBODY
def test_burned_in_text_is_masked_or_held(run: PlantedRun, patient: Patient) -> None:
    """No object that a model may read tells the ink from its ground, and the picture beside it is as it was."""
    instance = _instance(run, patient)
    assert instance.clearance in ("cleared", "held"), instance.clearance_reason
    if instance.clearance == "held":
        return
    assert instance.pixels == "masked"
    shown = pydicom.dcmread(io.BytesIO(run.opened(instance))).pixel_array
    ink, original = glyphs(patient.burned), image(patient).pixel_array
    assert _still_told(shown, ink) < 0.01
    beside = ~_around(ink)
    assert np.mean(shown[beside] == original[beside]) > 0.9


def test_plain_text_needs_no_person(run: PlantedRun) -> None:
    """What is plainly written is found and masked; to hold everything would be no search."""
    masked = [patient for patient in PATIENTS if _instance(run, patient).pixels == "masked"]
    assert len(masked) >= len(PATIENTS) - 1


def test_what_was_removed_is_sealed(run: PlantedRun) -> None:
    """The removed pixels are kept, and their ink cannot be read where they lie."""
    keys = [key for patient in PATIENTS if (key := _instance(run, patient).removed_pixels_key)]
    assert keys
    for key in keys:
        assert bytes([INK]) * 6 not in run.blob(key)


def _still_told(shown: np.ndarray, ink: np.ndarray) -> float:
    """The share of the ink that is brighter than its ground."""
    ground = int(np.median(shown[_around(ink) & ~ink]))
    return float(np.mean(shown[ink].astype(int) > ground + 8))


def _around(ink: np.ndarray, pixels: int = 24) -> np.ndarray:
    """The ink and what lies within some pixels of it."""
    wide = ink.copy()
    for axis in (0, 1):
        wide = np.any([np.roll(wide, step, axis) for step in range(-pixels, pixels + 1)], axis=0)
    return wide

"""Predictions from DICOM bytes: the demonstration study, its refusals, and what they are made by."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import fields, is_dataclass

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset

from gateway.domain.errors import Fault, Unavailable, Unsupported
from models.manifest import ImageManifest, Scored, parse
from models.package import Package
from models.registry import describe, find, load
from models.runtime import guard, providers
from models.runtime import predict as predictions
from models.runtime.predict import Predictor, decide
from models.runtime.preprocess import prepare, read
from models.runtime.rules import RulesTable
from models.runtime.session import Session
from models.training.wrap import ultrasound


def changed(data: bytes, change: Callable[[Dataset], object]) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(data))
    change(dataset)
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def put(keyword: str, value: object) -> Callable[[Dataset], object]:
    return lambda dataset: setattr(dataset, keyword, value)


def test_the_demonstration_study_gets_its_recorded_answers(predictor: Predictor, demo: list[bytes]) -> None:
    """Malignant is called suspicious, benign is inconclusive, normal is not suspicious; the first speaks for all."""
    prediction = predictor.predict(demo)
    assert [image.decided for image in prediction.images] == ["malignant", None, "not-malignant"]
    assert [image.refusal for image in prediction.images] == [None, None, None]
    assert prediction.images[1].possible == ("malignant", "not-malignant")
    assert "inconclusive, refer to a physician" in prediction.images[1].text.lower()
    assert prediction.study.decided == "malignant"
    assert prediction.study.sop_instance_uid == prediction.images[0].sop_instance_uid
    assert (prediction.study.scored, prediction.study.refused) == (3, 0)


def test_one_by_one_is_the_same_as_together(session: Session, demo: list[bytes]) -> None:
    """A batch gives each image the answer that it gets alone."""
    rule = session.package.manifest.input
    batch = np.stack([prepare(read(data), rule).tensor for data in demo])
    together = session.run(batch)
    for row in range(len(batch)):
        alone = session.run(batch[row : row + 1])
        np.testing.assert_allclose(alone.prob[0], together.prob[row], atol=1e-5)
        np.testing.assert_allclose(alone.cam[0], together.cam[row], atol=1e-4)


def test_every_pack_gives_its_golden_answers() -> None:
    """Every shipped pack, loaded here, gives the probabilities recorded when it was made."""
    packages, _ = find()
    graphs = [package for package in packages if isinstance(package.manifest, Scored)]
    assert len(graphs) >= 2
    for package in graphs:
        loaded = load(package, providers.Policy.CPU_ONLY)
        assert not isinstance(loaded, RulesTable)
        assert loaded.golden_error < 1e-4


def test_wrong_golden_vectors_stop_the_load(package: Package) -> None:
    """A session that does not reproduce the golden vectors is a fault, not a warning."""
    with np.load(io.BytesIO(package.content["golden.npz"])) as golden:
        out = io.BytesIO()
        np.savez(out, pixels=golden["pixels"], prob=golden["prob"] + 0.01)
    content = dict(package.content) | {"golden.npz": out.getvalue()}
    changed_pack = Package(**{f.name: getattr(package, f.name) for f in fields(Package)} | {"content": content})
    with pytest.raises(Fault, match="golden"):
        Session(changed_pack, providers.Policy.CPU_ONLY)


def test_the_chest_film_is_refused_by_its_modality(predictor: Predictor, chest: bytes) -> None:
    """A chest film is refused by its header and leaves no probability."""
    prediction = predictor.predict([chest])
    refusal = prediction.images[0].refusal
    assert refusal is not None
    assert refusal.code == "modality"
    assert prediction.images[0].probabilities == ()
    assert prediction.study.probability is None


def test_a_chest_film_with_a_breast_header_is_refused_by_its_pixels(predictor: Predictor, chest: bytes) -> None:
    """Chest pixels under a header that claims breast ultrasound are refused by their distance."""
    disguised = ultrasound(pydicom.dcmread(io.BytesIO(chest)).pixel_array)
    refusal = predictor.predict([disguised]).images[0].refusal
    assert refusal is not None
    assert refusal.code == "unlike-training"


def test_noise_and_emptiness_are_refused(predictor: Predictor) -> None:
    """Noise is refused as unlike, an even grey as without contrast, junk as unreadable; nothing raises."""
    noise = np.random.default_rng(1).integers(0, 256, (200, 240), dtype=np.uint8)
    even = np.full((200, 240), 77, np.uint8)
    prediction = predictor.predict([ultrasound(noise), ultrasound(even), b"junk"])
    assert [image.refusal.code for image in prediction.images if image.refusal] == [
        "unlike-training",
        "no-contrast",
        "unreadable",
    ]
    assert prediction.study.decided is None
    assert prediction.study.refused == 3


@pytest.mark.parametrize(
    ("keyword", "value", "code"),
    [
        ("Modality", "MG", "modality"),
        ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.3.1", "sop-class"),
        ("BodyPartExamined", "THYROID", "body-part"),
        ("BodyPartExamined", "", "body-part-missing"),
        ("PhotometricInterpretation", "YBR_PARTIAL_420", "photometric"),
        ("PatientSex", "M", "sex"),
        ("PatientAge", "006Y", "age"),
        ("Rows", 20, "geometry"),
        ("NumberOfFrames", "40", "geometry"),
    ],
)
def test_each_header_rule_refuses_by_its_code(
    predictor: Predictor, demo: list[bytes], keyword: str, value: object, code: str
) -> None:
    """Each rule of the manifest's scope refuses with its own code, and its text quotes no header value."""
    image = predictor.predict([changed(demo[0], put(keyword, value))]).images[0]
    assert image.refusal is not None
    assert image.refusal.code == code
    assert code in guard.CODES
    assert "FICTITIOUS" not in image.refusal.text


@pytest.mark.parametrize(
    ("allowed", "said", "code"),
    [
        ('view = ["CC", "MLO"]', {"ViewPosition": "ML"}, "view"),
        ('view = ["CC", "MLO"]', {"ViewPosition": ""}, "view"),
        ('view = ["CC", ""]', {"ViewPosition": ""}, None),
        ('view = ["CC", "MLO"]', {"ViewPosition": "MLO "}, None),
        ('manufacturer = ["ACME"]', {"Manufacturer": "Other"}, "manufacturer"),
        ('manufacturer = ["ACME"]', {"Manufacturer": "Acme"}, None),
    ],
)
def test_view_and_device_are_limited_where_a_pack_says_so(
    package: Package, demo: list[bytes], allowed: str, said: dict[str, str], code: str | None
) -> None:
    """What the manifest does not list is refused; an empty word in the list lets a silent header pass."""
    page = package.content["manifest.toml"].replace(b"age_max_years = 120", f"age_max_years = 120\n{allowed}".encode())
    manifest = parse(page)
    assert isinstance(manifest, ImageManifest)
    dataset = read(demo[0])
    for keyword, value in said.items():
        setattr(dataset, keyword, value)
    found = guard.header_refusal(dataset, manifest.applies_to)
    assert (found.code if found else None) == code


def _table(length: int, bits: int, keyword: str) -> Callable[[Dataset], object]:
    table = Dataset()
    table.LUTDescriptor = [0, 0, bits]
    table.add_new("LUTData", "OW", b"\0\0" * length)
    return put(keyword, [table])


@pytest.mark.parametrize(
    "change",
    [
        _table(1, 16, "VOILUTSequence"),
        _table(65536, 60000, "VOILUTSequence"),
        _table(1, 16, "ModalityLUTSequence"),
        put("VOILUTSequence", [Dataset()]),
        put("Rows", [100, 100]),
    ],
    ids=["short VOI LUT", "60000 bits", "short modality LUT", "empty VOI item", "two rows"],
)
def test_a_header_that_cannot_be_used_costs_its_own_image_alone(
    predictor: Predictor, demo: list[bytes], change: Callable[[Dataset], object]
) -> None:
    """Whatever the parser raises for one image, it is refused by name and the others are scored."""
    prediction = predictor.predict([changed(demo[0], change), demo[1]])
    refused, scored = prediction.images
    assert refused.refusal is not None
    assert refused.refusal.code == "unreadable"
    assert scored.refusal is None


def test_absent_sex_and_age_do_not_refuse(predictor: Predictor, demo: list[bytes]) -> None:
    """De-identified images, without sex and age, are scored."""

    def strip(dataset: Dataset) -> None:
        del dataset.PatientSex, dataset.PatientAge

    assert predictor.predict([changed(demo[0], strip)]).images[0].refusal is None


def test_a_study_of_more_objects_than_are_analysed_is_refused(
    predictor: Predictor, demo: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be as long at the next attempt: a refusal with its reason, not a task that is given back ten times."""
    monkeypatch.setattr(predictions, "MAX_INSTANCES", len(demo) - 1)
    with pytest.raises(Unsupported, match="objects of a study"):
        predictor.predict(demo)


def test_the_threshold_and_the_conformal_set_decide(package: Package) -> None:
    """Both rules at their borders: the threshold is inclusive, the set follows the quantiles."""
    manifest = package.manifest
    threshold, quantiles = manifest.output.threshold, manifest.conformal.quantiles
    assert decide(manifest, [threshold, 1 - threshold])[0] == "malignant"
    assert decide(manifest, [threshold - 1e-9, 1 - threshold + 1e-9])[0] == "not-malignant"
    for p in (0.001, 0.05, 0.2, 0.5, 0.9, 0.999):
        expected = [name for name, q in (("malignant", p), ("not-malignant", 1 - p)) if 1 - q <= quantiles[name]]
        assert list(decide(manifest, [p, 1 - p])[1]) == expected


def test_the_heat_map_is_a_small_picture_inside_the_image(predictor: Predictor, demo: list[bytes]) -> None:
    """The map is a PNG of at most 256 pixels, and its box lies inside the image."""
    image = predictor.predict(demo[:1]).images[0]
    assert image.heat_map is not None
    assert len(image.heat_map) < 64 * 1024
    with Image.open(io.BytesIO(image.heat_map)) as picture:
        assert picture.format == "PNG"
        assert max(picture.size) <= 256
    dataset = pydicom.dcmread(io.BytesIO(demo[0]))
    assert image.box is not None
    assert 1 <= image.box.first_row <= image.box.last_row <= dataset.Rows
    assert 1 <= image.box.first_column <= image.box.last_column <= dataset.Columns
    assert f"rows {image.box.first_row} to {image.box.last_row}" in image.explanation


def test_a_prediction_holds_plain_python_only(predictor: Predictor, demo: list[bytes], chest: bytes) -> None:
    """No numpy value leaves the runtime, at any depth."""

    def plain(value: object) -> bool:
        if is_dataclass(value):
            return all(plain(getattr(value, field.name)) for field in fields(value))
        if isinstance(value, tuple):
            return all(plain(item) for item in value)
        return value is None or type(value) in (str, int, float, bytes, bool)

    assert plain(predictor.predict([*demo, chest]))


def test_the_recorded_provider_is_the_sessions(predictor: Predictor, session: Session, demo: list[bytes]) -> None:
    """Prediction and announcement name the provider that the loaded session itself reports."""
    loaded = session.graph._session.get_providers()[0]
    prediction = predictor.predict(demo[:1])
    assert prediction.provider == loaded == describe(session)["provider"]
    assert prediction.model_sha256 == describe(session)["sha256"] == session.package.sha256
    json.dumps(describe(session))


def test_a_required_gpu_that_is_absent_refuses_to_load(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the policy requires a GPU and the driver has none, nothing is loaded."""
    monkeypatch.setattr(providers, "cuda_devices", lambda: 0)
    with pytest.raises(Unavailable, match="GPU is required"):
        Session(package, providers.Policy.REQUIRE_GPU)


def test_a_gpu_that_turns_out_to_be_a_cpu_is_noticed(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that silently fell back to the CPU is refused if a GPU is required, and named CPU if preferred."""
    monkeypatch.setattr(providers, "wish", lambda policy: (True, "the driver reports an NVIDIA device"))
    monkeypatch.setattr(providers, "_build", lambda model, cuda, *rest: real(model, False, *rest))
    with pytest.raises(Unavailable, match="could not be loaded"):
        Session(package, providers.Policy.REQUIRE_GPU)
    opened = Session(package, providers.Policy.PREFER_GPU)
    assert opened.provider == "CPUExecutionProvider"
    assert "could not be loaded" in opened.provider_reason


real = providers._build


def test_a_batch_of_the_wrong_shape_is_a_fault(session: Session) -> None:
    """The session refuses a batch that is not what the manifest declares, and an empty or endless one."""
    for shape in ((1, 28, 28, 3), (0, 28, 28, 1), (65, 28, 28, 1)):
        with pytest.raises(Fault):
            session.run(np.zeros(shape, np.float32))

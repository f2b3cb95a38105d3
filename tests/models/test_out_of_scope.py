"""No pack answers for what it was not made for, and no worker serves a pack that was changed: each says why."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from harness.built_in import built_in
from harness.gateway_process import REPOSITORY
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from gateway.config import load
from gateway.domain.errors import Fault, Unsupported
from gateway.domain.record import InputDocument, RecordKind
from models.manifest import ImageManifest
from models.package import Package
from models.registry import BUILT_IN
from models.registry import load as load_pack
from models.runtime.guard import CODES, Refusal
from models.runtime.predict import Predictor
from models.runtime.preprocess import resize
from models.runtime.providers import Policy
from models.runtime.session import Session
from workers import engine, record_engine

PACKAGES = built_in()
IMAGES = [package for package in PACKAGES.values() if isinstance(package.manifest, ImageManifest)]
OTHERS = [package for package in PACKAGES.values() if not isinstance(package.manifest, ImageManifest)]
PHOTOGRAPH = "1.2.840.10008.5.1.4.1.1.77.1.4"  # VL Photographic Image Storage


def file(pixels: np.ndarray, **header: object) -> bytes:
    """A DICOM file of grey or colour pixels with this header."""
    dataset = Dataset()
    dataset.SOPInstanceUID = dataset.StudyInstanceUID = dataset.SeriesInstanceUID = generate_uid()
    for keyword, value in header.items():
        setattr(dataset, keyword, value)
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel = pixels.shape[2] if pixels.ndim == 3 else 1
    dataset.PhotometricInterpretation = "RGB" if pixels.ndim == 3 else "MONOCHROME2"
    dataset.PlanarConfiguration = 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    dataset.PixelData = pixels.tobytes()
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    dataset.file_meta = meta
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def in_scope(package: Package) -> dict[str, object]:
    """The header of an image that the pack is for."""
    scope = package.manifest.applies_to  # type: ignore[union-attr]
    part = {"BodyPartExamined": scope.body_part[0]} if scope.body_part else {}
    age = {"PatientAge": f"{int(scope.age_min_years) + 2:03d}Y"}
    return {"Modality": scope.modality[0], "SOPClassUID": scope.sop_class[0], **part, **age}


@pytest.fixture(scope="module", params=IMAGES, ids=lambda package: package.manifest.name)
def image_pack(request: pytest.FixtureRequest) -> tuple[Package, Predictor]:
    session = load_pack(request.param, Policy.CPU_ONLY)
    assert isinstance(session, Session)
    return request.param, Predictor(session)


def refusal(predictor: Predictor, content: bytes) -> Refusal:
    (image,) = predictor.predict([content]).images
    assert image.refusal is not None, image.text
    assert image.probabilities == ()
    assert image.refusal.code in CODES
    assert image.refusal.text
    return image.refusal


def test_noise_under_the_right_header_is_refused(image_pack: tuple[Package, Predictor]) -> None:
    """Random grey levels that call themselves the right study are unlike what the network was trained on."""
    package, predictor = image_pack
    noise = np.random.default_rng(1).integers(0, 256, (28, 28)).astype(np.uint8)
    assert refusal(predictor, file(noise.repeat(8, 0).repeat(8, 1), **in_scope(package))).code == "unlike-training"


def test_one_grey_level_is_refused(image_pack: tuple[Package, Predictor]) -> None:
    """A picture without a picture in it is not scored."""
    package, predictor = image_pack
    assert refusal(predictor, file(np.full((128, 128), 90, np.uint8), **in_scope(package))).code == "no-contrast"


def test_a_photograph_is_refused(image_pack: tuple[Package, Predictor]) -> None:
    """A colour photograph with its own header does not get past it."""
    _, predictor = image_pack
    colours = np.random.default_rng(2).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    header = {"Modality": "XC", "SOPClassUID": PHOTOGRAPH, "BodyPartExamined": "SKIN"}
    assert refusal(predictor, file(colours, **header)).code == "modality"


def test_a_knee_is_refused(image_pack: tuple[Package, Predictor]) -> None:
    """The right modality of another part of the body is refused by the header."""
    package, predictor = image_pack
    bone = np.linspace(0, 255, 4096).reshape(64, 64).astype(np.uint8)
    assert refusal(predictor, file(bone, **in_scope(package) | {"BodyPartExamined": "KNEE"})).code == "body-part"


def test_a_real_film_of_the_chest_is_no_breast(image_pack: tuple[Package, Predictor], chest: bytes) -> None:
    """The chest film of the demonstration is refused by every pack for something else, or for its patients' age."""
    _, predictor = image_pack
    assert refusal(predictor, chest).code in ("modality", "age", "age-missing", "sop-class")


def test_an_image_of_few_pixels_stays_one_when_it_is_enlarged() -> None:
    """The breast pack at 128 pixels refuses images of 28, as they are by their size and enlarged by their distance; its
    own validation images pass."""
    detail, plain = PACKAGES["breast-ultrasound-detail-cnn"], PACKAGES["breast-ultrasound-cnn"]
    session = load_pack(detail, Policy.CPU_ONLY)
    assert isinstance(session, Session)
    predictor, header = Predictor(session), in_scope(detail)
    small = _golden(plain)[:4]
    told = predictor.predict(
        [file(one, **header) for one in small] + [file(resize(one, 256), **header) for one in small]
    )
    assert [one.refusal.code for one in told.images if one.refusal] == ["geometry"] * 4 + ["unlike-training"] * 4
    own = predictor.predict([file(one, **header) for one in _golden(detail)[:4]])
    assert [one.refusal for one in own.images] == [None] * 4


def test_an_image_that_is_turned_over_is_refused() -> None:
    """Each of four validation images of the breast pack is refused upside down, on either side and inverted: by its own
    rule, and with its reason where the distance lets it pass. As it is, and mirrored, it is scored."""
    session = load_pack(PACKAGES["breast-ultrasound-detail-cnn"], Policy.CPU_ONLY)
    assert isinstance(session, Session)
    predictor, header = Predictor(session), in_scope(PACKAGES["breast-ultrasound-detail-cnn"])
    own = _golden(PACKAGES["breast-ultrasound-detail-cnn"])[:4]

    def told(images: np.ndarray) -> list[Refusal | None]:
        files = [file(np.ascontiguousarray(one), **header) for one in images]
        return [one.refusal for one in predictor.predict(files).images]

    assert told(own) == told(own[:, :, ::-1]) == [None] * 4
    codes: list[str] = []
    for turned in (own[:, ::-1], np.rot90(own, 1, (1, 2)), np.rot90(own, 3, (1, 2)), 255 - own, 255 - own[:, ::-1]):
        found = [one for one in told(turned) if one is not None]
        assert len(found) == 4
        codes += [one.code for one in found]
        shown = session.run(np.ascontiguousarray(turned[..., None]).astype(np.float32)).shown
        assert shown is not None
        assert shown.max() < session.manifest.output.shown_min
        assert all("inverted (black for white)" in one.text for one in found if one.code == "turned-over")
    assert set(codes) == {"turned-over", "unlike-training"}


def test_a_rule_for_turned_images_is_proved_when_the_pack_is_loaded() -> None:
    """A graph that says something else about how an image is shown than its golden vectors is not served."""
    detail = PACKAGES["breast-ultrasound-detail-cnn"]
    with np.load(io.BytesIO(detail.content["golden.npz"]), allow_pickle=False) as golden:
        held = dict(golden)
    out = io.BytesIO()
    np.savez_compressed(out, **held | {"shown": 1 - held["shown"]})
    content = dict(detail.content) | {"golden.npz": out.getvalue()}
    with pytest.raises(Fault, match="golden vectors"):
        load_pack(replace(detail, content=MappingProxyType(content)), Policy.CPU_ONLY)


def _golden(package: Package) -> np.ndarray:
    """Images (N, side, side) of the golden vectors; the first ones are of BUSI."""
    with np.load(io.BytesIO(package.content["golden.npz"]), allow_pickle=False) as golden:
        found: np.ndarray = golden["pixels"][..., 0].astype(np.uint8)
    return found


@pytest.mark.parametrize("package", OTHERS, ids=lambda package: package.manifest.name)
def test_an_empty_record_is_refused_with_a_reason(package: Package) -> None:
    """Nothing known: no pack on records, series, genotypes or plans answers, and each says what it lacks."""
    kind: RecordKind = package.manifest.kind  # type: ignore[assignment]
    model = record_engine.answering(load_pack(package, Policy.CPU_ONLY)).answers  # type: ignore[arg-type]
    with pytest.raises(Unsupported) as told:
        record_engine.predict(model, InputDocument(kind, 50, "F"))
    assert len(str(told.value)) > 20


@pytest.mark.parametrize("package", OTHERS, ids=lambda package: package.manifest.name)
def test_another_kind_of_input_is_refused(package: Package) -> None:
    """A document that was gathered for another kind of model is not read."""
    other: RecordKind = "series" if package.manifest.kind == "record" else "record"
    model = record_engine.answering(load_pack(package, Policy.CPU_ONLY)).answers  # type: ignore[arg-type]
    with pytest.raises(Unsupported, match="another kind"):
        record_engine.predict(model, InputDocument(other, 50, "F"))


DAMAGE = {
    "model.onnx": (b"\x00", b"\x01", r"changed after signing: model\.onnx"),
    "card.xml": (b"<MetricGoal>", b"<MetricGaol>", r"changed after signing: card\.xml"),
    "pack.sig": (b"signature ", b"signature A", "signature|readable"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_worker_refuses_a_changed_pack_and_says_why(tmp_path: Path, name: str) -> None:
    """Graph, card or signature changed: the worker serves the others and names the pack with the reason."""
    import re

    before, after, reason = DAMAGE[name]
    folder = Path(shutil.copytree(BUILT_IN / "chd-risk", tmp_path / "chd-risk"))
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content.replace(before, after, 1))
    settings = load({}, worker={"device": "cpu"}, models={"folders": (str(tmp_path),)}).settings
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("models.registry.BUILT_IN", tmp_path / "none")
        loaded = engine.load_models(settings)
    assert loaded.served == ()
    ((refused, why),) = loaded.refused
    assert refused == "chd-risk"
    assert re.search(reason, why)


def test_a_card_without_a_required_field_is_refused_by_a_worker(tmp_path: Path) -> None:
    """Signed again with a trusted key, but without a field of its card: refused, and the field is named."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    from models.package import sign

    folder = Path(shutil.copytree(BUILT_IN / "chd-risk", tmp_path / "packs" / "chd-risk"))
    text = (folder / "card.xml").read_bytes()
    start, end = text.index(b"<ClinicalRiskLevel>"), text.index(b"</ClinicalRiskLevel>")
    changed = text[:start] + b"<ClinicalRiskLevel> " + text[end:]
    (folder / "card.xml").write_bytes(changed)
    import hashlib

    page = (folder / "manifest.toml").read_text()
    old, new = hashlib.sha256(text).hexdigest(), hashlib.sha256(changed).hexdigest()
    (folder / "manifest.toml").write_text(page.replace(old, new))
    key = Ed25519PrivateKey.generate()
    (tmp_path / "trust").mkdir()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "trust" / "site.pem").write_bytes(public)
    sign(folder, key)
    models = {"folders": (str(tmp_path / "packs"),), "trusted_keys": str(tmp_path / "trust")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("models.registry.BUILT_IN", tmp_path / "none")
        loaded = engine.load_models(load({}, worker={"device": "cpu"}, models=models).settings)
    assert loaded.served == ()
    assert loaded.refused == (("chd-risk", "model card lacks Warnings/ClinicalRiskLevel"),)


def test_the_page_of_all_packs_is_current() -> None:
    """models/README.md says what the evaluations say; after a change `make docs` writes it again."""
    import os
    import subprocess
    import sys

    script = REPOSITORY / "deploy" / "tools" / "models_table.py"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    assert subprocess.run([sys.executable, str(script), "--check"], env=environment, check=False).returncode == 0

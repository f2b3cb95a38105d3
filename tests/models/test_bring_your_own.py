"""Bringing a model of somebody else: the tutorial's own commands, and what each of them refuses."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from harness.gateway_process import REPOSITORY
from harness.rows import model
from onnx import TensorProto, helper

from gateway import wiring
from gateway.cli import main
from gateway.config import load as load_settings
from gateway.domain.acceptance import Limits
from gateway.domain.errors import Conflict, Forbidden, Invalid
from gateway.domain.model import model_id
from gateway.privacy import keyring
from gateway.storage.database import SqlDatabase
from models import card, registry
from models.bring import draft, evaluate, finish, numbers, page
from models.bring.accept import accept
from models.bring.evaluate import Wish
from models.bring.graph import look
from models.bring.skeleton import manifest
from models.manifest import ImageManifest
from models.package import sign, trusted_keys, verify
from models.registry import BUILT_IN, find, load
from models.runtime.foreign_session import ForeignSession
from models.runtime.predict import Predictor
from models.runtime.providers import Policy
from models.runtime.readings import Reading
from models.runtime.record import RecordPredictor
from models.runtime.value_session import ValueSession
from workers.engine import load_models

TUTORIAL = REPOSITORY / "deploy" / "models" / "bring-your-own.md"
EXAMPLE = REPOSITORY / "deploy" / "models" / "example"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the tutorial needs, after all its commands have run there."""
    folder = tmp_path_factory.mktemp("tutorial")
    shutil.copytree(EXAMPLE, folder / "deploy" / "models" / "example")
    program = folder / "bin" / "dxgate"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m gateway.cli "$@"\n')
    program.chmod(0o755)
    commands = "\n".join(re.findall(r"```sh\n(.*?)```", TUTORIAL.read_text("utf-8"), re.DOTALL))
    environment = {
        **os.environ,
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(REPOSITORY),
        "DXGATE_GATEWAY_HOME": str(folder / "home"),
    }
    done = subprocess.run(
        ["sh", "-euc", commands], check=False, cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (folder / "output").write_text(done.stdout)
    return folder


@pytest.fixture
def packed(site: Path, tmp_path: Path) -> Path:
    """The tutorial's pack, to be damaged."""
    return Path(shutil.copytree(site / "build" / "fna-cytology", tmp_path / "fna-cytology"))


def test_the_tutorial_ends_with_a_pack_that_a_worker_serves(site: Path) -> None:
    """After its commands the site's folder holds the pack, which verifies with the site's key, loads and answers."""
    packages, rejected = find([site / "build" / "site-models"], trusted_keys() + trusted_keys(site / "build" / "trust"))
    assert rejected == []
    (package,) = (one for one in packages if one.manifest.name == "fna-cytology")
    assert package.content["model.onnx"] == (EXAMPLE / "vendor.onnx").read_bytes()
    session = load(package, Policy.CPU_ONLY)
    assert isinstance(session, ValueSession)
    told = RecordPredictor(session).predict(
        [
            Reading("radius", 21.0, "{pixels}"),
            Reading("area", 1300.0, "{pixels}"),
            Reading("concavity", 0.3, "1"),
            Reading("texture", 25.0, "1"),
            Reading("concave_points", 0.15, "1"),
        ]
    )
    assert told.decided == "malignant"
    assert "against the same record without that value" in told.explanation
    assert "Nuclear symmetry, mean" in told.missing


def test_the_card_holds_what_was_measured(site: Path) -> None:
    """The numbers of card and facts are those of evaluation.json, and the missing guard is said plainly."""
    folder = site / "build" / "fna-cytology"
    found = json.loads((folder / "evaluation.json").read_text())
    stated = card.metrics((folder / "card.xml").read_bytes())
    for name in ("auc", "auprc", "accuracy", "sensitivity", "specificity", "f1", "brier", "ece"):
        assert json.loads(stated[f"test: {name}"]) == found["test"][name]
        assert f"{found['test'][name]['value']:.3f}" in (folder / "facts.md").read_text()
    assert found["test"]["auc"]["value"] > 0.95
    assert "the only guard" in (folder / "card.xml").read_text().replace("\n", " ")
    assert "ok      golden vectors" in (site / "output").read_text()


def test_the_measures_are_those_of_the_training_recipes() -> None:
    """AUC and average precision, ties included, are those of scikit-learn's definition, computed here by hand."""
    prob = np.asarray([0.1, 0.4, 0.4, 0.8, 0.9])
    truth = np.asarray([False, False, True, True, False])
    pairs = [(p > n) + 0.5 * (p == n) for p in prob[truth] for n in prob[~truth]]
    assert numbers.auc(prob, truth) == pytest.approx(np.mean(pairs))
    assert numbers.auprc(prob, truth) == pytest.approx(0.5 * 0.5 + 0.5 * 0.5)


def test_a_model_that_was_not_measured_decides_nothing(site: Path, tmp_path: Path) -> None:
    """Before `evaluate` both labels are possible, so that every answer is inconclusive."""
    folder = tmp_path / "fna-cytology"
    shutil.copytree(site / "build" / "fna-cytology", folder)
    shutil.copy(EXAMPLE / "manifest.toml", folder / "manifest.toml")
    predictor = draft.predictor(draft.opened(folder))
    assert isinstance(predictor, RecordPredictor)
    values = [Reading(one.name, one.typical, one.unit) for one in predictor.manifest.input.fields]
    assert predictor.predict(values).decided is None


def test_a_pack_that_nobody_has_written_is_refused(tmp_path: Path) -> None:
    """`pack` names file and line while a FILL IN is left."""
    folder = tmp_path / "mine"
    arguments = ["--kind", "record", "--onnx", str(EXAMPLE / "vendor.onnx"), "--into", str(tmp_path)]
    assert main(["model", "init", "mine", *arguments]) == 0
    with pytest.raises(Invalid, match=r"manifest\.toml still says FILL IN in line 4"):
        finish.finish(folder)
    assert main(["model", "init", "mine", *arguments]) == 1


def test_another_threshold_than_the_measured_one_is_refused(packed: Path) -> None:
    """A threshold set by hand after the evaluation does not get into a pack, and neither does another graph."""
    text = (packed / "manifest.toml").read_text()
    (packed / "manifest.toml").write_text(page.with_value(text, "output", "threshold", 0.9))
    with pytest.raises(Conflict, match="threshold"):
        finish.finish(packed)
    found = json.loads((packed / "evaluation.json").read_text())
    (packed / "evaluation.json").write_text(json.dumps(found | {"model_sha256": "0" * 64}))
    with pytest.raises(Conflict, match=r"another model\.onnx"):
        finish.finish(packed)


def test_cases_that_cannot_be_used_are_named(packed: Path, tmp_path: Path) -> None:
    """A label that the model does not have, an absent column and a word for a number are refused by line."""
    sheet = tmp_path / "cases.csv"
    lines = (EXAMPLE / "cases.csv").read_text().splitlines()
    for bad, complaint in (
        ([lines[0], lines[1].replace("malignant", "perhaps")], "line 2: label"),
        ([lines[0].replace("radius", "raduis"), lines[1]], "no column radius"),
        ([lines[0], lines[1].replace("14.48", "big")], "line 2: radius"),
        ([lines[0]], "empty"),
    ):
        sheet.write_text("\n".join(bad) + "\n")
        with pytest.raises(Invalid, match=complaint):
            evaluate.evaluate(packed, sheet, Wish())


@pytest.mark.parametrize("damage", ["graph", "signature", "card", "page"])
def test_what_was_damaged_is_not_added(
    packed: Path, site: Path, damage: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A changed graph, a foreign key, a card without a field, a manifest that lies: refused with the reason."""
    trust = site / "build" / "trust"
    monkeypatch.setenv("DXGATE_MODELS_FOLDERS", json.dumps([str(packed.parent / "site")]))
    monkeypatch.setenv("DXGATE_MODELS_TRUSTED_KEYS", str(trust))
    expected = _damage(packed, damage)
    assert main(["model", "add", str(packed)]) in (1, 2)
    assert re.search(expected, capsys.readouterr().err)
    assert not (packed.parent / "site").exists()
    assert main(["model", "verify", str(packed)]) == 1
    assert re.search(f"FAILED.*{expected}", capsys.readouterr().out)


def _damage(folder: Path, damage: str) -> str:
    if damage == "graph":
        content = bytearray((folder / "model.onnx").read_bytes())
        content[len(content) // 2] ^= 1
        (folder / "model.onnx").write_bytes(content)
        return r"changed after signing: model\.onnx"
    if damage == "signature":
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        sign(folder, Ed25519PrivateKey.generate())
        return "not trusted"
    name = {"card": "card.xml", "page": "manifest.toml"}[damage]
    text = (folder / name).read_text()
    (folder / name).write_text(text.replace("Tutorial only; not a medical device", "", 1).replace("positive", "yes", 1))
    return rf"changed after signing: {name}"


def test_a_second_add_and_a_readable_key_are_refused(packed: Path, site: Path) -> None:
    """The same version is there already; a private key that others can read signs nothing."""
    from models.bring.install import add
    from models.bring.keys import load as load_key

    with pytest.raises(Conflict, match="the very same graph"):
        add(packed, site / "build" / "site-models", trusted_keys(site / "build" / "trust"))
    key = packed.parent / "open.pem"
    shutil.copy(site / "build" / "site.pem", key)
    key.chmod(0o644)
    with pytest.raises(Forbidden, match="read by others"):
        load_key(key, "")
    assert (site / "build" / "site.pem").stat().st_mode & 0o777 == 0o600


def network(channels: int = 3, batch: int | str = 1) -> bytes:
    """Somebody's image graph: channels first, one logit for each label, brightness of the upper left quarter counts."""
    weights = np.zeros((channels, 64, 64), np.float32)
    weights[:, :32, :32] = 4 / (channels * 32 * 32)
    flat = np.stack([-weights.ravel(), weights.ravel()], 1)
    nodes = [
        helper.make_node("Flatten", ["picture"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "vendor",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, [batch, channels, 64, 64])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, 2])],
        [onnx.numpy_helper.from_array(flat, "w")],
    )
    return bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10).SerializeToString()
    )


def image_folder(folder: Path, model: bytes) -> Path:
    made = folder / "vendor-image"
    made.mkdir()
    (made / "model.onnx").write_bytes(model)
    text = manifest("vendor-image", "image", model).replace('modality = ["FILL IN"]', 'modality = ["US"]')
    text = text.replace("photometric = [", 'photometric = ["RGB", "PALETTE COLOR", "YBR_FULL_422", ')
    text = text.replace("scale = 1.0", "scale = 0.00392157").replace("mean = []", "mean = [0.5, 0.5, 0.5]")
    (made / "manifest.toml").write_text(text)
    return made


def test_an_image_graph_of_somebody_else_is_served(tmp_path: Path, demo: list[bytes]) -> None:
    """Channels first, three channels, batch of one, logits: probabilities, a heat map by covering, a plain sentence."""
    package = draft.opened(image_folder(tmp_path, network()))
    assert isinstance(package.manifest, ImageManifest)
    assert (package.manifest.input.layout, package.manifest.output.activation) == ("NCHW", "softmax")
    predictor = draft.predictor(package)
    assert isinstance(predictor, Predictor)
    image = predictor.predict(demo[:1]).images[0]
    assert image.refusal is None
    assert sum(p for _, p in image.probabilities) == pytest.approx(1.0, abs=1e-6)
    assert image.heat_map is not None
    assert "each covered in turn" in image.explanation
    assert "was not measured" in image.explanation


def test_the_map_shows_where_the_answer_depends_on(tmp_path: Path) -> None:
    """The graph looks at the upper left quarter alone, and so does the map."""
    session = ForeignSession(draft.opened(image_folder(tmp_path, network())), Policy.CPU_ONLY)
    picture = np.zeros((1, 64, 64, 1), np.float32)
    picture[:, :32, :32] = 255.0
    heat = session.run(picture).cam[0, 0]
    assert heat[:28, :28].min() > 10 * abs(heat[40:, 40:]).max()


def test_a_graph_out_of_scope_is_refused_by_header(tmp_path: Path, chest: bytes) -> None:
    """Without an embedding the header is the guard: a chest film is not scored by a model for ultrasound."""
    predictor = draft.predictor(draft.opened(image_folder(tmp_path, network())))
    assert isinstance(predictor, Predictor)
    (image,) = predictor.predict([chest]).images
    assert image.refusal is not None
    assert image.refusal.code == "modality"


def test_images_are_measured_from_a_folder(tmp_path: Path, demo: list[bytes], chest: bytes) -> None:
    """labels.csv names files and labels; what the guard refuses is counted and not scored."""
    folder, data = image_folder(tmp_path, network()), tmp_path / "data"
    data.mkdir()
    lines = ["file,label,group,by:side"]
    for number, content in enumerate([*demo[:1] * 8, chest]):
        (data / f"{number}.dcm").write_bytes(content)
        label = "positive" if number % 2 else "negative"
        lines.append(f"{number}.dcm,{label},patient-{number // 2},left")
    (data / "labels.csv").write_text("\n".join(lines) + "\n")
    found = evaluate.evaluate(folder, data, Wish())
    assert found["refused"] == {"n": 1, "by_reason": {"modality": 1}}
    assert found["test"]["auc"]["value"] == 0.5  # the same picture under both labels
    assert "side: left" in found["subgroups"]
    assert (folder / "plots" / "roc.png").read_bytes().startswith(b"\x89PNG")


def test_a_graph_that_does_not_fit_is_refused_in_words(tmp_path: Path) -> None:
    """What is no graph, and a graph of the wrong shape, name what was found."""
    with pytest.raises(Invalid, match="cannot be opened"):
        look(b"not a graph")
    with pytest.raises(Exception, match=r"2 dimensions; it has picture"):
        manifest("vendor", "record", network())


def test_a_pack_lies_under_its_name_or_name_and_version(packed: Path, site: Path) -> None:
    """NAME and NAME@VERSION are taken, another version in the name is not."""
    keys = trusted_keys(site / "build" / "trust")
    assert verify(packed, keys).manifest.version == "1.0.0"
    assert verify(packed.rename(packed.parent / "fna-cytology@1.0.0"), keys).signer
    with pytest.raises(Invalid, match="the folder must bear"):
        verify((packed.parent / "fna-cytology@1.0.0").rename(packed.parent / "fna-cytology@2.0.0"), keys)


VITALS = (("HR", 80.0, 2), ("SysABP", 110.0, 2), ("Temp", 37.0, 5), ("Creatinine", 1.1, 23), ("Lactate", 1.6, 20))


def stays(folder: Path, count: int = 40) -> Path:
    """Made-up stays in the long form; the odd ones are in coma and die, the last has next to no measurement."""
    folder.mkdir()
    lines, cases = ["stay,minute,name,value,unit"], ["stay,label,group,Age,Gender,Height,Weight,ICUType,by:sex"]
    for number in range(count):
        ill = number % 2
        cases.append(
            f"s{number},{'death-in-hospital' if ill else 'survival'},p{number},{50 + number},"
            f"{'male' if number % 3 else 'female'},,80,medical,{'M' if number % 3 else 'F'}"
        )
        series = VITALS[:1] if number == count - 1 else (*VITALS, ("GCS", 4.0 if ill else 14.0, 4))
        for name, value, hours in series:
            told = (f"{value * 9 / 5 + 32},[degF]") if name == "Temp" else f"{value + number / 50},"
            lines += [f"s{number},{hour * 60 + number},{name},{told}" for hour in range(0, 48, hours)]
    (folder / "measurements.csv").write_text("\n".join(lines) + "\n")
    (folder / "labels.csv").write_text("\n".join(cases) + "\n")
    return folder


@pytest.fixture
def icu(tmp_path: Path) -> Path:
    """The built-in pack on series, to be measured on stays of somebody else."""
    return Path(shutil.copytree(BUILT_IN / "icu-deterioration-gru", tmp_path / "icu-deterioration-gru"))


def test_series_are_measured_from_a_folder(icu: Path, tmp_path: Path) -> None:
    """Stays in the long form go the road of a hospital's: units, guards and all; one is refused and counted."""
    told = ("--data", str(stays(tmp_path / "stays")), "--sensitivity", "0.8")
    assert main(["model", "evaluate", str(icu), *told]) == 0
    found = json.loads((icu / "evaluation.json").read_text())
    assert found["refused"] == {"n": 1, "by_reason": {"too-little": 1}}
    assert found["test"]["auc"]["value"] > 0.95
    assert {"sex: M", "sex: F"} <= set(found["subgroups"])
    manifest = draft.manifest_of(icu)
    assert manifest.output.threshold == found["chosen_on_validation"]["threshold"]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("measurements.csv", "HR,", "Pulse,"), "measurements.csv line 2: name"),
        (("measurements.csv", "s0,0,HR,80.0", "s0,0,HR,fast"), "measurements.csv line 2: value"),
        (("measurements.csv", "s0,0,HR", "s0,soon,HR"), "measurements.csv line 2: value"),
        (("measurements.csv", ",minute", ",when"), "no column minute"),
        (("labels.csv", "s0,survival", ",survival"), "labels.csv line 2: stay"),
        (("labels.csv", ",ICUType", ",Ward"), "no column ICUType"),
    ],
)
def test_stays_that_cannot_be_used_are_named(
    icu: Path, tmp_path: Path, change: tuple[str, str, str], complaint: str
) -> None:
    """An unknown name, no number, a missing column: the file and the line, and nothing is written."""
    data, before = stays(tmp_path / "stays", 4), (icu / "evaluation.json").read_bytes()
    file, old, new = change
    text = (data / file).read_text()
    assert old in text
    (data / file).write_text(text.replace(old, new, 1))
    with pytest.raises(Invalid, match=complaint):
        evaluate.evaluate(icu, data, Wish())
    assert (icu / "evaluation.json").read_bytes() == before


def test_few_cases_are_said_and_have_width() -> None:
    """Perfect separation of ten cases is told as too few, and its proportions keep the width of five in five."""
    truth = np.array([True] * 5 + [False] * 5)
    prob = np.where(truth, 0.9, 0.1)
    found = numbers.summary(prob, truth, 0.5, np.arange(10).astype(str), draws=50)
    assert found["sensitivity"]["ci95"] == [0.5655, 1.0]
    assert found["accuracy"]["ci95"] == [0.7225, 1.0]
    assert "5 positive and 5 negative" in numbers.few_cases(truth)
    assert numbers.few_cases(np.repeat(truth, 6)) == ""


def test_a_signed_pack_is_measured_as_it_is(
    site: Path, packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`accept` scores every case by the signed threshold, by subgroup too, changes nothing of the pack, and ends with 1
    where something lies below what the site wants; an unsigned or changed pack is not measured."""
    monkeypatch.setenv("DXGATE_GATEWAY_HOME", str(tmp_path / "no gateway"))
    before = {path: path.read_bytes() for path in packed.rglob("*") if path.is_file()}
    arguments = ["model", "accept", str(packed), "--data", str(EXAMPLE / "cases.csv")]
    arguments += ["--trust", str(site / "build" / "trust")]
    out = packed.parent / "accepted.json"
    assert main([*arguments, "--out", str(out), "--least-auc", "0.9"]) == 0
    found = json.loads(out.read_text())
    told = json.loads((packed / "evaluation.json").read_text())
    assert found["threshold"] == told["chosen_on_validation"]["threshold"]
    assert found["cases"]["n"] == told["test"]["n"] + told["chosen_on_validation"]["n"]
    assert found["cases"]["auc"]["value"] > 0.95
    assert found["subgroups"].keys() == told["subgroups"].keys()
    assert {path: path.read_bytes() for path in packed.rglob("*") if path.is_file()} == before
    capsys.readouterr()
    assert main([*arguments, "--least-specificity", "1"]) == 1
    told = capsys.readouterr().out
    assert "MISSED: all cases: specificity" in told
    assert "NOT KEPT" in told
    assert main([*arguments, "--out", str(out)]) != 0
    assert "exists" in capsys.readouterr().err
    (packed / "facts.md").write_text("better than it is")
    assert main(arguments) != 0
    assert "changed after signing: facts.md" in capsys.readouterr().err


def test_an_acceptance_run_is_kept_and_lets_the_version_be_active(
    site: Path, packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where acceptance is required `promote` names the command to run; a run on the maker's cases, on too few cases,
    one that misses and one by lower limits let nothing pass, one that reaches the site's limits does; list and
    audit trail tell of all."""
    opened = _gateway(tmp_path / "home", monkeypatch)
    package = verify(packed, trusted_keys(site / "build" / "trust"))
    served = model("fna-cytology", package.manifest.version, sha256=package.sha256, state="draft")
    served = replace(served, id=model_id(served.name, served.version, served.sha256))
    with opened.begin("worker") as unit:
        unit.models.announce(served)
        unit.commit()
    accept = ["model", "accept", str(packed), "--trust", str(site / "build" / "trust"), "--data"]
    promote = ["model", "promote", served.name, served.version, "--to", "active"]
    assert main([*accept, str(EXAMPLE / "cases.csv")]) == 0
    assert "measured; its maker has chosen the threshold by these very cases" in capsys.readouterr().out
    accept += [str(_cases(tmp_path / "cases.csv", few=100))]
    for more, told in (
        (["--least-cases", "5000"], "too few cases"),
        (["--least-auc", "1"], "auc"),
        (["--least-auc", "0.5"], "lower limits"),
    ):
        assert main(promote) == 1
        assert "dxgate model accept" in capsys.readouterr().err
        assert main([*accept, *more]) == (0 if told == "lower limits" else 1)
        assert main(promote) == 1
        assert told in capsys.readouterr().err
    assert main(accept) == 0
    assert "passed; kept in the database" in capsys.readouterr().out
    assert main(promote) == 0
    capsys.readouterr()
    assert main(["model", "list", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["state"], row["acceptance"].split()[0]) == ("active", "passed")
    with opened.read() as unit:
        kept = unit.governance.acceptances(served)
        events = [row.entry for row in unit.audit.newest(limit=50, event="model:accept")]
    assert [one.verdict for one in kept] == ["passed", "passed", "missed", "missed", "measured"]
    assert [one.details["verdict"] for one in events] == ["passed", "passed", "missed", "missed", "measured"]
    assert {one.subject_id for one in events} == {served.id}
    assert (kept[0].scored, kept[0].sha256, kept[0].limits.auc) == (200, package.sha256, 0.9)
    opened.close()


def _gateway(home: Path, monkeypatch: pytest.MonkeyPatch) -> SqlDatabase:
    """A set up gateway in which a version needs an acceptance run with an AUC of .9."""
    for name, value in (("GATEWAY_HOME", str(home)), ("MODELS_ACCEPTANCE", "required"), ("MODELS_LEAST_AUC", "0.9")):
        monkeypatch.setenv(f"DXGATE_{name}", value)
    settings = load_settings().settings
    home.mkdir(mode=0o700)
    keyring.create(settings.key_folder)
    wiring.migrate(settings)
    return wiring.database(settings)


def test_a_run_that_must_be_kept_and_cannot_is_not_begun(
    site: Path, packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where acceptance is required and no database is set up; a limit that is no share is refused by the parser."""
    monkeypatch.setenv("DXGATE_GATEWAY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DXGATE_MODELS_ACCEPTANCE", "required")
    monkeypatch.setenv("DXGATE_MODELS_LEAST_AUC", "0.9")
    accept = ["model", "accept", str(packed), "--data", str(EXAMPLE / "cases.csv")]
    assert main([*accept, "--trust", str(site / "build" / "trust")]) == 1
    assert "no database" in capsys.readouterr().err
    monkeypatch.setenv("DXGATE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    assert main([*accept, "--trust", str(site / "build" / "trust")]) == 1
    assert "cannot be reached" in capsys.readouterr().err
    for asked in (["--least-auc", "1.5"], ["--least-auc", "nan"], ["--least-cases", "0"]):
        with pytest.raises(SystemExit):
            main([*accept, *asked])


def _cases(path: Path, times: int = 1, group: str | None = None, few: int = 0) -> Path:
    """The example's cases, `few` of them or all, so many times; `group` in the place of the patient's."""
    (head, *lines) = (EXAMPLE / "cases.csv").read_text("utf-8").splitlines()
    rows = [line.split(",", 2) for line in lines]
    kept = [row for label in ("malignant", "benign") for row in [one for one in rows if one[0] == label][: few or None]]
    told = [f"{label},{whose if group is None else group},{rest}" for label, whose, rest in kept * times]
    path.write_text("\n".join([head, *told]) + "\n", "utf-8")
    return path


def test_a_patient_counts_once_however_many_cases_there_are(
    site: Path, packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """200 cases that are one patient's, or five of either label over and over with or without a name, pass nothing."""
    monkeypatch.setenv("DXGATE_GATEWAY_HOME", str(tmp_path / "no gateway"))
    for group, told in (("one", "of 1 patients"), ("", "of 5 patients"), (None, "of 5 patients")):
        data = _cases(tmp_path / "cases.csv", 20, group, few=5)
        accept = ["model", "accept", str(packed), "--data", str(data), "--trust", str(site / "build" / "trust")]
        assert main([*accept, "--least-auc", "0.5"]) == 1
        assert f"MISSED: too few cases: those of one label are {told}" in capsys.readouterr().out


def test_figures_are_told_where_no_database_can_keep_them(
    site: Path, packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is out of reach, where no run is required; one that refuses the row after the measuring, which is then
    an error. A file of figures that exists, or has no folder, is found before anything is measured."""
    accept = ["model", "accept", str(packed), "--data", str(EXAMPLE / "cases.csv"), "--json"]
    accept += ["--trust", str(site / "build" / "trust")]
    with monkeypatch.context() as away:
        away.setenv("DXGATE_GATEWAY_HOME", str(tmp_path / "no gateway"))
        away.setenv("DXGATE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
        assert main(accept) == 0
    assert json.loads(capsys.readouterr().out)["recorded"] is False
    opened = _gateway(tmp_path / "home", monkeypatch)
    with closing(sqlite3.connect(load_settings().settings.gateway.home / "dxgate.sqlite")) as broken:
        broken.execute("DROP TABLE acceptance")
    assert main([*accept, "--out", str(tmp_path / "out.json")]) == 1
    told = capsys.readouterr()
    assert json.loads(told.out)["recorded"] is json.loads((tmp_path / "out.json").read_text())["recorded"] is False
    assert told.err.startswith("dxgate: ")
    for out, why in (("out.json", "exists"), ("none/out.json", "its folder is not there")):
        assert main([*accept, "--data", "nothing.csv", "--out", str(tmp_path / out)]) != 0
        assert why in capsys.readouterr().err
    opened.close()


def test_a_column_of_subgroups_is_bounded(packed: Path, site: Path, tmp_path: Path) -> None:
    """A name of each case is no subgroup."""
    lines = (EXAMPLE / "cases.csv").read_text("utf-8").splitlines()
    told = [f"{lines[0]},by:case", *(f"{line},{number}" for number, line in enumerate(lines[1:]))]
    (tmp_path / "cases.csv").write_text("\n".join(told), "utf-8")
    package = verify(packed, trusted_keys(site / "build" / "trust"))
    with pytest.raises(Invalid, match="more than 100 subgroups"):
        accept(package, tmp_path / "cases.csv", Limits())


def test_a_model_of_somebody_else_waits_for_a_person(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where signed packs of the project activate themselves, a third-party one is announced as a draft."""
    monkeypatch.setattr(registry, "BUILT_IN", tmp_path / "none")
    models = {"folders": (str(site / "build" / "site-models"),), "trusted_keys": str(site / "build" / "trust")}
    (served,) = load_models(load_settings({}, worker={"device": "cpu"}, models=models).settings).served
    assert (served.name, served.state) == ("fna-cytology", "draft")

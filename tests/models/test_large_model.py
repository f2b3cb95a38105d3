"""A graph whose weights lie in a file beside it: hashed in pieces, loaded by path, only as it was signed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from harness.gateway_process import REPOSITORY
from harness.packs import Workshop, large

from gateway.domain.errors import Forbidden, Invalid, Unavailable
from models import external_data, package
from models.package import verify
from models.registry import load
from models.runtime.predict import Predictor
from models.runtime.providers import Device, Policy
from models.runtime.session import Session, local_graph

PARAMETERS = 20_000_000


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop.at(tmp_path_factory.mktemp("large"))


@pytest.fixture(scope="module")
def pack(workshop: Workshop) -> Path:
    return workshop.breast(change=large(PARAMETERS))


def small(tmp_path: Path, location: str = "weights.data") -> tuple[Workshop, Path]:
    made = Workshop.at(tmp_path / "made")
    return made, made.breast(change=large(300_000, location))


def test_twenty_million_weights_are_loaded_proved_and_asked(workshop: Workshop, pack: Path, demo: list[bytes]) -> None:
    """The external file is never held in the package, and the session answers for the demonstration study."""
    opened = verify(pack, (workshop.public,))
    assert (pack / "weights.data").stat().st_size > 2 * 0.9 * PARAMETERS
    assert "weights.data" not in opened.content
    assert set(opened.external) == {"weights.data"}
    session = load(opened, Policy.CPU_ONLY)
    assert isinstance(session, Session)
    assert session.golden_error < 1e-4
    answer = Predictor(session).predict(demo)
    assert all(image.refusal is None or image.refusal.code == "unlike-training" for image in answer.images)


def test_the_weights_are_part_of_the_models_digest(workshop: Workshop, pack: Path, tmp_path: Path) -> None:
    """The same graph over other weights is another model."""
    made, folder = small(tmp_path)
    first = verify(folder, (made.public,))
    other = Workshop(tmp_path / "other", made.key)
    again = other.breast(change=lambda folder: (large(300_000)(folder), _spoil(folder)))
    second = verify(again, (made.public,))
    assert first.content["model.onnx"] == second.content["model.onnx"]
    assert first.sha256 != second.sha256


def _spoil(folder: Path) -> None:
    weights = folder / "weights.data"
    content = bytearray(weights.read_bytes())
    content[1000] ^= 1
    weights.write_bytes(content)


def test_a_changed_weight_is_refused_by_its_file(tmp_path: Path) -> None:
    """One bit in an external file refuses the pack, as in any other."""
    made, folder = small(tmp_path)
    _spoil(folder)
    with pytest.raises(Forbidden, match=r"weights\.data"):
        verify(folder, (made.public,))


def test_weights_that_change_after_they_were_verified_are_refused(tmp_path: Path) -> None:
    """Between hashing and loading nobody may change the file: what is loaded is hashed once more."""
    made, folder = small(tmp_path)
    opened = verify(folder, (made.public,))
    _spoil(folder)
    with pytest.raises(Forbidden, match="changed since"):
        local_graph(opened, Device(Policy.CPU_ONLY))


GATHER = """
import sys
from pathlib import Path
import numpy as np
from onnx import TensorProto, helper
from models.package import Package
from models.runtime.providers import Device, Policy
from models.runtime.session import local_graph
import hashlib, os
folder, rows = Path(sys.argv[1]), 10_000
weights = folder / "weights.data"
np.ones((rows, 100), np.float32).tofile(weights)
held = helper.make_tensor("w", TensorProto.FLOAT, [1], [0.0])
held.ClearField("float_data")
held.dims[:] = [rows, 100]
held.data_location = TensorProto.EXTERNAL
held.external_data.add(key="location", value="weights.data")
info = helper.make_tensor_value_info
nodes = [helper.make_node("Gather", ["w", "i"], ["y"])]
ports = [info("i", TensorProto.INT64, [None])], [info("y", TensorProto.FLOAT, None)]
graph = helper.make_graph(nodes, "g", *ports, initializer=[held])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
digest = hashlib.sha256(weights.read_bytes()).hexdigest()
opened = Package(folder, None, {"model.onnx": model.SerializeToString()}, "", "", "", {"weights.data": digest})
graph = local_graph(opened, Device(Policy.CPU_ONLY))
os.truncate(weights, 0)
weights.write_bytes(bytes(1 << 20))
os.truncate(weights, 0)
print(graph.run(["y"], {"i": np.asarray([0, rows - 1])})[0].min(), *os.listdir(os.environ["TMPDIR"]))
"""


def test_a_loaded_model_does_not_mind_what_is_done_to_its_file(tmp_path: Path) -> None:
    """ONNX Runtime goes on reading external data from where it was mapped: overwritten and cut to nothing, the file
    changes no answer and ends no process, and the copy that is read instead has left no name behind."""
    pack, temporary = tmp_path / "pack", tmp_path / "tmp"
    pack.mkdir()
    temporary.mkdir()
    environment = os.environ | {"TMPDIR": str(temporary), "PYTHONPATH": str(REPOSITORY)}
    words = [sys.executable, "-c", GATHER, str(pack)]
    ran = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert (ran.returncode, ran.stdout.split()) == (0, ["1.0"]), ran.stderr


def test_a_temporary_folder_without_room_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model is not loaded now, with the sizes and the setting; it may be later."""
    made, folder = small(tmp_path)
    opened = verify(folder, (made.public,))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    with pytest.raises(Unavailable, match="TMPDIR"):
        local_graph(opened, Device(Policy.CPU_ONLY))


@pytest.mark.parametrize("location", ["../../weights.data", "/etc/passwd", "a/../weights.data", "a\\b.data", ""])
def test_a_path_that_leads_out_of_the_pack_is_refused(tmp_path: Path, location: str) -> None:
    """A signed graph is refused too: its maker may have been careless."""
    made, folder = small(tmp_path, location)
    with pytest.raises(Forbidden, match="outside"):
        verify(folder, (made.public,))


def test_a_file_that_the_pack_does_not_hold_is_refused(tmp_path: Path) -> None:
    """The graph must find its weights among the signed files."""
    made, folder = small(tmp_path, "others.data")
    with pytest.raises(Forbidden, match="does not hold"):
        verify(folder, (made.public,))


def test_a_link_to_weights_elsewhere_is_refused(tmp_path: Path) -> None:
    """A link is no file of the pack."""
    made, folder = small(tmp_path)
    weights = folder / "weights.data"
    weights.rename(tmp_path / "elsewhere.data")
    os.symlink(tmp_path / "elsewhere.data", weights)
    with pytest.raises(Invalid, match="link"):
        verify(folder, (made.public,))


def test_hashing_goes_on_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file larger than a piece has the digest of the whole."""
    made, folder = small(tmp_path)
    whole = verify(folder, (made.public,)).external["weights.data"]
    monkeypatch.setattr(package, "_PIECE", 1000)
    assert verify(folder, (made.public,)).external["weights.data"] == whole


@pytest.mark.parametrize(
    "graph", [b"\xff" * 100, b"\x3a\x7fabc", b"\x0b", b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"]
)
def test_what_is_no_graph_is_invalid(graph: bytes) -> None:
    """Junk, a cut message, a group, and a length beyond the file: none is followed."""
    with pytest.raises(Invalid):
        external_data.locations(graph)


def test_a_graph_without_external_data_names_none() -> None:
    """The built-in graphs keep everything inside."""
    for path in package.TRUST.parent.glob("packs/*/model.onnx"):
        assert external_data.locations(path.read_bytes()) == frozenset()

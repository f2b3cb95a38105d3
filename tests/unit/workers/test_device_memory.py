"""Memory of the device: whose is counted, what is refused because of it, and who makes room for whom."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import pytest
from harness.gateway_process import REPOSITORY
from harness.packs import Workshop, say

from gateway.commands.up import stages
from gateway.config import Settings, load
from models import registry
from models.runtime import providers
from workers import engine
from workers.engine import Engine, budget_mib, load_models

DEMO = sorted((REPOSITORY / "deploy" / "demo" / "study").glob("*.dcm"))[0]


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """Makes packs; the built-in ones are out of the way."""
    monkeypatch.setattr(registry, "BUILT_IN", tmp_path / "none")
    return Workshop.at(tmp_path / "made")


def settings(workshop: Workshop, *roots: str, **worker: Any) -> Settings:
    models = {"folders": tuple(str(workshop.folder / one) for one in roots), "trusted_keys": str(workshop.trust)}
    return load({}, worker={"device": "cpu"} | worker, models=models).settings


class Driver:
    """libcuda.so.1 of a machine with these devices, as far as it is asked; each call answers as CUDA's does."""

    def __init__(self, *mib: int) -> None:
        self._mib = mib

    def cuInit(self, flags: int) -> int:
        return 0

    def cuDeviceGetCount(self, count: Any) -> int:
        count._obj.value = len(self._mib)
        return 0

    def cuDeviceGet(self, device: Any, number: int) -> int:
        device._obj.value = 100 + number  # a handle is not a number
        return 0 if number < len(self._mib) else 101

    def cuDeviceTotalMem_v2(self, size: Any, device: Any) -> int:
        size._obj.value = self._mib[device.value - 100] << 20
        return 0


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver with two devices, and an ONNX Runtime that has CUDA."""
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Driver(8192, 81920))
    monkeypatch.setattr(providers.onnxruntime, "get_available_providers", lambda: [providers.CUDA, providers.CPU])


@pytest.mark.usefixtures("two_gpus")
def test_the_budget_is_of_the_device_that_is_named() -> None:
    """Nine tenths of what the driver reports for it, less what the search for text takes; a setting goes before."""
    found = [budget_mib(load({}, worker={"device_number": number}).settings) for number in (0, 1)]
    assert found == [int(8192 * 0.9) - 512, int(81920 * 0.9) - 512]
    assert budget_mib(load({}, worker={"device_number": 1, "device_memory_mib": 4096}).settings) == 4096
    assert budget_mib(load({}, worker={"device": "cpu"}).settings) == 0


@pytest.mark.usefixtures("two_gpus")
def test_a_device_that_the_driver_does_not_have_leaves_room_for_nothing() -> None:
    """A third device of two has one MiB, which is not the same as no limit."""
    assert budget_mib(load({}, worker={"device_number": 2}).settings) == 1


@pytest.mark.usefixtures("two_gpus")
def test_a_small_pack_counts_for_what_a_session_needs_at_least(workshop: Workshop) -> None:
    """On a GPU 512 MiB, whatever it declares; a larger one what it declares; on a CPU the word of the pack."""
    from models.package import verify

    small = verify(workshop.breast("small"), (workshop.public,))
    declares = say("device_memory_mib = 64", "device_memory_mib = 2048")
    large = verify(workshop.breast("large", change=declares), (workshop.public,))
    gpu, cpu = load({}).settings, load({}, worker={"device": "cpu"}).settings
    assert [engine._need(gpu, one) for one in (small, large)] == [512, 2048]
    assert [engine._need(cpu, one) for one in (small, large)] == [64, 2048]


def test_a_pack_that_can_never_fit_is_refused_and_the_other_serves(workshop: Workshop) -> None:
    """The reason names both sizes; the worker starts with what fits."""
    workshop.breast("small")
    workshop.breast("large", "2.1.0", say("device_memory_mib = 64", "device_memory_mib = 2048"))
    loaded = load_models(settings(workshop, "small", "large", device_memory_mib=1000))
    assert [one.version for one in loaded.served] == ["2.0.0"]
    assert loaded.refused == (("breast-ultrasound-cnn", "it needs 2048 MiB of device memory; the budget is 1000 MiB"),)


def test_two_packs_share_a_device_that_holds_one(workshop: Workshop) -> None:
    """Both are served, and asked in turns each is loaded again in the other one's place, with the same answer."""
    workshop.breast("one")
    workshop.breast("other", "2.1.0")
    loaded = load_models(settings(workshop, "one", "other", device_memory_mib=100))
    serves, (first, second) = Engine(loaded.shelf), loaded.served
    said = []
    for model in (first, second, first, second):
        said.append(serves.predict(model.id, [DEMO.read_bytes()]).images[0].labels[0].probability)
        assert loaded.shelf.loaded() == {model.id}
    assert len(set(said)) == 1


def test_every_worker_of_several_has_a_device_of_its_own(tmp_path: Path) -> None:
    """`dxgate up` with three workers from device 1 on starts them with devices 1, 2 and 3, which each then reads."""
    told = load({"DXGATE_GATEWAY_HOME": str(tmp_path)}, worker={"processes": 3, "device_number": 1}).settings
    roles = [role for stage in stages(told) for role in stage if role.name.startswith("worker")]
    given = [role.environment for role in roles]
    assert [load(one).settings.worker.device_number for one in given] == [1, 2, 3]

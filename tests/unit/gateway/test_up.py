"""Claims about `dxgate up`: which roles run in which order, and how readiness is told."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from gateway.child import Role
from gateway.commands.up import stages
from gateway.config import load
from gateway.readiness import mark_ready, ready_file


def planned(home: Path, **variables: str) -> list[list[Role]]:
    return stages(load({"DXGATE_GATEWAY_HOME": str(home), **variables}).settings)


def names(home: Path, **variables: str) -> list[list[str]]:
    return [[role.name for role in stage] for stage in planned(home, **variables)]


def test_broker_and_tables_come_before_the_roles(tmp_path: Path) -> None:
    """Nothing starts before the broker answers and the tables exist; the worker is last and so stops first."""
    assert names(tmp_path) == [["broker", "init"], ["dicom", "web", "sweep", "worker"]]


def test_a_configured_broker_is_not_started(tmp_path: Path) -> None:
    """With broker.url set no embedded broker runs."""
    assert names(tmp_path, DXGATE_BROKER_URL="redis://b")[0] == ["init"]


def test_every_worker_has_a_device_of_its_own(tmp_path: Path) -> None:
    """Several workers take the GPUs one after the other, from the first that is set; one alone keeps its name."""
    settings = {"DXGATE_WORKER_PROCESSES": "2", "DXGATE_WORKER_DEVICE_NUMBER": "4"}
    workers = [role for role in planned(tmp_path, **settings)[1] if role.name.startswith("worker")]
    assert [role.name for role in workers] == ["worker-1", "worker-2"]
    assert [role.environment["DXGATE_WORKER_DEVICE_NUMBER"] for role in workers] == ["4", "5"]
    assert all(role.command[-1] == "worker" for role in workers)


def test_every_dicom_process_has_its_name(tmp_path: Path) -> None:
    """Several DICOM processes share the port and are told apart by number."""
    assert names(tmp_path, DXGATE_DICOM_PROCESSES="3")[1][:3] == ["dicom-1", "dicom-2", "dicom-3"]


def test_a_role_is_ready_by_the_file_of_its_own_process(tmp_path: Path) -> None:
    """The sign of another process, or of an earlier start, does not count."""
    second = planned(tmp_path, DXGATE_DICOM_PROCESSES="2")[1][1]
    mark_ready(tmp_path, "dicom")
    assert second.is_ready(os.getpid())
    assert not second.is_ready(os.getpid() + 1)
    second.forget(os.getpid())
    assert not ready_file(tmp_path, "dicom", os.getpid()).exists()


def test_ready_files_are_private(tmp_path: Path) -> None:
    """The folder of signs is closed to other users."""
    mark_ready(tmp_path, "web")
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o700


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told(abstract: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under Type=notify the role sends READY=1 to the socket that systemd names, of either kind."""
    address = f"\0dxgate-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", address.replace("\0", "@"))
        mark_ready(tmp_path, "sweep")
        assert manager.recv(64) == b"READY=1"


def test_a_deaf_service_manager_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket that is gone is no reason to fail."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    mark_ready(tmp_path, "sweep")
    assert ready_file(tmp_path, "sweep", os.getpid()).exists()

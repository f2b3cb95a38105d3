"""Claims about the doctor: what it finds, and that secrets stay hidden."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from harness.rows import AT, planned_task

from gateway import doctor, wiring
from gateway.commands.doctor import settings_in_force
from gateway.config import Settings, load
from gateway.domain.governance import Stop
from gateway.privacy import keyring
from gateway.readiness import mark_ready, ready_file


def settings_of(home: Path, **variables: str) -> Settings:
    return load({"DXGATE_GATEWAY_HOME": str(home), **variables}).settings


def levels(findings: Any) -> list[str]:
    return [level for level, _ in findings]


def test_secrets_are_masked() -> None:
    """Secrets are masked whole, passwords inside URLs too, and every value has its origin and its sentence."""
    loaded = load(
        {
            "DXGATE_KEYS_PASSPHRASE": "hidden-word",
            "DXGATE_DATABASE_URL": "postgresql://dx:hidden-word@db/dxgate",
            "DXGATE_BROKER_URL": "redis://:hidden-word@broker:6379/0",
            "DXGATE_DESTINATIONS": '[{"name": "e", "kind": "fhir", "url": "https://u:hidden-word@e",'
            ' "bearer_token": "hidden-word"}]',
        }
    )
    rows = {row["setting"]: row for row in settings_in_force(loaded)}
    assert "hidden-word" not in str(rows)
    assert rows["database.url"]["value"] == "postgresql://dx:********@db/dxgate"
    assert rows["keys.passphrase"]["origin"] == "environment"
    assert rows["dicom.port"]["origin"] == "default"
    assert all(row["meaning"] for row in rows.values())


def test_a_port_of_another_program_fails(tmp_path: Path) -> None:
    """A port that somebody else holds is a failure that names the setting; a free one is fine."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = settings_of(tmp_path, DXGATE_WEB_PORT=str(taken.getsockname()[1]), DXGATE_DICOM_PORT="0")
        found = list(doctor.ports(settings))
    assert levels(found) == ["ok", "fail"]
    assert "web.port" in found[1][1]


def test_an_address_that_nobody_can_call_is_told(tmp_path: Path) -> None:
    """Listening on every address without web.base_url is a warning, because links would name 0.0.0.0."""
    told = list(doctor.address(settings_of(tmp_path, DXGATE_WEB_HOST="0.0.0.0")))
    assert levels(told) == ["warn"]
    assert "web.base_url" in told[0][1]
    named = settings_of(tmp_path, DXGATE_WEB_HOST="0.0.0.0", DXGATE_WEB_BASE_URL="https://dxgate.example")
    assert levels(doctor.address(named)) == ["ok"]


def test_a_port_of_a_running_role_is_ours(tmp_path: Path) -> None:
    """Where the role has said that it is ready, its port may be taken."""
    mark_ready(tmp_path, "web")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = settings_of(tmp_path, DXGATE_WEB_PORT=str(taken.getsockname()[1]), DXGATE_DICOM_PORT="0")
        assert levels(doctor.ports(settings)) == ["ok", "ok"]


def test_a_dead_process_is_not_running(tmp_path: Path) -> None:
    """A ready file that SIGKILL left behind does not count."""
    ready_file(tmp_path, "web", 2**22 + 1).parent.mkdir(parents=True)
    ready_file(tmp_path, "web", 2**22 + 1).touch()
    assert not doctor.is_running(settings_of(tmp_path), "web")
    mark_ready(tmp_path, "web")
    assert doctor.is_running(settings_of(tmp_path), "web")


def test_missing_keys_warn_and_open_permissions_fail(tmp_path: Path) -> None:
    """Key rings that do not exist yet are told; ones that others can read are a failure."""
    settings = settings_of(tmp_path)
    assert set(levels(doctor.keys(settings))) == {"warn"}
    keyring.create(settings.key_folder)
    assert levels(doctor.keys(settings))[:2] == ["ok", "ok"]
    (settings.key_folder / keyring.OBJECTS_FILE).chmod(0o644)
    failed = [check for check in doctor.examine(settings) if check.part == "keys"]
    assert failed[-1].level == "fail"


def test_a_provider_that_does_not_open_the_rings_fails(tmp_path: Path) -> None:
    """The doctor opens both rings through the provider of the settings and says what to do."""
    keyring.create(settings_of(tmp_path).key_folder)
    secrets = {"DXGATE_KEYS_OBJECTS_SECRET": "ab" * 32, "DXGATE_KEYS_IDENTITY_SECRET": "cd" * 32}
    settings = settings_of(tmp_path, DXGATE_KEYS_PROVIDER="environment", **secrets)
    said = [check for check in doctor.examine(settings) if check.part == "keys"]
    assert [check.level for check in said] == ["fail"]
    assert "dxgate keys rotate --kek --from file" in said[0].said
    wiring.migrate(settings)
    wiring.rotate_kek(settings, "test", "file")
    assert levels(doctor.keys(settings)) == ["ok", "ok"]
    other = settings_of(tmp_path, DXGATE_KEYS_PROVIDER="environment", DXGATE_KEYS_OBJECTS_SECRET="ef" * 32)
    said = [check for check in doctor.examine(other) if check.part == "keys"]
    assert [check.level for check in said] == ["fail"]
    assert "which keys.objects_secret does not hold" in said[0].said


@pytest.mark.parametrize(
    ("wheels", "level"),
    [
        ((), "fail"),
        (("onnxruntime",), "ok"),
        (("onnxruntime-gpu",), "ok"),
        (("onnxruntime", "onnxruntime-gpu"), "fail"),
    ],
)
def test_both_runtimes_or_none_fail(
    wheels: tuple[str, ...], level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exactly one ONNX Runtime wheel may be installed, because the two overwrite each other."""
    monkeypatch.setattr(doctor, "_version", lambda name: "1.0" if name in wheels else None)
    assert levels(doctor.runtime(settings_of(tmp_path))) == [level]


@pytest.mark.parametrize(
    ("wanted", "devices", "wheel", "level"),
    [
        ("cuda", 0, True, "fail"),
        ("cuda", 1, False, "fail"),
        ("cuda", 1, True, "ok"),
        ("auto", 1, False, "warn"),
        ("auto", 0, False, "ok"),
        ("cpu", 1, False, "ok"),
    ],
)
def test_a_gpu_is_never_silently_unused(
    *, wanted: str, devices: int, wheel: bool, level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`cuda` without a usable GPU fails, and an idle GPU under `auto` is told."""
    monkeypatch.setattr(doctor, "cuda_devices", lambda: devices)
    monkeypatch.setattr(doctor, "_version", lambda _name: "1.0" if wheel else None)
    assert levels(doctor.device(settings_of(tmp_path, DXGATE_WORKER_DEVICE=wanted))) == [level]


def test_a_gpu_that_is_not_there_is_told_by_its_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The third of two devices fails by both numbers."""
    monkeypatch.setattr(doctor, "cuda_devices", lambda: 2)
    monkeypatch.setattr(doctor, "_version", lambda _name: "1.0")
    ((level, told),) = doctor.device(settings_of(tmp_path, DXGATE_WORKER_DEVICE_NUMBER="2"))
    assert (level, "is 2" in told, "2 CUDA" in told) == ("fail", True, True)


def test_sqlite_on_a_network_file_system_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite's locks do not hold on network file systems; PostgreSQL's home may lie there."""
    monkeypatch.setattr(doctor, "file_system_of", lambda *_: "nfs4")
    assert levels(doctor.home(settings_of(tmp_path))) == ["fail"]
    assert levels(doctor.home(settings_of(tmp_path, DXGATE_DATABASE_URL="postgresql://db/x"))) != ["fail"]


def test_the_innermost_mount_counts() -> None:
    """Of nested mounts the deepest that holds the path says the type; a later mount hides an earlier."""
    mounts = "/dev/a / ext4 rw 0 0\nx /srv nfs4 rw 0 0\nx /srv/my\\040data xfs rw 0 0\ny /srv/my\\040data tmpfs rw 0 0"
    assert doctor.file_system_of(Path("/srvother/x"), mounts) == "ext4"
    assert doctor.file_system_of(Path("/srv/x"), mounts) == "nfs4"
    assert doctor.file_system_of(Path("/srv/my data/x"), mounts) == "tmpfs"


@pytest.mark.parametrize(("free", "level"), [(1 << 20, "fail"), (5 << 30, "warn"), (500 << 30, "ok")])
def test_little_room_is_told(free: int, level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A nearly full disk fails, a filling one warns."""
    monkeypatch.setattr("shutil.disk_usage", lambda _path: _Usage(free))
    assert levels(doctor.disk(settings_of(tmp_path))) == [level]


def test_an_empty_database_is_told(tmp_path: Path) -> None:
    """Before the first migration the doctor says who makes the tables."""
    (found,) = doctor.database(settings_of(tmp_path))
    assert found[0] == "warn"
    assert "dxgate migrate" in found[1]


def test_a_broker_that_does_not_answer_fails(tmp_path: Path) -> None:
    """A configured broker that is out is a failure; an embedded one that was not started is not."""
    assert levels(doctor.message_broker(settings_of(tmp_path))) == ["ok"]
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"redis://127.0.0.1:{unused.getsockname()[1]}/0"
        checks = list(doctor.examine(settings_of(tmp_path, DXGATE_BROKER_URL=url)))
    assert [check.level for check in checks if check.part == "broker"] == ["fail"]


def test_a_broken_check_is_a_failed_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One check that raises does not hide the others."""
    monkeypatch.setitem(doctor._CHECKS, "python", lambda _settings: 1 / 0)
    checks = list(doctor.examine(settings_of(tmp_path)))
    assert checks[0] == doctor.Check("python", "fail", "the check itself broke: ZeroDivisionError")
    assert {check.part for check in checks} == set(doctor._CHECKS)


@pytest.mark.skipif(sys.platform != "linux", reason="adjtimex(2) exists on Linux alone")
def test_the_clock_is_asked(tmp_path: Path) -> None:
    """The kernel's answer becomes one finding that is never a failure."""
    assert levels(doctor.clock(settings_of(tmp_path))) in (["ok"], ["warn"])


class _Usage:
    def __init__(self, free: int) -> None:
        self.free = free


def test_a_stopped_model_is_told_with_what_waits(tmp_path: Path) -> None:
    """Its reason, how many tasks wait and the two ways out; of a database without tables or keys nothing is asked."""
    settings = settings_of(tmp_path)
    ((level, said),) = doctor.stopped(settings)
    assert (level, said[:9]) == ("ok", "not asked")
    keyring.create(settings.key_folder)
    wiring.migrate(settings)
    assert list(doctor.stopped(settings)) == [("ok", "no stopped model holds anything up")]
    with wiring.database(settings).begin("tester") as unit:
        _, task = planned_task(unit)
        unit.governance.stop(Stop(task.model_id, "it calls everything benign", AT, "tester"))
        unit.commit()
    ((level, said),) = doctor.stopped(settings)
    assert level == "warn"
    assert said.startswith("breast 1.0.0 is stopped (it calls everything benign); 1 task(s) wait: `dxgate model")

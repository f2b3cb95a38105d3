"""Claims about `dxgate up` with the real roles: no orphan, no second one on a home, and a clean stop."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from harness.gateway_process import REPOSITORY, GatewayProcess, wait_for


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[GatewayProcess]:
    started = GatewayProcess(tmp_path / "home", new_interpreter=True)
    try:
        yield started.start()
    finally:
        started.stop()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """One gateway for the tests that leave it as it is."""
    started = GatewayProcess(tmp_path_factory.mktemp("undisturbed") / "home")
    try:
        yield started.start()
    finally:
        started.stop()


def _gone(processes: list[psutil.Process]) -> bool:
    return all(not one.is_running() or one.status() == psutil.STATUS_ZOMBIE for one in processes)


def _family(gateway: GatewayProcess) -> list[psutil.Process]:
    assert gateway.process is not None
    return psutil.Process(gateway.process.pid).children(recursive=True)


def test_first_start_says_how_to_sign_in_and_a_stop_leaves_nothing(gateway: GatewayProcess) -> None:
    """The first start names the addresses and the password's file; SIGTERM ends every process with exit code 0."""
    wait_for(lambda: "is ready after" in gateway.log.read_text("utf-8"), 30, "the announcement")
    said = gateway.log.read_text("utf-8")
    password = gateway.home / "admin-password"
    assert str(password) in said
    assert password.read_text().strip() not in said
    assert stat.S_IMODE(password.stat().st_mode) == 0o600
    assert f"127.0.0.1:{gateway.dicom_port}" in said
    assert gateway.fhir_url in said
    family = _family(gateway)
    assert {"dicom", "web", "sweep", "worker", "broker"} <= set(gateway.children())
    assert gateway.stop() == 0
    assert _gone(family)
    assert list((gateway.home / "run").glob("*.ready")) == []


def test_kill_9_of_the_supervisor_leaves_no_orphan(gateway: GatewayProcess) -> None:
    """Broker, servers, sweeper and the Celery worker go with their supervisor, and the next start works."""
    assert gateway.process is not None
    family = _family(gateway)
    gateway.process.send_signal(signal.SIGKILL)
    gateway.process.wait(30)
    wait_for(lambda: _gone(family), 30, "the children to go")
    replace(gateway, new_interpreter=False).start().stop()


def test_a_second_up_on_the_same_home_is_refused(undisturbed: GatewayProcess) -> None:
    """Two supervisors on one home would fight over ports and broker: the second ends at once and names the first."""
    assert undisturbed.process is not None
    second = subprocess.run(
        [sys.executable, "-m", "gateway.cli", "up"],
        env=undisturbed.environment,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 1
    assert f"process {undisturbed.process.pid}" in second.stderr
    assert undisturbed.is_ready()


def test_the_doctor_is_content_with_a_running_gateway(undisturbed: GatewayProcess) -> None:
    """Beside a running gateway no check fails, and C-ECHO, PING and /readyz are answered."""
    said = undisturbed.command("doctor")
    assert "answers C-ECHO" in said
    assert "answers PING" in said
    assert "active model(s)" in said
    assert os.linesep + "fail" not in said

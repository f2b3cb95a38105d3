"""A running worker that is replaced: after its share of tasks, and its packages while it reads studies."""

from __future__ import annotations

import json
from pathlib import Path

from harness.gateway_process import GatewayProcess, wait_for
from harness.packs import BREAST, Workshop
from harness.send import store
from harness.studies import Planted, planted_study
from sqlalchemy import create_engine, select

from gateway.storage import tables

STUDIES, IMAGES = 1, 2  # two searches and a task: no worker lives for a whole study


def states(gateway: GatewayProcess) -> list[str]:
    """Of the studies on images; what becomes of the patient's record is another matter."""
    of_images = select(tables.study.c.state).where(tables.study.c.kind == "images")
    with create_engine(f"sqlite:///{gateway.home / 'dxgate.sqlite'}").connect() as connection:
        return list(connection.execute(of_images).scalars())


def send(gateway: GatewayProcess, folder: Path, number: int) -> None:
    planted = Planted(f"Renew^{number}", f"R-{number}", f"ACCR{number}", "ISO_IR 100")
    planted_study(folder, planted, IMAGES, declare_count=True)
    assert set(store(gateway.dicom_port, sorted(folder.glob("*.dcm")))) == {0}


def test_a_worker_that_ends_after_its_share_and_gets_a_new_version_loses_no_study(tmp_path: Path) -> None:
    """A worker ends after two images' searches, others go on with the study; a pack copied in meanwhile takes over."""
    workshop = Workshop.at(tmp_path / "made")
    (workshop.folder / "packs").mkdir()
    settings = {
        "DXGATE_WORKER_MAX_TASKS": "2",
        "DXGATE_MODELS_FOLDERS": json.dumps([str(workshop.folder / "packs")]),
        "DXGATE_MODELS_TRUSTED_KEYS": str(workshop.trust),
        "DXGATE_MODELS_RELOAD_SECONDS": "0.5",
        "DXGATE_SWEEP_REPUBLISH_SECONDS": "2",
    }
    gateway = GatewayProcess(tmp_path / "home", settings).start()
    try:
        first = {process.pid for process in gateway.children()["worker"]}
        for number in range(STUDIES):
            send(gateway, tmp_path / "in" / str(number), number)
        wait_for(lambda: states(gateway) == ["reported"] * STUDIES, 120, "the reports")
        wait_for(lambda: not first & {p.pid for p in gateway.children().get("worker", [])}, 60, "another worker")
        wait_for(gateway.is_ready, 60, "the gateway with its new worker")
        workshop.breast(version="2.0.0")

        def promoted() -> bool:
            listed = json.loads(gateway.command("model", "list", "--json"))
            return ("2.0.0", "active") in [(m["version"], m["state"]) for m in listed if m["name"] == BREAST.name]

        wait_for(promoted, 60, "the new version", pause=1.0)
        send(gateway, tmp_path / "in" / "last", STUDIES)
        wait_for(lambda: states(gateway) == ["reported"] * (STUDIES + 1), 120, "the last report")
        with create_engine(f"sqlite:///{gateway.home / 'dxgate.sqlite'}").connect() as connection:
            made = connection.execute(
                select(tables.task.c.state, tables.model.c.version)
                .join_from(tables.task, tables.model, tables.task.c.model_id == tables.model.c.id)
                .where(tables.model.c.name == BREAST.name)
            ).all()
        assert {state for state, _ in made} == {"done"}
        assert [version for _, version in made].count("2.0.0") == 1
    finally:
        gateway.stop()

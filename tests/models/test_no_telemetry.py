"""ONNX Runtime as a worker opens it tells its maker nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from harness.gateway_process import REPOSITORY

OPEN = """
import os, sys
from models.package import trusted_keys, verify
from models.registry import BUILT_IN
from models.runtime.providers import Device, Policy
from models.runtime.session import local_graph
local_graph(verify(BUILT_IN / "breast-ultrasound-cnn", trusted_keys()), Device(Policy.CPU_ONLY))
links = [os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")]
print([link for link in links if "onnxruntime" in link and link.endswith((".db", ".db-wal"))])
"""


def test_opening_a_model_leaves_no_identifier_and_no_store_of_events(tmp_path: Path) -> None:
    """Its official builds keep an identifier, a session file and a database of events to be sent; ours make none."""
    places = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    inherited = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environment = inherited | places | {"PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"}
    words = [sys.executable, "-c", OPEN]
    ran = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert (ran.returncode, ran.stdout.strip()) == (0, "[]"), ran.stderr
    assert [path.name for path in tmp_path.rglob("*")] == []

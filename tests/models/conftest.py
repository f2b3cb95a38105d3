"""Built-in packs, opened once: verified, loaded and warm on the CPU."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from models.package import Package, trusted_keys, verify
from models.registry import BUILT_IN
from models.runtime.predict import Predictor
from models.runtime.providers import Policy
from models.runtime.session import Session

BREAST = BUILT_IN / "breast-ultrasound-cnn"
DEMO = Path(__file__).parents[2] / "deploy" / "demo"


@pytest.fixture(scope="session")
def package() -> Package:
    return verify(BREAST, trusted_keys())


@pytest.fixture(scope="session")
def session(package: Package) -> Session:
    return Session(package, Policy.CPU_ONLY)


@pytest.fixture(scope="session")
def predictor(session: Session) -> Predictor:
    return Predictor(session)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A pack that a test may damage."""
    return Path(shutil.copytree(BREAST, tmp_path / BREAST.name))


@pytest.fixture(scope="session")
def demo() -> list[bytes]:
    return [path.read_bytes() for path in sorted((DEMO / "study").glob("*.dcm"))]


@pytest.fixture(scope="session")
def chest() -> bytes:
    return (DEMO / "out-of-scope" / "cr-chest.dcm").read_bytes()

"""Packs of many gigabytes: seconds to hash and to load, memory, and seconds a batch, from the pack as it lies on disk.

Makes a signed pack of N random half-precision weights with external data in a temporary folder, verifies it, loads it
as a worker does and runs it. On a GPU it takes the GPU. Prints a Markdown row for BENCHMARKS.md.

    python deploy/bench/bench_large_model.py --parameters 20e6 1e9 3e9 [--device cuda] [--folder /big/disk]
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from harness.packs import Workshop, large

from gateway.domain.errors import GatewayError
from models.package import verify
from models.registry import load
from models.runtime.providers import Policy
from models.runtime.session import Session

POLICIES = {"auto": Policy.PREFER_GPU, "cpu": Policy.CPU_ONLY, "cuda": Policy.REQUIRE_GPU}
Answer = TypeVar("Answer")


def timed(work: Callable[[], Answer]) -> tuple[Answer, float]:
    started = time.perf_counter()
    answer = work()
    return answer, time.perf_counter() - started


def measure(parameters: int, device: str, folder: Path, runs: int) -> str:
    made = Workshop.at(folder)
    pack = made.breast(change=large(parameters))
    size = sum(path.stat().st_size for path in pack.iterdir())
    package, hashing = timed(lambda: verify(pack, (made.public,)))
    try:
        session, loading = timed(lambda: load(package, POLICIES[device]))
    except GatewayError as error:
        raise SystemExit(str(error)) from error
    if not isinstance(session, Session):
        raise SystemExit("the pack does not take images")
    batch = np.random.default_rng(1).integers(0, 256, (session.most, 28, 28, 1)).astype(np.float32)
    seconds = [timed(lambda: session.run(batch))[1] for _ in range(runs)]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    return (
        f"| {parameters / 1e6:.0f} M | {size / 1e9:.2f} | {session.provider} | {hashing:.2f} | {loading:.2f} | "
        f"{session.most} | {statistics.median(seconds) * 1000:.1f} | {memory} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="packs with external data: hash, load, run")
    parser.add_argument("--parameters", type=float, nargs="+", default=[20e6])
    parser.add_argument("--device", choices=sorted(POLICIES), default="auto")
    parser.add_argument("--folder", type=Path, help="where the packs are made; a temporary folder otherwise")
    parser.add_argument("--runs", type=int, default=20)
    arguments = parser.parse_args()
    print("| weights | GB | provider | hash s | load and prove s | batch | ms a batch | peak RSS MiB |")
    print("|---|---|---|---|---|---|---|---|")
    for parameters in arguments.parameters:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            print(measure(int(parameters), arguments.device, Path(folder) / "made", arguments.runs), flush=True)


if __name__ == "__main__":
    main()

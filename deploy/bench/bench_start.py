"""From `dxgate up` to ready, and the memory of all its processes: the first start in an empty home, and later ones.

Memory is the proportional set size of Linux (a page that n processes share counts 1/n for each), so that the sum over
all processes is what the machine gives up. Prints Markdown rows for BENCHMARKS.md.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
from harness.gateway_process import GatewayProcess

SETTLED_SECONDS = 5.0  # until caches are warm and nothing of the start runs any more


def processes(gateway: GatewayProcess) -> list[psutil.Process]:
    if gateway.process is None:
        return []
    supervisor = psutil.Process(gateway.process.pid)
    return [supervisor, *supervisor.children(recursive=True)]


def started(home: Path) -> tuple[float, float]:
    """Seconds until ready, and MiB of all processes some seconds later."""
    gateway = GatewayProcess(home, new_interpreter=True)
    begin = time.perf_counter()
    gateway.start(120)
    ready = time.perf_counter() - begin
    try:
        time.sleep(SETTLED_SECONDS)
        memory = sum(one.memory_full_info().pss for one in processes(gateway)) / 2**20
    finally:
        gateway.stop()
    return ready, memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="homes; each is started twice (default 5)")
    arguments = parser.parse_args()
    first, later = [], []
    for _ in range(arguments.rounds):
        with tempfile.TemporaryDirectory(prefix="dxgate-start-") as folder:
            first.append(started(Path(folder) / "home"))
            later.append(started(Path(folder) / "home"))
    print("| start | seconds to ready, median (least-most) | MiB of all processes (PSS) |")
    print("|---|---|---|")
    for name, found in (("first, in an empty home", first), ("later", later)):
        seconds = [each[0] for each in found]
        print(
            f"| {name} | {statistics.median(seconds):.1f} ({min(seconds):.1f}-{max(seconds):.1f}) "
            f"| {statistics.median(each[1] for each in found):.0f} |"
        )


if __name__ == "__main__":
    main()

"""Measures C-STORE receivers side by side, in one run, on one disk: the DICOM rows of BENCHMARKS.md.

    python deploy/bench/bench_dicom.py [--receiver NAME ...] [--sender storescu|dcmsend] [--json FILE]

For each receiver: objects per second with one and four DCMTK senders, for CT slices (526 KB) and small objects
(36 KB), from an untuned sender (Nagle on) and from one with TCP_NODELAY=1; CPU of the receiver per object;
associations per second; CPU with 200 idle associations. Receivers are tuned always, medians are printed.
Only receivers named so are durable before they answer: "transport only" and "dxgate".
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from bench_dicom_associations import IdleLoad, associations_per_second, idle_load
from bench_dicom_objects import CT_SHAPE, SMALL_SHAPE, make_objects, renew
from bench_dicom_receivers import RECEIVERS, Receiver, is_available

SENDERS = {"storescu": ["storescu", "-R"], "dcmsend": ["dcmsend"]}
_AT_ONCE = (1, 4)
_OBJECTS = {"CT": CT_SHAPE, "small": SMALL_SHAPE}
_MOST_OBJECTS = 100  # per sender and run
_RUN_SECONDS = 0.8  # aimed at; the number of objects follows from a first estimate
_SENDER_SECONDS = 120.0
_WORTH_A_WORD = 0.05  # ms of CPU per object

Cpu = dict[str, float]


@dataclass(frozen=True)
class StoreRate:
    """Medians for one receiver, object, number of senders and tuning of the sender."""

    receiver: str
    objects: str
    senders: int
    tuned: bool
    per_second: float
    lowest: float
    highest: float
    cpu_ms: float
    cpu_ms_by_process: dict[str, float]


def send(receiver: Receiver, groups: list[list[Path]], sender: list[str], *, tuned: bool) -> tuple[float, Cpu]:
    """Sends each group by one sender, all at once; objects per second and receiver CPU ms per object, by process."""
    for group in groups:
        renew(group)
    os.sync()  # what others left to be written is not this receiver's time
    environment = {name: value for name, value in os.environ.items() if name != "TCP_NODELAY"}
    if tuned:
        environment["TCP_NODELAY"] = "1"
    count = sum(len(group) for group in groups)
    used, began = receiver.cpu_by_process(), time.perf_counter()
    running = [
        subprocess.Popen(
            [*sender, "-aec", "ORTHANC", "127.0.0.1", str(receiver.port), *map(str, group)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for group in groups
    ]
    failed = [one.wait(_SENDER_SECONDS) for one in running]
    seconds = time.perf_counter() - began
    if any(failed):
        raise SystemExit(f"a sender failed: {failed}")
    after = receiver.cpu_by_process()
    return count / seconds, {name: 1000 * (total - used.get(name, 0.0)) / count for name, total in after.items()}


def store_rates(
    receivers: dict[str, Receiver], sources: dict[str, list[list[Path]]], sender: list[str], repeats: int
) -> list[StoreRate]:
    """All store measurements; receivers take turns within each, so that a busy moment meets them all."""
    rates = []
    for objects, groups in sources.items():
        for senders, tuned in itertools.product(_AT_ONCE, (False, True)):
            shares = {}
            for name, receiver in receivers.items():
                estimate, _ = send(receiver, [group[:4] for group in groups[:senders]], sender, tuned=tuned)
                shares[name] = min(_MOST_OBJECTS, max(10, int(2 * estimate * _RUN_SECONDS / senders)))
            runs: dict[str, list[tuple[float, Cpu]]] = {name: [] for name in receivers}
            for _, (name, receiver) in itertools.product(range(repeats), receivers.items()):
                chosen = [group[: shares[name]] for group in groups[:senders]]
                runs[name].append(send(receiver, chosen, sender, tuned=tuned))
            print(f"measured {objects}, {senders} sender(s), {'tuned' if tuned else 'untuned'}", flush=True)
            rates += [_summary(name, objects, senders, tuned, measured) for name, measured in runs.items()]
    return rates


def _summary(name: str, objects: str, senders: int, tuned: bool, measured: list[tuple[float, Cpu]]) -> StoreRate:
    speeds = [speed for speed, _ in measured]
    names = sorted({name for _, used in measured for name in used})
    return StoreRate(
        receiver=name,
        objects=objects,
        senders=senders,
        tuned=tuned,
        per_second=statistics.median(speeds),
        lowest=min(speeds),
        highest=max(speeds),
        cpu_ms=statistics.median(sum(used.values()) for _, used in measured),
        cpu_ms_by_process={name: statistics.median(used.get(name, 0.0) for _, used in measured) for name in names},
    )


def print_tables(rates: list[StoreRate], associations: dict[str, float], idle: dict[str, IdleLoad]) -> None:
    """The Markdown that goes into BENCHMARKS.md."""
    print(
        "\n| receiver | object | senders | untuned sender, objects/s | TCP_NODELAY sender, objects/s | CPU ms/object |"
    )
    print("|---|---|---|---|---|---|")
    tuned_rates = {(one.receiver, one.objects, one.senders): one for one in rates if one.tuned}
    for untuned in [one for one in rates if not one.tuned]:
        tuned = tuned_rates[untuned.receiver, untuned.objects, untuned.senders]
        spread = [f"{one.per_second:.0f} ({one.lowest:.0f}-{one.highest:.0f})" for one in (untuned, tuned)]
        where = f"| {untuned.receiver} | {untuned.objects} | {untuned.senders} |"
        parts = ", ".join(f"{name} {ms:.1f}" for name, ms in untuned.cpu_ms_by_process.items() if ms >= _WORTH_A_WORD)
        print(f"{where} {spread[0]} | {spread[1]} | {untuned.cpu_ms:.2f} ({parts}) |")
    print("\n| receiver | associations/s | idle associations held | CPU while idle, % of a core |")
    print("|---|---|---|---|")
    for name, speed in associations.items():
        print(f"| {name} | {speed:.0f} | {idle[name].held} | {idle[name].cpu_percent:.1f} |")


def measure(
    names: list[str], workdir: Path, sources: dict[str, list[list[Path]]], sender: list[str], repeats: int
) -> dict[str, object]:
    """Starts every receiver, measures all and prints the tables; the result as plain data."""
    with contextlib.ExitStack() as started:
        receivers = {}
        for name in names:
            folder = workdir / name.replace(" ", "-").replace(",", "")
            folder.mkdir()
            receivers[name] = RECEIVERS[name](folder)
            started.callback(receivers[name].stop)
        rates = store_rates(receivers, sources, sender, repeats)
        associations = {name: associations_per_second(one) for name, one in receivers.items()}
        idle = {name: idle_load(one) for name, one in receivers.items()}
    print_tables(rates, associations, idle)
    return {
        "machine": {"platform": platform.platform(), "cores": os.cpu_count(), "load": os.getloadavg()},
        "store": [asdict(rate) for rate in rates],
        "associations_per_second": associations,
        "idle": {name: asdict(load) for name, load in idle.items()},
    }


def main() -> None:
    """Parses the command line, makes the objects in memory and measures."""
    parser = argparse.ArgumentParser(description="C-STORE receivers side by side")
    parser.add_argument("--receiver", action="append", choices=list(RECEIVERS), help="default: all")
    parser.add_argument("--sender", choices=list(SENDERS), default="storescu")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workdir", type=Path, help="where receivers write (default: the temporary folder)")
    parser.add_argument("--json", type=Path, help="write the numbers here too")
    arguments = parser.parse_args()
    names = arguments.receiver or list(RECEIVERS)
    for absent in [name for name in names if not is_available(name)]:
        print(f"left out, not installed: {absent}")
        names.remove(absent)
    shared_memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - sources off the measured disk
    with (
        tempfile.TemporaryDirectory(dir=arguments.workdir) as work,
        tempfile.TemporaryDirectory(dir=shared_memory) as memory,
    ):
        sources = {
            objects: [
                make_objects(Path(memory) / f"{objects}{group}", shape, _MOST_OBJECTS) for group in range(max(_AT_ONCE))
            ]
            for objects, shape in _OBJECTS.items()
        }
        result = measure(names, Path(work), sources, SENDERS[arguments.sender], arguments.repeats)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1), "utf-8")


if __name__ == "__main__":
    main()

"""`dxgate serve`, `sweep` and `worker`: one role in this process, until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import signal
import threading

from gateway.config import LoadedSettings


def serve_dicom(loaded: LoadedSettings, _arguments: argparse.Namespace) -> int:
    from gateway import wiring

    wiring.serve_dicom(loaded.settings, _stop_event())
    return 0


def serve_web(loaded: LoadedSettings, _arguments: argparse.Namespace) -> int:
    from gateway import wiring

    wiring.serve_web(loaded.settings, _stop_event())
    return 0


def sweep(loaded: LoadedSettings, _arguments: argparse.Namespace) -> int:
    from gateway import wiring

    wiring.sweep(loaded.settings, _stop_event())
    return 0


def worker(loaded: LoadedSettings, _arguments: argparse.Namespace) -> int:
    from workers.run import run

    run(loaded.settings)
    return 0


def _stop_event() -> threading.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    return stop

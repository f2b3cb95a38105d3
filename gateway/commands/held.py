"""`dxgate held`: objects that wait for a person, and that person's decision.

Whoever may run commands on the gateway's machine holds its keys already and counts as an administrator; the console
asks for the role.
"""

from __future__ import annotations

import argparse
import re

from gateway.commands.output import Row, actor, print_json, print_rows, tell
from gateway.config import LoadedSettings
from gateway.domain.clearance import ALL_FRAMES, Box, PixelTask
from gateway.domain.errors import Invalid, Missing
from gateway.domain.ids import InstanceId
from gateway.domain.study import Instance
from gateway.flow.decide_held import DecideHeld
from gateway.ports import UnitOfWork

COLUMNS = ("id", "study_id", "modality", "clearance", "clearance_reason", "received_at")
_BOX = re.compile(r"(\d{1,6}),(\d{1,6}),(\d{1,6}),(\d{1,6})(?:,(\d{1,6}))?")


def list_held(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    from gateway import wiring

    states = ("held", "quarantined") if arguments.quarantined else ("held",)
    with wiring.database(loaded.settings).read() as unit:
        found = unit.clearances.waiting(states, arguments.limit)
    print_rows([_row(instance) for instance in found], COLUMNS, as_json=arguments.json)
    return 0


def show(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    from gateway import wiring

    with wiring.database(loaded.settings).read() as unit:
        instance = unit.clearances.get(InstanceId(arguments.id))
        task = _task(unit, instance)
    document = {**_row(instance), "pixels": instance.pixels, "search": _search(task)}
    if arguments.json:
        print_json(document)
        return 0
    print_rows([document], (*COLUMNS, "pixels"), as_json=False)
    for box in task.finding.boxes if task is not None and task.finding is not None else ():
        frame = "every frame" if box.frame == ALL_FRAMES else f"frame {box.frame}"
        place = f"{box.left},{box.top},{box.width},{box.height}"
        tell(f"{place} on {frame}, found by {box.detector} ({box.confidence:.2f})")
    return 0


def release(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    _decider(loaded).release(InstanceId(arguments.id), actor(), arguments.reason)
    tell("released: the checker looks at its header once more")
    return 0


def reject(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    _decider(loaded).reject(InstanceId(arguments.id), actor(), arguments.reason)
    tell("rejected: no model will read it")
    return 0


def mask(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    boxes = tuple(map(_box, arguments.box))
    _decider(loaded).mask(InstanceId(arguments.id), actor(), boxes, arguments.reason)
    tell(f"{len(boxes)} box(es) to be masked by a worker")
    return 0


def _decider(loaded: LoadedSettings) -> DecideHeld:
    from gateway import wiring

    return DecideHeld(wiring.database(loaded.settings), wiring.blobs(loaded.settings))


def _box(text: str) -> Box:
    """LEFT,TOP,WIDTH,HEIGHT in pixels, with a frame from 0 on where not all of them are meant."""
    found = _BOX.fullmatch(text)
    if found is None:
        raise Invalid("a box is LEFT,TOP,WIDTH,HEIGHT or LEFT,TOP,WIDTH,HEIGHT,FRAME in pixels")
    left, top, width, height = map(int, found.groups()[:4])
    return Box(int(found[5]) if found[5] else ALL_FRAMES, left, top, width, height, "person")


def _row(instance: Instance) -> dict[str, object]:
    return {name: getattr(instance, name) for name in COLUMNS}


def _task(unit: UnitOfWork, instance: Instance) -> PixelTask | None:
    try:
        return unit.pixel_tasks.get(instance.id)
    except Missing:
        return None


def _search(task: PixelTask | None) -> Row | None:
    """What the search of the pixels has found, in plain values."""
    if task is None:
        return None
    finding = task.finding
    return {
        "state": task.state,
        "attempt": task.attempt,
        "reason": task.reason,
        "doubt": finding.doubt if finding else None,
        "boxes": [{**box.__dict__} for box in finding.boxes] if finding else [],
    }

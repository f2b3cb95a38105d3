"""C-STORE senders that we did not write: DCMTK's storescu where it is installed, pynetdicom everywhere."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pydicom
from pynetdicom import AE, evt
from pynetdicom.pdu import A_ASSOCIATE_RJ


def send_folder(port: int, folder: Path, title: str = "TESTPACS") -> None:
    """Sends every file of a folder in one association; CalledProcessError or AssertionError where one is refused."""
    program = shutil.which("storescu")
    if program is None:
        statuses = store(port, sorted(folder.glob("*.dcm")), title)
        assert set(statuses) == {0}
        return
    command = [program, "-aet", title, "-aec", "DXGATE", "+sd", "127.0.0.1", str(port), str(folder)]
    subprocess.run(command, check=True, timeout=120, capture_output=True)


def store(
    port: int,
    files: Sequence[Path],
    title: str = "TESTPACS",
    before_each: Callable[[int], None] = lambda _number: None,
) -> list[int]:
    """The status of each file, sent by pynetdicom in one association; a missing answer is -1.

    `before_each` is called with the number of files sent so far.
    """
    sets = [pydicom.dcmread(path) for path in files]
    entity = AE(ae_title=title)
    for context in {(one.SOPClassUID, one.file_meta.TransferSyntaxUID) for one in sets}:
        entity.add_requested_context(*context)
    association = entity.associate("127.0.0.1", port, ae_title="DXGATE")
    assert association.is_established
    try:
        answers = []
        for number, one in enumerate(sets):
            before_each(number)
            answers.append(association.send_c_store(one))
    finally:
        association.release()
    return [int(answer.Status) if "Status" in answer else -1 for answer in answers]


def rejection(entity: AE, port: int, called: str = "ANY-SCP") -> A_ASSOCIATE_RJ | None:
    """The A-ASSOCIATE-RJ that answers a pynetdicom entity's request; None where it is another answer.

    pynetdicom's own `is_rejected` says False where the rejection has come and the connection is closed before the
    thread that asked looks whether it is open: it holds that for a failure to connect.
    """
    received: list[A_ASSOCIATE_RJ] = []

    def note(event: evt.Event) -> None:
        if isinstance(event.pdu, A_ASSOCIATE_RJ):
            received.append(event.pdu)

    association = entity.associate("127.0.0.1", port, ae_title=called, evt_handlers=[(evt.EVT_PDU_RECV, note)])
    if association.is_established:
        association.abort()
    return received[0] if received else None


def store_until_accepted(port: int, folder: Path, refused: list[int], seconds: float = 120) -> None:
    """What a PACS does: sends again what was refused, until all is accepted. Each refusal is added to `refused`.

    A rejected or broken association counts as -1.
    """
    waiting = sorted(folder.glob("*.dcm"))
    deadline = time.monotonic() + seconds
    while waiting and time.monotonic() < deadline:
        try:
            statuses = store(port, waiting)
        except (AssertionError, OSError, RuntimeError, ValueError):
            refused.append(-1)
            time.sleep(0.3)
            continue
        refused += [status for status in statuses if status]
        waiting = [path for path, status in zip(waiting, statuses, strict=True) if status]
    assert not waiting, "a sender could not get rid of its study"

"""A receiver that is dxgate's DICOM transport and nothing else: each object is written and flushed, then answered.

It shows what the transport alone can carry; it neither de-identifies, seals nor records. Runs until SIGTERM.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

from gateway.servers.dicom.listener import DicomListener
from gateway.servers.dicom.policy import AssociationInfo, Ending, Rejection
from gateway.servers.dicom.service import StoreRequest
from gateway.servers.dicom.settings import ListenerSettings


class Everyone:
    """Admits every peer and records nothing."""

    def admit(self, proposal: AssociationInfo) -> Rejection | None:
        return None

    def opened(self, info: AssociationInfo) -> None:
        return None

    def released(self, info: AssociationInfo, reason: Ending) -> None:
        return None


def main() -> None:
    """`bench_dicom_transport.py PORT FOLDER fdatasync|nosync` serves until SIGTERM."""
    port, folder, durable = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "fdatasync"

    def store(request: StoreRequest) -> None:
        target = os.open(folder / request.sop_instance_uid, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(target, request.dataset)
            if durable:
                os.fdatasync(target)
        finally:
            os.close(target)

    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    listener = DicomListener(ListenerSettings(port=port), store, Everyone(), Everyone())
    listener.start()
    stopping.wait()
    listener.stop(1.0)


if __name__ == "__main__":
    main()

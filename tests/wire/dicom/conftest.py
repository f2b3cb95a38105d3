"""Listeners and peers for the tests of the DICOM wire; all of them are ended with the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from wire.dicom.scripted_peer import House, ScriptedPeer

from gateway.servers.dicom.listener import DicomListener
from gateway.servers.dicom.settings import ListenerSettings


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
def listen(house: House) -> Iterator[Callable[..., DicomListener]]:
    """Starts listeners with the house behind them and stops them again."""
    started: list[DicomListener] = []

    def start(settings: ListenerSettings | None = None, **kwargs: object) -> DicomListener:
        listener = DicomListener(settings or ListenerSettings(port=0), house.store, house, house, **kwargs)
        listener.start()
        started.append(listener)
        return listener

    yield start
    for listener in started:
        listener.stop(1.0)


@pytest.fixture
def connect() -> Iterator[Callable[[DicomListener], ScriptedPeer]]:
    """Opens scripted peers and closes them again."""
    peers: list[ScriptedPeer] = []

    def open_peer(listener: DicomListener) -> ScriptedPeer:
        peers.append(ScriptedPeer(listener.port))
        return peers[-1]

    yield open_peer
    for peer in peers:
        peer.close()

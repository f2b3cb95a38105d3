"""The bounds on time, memory and connections that no peer of the DICOM listener can pass."""

from __future__ import annotations

import random
import struct
import threading

from wire.dicom.scripted_peer import (
    IMPLICIT,
    PATIENCE,
    assert_aborted,
    command,
    context,
    pdv,
    store_command,
)

from gateway.servers.dicom.policy import Ending
from gateway.servers.dicom.service import ServiceReply
from gateway.servers.dicom.settings import Limits, ListenerSettings, Timeouts

COMMAND, LAST = 1, 2
WORKLIST = "1.2.840.10008.5.1.4.31"
REJECT = 3
SHORT = Timeouts(artim=0.2, pdu=0.2, message=0.5, idle=0.3, linger=0.3)
ECHO = command(e0002=b"1.2.840.10008.1.1\0", e0100=b"\x30\0", e0110=b"\7\0", e0800=b"\1\1")


def settings(**changes: object) -> ListenerSettings:
    return ListenerSettings(port=0, **changes)


def test_peer_that_does_not_read_is_cut(listen, connect, house):
    """A peer that never reads its answer holds the association no longer than the time to send it."""
    times = Timeouts(pdu=0.2, linger=0.2)
    listener = listen(
        settings(timeouts=times), services={WORKLIST: lambda request: [ServiceReply(0, dataset=bytes(2**26))]}
    )
    peer = connect(listener)
    peer.associate([context(1, WORKLIST, IMPLICIT)])
    peer.send_data(pdv(1, COMMAND | LAST, command(e0100=b"\x20\0", e0110=b"\7\0", e0800=b"\1\1")))
    assert house.ending() is Ending.TIMEOUT


def test_noise_leaves_the_listener_serving(listen, connect, house):
    """Associations fed with damaged messages all end, and the next peer is served."""
    listener, noise = listen(), random.Random(2)
    good = pdv(1, COMMAND | LAST, store_command()) + pdv(1, 0, b"some ") + pdv(1, LAST, b"data")
    for _ in range(150):
        damaged = bytearray(struct.pack(">BxL", 4, len(good)) + good)
        for _ in range(noise.randrange(1, 5)):
            damaged[noise.randrange(len(damaged))] = noise.randrange(256)
        peer = connect(listener)
        peer.associate()
        peer.send(bytes(damaged))
        peer.close()
        house.ending()
    peer = connect(listener)
    peer.associate()
    peer.send_data(pdv(3, COMMAND | LAST, ECHO))
    assert peer.read_status() == 0


def test_partial_header_is_cut_by_artim(listen, connect):
    """Three of six header bytes and then silence hold a connection no longer than ARTIM."""
    peer = connect(listen(settings(timeouts=SHORT)))
    peer.send(b"\1\0\0")
    assert_aborted(peer)


def test_silent_connection_is_cut_by_artim(listen, connect):
    """A connection that never says anything is closed when ARTIM has passed."""
    peer = connect(listen(settings(timeouts=SHORT)))
    assert_aborted(peer)


def test_drip_feeder_cannot_outlast_a_pdu(listen, connect, house):
    """One byte at a time, each well inside the PDU time, does not restart the PDU's deadline."""
    peer = connect(listen(settings(timeouts=Timeouts(artim=30, pdu=0.4, message=60, idle=60, linger=0.3))))
    peer.associate()
    peer.send(struct.pack(">BxL", 4, 1000))
    stop = threading.Event()

    def drip() -> None:
        try:
            while not stop.wait(0.02):
                peer.send(b"\0")
        except OSError:
            pass

    dripper = threading.Thread(target=drip)
    dripper.start()
    try:
        assert house.ending() is Ending.TIMEOUT
    finally:
        stop.set()
        dripper.join()


def test_tiny_fragments_cannot_outlast_a_message(listen, connect, house):
    """Whole PDUs without end, each in time, are cut at the message's own deadline."""
    peer = connect(listen(settings(timeouts=Timeouts(artim=30, pdu=30, message=0.4, idle=60, linger=0.3))))
    peer.associate()
    peer.send_data(pdv(1, COMMAND | LAST, store_command()))
    stop = threading.Event()

    def drip() -> None:
        try:
            while not stop.wait(0.02):
                peer.send_data(pdv(1, 0, b"\0"))
        except OSError:
            pass

    dripper = threading.Thread(target=drip)
    dripper.start()
    try:
        assert house.ending() is Ending.TIMEOUT
    finally:
        stop.set()
        dripper.join()
    assert house.stored == []


def test_idle_association_is_aborted(listen, connect, house):
    """An association without messages is aborted when the idle time has passed."""
    peer = connect(listen(settings(timeouts=SHORT)))
    peer.associate()
    assert_aborted(peer)
    assert house.ending() is Ending.TIMEOUT


def test_object_over_its_limit_is_drained_and_refused(listen, connect, house):
    """An object larger than the limit gets status 0xC000 after its last fragment; the next one is stored."""
    peer = connect(listen(settings(limits=Limits(object_bytes=1000))))
    peer.associate()
    peer.send_data(pdv(1, COMMAND | LAST, store_command()))
    peer.send_data(pdv(1, 0, bytes(900)), pdv(1, 0, bytes(900)), pdv(1, LAST, bytes(900)))
    assert peer.read_status() == 0xC000
    peer.send_data(pdv(1, COMMAND | LAST, store_command()), pdv(1, LAST, bytes(1000)))
    assert peer.read_status() == 0
    assert [len(request.dataset) for request in house.stored] == [1000]


def test_bytes_in_flight_are_bounded_across_associations(listen, connect, house):
    """While one association holds the whole budget another gets 0xA700; afterwards it is served."""
    listener = listen(settings(limits=Limits(in_flight_bytes=256 * 1024)))
    entered, leave = threading.Event(), threading.Event()

    def hold(request) -> None:
        entered.set()
        assert leave.wait(PATIENCE)

    house.on_store = hold
    first, second = connect(listener), connect(listener)
    first.associate()
    second.associate()
    first.send_data(pdv(1, COMMAND | LAST, store_command()), pdv(1, LAST, bytes(100)))
    assert entered.wait(PATIENCE)
    second.send_data(pdv(1, COMMAND | LAST, store_command()), pdv(1, LAST, bytes(100)))
    assert second.read_status() == 0xA700
    leave.set()
    assert first.read_status() == 0
    second.send_data(pdv(1, COMMAND | LAST, store_command()), pdv(1, LAST, bytes(100)))
    assert second.read_status() == 0


def test_budget_is_given_back_by_an_abandoned_message(listen, connect, house):
    """A peer that leaves in the middle of an object does not keep its share of the budget."""
    listener = listen(settings(limits=Limits(in_flight_bytes=256 * 1024)))
    for _ in range(3):
        peer = connect(listener)
        peer.associate()
        peer.send_data(pdv(1, COMMAND | LAST, store_command()), pdv(1, 0, bytes(100)))
        peer.close()
        assert house.ending() is Ending.DISCONNECTED
    peer = connect(listener)
    peer.associate()
    peer.send_data(pdv(1, COMMAND | LAST, store_command()), pdv(1, LAST, bytes(100)))
    assert peer.read_status() == 0


def test_connect_and_close_storm_leaves_the_listener_serving(listen, connect):
    """Five hundred connections that only open and close, as load balancers make them, change nothing."""
    listener = listen()
    for _ in range(500):
        connect(listener).close()
    peer = connect(listener)
    peer.associate()
    peer.send_data(pdv(3, COMMAND | LAST, ECHO))
    assert peer.read_status() == 0


def test_idle_connection_gives_way_at_the_limit(listen, connect, house):
    """At the limit an idle connection is aborted, and the new one is served."""
    limits = Limits(connections=2)
    listener = listen(settings(limits=limits, timeouts=Timeouts(evictable=0.0)))
    first, second = connect(listener), connect(listener)
    first.associate()
    second.associate()
    third = connect(listener)
    third.associate()
    assert house.ending() is Ending.EVICTED
    third.send_data(pdv(3, COMMAND | LAST, ECHO))
    assert third.read_status() == 0


def test_busy_connections_do_not_give_way(listen, connect, house):
    """When no connection at the limit is idle, a new one is rejected: local limit exceeded (2, 3, 2)."""
    listener = listen(settings(limits=Limits(connections=1), timeouts=Timeouts(evictable=0.0)))
    entered, leave = threading.Event(), threading.Event()

    def hold(request) -> None:
        entered.set()
        assert leave.wait(PATIENCE)

    house.on_store = hold
    busy, late = connect(listener), None
    busy.associate()
    busy.send_data(pdv(1, COMMAND | LAST, store_command()), pdv(1, LAST, b"data"))
    assert entered.wait(PATIENCE)
    late = connect(listener)
    late.request()
    assert late.read_pdu() == (REJECT, bytes((0, 2, 3, 2)))
    leave.set()
    assert busy.read_status() == 0


def test_one_peer_cannot_take_every_place(listen, connect):
    """Connections of one address over its own limit are rejected: local limit exceeded (2, 3, 2)."""
    listener = listen(settings(limits=Limits(connections_per_peer=1)))
    first = connect(listener)
    first.associate()
    second = connect(listener)
    second.request()
    assert second.read_pdu() == (REJECT, bytes((0, 2, 3, 2)))


def test_connections_beyond_refusing_are_closed(listen, connect):
    """When even the refusals are at their limit, a connection is closed without a word."""
    listener = listen(settings(limits=Limits(connections_per_peer=1, refusals=0)))
    first = connect(listener)
    first.associate()
    assert connect(listener).is_over()

"""The well-behaved course of associations on the DICOM listener, seen byte by byte."""

from __future__ import annotations

import socket
import struct
import threading

import pytest
from wire.dicom.scripted_peer import (
    CT_IMAGE,
    EXPLICIT,
    IMPLICIT,
    PATIENCE,
    VERIFICATION,
    command,
    context,
    item,
    pdv,
    store_command,
)

from gateway.servers.dicom.policy import Ending
from gateway.servers.dicom.service import ServiceReply
from gateway.servers.dicom.settings import ListenerSettings

COMMAND, LAST = 1, 2
ECHO = command(e0002=b"1.2.840.10008.1.1\0", e0100=b"\x30\0", e0110=b"\7\0", e0800=b"\1\1")
WORKLIST = "1.2.840.10008.5.1.4.31"


def sub_items(accept_body: bytes) -> dict[int, list[bytes]]:
    """User information sub-items of an A-ASSOCIATE-AC body by kind."""
    found: dict[int, list[bytes]] = {}
    position = 68
    while position < len(accept_body):
        kind, length = struct.unpack_from(">BxH", accept_body, position)
        position += 4
        if kind != 0x50:
            found.setdefault(kind, []).append(accept_body[position : position + length])
            position += length
    return found


def test_object_in_fragments_is_stored_as_sent(listen, connect, house):
    """Fragments over several PDUs and PDVs reach the handler as one data set with the negotiated syntax."""
    peer = connect(listen())
    peer.associate()
    encoded = store_command()
    peer.send_data(pdv(1, COMMAND, encoded[:10]), pdv(1, COMMAND | LAST, encoded[10:]), pdv(1, 0, b"one "))
    peer.send_data(pdv(1, 0, b"two "))
    peer.send_data(pdv(1, LAST, b"three"))
    assert peer.read_status() == 0
    (request,) = house.stored
    assert bytes(request.dataset) == b"one two three"
    assert request.sop_class_uid == CT_IMAGE
    assert request.sop_instance_uid == "1.2.3.4"
    assert request.transfer_syntax_uid == EXPLICIT
    assert (request.association.calling_ae, request.association.called_ae) == ("SCRIPT", "DXGATE")


def test_pipelined_messages_are_answered_in_order(listen, connect, house):
    """Many messages sent in one write, cut anywhere by the network, are each stored and answered."""
    peer = connect(listen())
    peer.associate()
    message = pdv(1, COMMAND | LAST, store_command()) + pdv(1, LAST, b"data")
    stream = struct.pack(">BxL", 4, len(message)) + message
    everything = stream * 50
    for start in range(0, len(everything), 997):
        peer.send(everything[start : start + 997])
    assert [peer.read_status() for _ in range(50)] == [0] * 50
    assert len(house.stored) == 50


def test_pdus_of_the_maximum_size_pass(listen, connect, house):
    """PDUs of exactly the advertised maximum are taken, one after the other."""
    peer = connect(listen(ListenerSettings(port=0, max_pdu=4096)))
    assert sub_items(peer.associate())[0x51] == [struct.pack(">L", 4096)]
    peer.send_data(pdv(1, COMMAND | LAST, store_command()))
    fragment = bytes(4096 - 6)
    for _ in range(300):
        peer.send_data(pdv(1, 0, fragment))
    peer.send_data(pdv(1, LAST, fragment))
    assert peer.read_status() == 0
    assert len(house.stored[0].dataset) == 301 * len(fragment)


def test_release_is_replied_to_and_reported(listen, connect, house):
    """A-RELEASE-RQ is answered, and the observer hears that the sender had finished."""
    peer = connect(listen())
    peer.associate()
    peer.send_pdu(5, bytes(4))
    assert peer.read_pdu() == (6, bytes(4))
    peer.close()
    assert house.ending() is Ending.RELEASED


def test_abort_is_reported(listen, connect, house):
    """The peer's A-ABORT ends the association and is reported as such."""
    peer = connect(listen())
    peer.associate()
    peer.send_pdu(7, bytes(4))
    assert peer.is_over()
    assert house.ending() is Ending.ABORTED


def test_contexts_are_answered_one_by_one(listen, connect):
    """Storage, private and unknown classes get the first syntax proposed; other services are refused."""
    peer = connect(listen())
    private_syntax = "1.2.840.113619.5.2"
    body = peer.associate(
        [
            context(1, CT_IMAGE, private_syntax, EXPLICIT, IMPLICIT),
            context(3, "1.2.840.10008.5.1.4.1.1.9999", IMPLICIT),
            context(5, "1.3.12.2.1107.5.9.1", EXPLICIT),
            context(7, WORKLIST, IMPLICIT),
            context(9, "1.2.840.10008.5.1.4.1.2.2.1", IMPLICIT),
            context(11, "../../etc", IMPLICIT),
            context(13, CT_IMAGE, b"not a uid"),
            context(15, CT_IMAGE, b"not a uid", EXPLICIT),
            context(17, VERIFICATION, IMPLICIT),
        ]
    )
    answers = {value[0]: (value[2], value[8:].decode()) for value in sub_items(body)[0x21]}
    assert answers == {
        1: (0, private_syntax),
        3: (0, IMPLICIT),
        5: (0, EXPLICIT),
        7: (3, IMPLICIT),
        9: (3, IMPLICIT),
        11: (3, IMPLICIT),
        13: (4, IMPLICIT),
        15: (0, EXPLICIT),
        17: (0, IMPLICIT),
    }


def test_roles_are_answered_with_the_user_role_only(listen, connect):
    """A peer proposing both roles may be the user; one that will not be the user has its context refused."""
    mr = "1.2.840.10008.5.1.4.1.1.4"

    def role(uid: str, scu: int, scp: int) -> bytes:
        return item(0x54, struct.pack(">H", len(uid)) + uid.encode() + bytes((scu, scp)))

    peer = connect(listen())
    body = peer.associate(
        [context(1, CT_IMAGE, EXPLICIT), context(3, mr, EXPLICIT)], user=role(CT_IMAGE, 1, 1) + role(mr, 0, 1)
    )
    found = sub_items(body)
    assert [(value[0], value[2]) for value in found[0x21]] == [(1, 0), (3, 1)]
    assert found[0x54] == [struct.pack(">H", len(CT_IMAGE)) + CT_IMAGE.encode() + b"\1\0"]


def test_async_window_and_identity_are_answered(listen, connect):
    """The asynchronous window becomes one by one, and the implementation is named within its bounds."""
    peer = connect(listen())
    found = sub_items(peer.associate(user=item(0x53, struct.pack(">HH", 0, 0))))
    assert found[0x53] == [struct.pack(">HH", 1, 1)]
    assert found[0x52][0].startswith(b"2.25.")
    assert found[0x55][0].startswith(b"DXGATE")
    assert len(found[0x55][0]) <= 16


@pytest.mark.parametrize("kind", [1, 2, 3, 4, 5])
def test_user_identity_reaches_the_policy_and_is_confirmed(listen, connect, house, kind):
    """Every kind of user identity is shown to the policy, confirmed when asked, and not kept afterwards."""
    value = bytes((kind, 1)) + struct.pack(">H", 5) + b"alice" + struct.pack(">H", 6) + b"secret"
    peer = connect(listen())
    found = sub_items(peer.associate(user=item(0x58, value)))
    assert found[0x59] == [b"\0\0"]
    (proposal,) = house.proposals
    assert (proposal.credentials.kind, proposal.credentials.primary) == (kind, b"alice")
    assert proposal.credentials.secondary == b"secret"
    assert "secret" not in repr(proposal)
    (info,) = house.opened_infos
    assert info.credentials is None
    assert info.user_identity == ("alice" if kind in (1, 2) else None)


def test_identity_is_not_confirmed_unasked(listen, connect):
    """Without a request for a positive response there is none."""
    value = b"\1\0" + struct.pack(">H", 5) + b"alice" + b"\0\0"
    peer = connect(listen())
    assert 0x59 not in sub_items(peer.associate(user=item(0x58, value)))


def test_custom_service_is_called(listen, connect):
    """A SOP class named in `services` is negotiated, and its replies are sent with their data sets."""
    seen = []

    def find(request):
        seen.append((request.abstract_syntax_uid, bytes(request.dataset)))
        yield ServiceReply(0xFF00, dataset=b"a match!")
        yield ServiceReply(0)

    peer = connect(listen(services={WORKLIST: find}))
    peer.associate([context(1, WORKLIST, IMPLICIT)])
    query = command(e0002=b"1.2.840.10008.5.1.4.31", e0100=b"\x20\0", e0110=b"\7\0", e0800=b"\1\0")
    peer.send_data(pdv(1, COMMAND | LAST, query), pdv(1, LAST, b"query"))
    assert peer.read_status() == 0xFF00
    assert peer.read_pdu() == (4, pdv(1, LAST, b"a match!"))
    assert peer.read_status() == 0
    assert seen == [(WORKLIST, b"query")]


def test_failing_service_still_answers(listen, connect):
    """A service that raises gets its sender a processing failure, not silence."""

    def broken(request):
        raise ZeroDivisionError

    peer = connect(listen(services={WORKLIST: broken}))
    peer.associate([context(1, WORKLIST, IMPLICIT)])
    peer.send_data(pdv(1, COMMAND | LAST, command(e0100=b"\x20\0", e0110=b"\7\0", e0800=b"\1\1")))
    assert peer.read_status() == 0x0110


def test_two_listeners_share_a_port(listen, connect):
    """A second listener binds the same port, and both serve."""
    first = listen()
    second = listen(ListenerSettings(port=first.port))
    assert second.port == first.port
    first.stop(0.0)
    peer = connect(second)
    peer.associate()
    peer.send_data(pdv(3, COMMAND | LAST, ECHO))
    assert peer.read_status() == 0


def test_stop_lets_a_running_message_finish(listen, connect, house):
    """On stop an idle association is aborted at once, while a running store is finished and answered."""
    listener = listen()
    entered, leave = threading.Event(), threading.Event()

    def hold(request) -> None:
        entered.set()
        assert leave.wait(PATIENCE)

    house.on_store = hold
    idle, busy = connect(listener), connect(listener)
    idle.associate()
    busy.associate()
    busy.send_data(pdv(1, COMMAND | LAST, store_command()), pdv(1, LAST, b"data"))
    assert entered.wait(PATIENCE)
    stopper = threading.Thread(target=listener.stop, args=(PATIENCE,))
    stopper.start()
    assert idle.read_pdu() == (7, bytes(4))
    leave.set()
    assert busy.read_status() == 0
    assert busy.read_pdu() == (7, bytes(4))
    stopper.join(PATIENCE)
    assert not stopper.is_alive()
    listener.wait()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", listener.port), timeout=PATIENCE)


def test_idle_associations_are_woken_by_nothing(listen, connect):
    """An idle association reads without a timeout on its socket: only its peer or the deadline watch wakes it."""
    listener = listen()
    peers = [connect(listener) for _ in range(20)]
    for peer in peers:
        peer.associate()
        peer.send_data(pdv(3, COMMAND | LAST, ECHO))
        assert peer.read_status() == 0
    connections = listener._roster.all()
    assert len(connections) == 20
    assert all(connection._socket.gettimeout() is None for connection in connections)

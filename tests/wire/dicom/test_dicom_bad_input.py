"""What a hostile or broken peer sends, and how the DICOM listener ends it: scripted byte by byte."""

from __future__ import annotations

import struct

import pytest
from wire.dicom.scripted_peer import (
    CT_IMAGE,
    EXPLICIT,
    IMPLICIT,
    assert_aborted,
    command,
    context,
    item,
    pdv,
    store_command,
)

from gateway.domain.errors import Conflict
from gateway.servers.dicom.policy import CALLED_AE_NOT_RECOGNISED, Ending
from gateway.servers.dicom.settings import Limits, ListenerSettings, Timeouts

COMMAND, LAST = 1, 2
REJECT = 3
SHORT = Timeouts(artim=0.2, pdu=0.2, message=0.5, idle=0.3, linger=0.3)
ECHO = command(e0002=b"1.2.840.10008.1.1\0", e0100=b"\x30\0", e0110=b"\7\0", e0800=b"\1\1")


def settings(**changes: object) -> ListenerSettings:
    return ListenerSettings(port=0, **changes)


def test_other_protocols_are_aborted_as_unrecognised(listen, connect):
    """An HL7 message or an HTTP request on the DICOM port gets A-ABORT, reason unrecognised PDU."""
    listener = listen()
    for greeting in (b"\x0bMSH|^~\\&|A|B\r\x1c\r", b"GET / HTTP/1.1\r\n\r\n"):
        peer = connect(listener)
        peer.send(greeting)
        assert_aborted(peer, 1)


def test_four_gigabyte_pdu_is_aborted_at_its_header(listen, connect):
    """A PDU that announces 4 GiB is aborted before any byte of its body is sent."""
    peer = connect(listen())
    peer.associate()
    peer.send(struct.pack(">BxL", 4, 0xFFFFFFFF))
    assert_aborted(peer, 6)


def test_huge_associate_request_is_aborted_at_its_header(listen, connect):
    """An A-ASSOCIATE-RQ longer than the limit is aborted before its body is read."""
    peer = connect(listen(settings(limits=Limits(associate_bytes=4096))))
    peer.send(struct.pack(">BxL", 1, 4097))
    assert_aborted(peer, 6)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="no PDV"),
        pytest.param(struct.pack(">LBB", 0, 1, 3), id="length 0"),
        pytest.param(struct.pack(">LBB", 1, 1, 3), id="length 1"),
        pytest.param(struct.pack(">LBB", 100, 1, 3) + b"short", id="longer than its PDU"),
        pytest.param(struct.pack(">LBB", 0xFFFFFFFF, 1, 3) + b"short", id="length 4 GiB"),
        pytest.param(pdv(1, 3, ECHO)[:-1] + b"\0\0\0", id="trailing bytes"),
        pytest.param(b"\0\0\0", id="header cut short"),
        pytest.param(pdv(99, COMMAND | LAST, ECHO), id="unknown context"),
        pytest.param(pdv(1, LAST, b"data"), id="data before command"),
        pytest.param(pdv(1, COMMAND, b"a") + pdv(3, COMMAND, b"b"), id="interleaved commands"),
        pytest.param(
            pdv(1, COMMAND | LAST, store_command()) + pdv(3, COMMAND | LAST, ECHO), id="command inside data set"
        ),
        pytest.param(
            pdv(1, COMMAND | LAST, store_command()) + pdv(1, COMMAND | LAST, ECHO), id="command instead of data"
        ),
        pytest.param(pdv(1, COMMAND | LAST, b"\0\0\0\1\xff\xff\xff\xff"), id="element longer than command"),
        pytest.param(pdv(1, COMMAND | LAST, b"\0\0\0"), id="element header cut short"),
        pytest.param(pdv(1, COMMAND | LAST, b""), id="empty command"),
        pytest.param(pdv(1, COMMAND | LAST, ECHO + ECHO), id="elements twice"),
        pytest.param(pdv(1, COMMAND | LAST, b"\x10\0\x10\0\2\0\0\0AB"), id="element outside group 0000"),
        pytest.param(pdv(1, COMMAND | LAST, command(e0100=b"\1\0", e0800=b"\1\1")), id="no message id"),
        pytest.param(pdv(3, COMMAND | LAST, command(e0100=b"\x30\x80", e0120=b"\1\0", e0800=b"\1\1")), id="a response"),
    ],
)
def test_malformed_data_is_aborted(listen, connect, house, body):
    """P-DATA that breaks its own bounds or order ends in A-ABORT, and nothing is stored."""
    peer = connect(listen())
    peer.associate()
    peer.send_pdu(4, body)
    assert_aborted(peer)
    assert house.ending() is Ending.VIOLATION
    assert house.stored == []


def test_endless_command_is_aborted_at_its_limit(listen, connect):
    """Command fragments without a last one are aborted when they pass the command size limit."""
    peer = connect(listen(settings(limits=Limits(command_bytes=1024))))
    peer.associate()
    peer.send_data(pdv(1, COMMAND, bytes(1000)), pdv(1, COMMAND, bytes(1000)))
    assert_aborted(peer, 6)


def test_unfinished_command_stores_nothing(listen, connect, house):
    """A peer that leaves in the middle of a command is noticed, and nothing is stored."""
    peer = connect(listen())
    peer.associate()
    peer.send_data(pdv(1, COMMAND, store_command()[:20]))
    peer.close()
    assert house.ending() is Ending.DISCONNECTED
    assert house.stored == []


def test_data_before_associate_is_aborted(listen, connect):
    """P-DATA on a connection without an association is aborted as unexpected."""
    peer = connect(listen())
    peer.send_data(pdv(1, 3, ECHO))
    assert_aborted(peer, 2)


def test_second_associate_is_aborted(listen, connect):
    """An A-ASSOCIATE-RQ inside an association is aborted as unexpected."""
    peer = connect(listen())
    peer.associate()
    peer.request()
    assert_aborted(peer, 2)


@pytest.mark.parametrize(
    "contexts",
    [
        pytest.param([context(1, CT_IMAGE, EXPLICIT), context(1, CT_IMAGE, IMPLICIT)], id="duplicate id"),
        pytest.param([context(2, CT_IMAGE, EXPLICIT)], id="even id"),
        pytest.param([context(0, CT_IMAGE, EXPLICIT)], id="id zero"),
        pytest.param([context(2 * (i % 128) + 1, CT_IMAGE, EXPLICIT) for i in range(129)], id="129 contexts"),
        pytest.param([item(0x20, b"\1")], id="context cut short"),
        pytest.param([item(0x20, bytes((1, 0, 0, 0)) + b"\x30\0\xff\xff1.2")], id="sub-item too long"),
        pytest.param([b"\x20\0\xff\xff\1\0\0\0"], id="item too long"),
        pytest.param([b"\x20\0"], id="item header cut short"),
        pytest.param([item(0x58, b"")], id="no context at all"),
    ],
)
def test_malformed_proposal_is_aborted(listen, connect, contexts):
    """A proposal with wrong ids, counts or lengths is aborted as invalid."""
    peer = connect(listen())
    peer.request(contexts)
    assert_aborted(peer)


@pytest.mark.parametrize(
    "user",
    [
        pytest.param(item(0x58, b"\2\1\0\xff"), id="identity cut short"),
        pytest.param(item(0x58, b"\2\1\0\2ab\0\7cd"), id="identity passcode too long"),
        pytest.param(item(0x54, b"\0\x501.2\0\1"), id="role too long"),
        pytest.param(b"\x54\0\xff\xff", id="user item too long"),
    ],
)
def test_malformed_user_information_is_aborted(listen, connect, user):
    """User information that breaks its own lengths is aborted."""
    peer = connect(listen())
    peer.request(user=user)
    assert_aborted(peer, 6)


def test_large_user_information_is_harmless(listen, connect):
    """User information filled to its 64 KB is read, and the association opens."""
    peer = connect(listen())
    assert peer.associate(user=item(0x7E, bytes(65000)))


@pytest.mark.parametrize("title", [b"A\\B", b"A\rB", b"A\0B", b"", b"\xc4\xd6"])
def test_titles_that_are_no_titles_are_rejected(listen, connect, title):
    """A called AE title with control characters, backslash, NUL or nothing in it is rejected (1, 1, 7)."""
    peer = connect(listen())
    peer.request(called=title)
    assert peer.read_pdu() == (REJECT, bytes((0, 1, 1, 7)))
    assert peer.is_over()


def test_wrong_protocol_and_application_are_rejected(listen, connect):
    """A wrong protocol version is rejected (1, 2, 2), a wrong application context (1, 1, 2)."""
    listener = listen()
    peer = connect(listener)
    peer.request(version=2)
    assert peer.read_pdu() == (REJECT, bytes((0, 1, 2, 2)))
    peer = connect(listener)
    peer.request(application="1.2.3")
    assert peer.read_pdu() == (REJECT, bytes((0, 1, 1, 2)))


def test_policy_rejection_reaches_the_peer(listen, connect, house):
    """What the policy refuses is rejected with the policy's result, source and reason, and never opened."""
    house.rejection = CALLED_AE_NOT_RECOGNISED
    peer = connect(listen())
    peer.request()
    assert peer.read_pdu() == (REJECT, bytes((0, 1, 1, 7)))
    assert house.opened_infos == []


def test_observer_failure_refuses_the_association(listen, connect, house):
    """An association that cannot be recorded is rejected as temporary congestion."""
    house.opened = lambda info: 1 / 0
    peer = connect(listen())
    peer.request()
    assert peer.read_pdu() == (REJECT, bytes((0, 2, 3, 1)))


@pytest.mark.parametrize(
    "instance",
    [
        b"../../etc/passwd",
        b"/etc/cron.d/x\0",
        b"1.2.3\x004\0",
        b"1.2.%2e%2e",
        b"1." * 32 + b"1.2",
        b"",
        b"..",
        b"1..2",
        "1.2.３.4".encode(),
        b"1.2.3.4 rm -rf",
    ],
)
def test_hostile_instance_uids_are_refused_with_a_status(listen, connect, house, instance):
    """A SOP instance UID that is none gets status 0x0117, never silence and never the handler."""
    peer = connect(listen())
    peer.associate()
    peer.send_data(pdv(1, COMMAND | LAST, store_command(instance)), pdv(1, LAST, b"data"))
    assert peer.read_status() == 0x0117
    assert house.stored == []


def test_class_other_than_the_contexts_is_refused(listen, connect, house):
    """A SOP class that the context was not negotiated for gets status 0x0122."""
    peer = connect(listen())
    peer.associate()
    other = store_command(sop_class=b"1.2.840.10008.5.1.4.1.1.4\0")
    peer.send_data(pdv(1, COMMAND | LAST, other), pdv(1, LAST, b"data"))
    assert peer.read_status() == 0x0122
    assert house.stored == []


def test_store_without_data_set_is_refused(listen, connect, house):
    """A C-STORE that announces no data set gets status 0xC000."""
    peer = connect(listen())
    peer.associate()
    without = store_command().replace(b"\0\0\0\x08\2\0\0\0\1\0", b"\0\0\0\x08\2\0\0\0\1\1")
    peer.send_data(pdv(1, COMMAND | LAST, without))
    assert peer.read_status() == 0xC000
    assert house.stored == []


@pytest.mark.parametrize("field", [b"\x20\0", b"\x40\1", b"\x30\0", b"\xef\x0f"])
def test_unknown_operations_are_refused_with_a_status(listen, connect, field):
    """A command that its context does not serve gets status 0x0211, and the association goes on."""
    peer = connect(listen())
    peer.associate()
    peer.send_data(pdv(1, COMMAND | LAST, command(e0100=field, e0110=b"\7\0", e0800=b"\1\1")))
    assert peer.read_status() == 0x0211
    peer.send_data(pdv(3, COMMAND | LAST, ECHO))
    assert peer.read_status() == 0


def test_cancel_is_ignored(listen, connect):
    """A C-CANCEL has no reply, and the next request is answered."""
    peer = connect(listen())
    peer.associate()
    cancel = command(e0100=b"\xff\x0f", e0120=b"\1\0", e0800=b"\1\1")
    peer.send_data(pdv(1, COMMAND | LAST, cancel), pdv(3, COMMAND | LAST, ECHO))
    assert peer.read_status() == 0


@pytest.mark.parametrize(("error", "status"), [(Conflict("x"), 0xA900), (ZeroDivisionError("x"), 0x0110)])
def test_handler_errors_become_statuses(listen, connect, house, error, status):
    """What the handler raises is answered by the table, and an unknown error as a processing failure."""

    def fail(request) -> None:
        raise error

    house.on_store = fail
    peer = connect(listen())
    peer.associate()
    peer.send_data(pdv(1, COMMAND | LAST, store_command()), pdv(1, LAST, b"data"))
    assert peer.read_status() == status

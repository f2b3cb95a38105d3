"""P-DATA framing, against pynetdicom's decoder and against noise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.pdu import A_ABORT_RQ, A_ASSOCIATE_RJ, P_DATA_TF

from gateway.servers.dicom import pdu
from gateway.servers.dicom.policy import LOCAL_LIMIT_EXCEEDED


def _fragments(stream: bytes) -> list[tuple[int, int, bytes]]:
    found = []
    while stream:
        kind, length = pdu.header(memoryview(stream))
        assert kind == pdu.DATA
        found += [(i, c, bytes(f)) for i, c, f in pdu.values(memoryview(stream)[6 : 6 + length])]
        stream = stream[6 + length :]
    return found


@given(st.binary(min_size=1, max_size=500), st.integers(7, 200))
def test_payloads_are_cut_to_what_the_peer_takes(payload, peer_max):
    """Fragments join to the payload, fit the peer's PDU, and only the last is marked so."""
    found = _fragments(pdu.data(5, payload, command=True, peer_max=peer_max))
    assert b"".join(fragment for _, _, fragment in found) == payload
    assert all(context_id == 5 for context_id, _, _ in found)
    assert [control for _, control, _ in found] == [1] * (len(found) - 1) + [3]
    assert all(len(fragment) + 6 <= max(peer_max, 8) for _, _, fragment in found)


def test_an_independent_decoder_reads_our_data():
    """pynetdicom reads a P-DATA-TF written here, uncut when the peer sets no limit."""
    read = P_DATA_TF()
    read.decode(pdu.data(3, b"abcdef", command=False, peer_max=0))
    (value,) = read.presentation_data_value_items
    assert (value.presentation_context_id, value.data) == (3, b"\x02abcdef")


@given(st.binary(max_size=100))
def test_noise_is_a_violation_or_fragments(body):
    """A random body gives fragments within it or a protocol violation, nothing else."""
    try:
        total = sum(len(fragment) for _, _, fragment in pdu.values(memoryview(body)))
    except pdu.ProtocolViolation:
        return
    assert total <= len(body)


def test_last_words_are_read_by_an_independent_decoder():
    """pynetdicom reads the abort and the rejection written here."""
    abort, reject = A_ABORT_RQ(), A_ASSOCIATE_RJ()
    abort.decode(pdu.abort(pdu.UNEXPECTED_PDU))
    assert (abort.source, abort.reason_diagnostic) == (2, 2)
    abort.decode(pdu.abort(pdu.UNEXPECTED_PDU, by_user=True))
    assert (abort.source, abort.reason_diagnostic) == (0, 0)
    reject.decode(pdu.reject(LOCAL_LIMIT_EXCEEDED))
    assert (reject.result, reject.source, reject.reason_diagnostic) == (2, 3, 2)


def test_unknown_kinds_are_violations():
    """A PDU type outside the standard is aborted as unrecognised."""
    with pytest.raises(pdu.ProtocolViolation) as caught:
        pdu.header(memoryview(b"\x0bMSH|^"))
    assert caught.value.abort_reason == pdu.UNRECOGNISED_PDU

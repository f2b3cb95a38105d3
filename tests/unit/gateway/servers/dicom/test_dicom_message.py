"""Gathering of fragments into messages."""

from __future__ import annotations

import itertools
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.errors import Busy
from gateway.servers.dicom.budget import ByteBudget
from gateway.servers.dicom.dimse import A_DATA_SET, DATA_SET_TYPE, encode_command, short
from gateway.servers.dicom.message import Message, MessageAssembly

_COMMAND = encode_command({DATA_SET_TYPE: short(A_DATA_SET)})


def _feed(assembly: MessageAssembly, payload: bytes, kind: int, cuts: list[int]) -> Message | None:
    edges = [0, *sorted(cut % (len(payload) + 1) for cut in cuts), len(payload)]
    result = None
    for begin, end in itertools.pairwise(edges):
        assert result is None
        last = 2 if end == len(payload) and (begin, end) == tuple(edges[-2:]) else 0
        result = assembly.take(1, kind | last, memoryview(payload)[begin:end])
    return result


@given(
    st.binary(max_size=2000),
    st.lists(st.integers(0, 5000), max_size=6, unique=True),
    st.lists(st.integers(0, 5000), max_size=6, unique=True),
)
def test_any_fragmentation_gives_the_same_message(payload, command_cuts, data_cuts):
    """However command and data set are cut, one message comes out whole, and its memory is given back."""
    budget = ByteBudget(10**6)
    assembly = MessageAssembly({1}, command_bytes=1000, object_bytes=2000, budget=budget)
    command_edges = {cut % (len(_COMMAND) + 1) for cut in command_cuts} - {len(_COMMAND)}
    data_edges = {cut % (len(payload) + 1) for cut in data_cuts} - {len(payload)}
    assert _feed(assembly, _COMMAND, 1, sorted(command_edges)) is None
    assert assembly.in_progress
    message = _feed(assembly, payload, 0, sorted(data_edges))
    assert message is not None
    assert message.dataset == payload
    assert not assembly.in_progress
    assembly.release()
    assert budget.reserved == 0


def test_without_budget_the_data_set_is_dropped():
    """An object that finds no memory is refused as busy, and holds none."""
    budget = ByteBudget(10)
    assembly = MessageAssembly({1}, command_bytes=1000, object_bytes=2000, budget=budget)
    _feed(assembly, _COMMAND, 1, [])
    message = _feed(assembly, b"data", 0, [])
    assert message is not None
    assert isinstance(message.refusal, Busy)
    assert message.dataset == b""
    assert budget.reserved == 0


def test_the_transport_starts_without_dicom_libraries():
    """A DICOM process does not load pydicom or pynetdicom to listen: they cost half a second and 40 MB."""
    program = (
        "import sys, gateway.servers.dicom.listener\n"
        "sys.exit(any(name in sys.modules for name in ('pydicom', 'pynetdicom', 'numpy')))"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0

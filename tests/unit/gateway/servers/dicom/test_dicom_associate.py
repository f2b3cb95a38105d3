"""A-ASSOCIATE parsing and answering, with pynetdicom as the independent side."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    AsynchronousOperationsWindowNegotiation,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
    UserIdentityNegotiation,
)
from pynetdicom.presentation import build_context

from gateway.servers.dicom.associate import parse_request, user_name
from gateway.servers.dicom.negotiation import IMPLEMENTATION_UID, negotiate
from gateway.servers.dicom.pdu import ProtocolViolation

CT = "1.2.840.10008.5.1.4.1.1.2"
WORKLIST = "1.2.840.10008.5.1.4.31"


def _proposal() -> bytes:
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.calling_ae_title, primitive.called_ae_title = "SENDER", "DXGATE"
    contexts = [build_context(CT, ["1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2"]), build_context(WORKLIST)]
    for index, one in enumerate(contexts):
        one.context_id = 2 * index + 1
    primitive.presentation_context_definition_list = contexts
    length, uid, version = (
        MaximumLengthNotification(),
        ImplementationClassUIDNotification(),
        ImplementationVersionNameNotification(),
    )
    length.maximum_length_received = 32768
    uid.implementation_class_uid = "1.2.3.4"
    version.implementation_version_name = "PEER_1"
    role, window, identity = (
        SCP_SCU_RoleSelectionNegotiation(),
        AsynchronousOperationsWindowNegotiation(),
        UserIdentityNegotiation(),
    )
    role.sop_class_uid, role.scu_role, role.scp_role = CT, True, True
    window.maximum_number_operations_invoked = window.maximum_number_operations_performed = 5
    identity.user_identity_type, identity.primary_field, identity.secondary_field = 2, b"alice", b"secret"
    identity.positive_response_requested = True
    primitive.user_information = [length, uid, version, role, window, identity]
    request = A_ASSOCIATE_RQ()
    request.from_primitive(primitive)
    return request.encode()


def test_a_request_of_an_independent_encoder_is_read():
    """Everything that pynetdicom proposes is found in the parsed request."""
    request = parse_request(memoryview(_proposal())[6:])
    assert (request.calling_ae, request.called_ae) == ("SENDER", "DXGATE")
    assert [one.abstract_syntax for one in request.contexts] == [CT, WORKLIST]
    assert request.contexts[0].transfer_syntax == "1.2.840.10008.1.2.4.90"
    assert (request.maximum_length, request.implementation_uid) == (32768, "1.2.3.4")
    assert request.implementation_version == "PEER_1"
    assert request.roles == {CT: (1, 1)}
    assert request.proposes_async_window
    assert request.wants_identity_response
    assert user_name(request.credentials) == "alice"


def test_the_answer_is_read_by_an_independent_decoder():
    """pynetdicom finds in our answer the results, the role, the window and who we are."""
    request = parse_request(memoryview(_proposal())[6:])
    agreement = negotiate(request, (), maximum_length=65536, version="DXGATE_1")
    assert set(agreement.contexts) == {1}
    accept = A_ASSOCIATE_AC()
    accept.decode(agreement.reply)
    primitive = accept.to_primitive()
    assert [one.result for one in primitive.presentation_context_definition_results_list] == [0, 3]
    assert primitive.presentation_context_definition_results_list[0].transfer_syntax == ["1.2.840.10008.1.2.4.90"]
    assert primitive.maximum_length_received == 65536
    assert primitive.implementation_class_uid == IMPLEMENTATION_UID
    roles = [one for one in primitive.user_information if isinstance(one, SCP_SCU_RoleSelectionNegotiation)]
    assert [(one.sop_class_uid, one.scu_role, one.scp_role) for one in roles] == [(CT, True, False)]


@given(st.data())
def test_damaged_requests_are_violations_or_requests(data):
    """A request with any bytes changed or cut is parsed or a protocol violation, nothing else."""
    damaged = bytearray(_proposal()[6:])
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(damaged)))
    with contextlib.suppress(ProtocolViolation):
        negotiate(parse_request(memoryview(damaged)[:end]), (), maximum_length=65536, version="DXGATE_1")

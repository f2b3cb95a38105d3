"""Answers a C-STORE request by running the receive step; what is refused is written into the audit trail."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from gateway.domain.errors import Category, GatewayError
from gateway.flow.receive import ReceivedObject
from gateway.ports import GroupCommit, UnitOfWork
from gateway.servers.dicom.journal import actor_of
from gateway.servers.dicom.service import StoreRequest

log = logging.getLogger(__name__)
_OUR_TROUBLE = frozenset({Category.UNAVAILABLE, Category.BUSY, Category.FAULT})


@dataclass(frozen=True)
class StoreInstances:
    """The StoreHandler of the listener; returns only when the object is durable and committed."""

    receive: Callable[[ReceivedObject], Literal["new", "duplicate"]]
    commits: GroupCommit

    def __call__(self, request: StoreRequest) -> None:
        received = ReceivedObject(
            sop_class_uid=request.sop_class_uid,
            sop_instance_uid=request.sop_instance_uid,
            transfer_syntax_uid=request.transfer_syntax_uid,
            dataset=request.dataset,
            sender=actor_of(request.association),
        )
        try:
            self.receive(received)
        except GatewayError as error:
            self._record(request, error)
            raise

    def _record(self, request: StoreRequest, refused: GatewayError) -> None:
        """The trail tells what a sender was refused; trouble of our own is told by the log alone."""
        category = refused.category.value
        if refused.category in _OUR_TROUBLE:
            log.error("object not stored category=%s reason=%s", category, refused)
            return

        def write(unit: UnitOfWork) -> None:
            association = request.association
            unit.audit.record(
                "instance:refuse",
                association.association_id,
                actor_of(association),
                category=category,
                reason=str(refused)[:200],
                sop_class=request.sop_class_uid,
            )

        try:
            self.commits.submit(write)
        except GatewayError as error:
            log.warning("refusal not recorded error=%s", error.category.value)

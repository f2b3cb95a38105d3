"""How a report version is put into an EHR, one file for each way; all have the shape of `Strategy`.

A later `hl7v2-oru` is one more entry of this table and of destinations[].strategy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from gateway.outlets.strategies.docref_pdf import docref_pdf
from gateway.outlets.strategies.dr_create import dr_create
from gateway.outlets.strategies.dr_update_by_order import dr_update_by_order
from gateway.outlets.strategies.pull import pull
from gateway.outlets.strategies.sending import Sending
from gateway.outlets.strategies.transaction import send_transaction

Strategy = Callable[[Sending], str]
"""Puts the version into the EHR and returns what the EHR stored it as, without patient data."""

STRATEGIES: Final[Mapping[str, Strategy]] = MappingProxyType(
    {
        "transaction": send_transaction,
        "dr-create": dr_create,
        "dr-update-by-order": dr_update_by_order,
        "docref-pdf": docref_pdf,
        "pull": pull,
    }
)

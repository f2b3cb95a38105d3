"""The recall of one version of a model: what it said is not to be relied on any more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gateway.domain.ids import ModelId


@dataclass(frozen=True)
class Recall:
    """Made once for a model version; `reason` names no patient."""

    model_id: ModelId
    model_name: str
    model_version: str
    reason: str
    at: datetime
    by: str

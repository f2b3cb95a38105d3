"""Whether an object may be read by a model: what was done to its header, what is known of its pixels, who decided.

Every object is checked by other code than the engine that cleaned it, and its pixels are searched for text where
the rule for its kind asks for it. Only an object that is `cleared` (lifecycle.INSTANCE) reaches a model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from gateway.domain.ids import BlobKey, InstanceId, StudyId

Pixels = Literal["unsearched", "exempt", "clean", "masked", "released"]
"""exempt: the rule for this kind of object asks for no search; clean: searched, no text found; masked: text was
found and overwritten; released: a person has looked and decided."""

ALL_FRAMES = -1


@dataclass(frozen=True)
class Deidentification:
    """What the engine did to one header: profile, edition of PS3.15, methods (CID 7050 codes), counts by action."""

    profile: str
    edition: str
    methods: tuple[str, ...]
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Box:
    """A rectangle of pixels that shows or may show text; `frame` counts from 0, ALL_FRAMES means every one."""

    frame: int
    left: int
    top: int
    width: int
    height: int
    detector: str
    confidence: float = 1.0


@dataclass(frozen=True)
class PixelFinding:
    """What the search for text in one object's pixels has found. `doubt` says why a person has to look."""

    frames: int
    searched_frames: int
    boxes: tuple[Box, ...]
    masked_share: float
    doubt: str | None
    detectors: tuple[str, ...]
    provider: str


@dataclass(frozen=True)
class MaskedContent:
    """The object that replaces the one as received: its blob, size and digest, and where the removed pixels lie.

    An object without text is replaced too, for its header then says so. What the earlier content had is sealed to the
    vault's public key, so that the worker that wrote it cannot open it.
    """

    blob_key: BlobKey
    size: int
    digest: bytes
    transfer_syntax_uid: str
    removed_pixels_key: BlobKey


@dataclass(frozen=True)
class PixelTask:
    """The search of one object's pixels by a worker; `id` is the instance's, `attempt` the fencing token.

    `asked` are the boxes that a person wants masked; None: the detectors decide.
    """

    id: InstanceId
    study_id: StudyId
    state: str
    attempt: int
    priority: Literal["stat", "routine"]
    created_at: datetime
    owner: str | None = None
    lease_until: datetime | None = None
    published_at: datetime | None = None
    reason: str | None = None
    retried_at: int = 0
    asked: tuple[Box, ...] | None = None
    finding: PixelFinding | None = None
    preview_key: BlobKey | None = None

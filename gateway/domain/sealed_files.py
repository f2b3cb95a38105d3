"""What the sealed files of one attempt are called: names that follow from the task and the attempt's number.

A worker that is cut off between storing a file and committing its row leaves a file that no row names; erasing the
patient and counting deposits find it all the same, because its name can be computed.
"""

from __future__ import annotations

from typing import Final, Literal

from gateway.domain.ids import BlobKey, InstanceId, TaskId, derive_id

PixelFile = Literal["masked-content", "removed-pixels", "preview"]
PIXEL_FILES: Final[tuple[PixelFile, ...]] = ("masked-content", "removed-pixels", "preview")


def pixel_file(kind: PixelFile, instance_id: InstanceId, attempt: int) -> BlobKey:
    """What an attempt at one object's pixels stores (wire law: stored files bear these names)."""
    return BlobKey(derive_id(kind, instance_id, str(attempt)))


def heat_map(task_id: TaskId, attempt: int, sop_instance_uid: str) -> BlobKey:
    """A picture that a model's attempt stores for one image (wire law, as above)."""
    return BlobKey(derive_id("heat-map", task_id, str(attempt), sop_instance_uid))

"""Anchors: signed notes, kept outside of the database, of how far the audit trail had grown and with what code.

A chain alone cannot show that its end was cut off, or that all of it was replaced by an older backup. An anchor
file on another disk, or shipped away line by line, can: the trail must still hold every row that an anchor names.
"""

from __future__ import annotations

import hmac
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gateway.domain.errors import Unavailable
from gateway.storage.audit_trail import AuditKey

_FORMAT = "dxgate-anchor-1"


@dataclass(frozen=True)
class Anchor:
    """Row `seq` of the trail had `code` at time `at`; `signature` is HMAC-SHA256 under the key `key_id`."""

    seq: int
    code: bytes
    at: datetime
    key_id: str
    signature: bytes

    def is_signed_by(self, keys: Sequence[AuditKey]) -> bool:
        wanted = [key.secret for key in keys if key.key_id == self.key_id]
        return any(hmac.compare_digest(_signature(secret, self), self.signature) for secret in wanted)


class AnchorFile:
    """One JSON object a line, appended and flushed; its lines are never rewritten."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, seq: int, code: bytes, at: datetime, key: AuditKey) -> Anchor:
        """Unavailable where the file cannot be written."""
        anchor = Anchor(seq, code, at, key.key_id, b"")
        anchor = Anchor(seq, code, at, key.key_id, _signature(key.secret, anchor))
        # the line break comes first, so that a line torn by a crash cannot swallow the next
        line = "\n" + json.dumps({**_words(anchor), "signature": anchor.signature.hex()})
        try:
            file = os.open(self._path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                os.write(file, line.encode("ascii"))
                os.fsync(file)
            finally:
                os.close(file)
        except OSError as error:
            raise Unavailable(f"the anchor file cannot be written (errno {error.errno})") from None
        return anchor

    def counts(self) -> Mapping[str, int]:
        """How many anchors each key has signed."""
        return Counter(anchor.key_id for anchor in self.read()[0])

    def read(self) -> tuple[list[Anchor], list[int]]:
        """The anchors, and the numbers of the lines that are none (a torn line, or somebody's hand)."""
        try:
            lines = self._path.read_text("utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return [], []
        except OSError as error:
            raise Unavailable(f"the anchor file cannot be read (errno {error.errno})") from None
        parsed = [(number, _parse(line)) for number, line in enumerate(lines, start=1) if line.strip()]
        return [anchor for _, anchor in parsed if anchor], [number for number, anchor in parsed if anchor is None]


def newest(anchors: Iterable[Anchor]) -> Anchor | None:
    return max(anchors, key=lambda anchor: anchor.seq, default=None)


def _words(anchor: Anchor) -> dict[str, str | int]:
    at = anchor.at.astimezone(UTC).isoformat(timespec="microseconds")
    return {"format": _FORMAT, "seq": anchor.seq, "code": anchor.code.hex(), "at": at, "key_id": anchor.key_id}


def _signature(secret: bytes, anchor: Anchor) -> bytes:
    """Over sorted compact JSON (wire law: anchors written by older releases must stay verifiable)."""
    text = json.dumps(_words(anchor), sort_keys=True, separators=(",", ":"))
    return hmac.digest(secret, text.encode("ascii"), "sha256")


def _parse(line: str) -> Anchor | None:
    try:
        words = json.loads(line)
        anchor = Anchor(
            int(words["seq"]),
            bytes.fromhex(words["code"]),
            datetime.fromisoformat(words["at"]),
            str(words["key_id"]),
            bytes.fromhex(words["signature"]),
        )
        return anchor if words["format"] == _FORMAT and anchor.at.tzinfo else None
    except (ValueError, KeyError, TypeError):
        return None

"""The key tables of exports: which name of an export stands for which pseudonym, sealed under the identity key.

One file for each export in the gateway's own home, never in the exported folder. Without `identity.json` a table
does not open, and what it leads to is a pseudonym, which only the vault leads back to a patient. When the identity
key rotates, the data key of each table is wrapped anew.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from gateway.domain.errors import Conflict, Invalid, Missing, Unavailable
from gateway.privacy.keyring import KeyRing, Purpose
from gateway.privacy.live_ring import Keys
from gateway.privacy.sealing import (
    LONGEST_HEADER,
    SealedHeader,
    WrappingKey,
    open_sealed,
    read_sealed_header,
    rewrap,
    seal,
)

EXPORT_ID: Final = re.compile(r"[0-9a-f]{16}")
_LARGEST: Final = 1 << 28
_NAMES: Final = "names"


class ExportKeys:
    """Files of 0600 in a folder of 0700."""

    def __init__(self, folder: Path, ring: Keys) -> None:
        """`ring` holds the identity key."""
        self._folder = folder
        self._ring = ring

    def keep(self, export_id: str, told: Mapping[str, str], names: Mapping[str, str]) -> None:
        """`names` of the export to pseudonyms, with what is `told` of the export; durable when it returns."""
        table = json.dumps({"export": export_id, **told, _NAMES: dict(names)}).encode()
        key = self._ring.key(Purpose.IDENTITY)
        sealed = seal([table], key, _bound(export_id))
        self._ring.confirm(key.kid)
        _write(self._path(export_id), sealed, replace_existing=False)

    def internal(self, export_id: str, name: str) -> str:
        """The pseudonym that a patient id or study UID of an export stands for; Missing where there is none."""
        found = self._table(export_id)[_NAMES].get(name)
        if not isinstance(found, str):
            raise Missing("this export has no patient or study of this name")
        return found

    def _table(self, export_id: str) -> dict[str, Any]:
        path = self._path(export_id)
        try:
            if path.stat().st_size > _LARGEST:
                raise Invalid("the key table of this export is larger than one can be")
            sealed = path.read_bytes()
        except FileNotFoundError:
            raise Missing("there is no key table of this export here") from None
        except OSError as error:
            raise Unavailable(f"the key table of this export cannot be read: {error.strerror}") from None
        table = json.loads(
            open_sealed(sealed, lambda kid, wrapped: self._ring.by_id(kid).unwrap(kid, wrapped), _bound(export_id))
        )
        if not isinstance(table, dict) or not isinstance(table.get(_NAMES), dict):
            raise Invalid("the key table of this export is damaged")
        return table

    def _unwrap(self, kid: str, wrapped: bytes) -> bytes:
        return self._ring.by_id(kid).unwrap(kid, wrapped)

    def _path(self, export_id: str) -> Path:
        if not EXPORT_ID.fullmatch(export_id):
            raise Invalid("an export id has 16 hexadecimal digits")
        return self._folder / f"{export_id}.sealed"


class ExportTables:
    """All key tables of a folder, for the rotation of the key that they rest on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def counts(self) -> Mapping[str, int]:
        """How many tables each key wraps."""
        return dict(Counter(_header(path).kid for path in self._paths()))

    def rewrap(self, ring: KeyRing) -> tuple[int, int]:
        """Tables wrapped anew under the current key, and tables that do not open and stay as they are."""
        key, done, failed = ring.key(Purpose.IDENTITY), 0, 0
        for path in self._paths():
            try:
                done += self._rewrap(path, ring, key)
            except (Invalid, Missing):
                failed += 1
        return done, failed

    def _rewrap(self, path: Path, ring: KeyRing, key: WrappingKey) -> bool:
        header = _header(path)
        if header.kid == key.kid:
            return False
        body = path.read_bytes()[header.size :]
        _write(path, [rewrap(header, ring.unwrap, key).to_bytes(), body], replace_existing=True)
        return True

    def _paths(self) -> list[Path]:
        return sorted(self._folder.glob("*.sealed"))


def _header(path: Path) -> SealedHeader:
    try:
        with path.open("rb") as file:
            return read_sealed_header(file.read(LONGEST_HEADER))
    except OSError as error:
        raise Unavailable(f"the key table {path.name} cannot be read: {error.strerror}") from None


def _write(path: Path, parts: Sequence[bytes], *, replace_existing: bool) -> None:
    """Temporary file, fsync, link or rename, fsync of the folder: whole or as before. Conflict where it is there."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        if replace_existing:
            temporary.replace(path)
        else:
            path.hardlink_to(temporary)
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
    except FileExistsError:
        raise Conflict("there is a key table of this export already") from None
    except OSError as error:
        raise Unavailable(f"cannot keep the key table of the export: {error.strerror}") from None
    finally:
        with suppress(OSError):
            temporary.unlink()


def _bound(export_id: str) -> bytes:
    return f"export\x1f{export_id}".encode()

"""Outlet to a folder: one JSON file for each report version, for hospitals whose interface engine picks up files.

A file appears whole or not at all, under a name that a retry writes again; it is on disk before `send` returns.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from gateway.domain.errors import Unavailable
from gateway.domain.report import Delivery
from gateway.formats.fhir.bundle import collection
from gateway.formats.fhir.element import encode
from gateway.formats.fhir.render import render
from gateway.ports import ReportDocument

_MODE = 0o640  # identity in clear: for the owner and the group of the interface engine


class FolderOutlet:
    """Writes into one folder, which must exist: making it could hide that a share is not mounted."""

    def __init__(self, folder: Path, base_url: str, organization_name: str) -> None:
        self._folder = folder.expanduser()
        self._base_url = base_url
        self._organization_name = organization_name

    def send(self, delivery: Delivery, document: ReportDocument) -> str:
        """Name and SHA-256 of the file. Unavailable where folder or disk are out."""
        body = encode(collection(render(document, self._base_url, self._organization_name), self._base_url))
        name = f"{delivery.report_id}-{delivery.version}.json"
        try:
            self._write(name, body)
        except OSError as error:
            raise Unavailable(f"the folder cannot be written ({type(error).__name__}, errno {error.errno})") from None
        return f"{name} sha256 {hashlib.sha256(body).hexdigest()}"

    def _write(self, name: str, body: bytes) -> None:
        unfinished = self._folder / f".{name}.unfinished"
        number = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, _MODE)
        with os.fdopen(number, "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(number)
        unfinished.replace(self._folder / name)
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

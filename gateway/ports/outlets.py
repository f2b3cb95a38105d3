"""What leaves: reports and their documents, notifications, signatures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from gateway.domain.identity import StudyIdentity
from gateway.domain.model import ServedModel
from gateway.domain.recall import Recall
from gateway.domain.report import Delivery, Report, ReportVersion
from gateway.domain.review import Review
from gateway.domain.study import Instance, Study


class Hook(Protocol):
    """Sends one request to an endpoint that a client has named."""

    def send(
        self, method: str, url: str, body: bytes | None, headers: Sequence[tuple[str, str]], seconds: float
    ) -> None:
        """Unavailable unless it was accepted; Forbidden where the address may not be reached."""
        ...


class ContentSigner(Protocol):
    """The gateway's own signature."""

    def sign(self, claims: Mapping[str, str | int]) -> tuple[str, str]:
        """The JWS over `claims` and the id of the key. Unavailable where there is no key to sign with."""
        ...


class Outlet(Protocol):
    """Sends one report version to one destination and returns what the destination acknowledged."""

    def send(self, delivery: Delivery, document: ReportDocument) -> str:
        """Unavailable or Busy: try again later. Any other GatewayError: the destination refuses it."""
        ...


class ReportDocument(Protocol):
    """A report version with identity restored and everything an encoder needs."""

    @property
    def report(self) -> Report: ...
    @property
    def version(self) -> ReportVersion: ...
    @property
    def study(self) -> Study: ...
    @property
    def instances(self) -> Sequence[Instance]: ...
    @property
    def identity(self) -> StudyIdentity: ...
    @property
    def models(self) -> Mapping[str, ServedModel]: ...
    @property
    def original_uids(self) -> Mapping[str, str]: ...
    @property
    def pictures(self) -> Mapping[str, bytes]:
        """Heat maps (PNG) by blob key."""
        ...

    @property
    def reviews(self) -> Sequence[Review]:
        """What physicians decided about the report up to this version, oldest first."""
        ...

    @property
    def recalls(self) -> Sequence[Recall]:
        """Recalls of models of this version, as known when the version was made."""
        ...

    @property
    def dicomweb_url(self) -> str:
        """Base address of the DICOMweb server that has the study's images; empty where none is configured."""
        ...

    @property
    def basis(self) -> Mapping[str, Sequence[str]]:
        """By model, the resources (Type/id) of the record that its input was gathered from."""
        ...

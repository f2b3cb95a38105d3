"""What the web server works with, ready made: settings, database, vault, reports, and the keys of its links.

Ports are synchronous; handlers run in threads, so that nothing blocks the event loop.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property

from gateway.config import Settings
from gateway.flow.authorize_app import AuthorizeApp
from gateway.flow.client_assertion import ClientAssertions
from gateway.flow.decide_held import DecideHeld
from gateway.flow.grant_access import GrantAccess
from gateway.flow.id_token import IdTokens
from gateway.flow.id_token_key import IdTokenKey
from gateway.flow.issue_token import IssueToken
from gateway.flow.key_sets import Fetch, KeySets
from gateway.flow.opening_quota import OpeningQuota, TooManyOpenings
from gateway.flow.read_reports import ReadReports
from gateway.flow.record.store import Record
from gateway.flow.reidentify import Reidentify
from gateway.flow.request_rate import RequestRate
from gateway.flow.review import ReviewReport
from gateway.flow.sign_in_elsewhere import SignInElsewhere
from gateway.ports import Database, GroupCommit, IdentityVault, UnitOfWork
from gateway.servers.web.noted_reading import NotedReading
from gateway.servers.web.threads import Threads


@dataclass(frozen=True)
class ChainCheck:
    """What a check of the audit chain found: rows checked, and the first broken one if any."""

    rows: int
    broken_at: int | None
    at: datetime


@dataclass(frozen=True)
class WebServices:
    """`page_key` (32 bytes) seals paging links and signs forms.

    `check_source` refuses an address from which nothing may be imported.
    `fetch_keys` gives the key set at an address; `elsewhere` lets people sign in through an identity provider.
    `check_audit` verifies the whole chain; without it the console checks only that the rows it shows are linked.
    Without `review` nobody decides about reports here.
    """

    settings: Settings
    database: Database
    vault: IdentityVault
    reports: ReadReports
    reidentify: Reidentify
    record: Record
    commits: GroupCommit
    page_key: bytes = field(repr=False)
    fetch_keys: Fetch
    elsewhere: SignInElsewhere | None = None
    check_audit: Callable[[], ChainCheck] | None = None
    check_source: Callable[[str], None] = lambda _: None
    review: ReviewReport | None = None
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    @cached_property
    def access(self) -> GrantAccess:
        web = self.settings.web
        return GrantAccess(
            self.database,
            token_life=timedelta(seconds=web.token_seconds),
            session_life=timedelta(seconds=web.session_seconds),
            assertions=ClientAssertions(self.database, KeySets(self.fetch_keys), self._names, self.clock),
            now=self.clock,
        )

    @property
    def _names(self) -> frozenset[str]:
        """How a signed assertion may call our token endpoint: its address, or the server's."""
        base = self.settings.base_url
        return frozenset({f"{base}/auth/token", base})

    @cached_property
    def issue(self) -> IssueToken:
        return IssueToken(self.access)

    @cached_property
    def apps(self) -> AuthorizeApp:
        return AuthorizeApp(self.access, frozenset({self.fhir_base, self.settings.base_url}), self.id_tokens)

    @cached_property
    def id_tokens(self) -> IdTokens:
        rsa = IdTokenKey(self.database, self.key("id-token-rsa"))
        return IdTokens(self.settings.base_url, self.fhir_base, self.key("id-token"), rsa, self.clock)

    @cached_property
    def client_rate(self) -> RequestRate:
        return RequestRate(self.settings.web.client_rate)

    @cached_property
    def address_rate(self) -> RequestRate:
        return RequestRate(self.settings.web.address_rate)

    @cached_property
    def openings(self) -> OpeningQuota:
        return OpeningQuota(self.settings.privacy.openings_per_hour)

    @cached_property
    def held(self) -> DecideHeld:
        return DecideHeld(self.database, self.reports.blobs, self.clock)

    @cached_property
    def threads(self) -> Threads:
        return Threads()

    @cached_property
    def fhir_base(self) -> str:
        return f"{self.settings.base_url}/fhir"

    @cached_property
    def started(self) -> datetime:
        return self.clock()

    def key(self, purpose: str) -> bytes:
        """A key derived from `page_key` for one purpose."""
        return hmac.digest(self.page_key, f"dxgate/web/{purpose}".encode(), hashlib.sha256)

    @contextmanager
    def reading(self) -> Iterator[NotedReading]:
        """A unit of work that reads; what it notes for the audit trail is durable when the block has ended.

        Nothing read inside may leave the process before the block has ended. Reading takes no write lock, and
        the write that follows holds the audit rows alone.
        """
        with self.database.read() as unit:
            noted = NotedReading(unit)
            try:
                yield noted
            except Exception:
                with suppress(TooManyOpenings):
                    self._write_down(noted)  # what was opened was opened, whatever failed later
                raise
        self._write_down(noted)

    def write_down(self, unit: UnitOfWork, noted: NotedReading) -> TooManyOpenings | None:
        """The audit rows, and what was opened against its actor's quota, into a unit that commits.

        Where the quota is used up, what was read must not leave the process: that is what is returned. Where it is
        not, `shown` is to be called once the unit has committed.
        """
        noted.audit.copy_to(unit)
        for actor, patients in noted.audit.openings().items():
            spent = self.spend(unit, actor, patients)
            if spent is not None:
                return spent
        return None

    def shown(self, noted: NotedReading) -> None:
        for actor, patients in noted.audit.openings().items():
            self.openings.keep(actor, patients, self.clock())

    def spend(self, unit: UnitOfWork, actor: str, patients: Collection[str]) -> TooManyOpenings | None:
        """Counts patients against their reader's quota; a refusal is written down."""
        now = self.clock()
        if self.openings.take(unit, actor, patients, now):
            return None
        unit.audit.record("identity:refuse", actor, actor, reason="quota", patients_asked=len(patients))
        return TooManyOpenings(now)

    def _write_down(self, noted: NotedReading) -> None:
        if not noted.audit.entries:
            return
        spent = self.commits.submit(lambda unit: self.write_down(unit, noted))
        if spent is not None:
            raise spent
        self.shown(noted)

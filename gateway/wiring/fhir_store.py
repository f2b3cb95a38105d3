"""The store of FHIR resources, and what is done with it apart from requests."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from gateway.wiring.reports import read_reports
from gateway.wiring.storage import blobs, database, object_seal, vault

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.config import Settings
    from gateway.domain.reindex import Reindexing
    from gateway.flow.deliver import DeliverReports
    from gateway.flow.record.forget_messages import ForgetMessages
    from gateway.flow.record.reindex import Reindex
    from gateway.flow.record.settle import SettleRecords
    from gateway.flow.record.store import Record
    from gateway.flow.subscribe.forget import ForgetEvents
    from gateway.flow.subscribe.notify import SendNotifications
    from gateway.ports import Database
    from gateway.privacy.vault import Vault


def record(settings: Settings, of_vault: Vault) -> Record:
    """The store of FHIR resources."""
    from gateway.flow.record.hear_reports import HearReports
    from gateway.flow.record.keep_index import keep_index
    from gateway.flow.record.link_orders import LinkOrders
    from gateway.flow.record.open import OpenResources
    from gateway.flow.record.owner import FindOwner
    from gateway.flow.record.plan import PlanWrites
    from gateway.flow.record.store import Record
    from gateway.flow.record.watch import WatchRecords
    from gateway.flow.record.write import WriteResources
    from gateway.flow.subscribe.watch import WatchSubscriptions
    from gateway.formats.fhir import agreement_codes

    base = settings.fhir_base_url
    opened = OpenResources(of_vault)

    plan = PlanWrites(of_vault, FindOwner(of_vault, base), opened, base)
    watch = WatchRecords(timedelta(seconds=settings.study.quiet_seconds))
    link = LinkOrders(of_vault, tuple(destination.name for destination in settings.destinations))
    hear = HearReports(of_vault, opened, base, agreement_codes.read(settings.models.agreement_codes))
    return Record(plan, WriteResources((keep_index, watch, link, hear, WatchSubscriptions(opened, base))), opened)


def reindex(settings: Settings, on_batch: Callable[[Reindexing], None]) -> Reindex:
    from gateway.flow.record.open import OpenResources
    from gateway.flow.record.reindex import Reindex
    from gateway.formats.fhir.search.parameters import fingerprint

    opened = database(settings)
    form = fingerprint(settings.fhir_base_url)
    return Reindex(opened, OpenResources(vault(settings, opened)), on_batch, fingerprint=form)


def settle_records(settings: Settings, opened: Database) -> SettleRecords:
    """Gathers what models on records ask for; it runs where identity may be opened."""
    from gateway.flow.record.read_record import ReadRecord
    from gateway.flow.record.settle import SettleRecords

    read = ReadRecord(vault(settings, opened))
    seal = object_seal(settings, opened)
    return SettleRecords(opened, blobs(settings), seal, read.open_resource, read.seal_identity)


def file_reports(settings: Settings, opened: Database) -> DeliverReports:
    """The deliveries to our own store."""
    from gateway.domain.report import RECORD
    from gateway.flow.deliver import DeliverReports, Destination
    from gateway.flow.record.file_report import FileReport

    reports = read_reports(settings, opened)
    own = FileReport(
        database=opened,
        reports=reports,
        record=record(settings, vault(settings, opened)),
        base_url=settings.fhir_base_url,
        organization=settings.gateway.organization,
    )
    pause, lease = timedelta(seconds=1), timedelta(seconds=60)
    return DeliverReports(opened, reports, Destination(RECORD, own, pause, lease))


def send_notifications(settings: Settings, opened: Database) -> SendNotifications:
    """To the endpoints of subscriptions."""
    from gateway.flow.subscribe.address_rules import AddressRules
    from gateway.flow.subscribe.notify import SendNotifications
    from gateway.outlets.rest_hook import RestHook

    told = settings.subscriptions
    return SendNotifications(
        database=opened,
        record=record(settings, vault(settings, opened)),
        hook=RestHook(AddressRules.of(told.allow_http, told.private_networks)),
        base=settings.fhir_base_url,
        first_pause=timedelta(seconds=told.retry_seconds),
        timeout=told.timeout_seconds,
    )


def forget_messages(opened: Database) -> ForgetMessages:
    from gateway.flow.record.forget_messages import ForgetMessages

    return ForgetMessages(opened)


def forget_events(settings: Settings, opened: Database) -> ForgetEvents:
    from gateway.flow.subscribe.forget import ForgetEvents

    return ForgetEvents(opened, timedelta(days=settings.subscriptions.keep_days))

"""export: a research copy of chosen studies, cleaned a second time under the recipient's own pseudonyms.

It starts from the de-identified objects, never from the identity. Every file is held against the independent checker,
which looks for this gateway's own pseudonyms as it otherwise looks for names; one that fails, and nothing is
released. The key table is sealed and stays; the audit rows are durable before the folder gets its name.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Protocol, Self

from gateway.domain.clearance import Pixels
from gateway.domain.errors import Invalid
from gateway.domain.export import Exported, ExportedStudy, ExportPlan
from gateway.domain.study import Instance, Study
from gateway.flow.check_copy import CheckCopy
from gateway.flow.choose_studies import SEARCHED
from gateway.formats.export_documents import manifest, report
from gateway.ports import BlobStore, Database, ObjectSeal
from gateway.privacy.age_band import with_banded_ages
from gateway.privacy.engine import deidentify
from gateway.privacy.export_rules import export_rules
from gateway.privacy.inventory import Inventory
from gateway.privacy.part10 import split
from gateway.privacy.pseudonyms import Pseudonymiser
from gateway.privacy.rules import EDITION
from gateway.privacy.stamps import PixelMethod
from gateway.privacy.vault import Vault

_TELL_EVERY: Final = 100  # objects


class Folder(Protocol):
    """Where the copy is built; without `publish` nothing of it remains."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def write(self, name: str, parts: Iterable[bytes | bytearray | memoryview]) -> None: ...
    def publish(self) -> None: ...


class KeyTables(Protocol):
    """Where the sealed key tables are kept."""

    def keep(self, export_id: str, told: Mapping[str, str], names: Mapping[str, str]) -> None: ...


@dataclass
class _Made:
    """What is gathered while the files are written; `names` leads from names of the export to ours."""

    names: dict[str, str] = field(default_factory=dict)
    inventory: Inventory = field(default_factory=Inventory)
    counts: Counter[str] = field(default_factory=Counter)
    objects: int = 0
    bytes: int = 0


@dataclass(frozen=True)
class ExportStudies:
    """Carries out a plan of ChooseStudies."""

    database: Database
    blobs: BlobStore
    seal: ObjectSeal
    vault: Vault
    key_tables: KeyTables
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def __call__(self, plan: ExportPlan, folder: Folder, actor: str, tell: Callable[[str], None]) -> Exported:
        """Conflict where the checker refuses a file; then no folder, no key table and no audit row is made."""
        made, export_id, at = _Made(), secrets.token_hex(8), self.now()
        with folder:
            for one in plan.studies:
                self._study(plan, one, folder, made, tell)
            done = _exported(export_id, plan, made)
            folder.write("inventory.csv", [made.inventory.to_csv()])
            folder.write("manifest.json", [manifest(done, at).encode()])
            folder.write("report.md", [report(done, at).encode()])
            told = {"recipient": plan.request.recipient, "purpose": plan.request.purpose, "made_at": at.isoformat()}
            self.key_tables.keep(export_id, told, made.names)
            self._audit(done, actor)
            folder.publish()
        return done

    def _study(
        self, plan: ExportPlan, one: ExportedStudy, folder: Folder, made: _Made, tell: Callable[[str], None]
    ) -> None:
        with self.database.read() as unit:
            pseudonymiser = self.vault.for_recipient(unit, one.study.patient, plan.request.recipient)
        checked = CheckCopy(one.study, one.instances, pseudonymiser)
        made.names[pseudonymiser.patient_id()] = one.study.patient
        made.names[pseudonymiser.uid(one.study.study_uid)] = one.study.study_uid
        for instance in one.instances:
            opened = self._opened(one.study, instance)
            file, methods = _cleaned(plan, opened, pseudonymiser, instance.pixels, made.counts)
            names = checked(instance, file, methods)
            made.inventory.add(file)
            place = f"{names.patient}/{names.study_uid}/{names.series_uid}/{names.sop_instance_uid}"
            folder.write(f"dicom/{place}.dcm", [file])
            made.objects += 1
            made.bytes += len(file)
            if made.objects % _TELL_EVERY == 0:
                tell(f"{made.objects} of {plan.objects} objects")

    def _opened(self, study: Study, instance: Instance) -> bytes:
        key = instance.blob_key
        opened = self.seal.open(study.patient, key, self.blobs.get(key))
        if hashlib.sha256(opened).digest() != instance.read_digest:
            raise Invalid(f"the stored object {instance.id} is not the one that was cleared")
        return opened

    def _audit(self, done: Exported, actor: str) -> None:
        asked = done.plan.request
        with self.database.begin(actor) as unit:
            unit.audit.record(
                "export:make",
                done.id,
                actor,
                recipient=asked.recipient,
                purpose=asked.purpose,
                studies=len(done.plan.studies),
                objects=done.plan.objects,
                withheld=sum(done.plan.withheld.values()),
                k=asked.k,
                dates=asked.dates,
                unsearched=asked.allow_unsearched_pixels,
            )
            for one in done.plan.studies:
                unit.audit.record(
                    "study:export",
                    one.study.id,
                    actor,
                    export=done.id,
                    recipient=asked.recipient,
                    purpose=asked.purpose,
                )
            unit.commit()


def _exported(export_id: str, plan: ExportPlan, made: _Made) -> Exported:
    rules = export_rules(plan.request.dates)
    return Exported(
        id=export_id,
        plan=plan,
        bytes=made.bytes,
        profile=rules.profile.name,
        edition=EDITION,
        methods=rules.profile.methods,
        counts=dict(sorted(made.counts.items())),
    )


def _cleaned(
    plan: ExportPlan, opened: bytes, pseudonymiser: Pseudonymiser, pixels: Pixels, counts: Counter[str]
) -> tuple[bytes, frozenset[str]]:
    """The object under the export's rules, and the methods that it says of itself."""
    transfer_syntax, body = split(opened)
    banded = with_banded_ages(body, transfer_syntax, plan.band_years)
    done_to_pixels = frozenset({PixelMethod.CLEAN_PIXEL_DATA} if pixels in SEARCHED else ())
    rules = export_rules(plan.request.dates)
    cleaned = deidentify(banded, transfer_syntax, rules, lambda _: pseudonymiser, pixels=done_to_pixels)
    counts.update(cleaned.record.counts)
    return b"".join(cleaned.parts), frozenset(cleaned.record.methods)

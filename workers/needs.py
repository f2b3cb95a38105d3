"""What a pack asks of a patient's record, in the domain's words, so that the gateway can gather it.

Every value may also stand under our own code, `urn:dxgate:input` and `PACK.FIELD`: a hospital that maps its own codes
to these needs no new pack.
"""

from __future__ import annotations

from gateway.domain.record import Exclusion, Needs, Sought, Wanted
from models.inputs import Excluded, Field
from models.manifest import AnyManifest, PlanManifest, RecordManifest, RulesManifest, SeriesManifest
from models.runtime.rules import RulesTable

OWN = "urn:dxgate:input"


def needs_of(manifest: AnyManifest, tables: RulesTable | None) -> Needs | None:
    """None for a model on images."""
    if isinstance(manifest, RecordManifest):
        fields = manifest.input.fields
        least = len(fields) - int(manifest.input.missing_max * len(fields))
        return Needs(
            "record",
            fields=_wanted(manifest.name, fields),
            measured_min=least,
            one_of=manifest.input.one_of,
            excludes=_excluded(manifest.input.excludes),
        )
    if isinstance(manifest, SeriesManifest):
        rule = manifest.input
        return Needs(
            "series",
            fields=_wanted(manifest.name, rule.fields),
            statics=_wanted(manifest.name, rule.statics),
            window_minutes=rule.bins * rule.bin_minutes,
            measured_min=rule.measured_min,
        )
    if isinstance(manifest, PlanManifest):
        return Needs("plan", fields=_wanted(manifest.name, manifest.input.fields))
    if isinstance(manifest, RulesManifest):
        drugs, sites = (tables.drugs, tables.sites) if tables else ((), ())
        return Needs("genotype", genes=manifest.input.genes, drugs=drugs, sites=sites)
    return None


def _excluded(told: tuple[Excluded, ...]) -> tuple[Exclusion, ...]:
    return tuple(
        Exclusion(one.title, tuple(Sought(code.system, code.value) for code in one.codes), one.days) for one in told
    )


def _wanted(pack: str, fields: tuple[Field, ...]) -> tuple[Wanted, ...]:
    return tuple(
        Wanted(
            name=one.name,
            title=one.title,
            unit=one.unit,
            codes=(*(Sought(code.system, code.value) for code in one.codes), Sought(OWN, f"{pack}.{one.name}")),
            other_units=tuple(conversion.unit for conversion in one.conversions),
            answers=tuple(one.answers),
            required=one.required,
            shows_nothing=one.shows_nothing,
        )
        for one in fields
    )

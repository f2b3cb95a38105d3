"""What watches models: the month's figures, with the inputs of records opened, and the rules that stop one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from gateway.wiring.storage import blobs, database, object_seal

if TYPE_CHECKING:
    from gateway.config import Settings
    from gateway.domain.acceptance import Limits
    from gateway.domain.finding import Finding
    from gateway.flow.govern import GovernModels
    from gateway.flow.model_month import Inputs, ReadMonth
    from gateway.flow.stop_rules import StopByRule
    from gateway.ports import Database


def read_month(settings: Settings) -> ReadMonth:
    from gateway.flow.model_month import ReadMonth

    opened = database(settings)
    return ReadMonth(opened, _inputs(settings, opened))


def govern(settings: Settings, opened: Database) -> GovernModels:
    from gateway.flow.compose import ComposeReport
    from gateway.flow.govern import GovernModels

    destinations = tuple(destination.name for destination in settings.destinations)
    return GovernModels(opened, settings.models.approvals, acceptance_asked(settings), ComposeReport(destinations))


def acceptance_limits(settings: Settings) -> Limits:
    """What an acceptance run of the site has to reach."""
    from gateway.domain.acceptance import Limits

    told = settings.models
    return Limits(
        auc=told.least_auc,
        sensitivity=told.least_sensitivity,
        specificity=told.least_specificity,
        subgroup=told.least_subgroup,
        refused=told.most_refused,
        cases=told.least_cases,
    )


def acceptance_asked(settings: Settings) -> Limits | None:
    """The limits of the run that a version needs before it is active; None where none is needed."""
    return acceptance_limits(settings) if settings.models.acceptance == "required" else None


def stop_by_rule(settings: Settings, opened: Database) -> StopByRule:
    from gateway.flow.stop_rules import Rules, StopByRule

    told = settings.models
    rules = Rules(
        override_rate=told.stop_override_rate,
        least_reviews=told.stop_after_reviews,
        shift=told.stop_shift,
        disagreement_rate=told.stop_disagreement_rate,
        least_comparisons=told.stop_after_comparisons,
    )
    return StopByRule(govern(settings, opened), rules)


def _inputs(settings: Settings, opened: Database) -> Inputs:
    from gateway.formats import record_document

    files, seal = blobs(settings), object_seal(settings, opened)

    def numbers(finding: Finding) -> Mapping[str, float]:
        """The mean of each number that the record gave."""
        with opened.read() as unit:
            study = unit.studies.get(finding.study_id)
            given = unit.records.input(study.id, finding.revision, finding.made_by.model_id)
        content = seal.open(study.patient, given.blob_key, files.get(given.blob_key))
        values = [one for one in record_document.decode(content).values if not isinstance(one.value, str)]
        found: dict[str, list[float]] = {}
        for one in values:
            found.setdefault(f"{one.name} ({one.unit or '1'})", []).append(float(one.value))
        return {name: sum(told) / len(told) for name, told in found.items()}

    return numbers

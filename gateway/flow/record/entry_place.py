"""Which entry of a Bundle an error is about: what goes wrong in the middle of a plan is told with its place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from gateway.domain.errors import GatewayError
from gateway.flow.record.asked import Asked
from gateway.formats.fhir.wire.issue import InvalidResource, Issue


@contextmanager
def placed(asked: Asked) -> Iterator[None]:
    """An error inside the block names the entry of the Bundle."""
    try:
        yield
    except InvalidResource as error:
        if not asked.place:
            raise
        raise InvalidResource([_of_entry(one, asked.place) for one in error.issues]) from None
    except GatewayError as error:
        error.place = error.place or asked.place
        raise


def _of_entry(issue: Issue, place: str) -> Issue:
    """Where in the entry: in the operations of a patch, or in what they make of the resource, which is not there."""
    if issue.expression.startswith("Bundle."):
        return issue
    _, _, rest = issue.expression.partition("Parameters.")
    return replace(issue, expression=f"{place}.resource.{rest}" if rest else place)

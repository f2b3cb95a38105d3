"""recall: GET or POST [base]/$recall?model=..&version=.., the reports that a model version had a part in.

Reports by reference, patients by pseudonym, who has them, who signed; nothing is marked here: that is
`dxgate recall --mark`, on the machine and by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from gateway.flow.recall import Affected, RecallModel
from gateway.formats.fhir.element import Resource
from gateway.servers.web.fhir.exchange import Answer
from gateway.servers.web.refusal import Refusal
from gateway.servers.web.services import WebServices

MOST: Final = 1000


def recall(services: WebServices, model: str, version: str, actor: str) -> Answer:
    """200 with one part for each report, at most `MOST`, and whether there are more. The look at it is audited."""
    if not model or not version:
        raise Refusal(400, "required", "the parameters model and version name what is recalled")
    step = RecallModel(services.database)
    packages = step.model(model, version)
    found = [each for package in packages for each in islice(step.affected(package.id), MOST + 1)]
    with services.database.begin(actor) as unit:
        for package in packages:
            unit.audit.record("resource:search", package.id, actor, type="$recall", reports=len(found))
        unit.commit()
    parts = [{"name": "report", "part": list(_parts(each))} for each in found[:MOST]]
    more = {"name": "more", "valueBoolean": len(found) > MOST}
    return Answer(200, {"resourceType": "Parameters", "parameter": [more, *parts]})


def _parts(each: Affected) -> Iterator[Resource]:
    yield {"name": "reference", "valueReference": {"reference": f"DiagnosticReport/{each.report.id}"}}
    yield {"name": "patient", "valueReference": {"reference": f"Patient/{each.patient}"}}
    yield {"name": "status", "valueCode": each.report.status}
    yield {"name": "current", "valueBoolean": each.says_it_now}
    yield {"name": "signed", "valueBoolean": each.is_signed}
    for one in each.recipients:
        said = [{"name": "destination", "valueString": one.destination}, {"name": "state", "valueCode": one.state}]
        if one.acknowledgement:
            said.append({"name": "acknowledgement", "valueString": one.acknowledgement})
        yield {"name": "recipient", "part": said}

"""A Subscription as a client may write it: checked so that it can be carried out, and in the client's own name.

The state is the server's: what a client writes is `requested` until the endpoint has answered, or `off`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from gateway.domain.access import Client
from gateway.domain.errors import Forbidden, Invalid
from gateway.flow.record.asked import Asked, Resource
from gateway.flow.scopes import permits
from gateway.flow.subscribe.address_rules import AddressRules
from gateway.flow.subscribe.own import owned
from gateway.flow.subscribe.watch import KIND
from gateway.formats.fhir.search.read_wanted import Reading
from gateway.formats.fhir.subscription.topics import TOPICS
from gateway.formats.fhir.subscription.wish import read_wish
from gateway.formats.fhir.wire.issue import InvalidResource, Issue, refused
from gateway.servers.web.services import WebServices


def admitted(services: WebServices, client: Client, asked: Asked) -> Asked:
    """InvalidResource or Forbidden for a Subscription that is not carried out; anything else passes as it is."""
    if asked.kind != KIND or asked.method == "DELETE":
        return asked
    if asked.patch is not None:
        return replace(asked, patch=_after(asked.patch, services, client))
    if asked.resource is None:
        return asked
    try:
        return replace(asked, resource=_admitted(services, client, asked.resource))
    except InvalidResource as error:
        if not asked.place:
            raise
        raise InvalidResource([_inside(asked.place, one) for one in error.issues]) from None


def _after(
    patch: Callable[[Resource], Resource], services: WebServices, client: Client
) -> Callable[[Resource], Resource]:
    return lambda resource: _admitted(services, client, patch(resource))


def _admitted(services: WebServices, client: Client, resource: Resource) -> Resource:
    wish = read_wish(resource, Reading(services.fhir_base, services.clock()))
    place = "Subscription.channel.endpoint"
    rules = services.settings.subscriptions
    try:
        AddressRules.of(rules.allow_http, rules.private_networks).check_url(wish.endpoint)
    except (Invalid, Forbidden) as error:
        raise refused("business-rule", str(error), place) from None
    canonicals = {one.canonical(services.fhir_base) for one in TOPICS}
    if wish.topic is not None and wish.topic.partition("|")[0] not in canonicals:
        text = "there is no such topic here; [base]/metadata names those that there are"
        raise refused("not-supported", text, "Subscription.criteria")
    if not permits(client.scopes, wish.interest.kind, "r"):
        raise Forbidden(f"this needs the scope system/{wish.interest.kind}.r")
    if wish.ends_at is not None and wish.ends_at <= services.clock():
        raise refused("business-rule", "the end has passed already", "Subscription.end")
    return owned(resource, client.name)


def _inside(place: str, issue: Issue) -> Issue:
    _, dot, rest = issue.expression.partition(".")
    return replace(issue, expression=f"{place}.resource{dot}{rest}")

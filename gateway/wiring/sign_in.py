"""By what clients and people prove who they are."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from gateway.config import Settings
    from gateway.domain.access import Role
    from gateway.flow.grant_access import GrantAccess
    from gateway.flow.key_sets import Fetch
    from gateway.flow.sign_in_elsewhere import SignInElsewhere
    from gateway.ports import Database


def access(settings: Settings, opened: Database) -> GrantAccess:
    from gateway.flow.grant_access import GrantAccess

    return GrantAccess(
        opened,
        token_life=timedelta(seconds=settings.web.token_seconds),
        session_life=timedelta(seconds=settings.web.session_seconds),
    )


def key_set_fetch(settings: Settings) -> Fetch:
    """Fetches the key sets that clients publish."""
    from gateway.outlets.https_document import HttpsDocuments

    return HttpsDocuments(private=settings.web.private_key_sets, ca=settings.web.key_set_ca).get


def sign_in_elsewhere(settings: Settings, opened: Database) -> SignInElsewhere | None:
    """Signing in through the identity provider of the settings, where one is named."""
    from gateway.flow.sign_in_elsewhere import Provider, SignInElsewhere
    from gateway.outlets.https_document import HttpsDocuments

    told = settings.oidc
    if not told.issuer:
        return None
    pairs = (pair.rpartition("=") for pair in told.role_map)
    provider = Provider(
        issuer=told.issuer,
        client_id=told.client_id,
        client_secret=told.client_secret,
        scopes=told.scopes,
        name_claim=told.name_claim,
        role_claim=told.role_claim,
        roles=tuple((value, cast("Role", role)) for value, _, role in pairs),
    )
    ask = HttpsDocuments(private=True, ca=told.ca).ask  # the administrator has named it, not a stranger
    return SignInElsewhere(opened, provider, ask, f"{settings.base_url}/console/elsewhere/return")

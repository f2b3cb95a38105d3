"""A person lets an app act for him: authorization code with PKCE, refresh tokens that serve once.

SMART App Launch 2.2, 2 (standalone launch, with a patient where one is asked for), RFC 6749 4.1, RFC 7636, RFC 9700:
S256 alone, exact redirect addresses, a code that is shown twice ends everything that came of it, and so does a refresh
token that is used twice.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from gateway.domain.access import Client, Grant, Person
from gateway.domain.errors import Forbidden, Invalid
from gateway.domain.ids import new_id
from gateway.flow.client_certificate import PeerCertificate
from gateway.flow.grant_access import LONGEST_TOKEN, GrantAccess, digest
from gateway.flow.id_token import IdTokens
from gateway.flow.issue_token import IssuedToken
from gateway.flow.scopes import SIGN_IN, narrowed, needs_patient, of_person, of_types, person_context

CODE_LIFE = timedelta(seconds=60)
REFRESH_LIFE = timedelta(hours=12)  # one working day; then the person signs in again
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")
_USED = "used"
_LONGEST_NONCE = 256
_CONTEXT = ("patient", "record", "report")
"""Of what a code was asked with, what goes on into its tokens: ids of Patient and report, pseudonym of the record."""


class CodeRefused(Forbidden):
    """invalid_grant: the code or refresh token does not serve (any more)."""


class AppRefused(Invalid):
    """The app or its redirect address is not known: nothing may be sent there, the person is told here."""


class RequestRefused(Invalid):
    """What the app may be told at its redirect address: `code` is that of RFC 6749 4.1.2.1."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True)
class AppRequest:
    """What an app asks of a person, as checked."""

    client: Client
    redirect: str
    scope: str
    challenge: str
    state: str = field(repr=False)
    nonce: str = field(default="", repr=False)
    launch: str = field(default="", repr=False)


@dataclass(frozen=True)
class ChosenPatient:
    """The Patient whom the person has chosen for the app, in whose record it lies, and the report that was open."""

    id: str
    record: str
    report: str = ""


@dataclass(frozen=True)
class AuthorizeApp:
    """`audiences` are the addresses that an app may name in `aud`: those of our FHIR endpoint.

    `identity` says to the app who has signed in, where it has asked for that.
    """

    access: GrantAccess
    audiences: frozenset[str]
    identity: IdTokens

    def app(self, client_id: str, redirect: str) -> Client:
        """The app that is registered with exactly this redirect address; AppRefused."""
        found = self.access.known_client(client_id)
        if found is None or redirect not in found.redirects:
            raise AppRefused("this app, or its redirect address, is not registered here")
        return found

    def checked(self, client: Client, redirect: str, told: dict[str, str]) -> AppRequest:
        """The request; RequestRefused where the app asked for what cannot be."""
        if told.get("response_type") != "code":
            raise RequestRefused("unsupported_response_type", "response_type must be code")
        if told.get("code_challenge_method") != "S256" or not _CHALLENGE.fullmatch(told.get("code_challenge", "")):
            raise RequestRefused("invalid_request", "PKCE with S256 is required")
        if told.get("aud", "").rstrip("/") not in self.audiences:
            raise RequestRefused("invalid_request", "aud must be the address of this FHIR endpoint")
        if len(told.get("nonce", "")) > _LONGEST_NONCE:
            raise RequestRefused("invalid_request", f"nonce has at most {_LONGEST_NONCE} characters")
        try:
            possible = narrowed(client.scopes, told.get("scope"), person_context(told.get("scope")))
        except (Invalid, Forbidden) as error:
            raise RequestRefused("invalid_scope", str(error)) from None
        if not possible:
            raise RequestRefused("invalid_scope", "none of the requested scopes is granted to this app")
        if bool(told.get("launch")) != ("launch" in told.get("scope", "").split() and "launch" in client.scopes):
            raise RequestRefused("invalid_request", "the scope launch and the parameter launch belong together")
        names = ("scope", "code_challenge", "state", "nonce", "launch")
        words = tuple(told.get(name, "") for name in names)
        return AppRequest(client, redirect, *words)

    def scopes(self, asked: AppRequest, person: Person) -> tuple[str, ...]:
        """What the app will get for this person; RequestRefused where it is nothing."""
        found = of_person(asked.client.scopes, asked.scope, person.role)
        if not of_types(found):
            raise RequestRefused("access_denied", "your role holds nothing of what this app asks for")
        return found

    def consent(self, asked: AppRequest, person: Person, address: str, patient: ChosenPatient | None = None) -> str:
        """The code for the app, once the person has agreed, and chosen a patient where one is needed."""
        scopes, code, now = self.scopes(asked, person), secrets.token_urlsafe(32), self.access.now()
        if needs_patient(scopes) and patient is None:
            raise Invalid("choose the patient whom the app is to see")
        told = {"redirect": asked.redirect, "challenge": asked.challenge, "nonce": asked.nonce}
        if patient is not None and needs_patient(scopes):
            told |= {"patient": patient.id, "record": patient.record}
            told |= {"report": patient.report} if patient.report else {}
        grant = Grant(
            digest(code), asked.client.name, "code", scopes, now + CODE_LIFE, person.name, None, new_id(), told
        )
        about = {"patient": told["record"]} if "record" in told else {}
        self.access.note("person:consent", person, address, client=asked.client.name, scope=" ".join(scopes), **about)
        self.access.grant(grant)
        return code

    def redeem(
        self, client: Client, *, code: str, verifier: str, redirect: str, certificate: PeerCertificate | None
    ) -> IssuedToken:
        """The tokens for a code; CodeRefused."""
        grant = self._taken(client, code, "code")
        expected = grant.asked.get("challenge", "")
        shown = hashlib.sha256(verifier.encode("ascii", "replace")).digest()
        proof = base64.urlsafe_b64encode(shown).decode("ascii").rstrip("=")
        if not _VERIFIER.fullmatch(verifier) or not hmac.compare_digest(proof, expected):
            raise CodeRefused("code_verifier does not fit")
        if redirect != grant.asked.get("redirect"):
            raise CodeRefused("redirect_uri is not the one of the authorization request")
        issued = self._issued(grant, grant.scopes, certificate)
        if "openid" not in grant.scopes:
            return issued
        with self.access.database.read() as unit:
            person = unit.access.person(grant.person or "")
        if person is None:
            raise CodeRefused("unknown or expired")
        told = self.identity.of(client, person, grant.asked.get("nonce", ""), says_who="fhirUser" in grant.scopes)
        return replace(issued, id_token=told)

    def refresh(
        self, client: Client, token: str, requested: str | None, certificate: PeerCertificate | None
    ) -> IssuedToken:
        """The next tokens, of the same scopes or fewer; CodeRefused."""
        grant = self._taken(client, token, "refresh")
        if grant.certificate is not None and (certificate is None or certificate.thumbprint != grant.certificate):
            raise CodeRefused("the refresh token is bound to another certificate")
        types = of_types(grant.scopes)
        context = person_context(" ".join(types))
        words = " ".join(word for word in (requested or "").split() if word not in SIGN_IN)
        wanted = narrowed(types, words, context)
        if not wanted:
            raise CodeRefused("none of the requested scopes was granted")
        return self._issued(grant, (*(one for one in grant.scopes if one in SIGN_IN), *wanted), certificate)

    def _taken(self, client: Client, token: str, kind: str) -> Grant:
        """The grant, used up; a second use ends what came of the first."""
        if not 0 < len(token) <= LONGEST_TOKEN:
            raise CodeRefused("unknown or expired")
        with self.access.database.begin(f"client:{client.name}") as unit:
            grant = unit.access.grant(digest(token), self.access.now())
            if grant is None or grant.kind != kind or grant.holder != client.name or grant.chain is None:
                raise CodeRefused("unknown or expired")
            person = unit.access.person(grant.person or "")
            first = unit.access.drop_grant(grant.token_hash) and _USED not in grant.asked
            if first and person is not None and person.active:
                unit.access.add_grant(replace(grant, asked={**grant.asked, _USED: "yes"}))
            else:
                unit.access.drop_chain(grant.chain)
                unit.audit.record("client:reject", client.id, f"client:{client.name}", reason=f"{kind}-replay")
            unit.commit()
        if not first or person is None or not person.active:
            self.access.known.forget()
            raise CodeRefused("this was used before; everything that came of it has ended")
        return grant

    def _issued(self, grant: Grant, scopes: tuple[str, ...], certificate: PeerCertificate | None) -> IssuedToken:
        token, life, now = secrets.token_urlsafe(32), self.access.token_life, self.access.now()
        bound = certificate.thumbprint if certificate else None
        told = (*(scope for scope in scopes if scope == "fhirUser"), *of_types(scopes))
        context = {name: grant.asked[name] for name in _CONTEXT if name in grant.asked}
        living = replace(grant, token_hash=digest(token), kind="token", scopes=told, certificate=bound, asked=context)
        made, refresh = [replace(living, expires_at=now + life)], None
        if "offline_access" in scopes:
            refresh = secrets.token_urlsafe(32)
            made.append(
                replace(
                    living, token_hash=digest(refresh), kind="refresh", scopes=scopes, expires_at=now + REFRESH_LIFE
                )
            )
        self.access.grant(*made)
        return IssuedToken(token, scopes, int(life.total_seconds()), refresh, **_told(context))


def _told(context: Mapping[str, str]) -> dict[str, str]:
    """What the app hears of it: not the pseudonym."""
    return {name: value for name, value in context.items() if name != "record"}

"""The authorization endpoint: a person, signed in to the console, lets an app act for him (SMART App Launch 2.2, 2).

The request of the app is kept sealed at the browser while the person signs in; then one page says which app wants what,
and the answer goes to the app's registered address and nowhere else.
"""

from __future__ import annotations

import json
from dataclasses import replace
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.domain.access import Person
from gateway.domain.errors import GatewayError, Invalid, Missing
from gateway.flow.authorize_app import AppRequest, ChosenPatient, RequestRefused
from gateway.flow.scopes import needs_patient
from gateway.servers.web.body import field, query_fields, read_form
from gateway.servers.web.client_credentials import address_of
from gateway.servers.web.console.choose_patient import chosen_patient, find_patients, shown_patient
from gateway.servers.web.console.launch import launched, use_launch
from gateway.servers.web.console.login import APP_COOKIE, CONSENT_PATH
from gateway.servers.web.console.page import POLICY, SESSION_COOKIE, Pages, View
from gateway.servers.web.console.sealed_cookie import SealedCookie
from gateway.servers.web.fhir.own_practitioner import keep_practitioner
from gateway.servers.web.request_log import name_request

_SECONDS = 600
_LONGEST_STATE = 512
_MAX_FORM = 8 * 1024


class Consent:
    def __init__(self, pages: Pages) -> None:
        self._pages, self._services = pages, pages.services
        secure = self._services.settings.base_url.startswith("https:")
        self._cookie = SealedCookie(self._services.key("app"), APP_COOKIE, "/console", seconds=_SECONDS, secure=secure)

    async def begin(self, request: Request) -> Response:
        """Checks what the app asks, and leads on by a page of our own, which brings the strict session cookie."""
        name_request(request, "console.authorize")
        try:
            self._services.address_rate.take(address_of(request))
            told = _once(query_fields(request))
            answer = await self._services.threads.sign_in(self._begun, request, told)
        except GatewayError as error:
            return self._pages.failed(request, error)
        return answer

    def _begun(self, request: Request, told: dict[str, str]) -> Response:
        redirect = told.get("redirect_uri", "")
        client = self._services.apps.app(told.get("client_id", ""), redirect)
        name_request(request, "console.authorize", f"client:{client.name}")
        try:
            asked = self._services.apps.checked(client, redirect, told)
            if asked.launch:
                self._launched(asked)
        except RequestRefused as error:
            return _to_app(redirect, told.get("state", ""), self._services.settings.base_url, error=error.code)
        answer = self._pages.html("onward.html", request, {"address": CONSENT_PATH})
        self._cookie.set(answer, told)
        return answer

    async def ask(self, request: Request) -> Response:
        name_request(request, "console.consent")
        try:
            person = await self._services.threads.work(self._pages.who, request)
            if person is None:
                return RedirectResponse("/console/login", 303)
            asked = await self._services.threads.work(self._asked, request)
            return await self._services.threads.work(self._page, request, person, asked)
        except GatewayError as error:
            return self._pages.failed(request, error)

    async def decide(self, request: Request) -> Response:
        name_request(request, "console.consent")
        try:
            fields = await read_form(request, _MAX_FORM)
            number, said = field(fields, "number") or "", field(fields, "answer")
            person = await self._services.threads.work(self._pages.who, request)
            if person is None:
                return RedirectResponse("/console/login", 303)
            name_request(request, "console.consent", f"person:{person.id}")
            asked = await self._services.threads.work(self._asked, request)
            session = request.cookies.get(SESSION_COOKIE, "")
            if not self._pages.forms.fits(_form(asked), session, field(fields, "token") or ""):
                return await self._services.threads.work(self._page, request, person, asked)
            chosen = field(fields, "patient") or ""
            if said == "find" or (said == "allow" and not chosen and self._picks(asked, person)):
                return await self._services.threads.work(self._page, request, person, asked, number)
            answer = await self._services.threads.sign_in(self._decided, request, person, asked, said, chosen)
        except GatewayError as error:
            return self._pages.failed(request, error)
        self._cookie.drop(answer)
        return answer

    def _picks(self, asked: AppRequest, person: Person) -> bool:
        """Whether the person is to choose a patient: not where the app was launched about one."""
        try:
            return not asked.launch and needs_patient(self._services.apps.scopes(asked, person))
        except RequestRefused:
            return False

    def _launched(self, asked: AppRequest, person: Person | None = None, *, uses: bool = False) -> ChosenPatient:
        """RequestRefused where the launch is not ours, not this app's, too old, another person's, or used up."""
        try:
            found = launched(self._services, asked.client.name, asked.launch)
        except Invalid as error:
            raise RequestRefused("invalid_request", str(error)) from None
        if person is not None and found.person != person.name:
            raise RequestRefused("access_denied", "somebody else has launched this app")
        if uses and not use_launch(self._services, found):
            raise RequestRefused("invalid_request", "this launch was used before; begin again in the console")
        return found.patient

    def _patient(self, asked: AppRequest, person: Person, chosen: str) -> ChosenPatient | None:
        if asked.launch:
            return self._launched(asked, person, uses=True)
        return chosen_patient(self._services, chosen) if self._picks(asked, person) else None

    def _decided(self, request: Request, person: Person, asked: AppRequest, said: str | None, chosen: str) -> Response:
        issuer = self._services.settings.base_url
        if said != "allow":
            return _to_app(asked.redirect, asked.state, issuer, error="access_denied")
        try:
            patient = self._patient(asked, person, chosen)
            if "fhirUser" in self._services.apps.scopes(asked, person) and person.role == "physician":
                keep_practitioner(self._services, person)
            code = self._services.apps.consent(asked, person, address_of(request), patient)
        except RequestRefused as error:
            return _to_app(asked.redirect, asked.state, issuer, error=error.code)
        return _to_app(asked.redirect, asked.state, issuer, code=code)

    def _asked(self, request: Request) -> AppRequest:
        """The request that waits; checked again, because the app may have been disabled meanwhile."""
        told = self._cookie.get(request)
        if told is None:
            raise Missing("no app waits for your answer; please begin again in the app")
        redirect = told.get("redirect_uri", "")
        apps = self._services.apps
        return apps.checked(apps.app(told.get("client_id", ""), redirect), redirect, told)

    def _page(self, request: Request, person: Person, asked: AppRequest, number: str = "") -> Response:
        try:
            scopes = self._services.apps.scopes(asked, person)
            about = self._launched(asked, person) if asked.launch else None
        except RequestRefused as error:
            return _to_app(asked.redirect, asked.state, self._services.settings.base_url, error=error.code)
        picks = self._picks(asked, person)
        target = urlsplit(asked.redirect)
        source = f"{target.scheme}://{target.netloc}" if target.netloc else f"{target.scheme}:"
        data = {
            "app": asked.client.name,
            "place": source,
            "scopes": scopes,
            "picks": picks,
            "number": number,
            "patients": find_patients(self._services, person, number) if picks else [],
            "about": shown_patient(self._services, person, about.id) if about else None,
            "token": self._pages.forms.token(_form(asked), request.cookies.get(SESSION_COOKIE, "")),
        }
        view = View("consent.html", "consent", data)
        # a browser applies form-action to the redirect that answers the form, too
        view = replace(view, policy=POLICY.replace("form-action 'self'", f"form-action 'self' {source}"))
        return self._pages.show(view, request, person, "consent")


def _form(asked: AppRequest) -> str:
    """The form's name holds what was shown, so that an answer counts for nothing else."""
    told = (asked.client.id, asked.redirect, asked.scope, asked.challenge, asked.nonce, asked.launch, asked.state)
    return json.dumps(["consent", *told])


def _once(fields: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """Each parameter stands once (RFC 6749 3.1)."""
    told = dict(fields)
    if len(told) != len(fields) or len(told.get("state", "")) > _LONGEST_STATE:
        raise Invalid("a parameter is repeated or too long")
    known = ("response_type", "client_id", "redirect_uri", "scope", "state", "aud", "nonce", "launch")
    return {name: told[name] for name in (*known, "code_challenge", "code_challenge_method") if name in told}


def _to_app(redirect: str, state: str, issuer: str, **told: str) -> Response:
    """Back to the app, with our name (RFC 9207)."""
    query = urlencode({**told, **({"state": state} if state else {}), "iss": issuer})
    return RedirectResponse(f"{redirect}{'&' if '?' in redirect else '?'}{query}", 303)

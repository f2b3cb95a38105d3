"""A small OpenID Connect provider over TLS, written with joserfc and Starlette: code flow with PKCE, nonce, key set.

It checks what a strict provider checks (client, redirect, PKCE, one use of a code), so that a gateway which forgets
something does not get in; and a test can make it lie.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

import uvicorn
from harness.authority import Issued
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT_ID, CLIENT_SECRET = "dxgate", "the secret of the gateway"


@dataclass
class IdentityProvider:
    """`claims` are those of whoever signs in next; `lies` overwrite claims, `algorithm` and `key` the signature."""

    certificate: Issued
    claims: dict[str, Any] = field(default_factory=dict)
    lies: dict[str, Any] = field(default_factory=dict)
    algorithm: str = "RS256"
    issuer: str = ""
    published: list[RSAKey] = field(default_factory=lambda: [RSAKey.generate_key(2048, {"kid": "one"})])
    signs: Any = None
    asked: list[str] = field(default_factory=list)
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)

    @contextmanager
    def running(self) -> Iterator[IdentityProvider]:
        chain, key = self.certificate.pair
        config = uvicorn.Config(
            self._app(), port=0, log_config=None, ssl_certfile=chain, ssl_keyfile=key, lifespan="off"
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        self.issuer = f"https://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.should_exit = True
            thread.join(20)

    def _app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._describe),
                Route("/authorize", self._authorize),
                Route("/token", self._token, methods=["POST"]),
                Route("/jwks", self._jwks),
            ]
        )

    async def _describe(self, request: Request) -> Response:
        return JSONResponse(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/jwks",
            }
        )

    async def _authorize(self, request: Request) -> Response:
        told = dict(request.query_params)
        if told.get("client_id") != CLIENT_ID or "openid" not in told["scope"].split():
            return JSONResponse({"error": "unauthorized_client"}, 400)
        if told["code_challenge_method"] != "S256" or not told["nonce"]:
            return JSONResponse({"error": "invalid_request"}, 400)
        code = secrets.token_urlsafe(16)
        self._codes[code] = told
        return RedirectResponse(f"{told['redirect_uri']}?{urlencode({'code': code, 'state': told['state']})}", 303)

    async def _token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        basic = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        told = self._codes.pop(form.get("code", ""), None)
        if request.headers.get("authorization") != f"Basic {basic}" or told is None:
            return JSONResponse({"error": "invalid_grant"}, 400)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        if base64.urlsafe_b64encode(digest).decode().rstrip("=") != told["code_challenge"]:
            return JSONResponse({"error": "invalid_grant"}, 400)
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT_ID, "exp": now + 300, "iat": now, "nonce": told["nonce"]}
        key = self.signs or self.published[0]
        header = {"alg": self.algorithm, "kid": key.kid}
        token = jwt.encode(header, claims | self.claims | self.lies, key, algorithms=[self.algorithm])
        return JSONResponse({"id_token": token, "access_token": "unused", "token_type": "Bearer"})

    async def _jwks(self, request: Request) -> Response:
        self.asked.append("jwks")
        return JSONResponse({"keys": [key.as_dict(private=False) | {"use": "sig"} for key in self.published]})

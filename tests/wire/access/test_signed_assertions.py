"""SMART Backend Services with real clients, and every way in which a signed assertion must not open the door."""

from __future__ import annotations

import hmac
import json
import ssl
import time
from base64 import urlsafe_b64encode

import httpx
import pytest
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from cryptography.hazmat.primitives import serialization
from harness.identity_provider import IdentityProvider
from joserfc.jwk import ECKey, OctKey, RSAKey
from wire.access.place import Place, key_set

from gateway.domain.errors import Invalid
from gateway.flow.client_assertion import ASSERTION_TYPE, checked_keys


@pytest.fixture(scope="module")
def backend(place: Place) -> str:
    """A client with one EC and one RSA key."""
    place.add("backend", "system/DiagnosticReport.rs", jwks=json.dumps(key_set(place.key, place.rsa)))
    return "backend"


def described(answer: httpx.Response) -> tuple[int, str, str]:
    told = answer.json()
    return answer.status_code, told["error"], told["error_description"]


@pytest.mark.parametrize("algorithm", ["ES384", "RS384"])
def test_authlib_gets_a_token_and_reads(place: Place, backend: str, algorithm: str) -> None:
    """Authlib's client signs its own assertion, is given a token, and reads a report with it."""
    key = place.key if algorithm == "ES384" else place.rsa
    trusted = ssl.create_default_context(cafile=place.authority.ca)
    soon = {"exp": int(time.time()) + 240}  # Authlib's own hour is longer than SMART allows
    proof = PrivateKeyJWT(place.token_url, claims=soon, headers={"kid": key.kid}, alg=algorithm)
    with OAuth2Client(
        client_id=backend, client_secret=key, token_endpoint_auth_method="private_key_jwt", verify=trusted
    ) as client:
        client.register_client_auth_method(proof)
        token = client.fetch_token(place.token_url, grant_type="client_credentials", scope="system/DiagnosticReport.r")
        assert token["scope"] == "system/DiagnosticReport.r"
        answer = client.get(f"{place.fhir}/DiagnosticReport/{place.report}")
    assert answer.status_code == 200
    assert answer.json()["id"] == place.report
    assert place.hospital.events("client:authenticate")[0].details["by"] == "jwks"


@pytest.mark.parametrize("algorithm", ["none", "HS256", "HS384", "RS256", "ES256"])
def test_only_the_two_algorithms_count(place: Place, backend: str, algorithm: str) -> None:
    """`none`, weaker algorithms, and the public key taken for an HMAC secret are refused."""
    signed = place.assertion(backend, place.rsa)
    _, payload, signature = signed.split(".")
    forged_header = urlsafe_b64encode(json.dumps({"alg": algorithm, "kid": "rsa-1"}).encode()).decode().rstrip("=")
    if algorithm.startswith("HS"):
        public = place.rsa.raw_value.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        code = hmac.digest(public, f"{forged_header}.{payload}".encode(), "sha" + algorithm[2:])
        signature = urlsafe_b64encode(code).decode().rstrip("=")
    forged = f"{forged_header}.{payload}.{'' if algorithm == 'none' else signature}"
    status, error, text = described(place.ask(forged))
    assert (status, error) == (401, "invalid_client")
    assert "alg must be" in text


NOW = int(time.time())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": NOW - 3600}, "expired"),
        ({"exp": NOW + 3600}, "five minutes"),
        ({"exp": None}, "exp must be"),
        ({"exp": "soon"}, "exp must be"),
        ({"exp": True}, "exp must be"),
        ({"aud": "https://other.example/token"}, "aud must be"),
        ({"aud": None}, "aud must be"),
        ({"aud": ["https://other.example/token", "x"]}, "aud must be"),
        ({"iss": "somebody"}, "iss and sub"),
        ({"iss": None}, "iss must be"),
        ({"nbf": NOW + 3600}, "nbf"),
        ({"iat": NOW + 3600}, "iat"),
        ({"jti": None}, "jti must be"),
        ({"jti": ""}, "jti must be"),
        ({"jti": "x" * 300}, "jti must be"),
    ],
)
def test_claims_that_prove_nothing(place: Place, backend: str, changes: dict[str, object], reason: str) -> None:
    """A wrong, missing or overlong claim is refused and named."""
    status, error, text = described(place.ask(place.assertion(backend, **changes)))
    assert (status, error) == (401, "invalid_client")
    assert reason in text


def test_the_server_may_be_named_in_both_ways(place: Place, backend: str) -> None:
    """`aud` is the token endpoint or the server's own address, alone or as a list of one."""
    for audience in (place.token_url, place.base, [place.token_url]):
        assert place.ask(place.assertion(backend, aud=audience)).status_code == 200


def test_unknown_keys_and_foreign_signatures(place: Place, backend: str) -> None:
    """A kid that is not registered, none at all, and another key under a registered kid are refused."""
    other = ECKey.generate_key("P-384", {"kid": "ec-2"})
    assert "no key" in described(place.ask(place.assertion(backend, other)))[2]
    assert "kid must be" in described(place.ask(place.assertion(backend, header={"kid": None})))[2]
    thief = ECKey.generate_key("P-384", {"kid": "ec-1"})
    assert "signature" in described(place.ask(place.assertion(backend, thief)))[2]
    assert "signature" in described(place.ask(place.assertion(backend, place.rsa, header={"kid": "ec-1"})))[2]


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "e30.e30.e30", "....", "x" * 9000, "é.é.é"])
def test_what_is_no_token_is_refused(place: Place, backend: str, text: str) -> None:
    """Rubbish in place of an assertion is a plain refusal."""
    assert place.ask(text).status_code in (400, 401)


def test_a_client_of_another_name(place: Place, backend: str) -> None:
    """An unknown subject, and a client_id beside an assertion of somebody else, are refused alike."""
    assert described(place.ask(place.assertion("nobody")))[:2] == (401, "invalid_client")
    assert described(place.ask(place.assertion(backend), client_id="ehr"))[:2] == (401, "invalid_client")
    assert place.ask(place.assertion(backend), client_id=backend).status_code == 200


def test_secret_and_assertion_together_are_refused(place: Place, backend: str) -> None:
    """A client shows one proof of who it is."""
    assert place.ask(place.assertion(backend), client_secret="x", client_id=backend).status_code == 400


def test_an_assertion_serves_once_over_processes(place: Place, backend: str) -> None:
    """What one process has accepted no other accepts again; each accepts a fresh one."""
    with place.second_server() as other:
        first, second = place.assertion(backend), place.assertion(backend)
        told = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION_TYPE}
        assert place.ask(first).status_code == 200
        replayed = httpx.post(f"{other}/auth/token", data=told | {"client_assertion": first})
        assert replayed.status_code == 401
        assert "used before" in replayed.json()["error_description"]
        assert httpx.post(f"{other}/auth/token", data=told | {"client_assertion": second}).status_code == 200
        assert "used before" in described(place.ask(second))[2]


def test_scopes_are_not_widened(place: Place, backend: str) -> None:
    """More than is registered is cut away, nothing of it is refused, and a restriction is refused plainly."""
    told = place.ask(place.assertion(backend), scope="system/*.cruds system/Patient.rs").json()
    assert told["scope"] == "system/DiagnosticReport.rs"
    assert described(place.ask(place.assertion(backend), scope="system/Patient.rs"))[1] == "invalid_scope"
    restricted = "system/DiagnosticReport.rs?status=final"
    status, error, text = described(place.ask(place.assertion(backend), scope=restricted))
    assert (status, error) == (400, "invalid_scope")
    assert "not served" in text
    assert described(place.ask(place.assertion(backend), scope="user/DiagnosticReport.rs"))[1] == "invalid_scope"


def test_a_set_at_an_address_is_fetched_and_rotated(place: Place) -> None:
    """A client whose keys lie at an https address is let in, also with a key that it has published a moment ago."""
    provider = IdentityProvider(place.authority.issue("keys"), published=[RSAKey.generate_key(2048, {"kid": "a"})])
    with provider.running():
        place.add("by-address", jwks_url=f"{provider.issuer}/jwks")
        assert place.ask(place.assertion("by-address", provider.published[0])).status_code == 200
        assert place.ask(place.assertion("by-address", provider.published[0])).status_code == 200
        assert provider.asked == ["jwks"]
        provider.published.append(RSAKey.generate_key(2048, {"kid": "b"}))
        fresh = place.assertion("by-address", provider.published[1])
        assert "no key" in described(place.ask(fresh))[2]  # asked half a minute ago: not again yet
        place.hospital.services.access.assertions.key_sets._sets.clear()  # type: ignore[union-attr]
        assert place.ask(place.assertion("by-address", provider.published[1])).status_code == 200
        assert provider.asked == ["jwks", "jwks"]


def test_introspection_and_revocation(place: Place, backend: str) -> None:
    """A client sees the state of its own tokens alone, and ends them at once."""
    place.add("other", jwks=json.dumps(key_set(place.key)))
    token = place.ask(place.assertion(backend)).json()["access_token"]
    proof = {"client_assertion_type": ASSERTION_TYPE}

    with place.http() as http:

        def post(path: str, name: str, **form: str) -> httpx.Response:
            return http.post(f"/auth/{path}", data=proof | {"client_assertion": place.assertion(name)} | form)

        state = post("introspect", backend, token=token).json()
        assert (state["active"], state["client_id"], state["scope"]) == (True, backend, "system/DiagnosticReport.rs")
        assert state["exp"] > time.time()
        assert post("introspect", "other", token=token).json() == {"active": False}
        assert post("introspect", backend, token="no such token").json() == {"active": False}
        assert http.post("/auth/introspect", data={"token": token}).status_code == 401
        assert post("revoke", "other", token=token).status_code == 200
        header = {"Authorization": f"Bearer {token}"}
        assert http.get("/fhir/DiagnosticReport", headers=header).status_code == 200
        assert post("revoke", backend, token=token).status_code == 200
        assert http.get("/fhir/DiagnosticReport", headers=header).status_code == 401
        assert post("revoke", backend, token=token).status_code == 200
        assert post("introspect", backend, token=token).json() == {"active": False}


def test_a_key_set_file_is_registered_on_the_command_line(place: Place) -> None:
    """`client add fhir --jwks FILE` makes no secret; `client rotate` replaces the keys and ends every token."""
    keys = place.hospital.settings.home / "keys.json"
    keys.write_text(json.dumps(key_set(place.key)))
    made = place.command("client", "add", "fhir", "typed", "--scope", "system/*.rs", "--jwks", str(keys), "--json")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["credentials"] == ["jwks"]
    assert "secret" not in json.loads(made.stdout)
    token = place.ask(place.assertion("typed")).json()["access_token"]
    rotated = place.command("client", "rotate", "typed", "--json")
    assert json.loads(rotated.stdout)["credentials"] == ["secret"]
    assert described(place.ask(place.assertion("typed")))[0] == 401
    with place.http() as http:
        assert http.get("/fhir/DiagnosticReport", headers={"Authorization": f"Bearer {token}"}).status_code == 401
        proof = ("typed", json.loads(rotated.stdout)["secret"])
        assert http.post("/auth/token", data={"grant_type": "client_credentials"}, auth=proof).status_code == 200


@pytest.mark.parametrize(
    "keys",
    [
        [ECKey.generate_key("P-384", {"kid": "x"}).as_dict(private=True)],
        [OctKey.generate_key(256, {"kid": "x"}).as_dict(private=True)],
        [ECKey.generate_key("P-256", {"kid": "x"}).as_dict(private=False)],
        [ECKey.generate_key("P-384").as_dict(private=False) | {"kid": None}],
        [RSAKey.generate_key(1024, {"kid": "x"}).as_dict(private=False)],
        [ECKey.generate_key("P-384", {"kid": "x"}).as_dict(private=False) | {"use": "enc"}],
        [{"kty": "RSA", "kid": "x"}],
        [],
        ["x"],
        [ECKey.generate_key("P-384", {"kid": str(n)}).as_dict(private=False) for n in range(21)],
    ],
)
def test_key_sets_that_are_not_registered(keys: list[object]) -> None:
    """Private, secret, weak, nameless and too many keys are refused where a client is registered."""
    with pytest.raises(Invalid):
        checked_keys(json.dumps({"keys": keys}))


def test_what_the_configuration_says_is_there(place: Place) -> None:
    """Every address of smart-configuration answers, and every listed means of proof is one of ours."""
    with place.http() as http:
        told = http.get("/fhir/.well-known/smart-configuration").json()
        assert told == http.get("/.well-known/smart-configuration").json()
        for name in ("token_endpoint", "introspection_endpoint", "revocation_endpoint"):
            assert http.post(told[name], data={"token": "x", "grant_type": "client_credentials"}).status_code == 401
        assert http.get(told["authorization_endpoint"]).status_code == 400
    assert {"system/*.cruds", "system/AuditEvent.rs", "offline_access"} <= set(told["scopes_supported"])
    assert told["token_endpoint_auth_signing_alg_values_supported"] == ["RS384", "ES384"]
    assert "tls_client_auth" in told["token_endpoint_auth_methods_supported"]

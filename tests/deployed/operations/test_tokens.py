"""Tokens of another issuer that the stack is configured for: rows S1 to S3 of the protocol.

The issuer is part of the test, so that each forged token can be wrong in one part and right in all others.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from local.stack import LocalStack
from tests.support import owners
from tests.support.deployed import TLS, deploy_again

AUDIENCE, SCOPE, KEY_ID = "the-api", "jobs", "key-1"
OTHER_AUDIENCE, OTHER_SCOPE = "https://api.example/jobs", "jobs:read"

Claims = Mapping[str, Any]


@dataclass
class Issuer:
    """An issuer that signs tokens and serves its public key to the gateway."""

    server: ThreadingHTTPServer
    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Return the claims of a valid token with changes; `None` omits a claim."""
        now = int(time.time())
        claims = {"iss": self.url, "aud": AUDIENCE, "sub": "alice", "scope": SCOPE, "iat": now, "exp": now + 300, **changes}
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, *, key: rsa.RSAPrivateKey | None = None, header: Claims | None = None, **changes: Any) -> str:
        signed = _signing_input({"alg": "RS256", "kid": KEY_ID, "typ": "JWT", **(header or {})}, self.claims(**changes))
        return f"{signed}.{_encoded((key or self.key).sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

    def keys(self) -> dict[str, Any]:
        return {"keys": [{**jwk(self.key), "kid": KEY_ID, "use": "sig", "alg": "RS256"}]}

    def public_pem(self) -> bytes:
        return self.key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def jwk(key: rsa.RSAPrivateKey) -> dict[str, str]:
    numbers = key.public_key().public_numbers()
    return {
        "kty": "RSA",
        "n": _encoded(numbers.n.to_bytes(key.key_size // 8, "big")),
        "e": _encoded(numbers.e.to_bytes(3, "big")),
    }


def _signing_input(header: Claims, claims: Claims) -> str:
    return ".".join(_encoded(json.dumps(part).encode()) for part in (header, claims))


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            pages: dict[str, Any] = {
                "/.well-known/openid-configuration": {"issuer": found.url, "jwks_uri": f"{found.url}/jwks"},
                "/jwks": found.keys(),
            }
            page = pages.get(self.path)
            self.send_response(404 if page is None else 200)
            self.send_header("content-type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(page).encode())

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found = Issuer(server)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield found
        server.shutdown()
        thread.join()


@dataclass(frozen=True)
class Guarded:
    """A second deployment of the same build that accepts this issuer's tokens."""

    api_url: str
    log_groups: tuple[str, ...]
    logs: Any

    def get(self, token: str, path: str = "/jobs") -> httpx.Response:
        headers = {"authorization": f"Bearer {token}"}
        return httpx.get(f"{self.api_url}/api/v1{path}", headers=headers, timeout=60, trust_env=False, verify=TLS)

    def post(self, token: str, path: str, body: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {token}"}
        return httpx.post(f"{self.api_url}/api/v1{path}", json=body, headers=headers, timeout=60, trust_env=False, verify=TLS)

    def lines(self) -> int:
        """Return all log lines of functions: each invocation logs at least one."""
        groups = {group["logGroupName"] for group in self.logs.describe_log_groups()["logGroups"]} & set(self.log_groups)
        return sum(len(self.logs.filter_log_events(logGroupName=group)["events"]) for group in groups)


@pytest.fixture(scope="module")
def guarded(stack: LocalStack, issuer: Issuer) -> Guarded:
    return deploy(stack, issuer, "of-another-issuer", scopes=f"{SCOPE},{OTHER_SCOPE}")


@pytest.fixture(scope="module")
def without_scope(stack: LocalStack, issuer: Issuer) -> Guarded:
    return deploy(stack, issuer, "of-an-issuer-without-scopes", scopes="NONE")


def deploy(stack: LocalStack, issuer: Issuer, name: str, *, scopes: str) -> Guarded:
    parameters = {"JwtIssuer": issuer.url, "JwtAudience": f"{AUDIENCE},{OTHER_AUDIENCE}", "JwtScope": scopes}
    found = deploy_again(stack, name, parameters)
    return Guarded(
        api_url=f"{stack.endpoint_url}/_aws/execute-api/{found['Api']}",
        log_groups=(found["SubmitLog"], found["StatusLog"]),
        logs=stack.session.client("logs", endpoint_url=stack.endpoint_url),
    )


def test_valid_token_of_the_issuer_is_accepted(guarded: Guarded, issuer: Issuer) -> None:
    assert guarded.get(issuer.token()).status_code == httpx.codes.OK
    assert guarded.get(issuer.token(aud=["another", AUDIENCE], scope=f"other {SCOPE}")).status_code == httpx.codes.OK
    assert guarded.get(issuer.token(aud=OTHER_AUDIENCE, scope=OTHER_SCOPE)).status_code == httpx.codes.OK


@pytest.mark.usefixtures("guarded")
def test_stack_with_another_issuer_has_no_user_pool(stack: LocalStack) -> None:
    cloudformation = stack.session.client("cloudformation", endpoint_url=stack.endpoint_url)
    resources = cloudformation.describe_stack_resources(StackName="of-another-issuer")["StackResources"]
    assert "AWS::Cognito::UserPool" not in {resource["ResourceType"] for resource in resources}


def forged(issuer: Issuer) -> dict[str, str]:
    """Return tokens that are each wrong in one part."""
    attacker = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    good, now = issuer.token(), int(time.time())
    header, payload, signature = good.split(".")
    by_public_key = _signing_input({"alg": "HS256", "kid": KEY_ID, "typ": "JWT"}, issuer.claims())
    mac = hmac.digest(issuer.public_pem(), by_public_key.encode(), hashlib.sha256)
    return {
        "unsigned": f"{_signing_input({'alg': 'none', 'kid': KEY_ID}, issuer.claims())}.",
        "unsigned, in other letters": f"{_signing_input({'alg': 'nOnE', 'kid': KEY_ID}, issuer.claims())}.",
        "unsigned, with a signature": f"{_signing_input({'alg': 'none', 'kid': KEY_ID}, issuer.claims())}.{signature}",
        "signature cut off": f"{header}.{payload}.",
        "signed with the public key as a secret": f"{by_public_key}.{_encoded(mac)}",
        "signed by another key": issuer.token(key=attacker),
        "key at an address in the token": issuer.token(key=attacker, header={"jku": "http://127.0.0.1:9/jwks"}),
        "key in the token": issuer.token(key=attacker, header={"jwk": jwk(attacker)}),
        "unknown key": issuer.token(header={"kid": "key-2"}),
        "other claims under the signature": f"{header}.{_encoded(json.dumps(issuer.claims(sub='bob')).encode())}.{signature}",
        "another issuer": issuer.token(iss="https://issuer.example"),
        "no issuer": issuer.token(iss=None),
        "another audience": issuer.token(aud="another-api"),
        "no audience": issuer.token(aud=None),
        "expired": issuer.token(iat=now - 7200, exp=now - 3600),
        "not valid yet": issuer.token(nbf=now + 3600),
        "two parts": f"{header}.{payload}",
        "four parts": f"{good}.{signature}",
    }


def test_s1_forged_token_is_401_and_reaches_no_function(guarded: Guarded, issuer: Issuer) -> None:
    before = guarded.lines()
    answers = {name: guarded.get(token).status_code for name, token in forged(issuer).items()}
    assert answers == dict.fromkeys(answers, httpx.codes.UNAUTHORIZED)
    assert guarded.lines() == before


@pytest.mark.parametrize("scope", [None, "", "other", f"{SCOPE}s", SCOPE.upper()])
def test_s2_token_without_the_scope_is_403(guarded: Guarded, issuer: Issuer, scope: str | None) -> None:
    before = guarded.lines()
    assert guarded.get(issuer.token(scope=scope)).status_code == httpx.codes.FORBIDDEN
    assert guarded.lines() == before


@pytest.mark.parametrize("scope", [None, "", "any"])
def test_no_scope_is_required_if_the_deployment_names_none(without_scope: Guarded, issuer: Issuer, scope: str | None) -> None:
    assert without_scope.get(issuer.token(scope=scope)).status_code == httpx.codes.OK
    assert without_scope.get(issuer.token(scope=scope, aud="another-api")).status_code == httpx.codes.UNAUTHORIZED


def test_cognito_id_token_is_rejected_without_a_scope(without_scope: Guarded, issuer: Issuer) -> None:
    access, id_token = (without_scope.get(issuer.token(scope=None, token_use=use)) for use in ("access", "id"))
    assert access.status_code == httpx.codes.OK
    assert (id_token.status_code, id_token.json()["code"]) == (httpx.codes.FORBIDDEN, "OWNER_MISSING")


@pytest.mark.parametrize("subject", owners.ALL, ids=owners.label)
def test_s3_owner_is_any_subject_of_openid_connect(guarded: Guarded, issuer: Issuer, subject: str) -> None:
    token, others = issuer.token(sub=subject), [issuer.token(sub=f"{subject[:250]}{end}") for end in ("/", "#", "#1")]
    job = guarded.post(token, "/jobs", {}).json()
    assert [each["asyncJobId"] for each in guarded.get(token).json()["jobs"]] == [job["asyncJobId"]]
    assert guarded.get(token, f"/jobs/{job['asyncJobId']}").status_code == httpx.codes.OK
    assert all(guarded.get(other).json()["jobs"] == [] for other in others)


@pytest.mark.parametrize("subject", owners.ALL, ids=owners.label)
def test_any_owner_can_upload(guarded: Guarded, issuer: Issuer, subject: str) -> None:
    upload = guarded.post(issuer.token(sub=subject), "/uploads", {"contentLength": 1}).json()
    put = httpx.put(upload["url"], content=b"x", headers=upload["headers"], timeout=60, trust_env=False, verify=TLS)
    assert put.status_code == httpx.codes.OK, put.text


@pytest.mark.parametrize("subject", [None, "", "x" * 256, "ü"], ids=ascii)
@pytest.mark.parametrize("path", ["/jobs", "/job-types", "/jobs/00000000-0000-4000-8000-000000000000"])
def test_s3_token_without_an_owner_is_403(guarded: Guarded, issuer: Issuer, subject: str | None, path: str) -> None:
    answer = guarded.get(issuer.token(sub=subject), path)
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.FORBIDDEN, "OWNER_MISSING")


def test_token_of_another_issuer_is_401(stack: LocalStack, issuer: Issuer) -> None:
    headers = {"authorization": f"Bearer {issuer.token()}"}
    answer = httpx.get(f"{stack.outputs.api_url}/api/v1/jobs", headers=headers, trust_env=False, verify=TLS)
    assert answer.status_code == httpx.codes.UNAUTHORIZED

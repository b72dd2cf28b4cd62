"""Sign-in to the stack's own user pool, as a deployment on AWS has it: by SRP, or on the sign-in page with a code and PKCE."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from botocore.exceptions import ClientError

from local.stack import LocalStack
from tests.support import srp
from tests.support.deployed import TLS, deploy_again
from tools import verify

PAGE = "http://localhost:3000/signed-in"
ADMIN, OWN = "aws.cognito.signin.user.admin", "asyncjobs/jobs"


@dataclass(frozen=True)
class Deployed:
    """A deployment with a pool of its own, and one user."""

    name: str
    api_url: str
    engine_url: str
    resources: dict[str, str]
    pool: Any
    user: dict[str, str]

    def jobs(self, token: str) -> int:
        answer = httpx.get(
            f"{self.api_url}/jobs", headers={"authorization": f"Bearer {token}"}, timeout=60, trust_env=False, verify=TLS
        )
        return answer.status_code

    def by_srp(self) -> Any:
        return srp.sign_in(
            self.pool, pool_id=self.resources["UserPool"], client_id=self.resources["UserPoolClient"], **self.user
        )

    def page(self, scope: str, challenge: str) -> httpx.Response:
        """Return the answer to an app that sends its user to sign in."""
        wanted = {
            "client_id": self.resources["SignInClient"],
            "redirect_uri": PAGE,
            "response_type": "code",
            "scope": scope,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return httpx.get(f"{self.engine_url}/oauth2/authorize?{urlencode(wanted)}", trust_env=False, verify=TLS)

    def tokens_of_the_page(self, *, scope: str = f"openid {OWN}", verifier: str | None = None) -> httpx.Response:
        ours = secrets.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(ours.encode()).digest()).rstrip(b"=").decode()
        hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', self.page(scope, challenge).text))
        signed_in = httpx.post(f"{self.engine_url}/login", data={**hidden, **self.user}, trust_env=False, verify=TLS)
        location = signed_in.headers["location"]
        assert location.startswith(f"{PAGE}?")
        form = {
            "grant_type": "authorization_code",
            "client_id": self.resources["SignInClient"],
            "redirect_uri": PAGE,
            "code": parse_qs(urlsplit(location).query)["code"][0],
            "code_verifier": verifier or ours,
        }
        return httpx.post(f"{self.engine_url}/oauth2/token", data=form, trust_env=False, verify=TLS)


def deploy(stack: LocalStack, name: str, **parameters: str) -> Deployed:
    resources = deploy_again(stack, name, parameters)
    pool: Any = stack.session.client("cognito-idp", endpoint_url=stack.endpoint_url)
    # A user's own calls have no signature. The local engine's guard admits the sign-in only, so the others are signed here.
    pool.meta.events.register("choose-signer.cognito-idp", lambda **_: "v4")
    user = {"username": "judy", "password": f"Aa1!{secrets.token_urlsafe(24)}"}
    pool.admin_create_user(UserPoolId=resources["UserPool"], Username="judy", MessageAction="SUPPRESS")
    pool.admin_set_user_password(UserPoolId=resources["UserPool"], Username="judy", Password=user["password"], Permanent=True)
    api_url = f"{stack.endpoint_url}/_aws/execute-api/{resources['Api']}/api/v1"
    return Deployed(name, api_url, stack.endpoint_url, resources, pool, user)


@pytest.fixture(scope="module")
def as_on_aws(stack: LocalStack) -> Deployed:
    """Return a deployment with the template's defaults."""
    return deploy(stack, "as-on-aws")


@pytest.fixture(scope="module")
def page_only(stack: LocalStack) -> Deployed:
    """Return a deployment whose users sign in on the page only."""
    return deploy(stack, "page-only", DirectSignIn="NONE", SignInUrls=f"https://app.example,{PAGE}")


def claims(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return found


def refusal(call: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    return str(raised.value.response["Error"]["Code"])


# ── By default ──


def test_user_signs_in_without_sending_the_password(as_on_aws: Deployed) -> None:
    tokens = as_on_aws.by_srp()
    assert as_on_aws.jobs(tokens["AccessToken"]) == httpx.codes.OK
    assert as_on_aws.jobs(tokens["IdToken"]) == httpx.codes.FORBIDDEN
    found = claims(tokens["AccessToken"])
    assert (found["scope"], found["exp"] - found["iat"], tokens["ExpiresIn"]) == (ADMIN, 900, 900)


def test_password_alone_is_not_accepted(as_on_aws: Deployed) -> None:
    given = {"USERNAME": as_on_aws.user["username"], "PASSWORD": as_on_aws.user["password"]}
    client = as_on_aws.resources["UserPoolClient"]
    code = refusal(as_on_aws.pool.initiate_auth, ClientId=client, AuthFlow="USER_PASSWORD_AUTH", AuthParameters=given)
    assert code == "InvalidParameterException"


def test_stack_has_no_sign_in_page(as_on_aws: Deployed) -> None:
    assert not {"SignInDomain", "SignInClient"} & as_on_aws.resources.keys()


def test_sign_out_ends_the_refresh_token(as_on_aws: Deployed) -> None:
    tokens, client = as_on_aws.by_srp(), as_on_aws.resources["UserPoolClient"]
    renew = {"AuthFlow": "REFRESH_TOKEN_AUTH", "AuthParameters": {"REFRESH_TOKEN": tokens["RefreshToken"]}}
    assert as_on_aws.pool.initiate_auth(ClientId=client, **renew)["AuthenticationResult"]["AccessToken"]
    as_on_aws.pool.revoke_token(Token=tokens["RefreshToken"], ClientId=client)
    assert refusal(as_on_aws.pool.initiate_auth, ClientId=client, **renew) == "NotAuthorizedException"
    # The gateway reads no list of revoked tokens: the access token works until it expires.
    assert as_on_aws.jobs(tokens["AccessToken"]) == httpx.codes.OK


# ── On the page ──


def test_user_signs_in_on_the_page(page_only: Deployed) -> None:
    tokens = page_only.tokens_of_the_page().json()
    assert page_only.jobs(tokens["access_token"]) == httpx.codes.OK
    assert page_only.jobs(tokens["id_token"]) == httpx.codes.FORBIDDEN
    found = claims(tokens["access_token"])
    assert set(found["scope"].split()) == {"openid", OWN}
    assert found["exp"] - found["iat"] == 900


def test_verify_finds_the_page(stack: LocalStack, page_only: Deployed) -> None:
    given = verify.deployment_of(page_only.name, stack.session, endpoint_url=page_only.engine_url, token="not needed")
    (check,) = [each for each in verify.CHECKS if each[0] == "The sign-in page answers"]
    with given as deployment:
        (finding,) = verify.findings(deployment, [check])
    assert finding.verdict is verify.Verdict.HOLDS


def test_verify_needs_a_token_where_users_sign_in_on_the_page_only(stack: LocalStack, page_only: Deployed) -> None:
    given = verify.deployment_of(page_only.name, stack.session, endpoint_url=page_only.engine_url)
    with pytest.raises(verify.FailsError, match="TOKEN"), given:
        pass


def test_token_of_the_page_does_not_administer_its_user(page_only: Deployed) -> None:
    token, pool = page_only.tokens_of_the_page().json()["access_token"], page_only.pool
    email = [{"Name": "email", "Value": "thief@example.com"}]
    assert refusal(pool.update_user_attributes, AccessToken=token, UserAttributes=email) == "NotAuthorizedException"
    assert refusal(pool.delete_user, AccessToken=token) == "NotAuthorizedException"
    assert refusal(pool.get_user, AccessToken=token) == "NotAuthorizedException"


def test_page_grants_no_right_to_administer_the_user(page_only: Deployed) -> None:
    answer = page_only.page(f"openid {OWN} {ADMIN}", "x" * 43)
    assert parse_qs(urlsplit(answer.headers["location"]).query)["error"] == ["invalid_request"]


def test_code_is_worth_nothing_without_its_verifier(page_only: Deployed) -> None:
    answer = page_only.tokens_of_the_page(verifier=secrets.token_urlsafe(48))
    assert (answer.status_code, answer.json()["error"]) == (httpx.codes.BAD_REQUEST, "invalid_grant")


def test_scope_of_the_api_is_required(page_only: Deployed) -> None:
    token = page_only.tokens_of_the_page(scope="openid").json()["access_token"]
    assert page_only.jobs(token) == httpx.codes.FORBIDDEN


@pytest.mark.parametrize("client", ["UserPoolClient", "SignInClient"])
def test_without_direct_sign_in_no_call_signs_in(page_only: Deployed, client: str) -> None:
    given = {"USERNAME": page_only.user["username"], "PASSWORD": page_only.user["password"]}
    ids = {"ClientId": page_only.resources[client]}
    for flow in ("USER_PASSWORD_AUTH", "USER_SRP_AUTH"):
        parameters = {**given, "SRP_A": "ab"}
        assert (
            refusal(page_only.pool.initiate_auth, AuthFlow=flow, AuthParameters=parameters, **ids)
            == "InvalidParameterException"
        )
    pool = {"UserPoolId": page_only.resources["UserPool"]}
    admin = {"AuthFlow": "ADMIN_USER_PASSWORD_AUTH", "AuthParameters": given}
    assert refusal(page_only.pool.admin_initiate_auth, **admin, **ids, **pool) == "InvalidParameterException"

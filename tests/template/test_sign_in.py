"""Whose tokens the API accepts, how the users of the stack's own pool sign in, and what a stolen token is worth."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.template.source import resolved, resource, template


def properties(name: str) -> dict[str, Any]:
    found: dict[str, Any] = resource(name)["Properties"]
    return found


OF_ANOTHER_ISSUER = {"JwtIssuer": "https://issuer.example", "JwtAudience": "https://api.example"}


@pytest.mark.parametrize(
    ("parameters", "scopes"),
    [
        ({}, ["asyncjobs/jobs", "aws.cognito.signin.user.admin", "-"]),
        ({"DirectSignIn": "PASSWORD"}, ["asyncjobs/jobs", "aws.cognito.signin.user.admin", "-"]),
        ({"DirectSignIn": "NONE", "SignInUrls": "https://app.example"}, ["asyncjobs/jobs", "-", "--"]),
        ({"JwtScope": "unused"}, ["asyncjobs/jobs", "aws.cognito.signin.user.admin", "-"]),
        (OF_ANOTHER_ISSUER, ["aws.cognito.signin.user.admin", "-", "--"]),
        ({**OF_ANOTHER_ISSUER, "JwtScope": "jobs"}, ["jobs", "-", "--"]),
        ({**OF_ANOTHER_ISSUER, "JwtScope": "a,b,c"}, ["a", "b", "c", "-", "--"][:3]),
        ({**OF_ANOTHER_ISSUER, "JwtScope": ""}, []),
        ({**OF_ANOTHER_ISSUER, "JwtScope": "NONE"}, []),  # `sam deploy --guided` takes no empty value
    ],
)
def test_scopes_follow_the_parameters(parameters: dict[str, str], scopes: list[str]) -> None:
    required = properties("Api")["Auth"]["Authorizers"]["Jwt"]["AuthorizationScopes"]
    assert resolved(required, parameters) == scopes


@pytest.mark.parametrize(
    ("parameters", "audience"),
    [
        ({}, ["UserPoolClient"]),
        ({"SignInUrls": "https://app.example"}, ["UserPoolClient", "SignInClient"]),
        ({**OF_ANOTHER_ISSUER, "SignInUrls": "https://app.example"}, ["https://api.example"]),
        ({**OF_ANOTHER_ISSUER, "JwtAudience": "one,two"}, ["one", "two"]),
    ],
)
def test_audiences_follow_the_parameters(parameters: dict[str, str], audience: list[str]) -> None:
    configuration = properties("Api")["Auth"]["Authorizers"]["Jwt"]["JwtConfiguration"]
    assert resolved(configuration["audience"], parameters) == audience


@pytest.mark.parametrize(
    ("parameter", "value", "is_valid"),
    [
        ("JwtIssuer", "", True),
        ("JwtIssuer", "https://tenant.eu.auth0.com/", True),
        ("JwtIssuer", "http://127.0.0.1:8080", True),
        ("JwtIssuer", "http://issuer.example", False),
        ("JwtIssuer", "http://127.0.0.1:8080.evil.example", False),
        ("JwtScope", "", True),
        ("JwtScope", "jobs:read,jobs:write,https://api.example/jobs", True),
        ("JwtScope", "a b", False),
        ("JwtScope", "a,b,c,d", False),
        ("SignInUrls", "https://app.example/signed-in,http://localhost:3000", True),
        ("SignInUrls", "https://app.example/*", False),
        ("SignInUrls", "app.example", False),
        ("SignInUrls", "https://a.example, https://b.example", False),
    ],
)
def test_parameters_of_sign_in_are_checked_at_the_deployment(parameter: str, value: str, *, is_valid: bool) -> None:
    found = template()["Parameters"][parameter]
    assert bool(re.search(found["AllowedPattern"], value)) is is_valid
    assert "ConstraintDescription" in found or value == ""


@pytest.mark.parametrize(
    ("direct", "flows"),
    [
        ("SRP", ["ALLOW_USER_SRP_AUTH", "ALLOW_ADMIN_USER_PASSWORD_AUTH"]),
        ("PASSWORD", ["ALLOW_USER_SRP_AUTH", "ALLOW_ADMIN_USER_PASSWORD_AUTH", "ALLOW_USER_PASSWORD_AUTH"]),
        ("NONE", []),
    ],
)
def test_pool_permits_the_chosen_direct_sign_in_only(direct: str, flows: list[str]) -> None:
    assert template()["Parameters"]["DirectSignIn"]["Default"] == "SRP"
    found = resolved(properties("UserPoolClient")["ExplicitAuthFlows"], {"DirectSignIn": direct})
    assert found == ["ALLOW_REFRESH_TOKEN_AUTH", *flows]
    assert properties("SignInClient")["ExplicitAuthFlows"] == ["ALLOW_REFRESH_TOKEN_AUTH"]


def test_sign_in_page_makes_codes_for_the_given_pages_and_no_token_that_administers_its_user() -> None:
    client = properties("SignInClient")
    assert (client["AllowedOAuthFlows"], client["AllowedOAuthFlowsUserPoolClient"]) == (["code"], True)
    assert client["AllowedOAuthScopes"] == ["openid", {"Fn::Sub": "${ApiScopes}/jobs"}]
    server = properties("ApiScopes")
    assert (server["Identifier"], [scope["ScopeName"] for scope in server["Scopes"]]) == ("asyncjobs", ["jobs"])
    pages = {"SignInUrls": "https://a.example,https://b.example/x"}
    for urls in ("CallbackURLs", "LogoutURLs"):
        assert resolved(client[urls], pages) == ["https://a.example", "https://b.example/x"]
    assert template()["Parameters"]["SignInUrls"]["Default"] == ""
    assert {resource(name)["Condition"] for name in ("SignInClient", "SignInDomain")} == {"WithSignInPage"}


@pytest.mark.parametrize("name", ["UserPoolClient", "SignInClient"])
def test_stolen_token_is_short_lived_and_changes_no_address(name: str) -> None:
    client = properties(name)
    assert client["AccessTokenValidity"] == client["IdTokenValidity"] == {"Ref": "AccessTokenMinutes"}
    assert client["TokenValidityUnits"] == {"AccessToken": "minutes", "IdToken": "minutes", "RefreshToken": "days"}
    assert template()["Parameters"]["AccessTokenMinutes"]["Default"] == 15
    assert (client["WriteAttributes"], client["EnableTokenRevocation"]) == (["locale"], True)
    recovery = properties("UserPool")["AccountRecoverySetting"]["RecoveryMechanisms"]
    assert recovery == [{"Name": "admin_only", "Priority": 1}]


def test_user_pool_is_protected_as_the_table_is() -> None:
    assert properties("UserPool")["DeletionProtection"] == {"Fn::If": ["TableProtected", "ACTIVE", "INACTIVE"]}

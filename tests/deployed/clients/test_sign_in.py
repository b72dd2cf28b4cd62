"""`asyncjobs login` by the browser, on the sign-in page of the stack's own user pool."""

from __future__ import annotations

import re
import secrets
import webbrowser
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from asyncjobs_client.cli import app
from asyncjobs_client.cli.profiles import Profiles
from local.process import free_port
from local.stack import LocalStack, Outputs

USER = {"username": "sybil", "password": f"Aa1!{secrets.token_urlsafe(24)}"}


_KEPT = ("AllowedOAuthFlows", "AllowedOAuthFlowsUserPoolClient", "AllowedOAuthScopes", "ExplicitAuthFlows")
"""Settings that an update would otherwise take away."""


@pytest.fixture
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Profiles:
    for name in ("ASYNCJOBS_URL", "ASYNCJOBS_TOKEN", "ASYNCJOBS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"XDG_CONFIG_HOME": str(tmp_path), "NO_PROXY": "*", "FORCE_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    return Profiles(tmp_path / "asyncjobs/config.toml")


@pytest.fixture
def client(stack: LocalStack, outputs: Outputs) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Return the user pool's API, and the client of the sign-in page, which may return to a free port of this machine."""
    cloudformation = stack.session.client("cloudformation", endpoint_url=stack.endpoint_url)
    found = cloudformation.describe_stack_resources(StackName=outputs.stack_name)["StackResources"]
    ids = {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in found}
    pool: Any = stack.session.client("cognito-idp", endpoint_url=stack.endpoint_url)
    where = {"UserPoolId": ids["UserPool"]}
    pool.admin_create_user(**where, Username=USER["username"], MessageAction="SUPPRESS")
    pool.admin_set_user_password(**where, Username=USER["username"], Password=USER["password"], Permanent=True)
    described = pool.describe_user_pool_client(**where, ClientId=ids["SignInClient"])["UserPoolClient"]
    kept = {name: described[name] for name in _KEPT}
    changed = {**where, "ClientId": ids["SignInClient"], **kept, "CallbackURLs": [f"http://localhost:{free_port()}/"]}
    pool.update_user_pool_client(**changed)
    yield pool, changed
    pool.update_user_pool_client(**changed | {"CallbackURLs": described["CallbackURLs"]})


@pytest.fixture
def page(outputs: Outputs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sign in as a user does who is shown the page."""

    def open_page(url: str) -> None:
        hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', httpx.get(url, trust_env=False).text))
        signed_in = httpx.post(f"{outputs.endpoint_url}/login", data={**hidden, **USER}, trust_env=False)
        assert httpx.get(signed_in.headers["location"], trust_env=False).is_success

    monkeypatch.setattr(webbrowser, "open", open_page)


@pytest.mark.slow
@pytest.mark.usefixtures("page")
def test_user_signs_in_on_the_page_and_the_token_is_renewed(
    profiles: Profiles, client: tuple[Any, dict[str, Any]], outputs: Outputs, capfd: pytest.CaptureFixture[str]
) -> None:
    pool, settings = client
    issuer = f"{outputs.endpoint_url}/{settings['UserPoolId']}"
    given = ("--url", outputs.api_url, "--issuer", issuer, "--client-id", settings["ClientId"])
    assert app.run(["login", *given, "--redirect-uri", settings["CallbackURLs"][0]]) == 0
    first = profiles.all()["default"]
    assert app.run(["run", "text.search", "query=lease", "limit=1"]) == 0
    assert "matches" in capfd.readouterr().out
    profiles.save("default", replace(first, expires_at=0))
    assert app.run(["types", "text.search"]) == 0
    renewed = profiles.all()["default"]
    assert renewed.token != first.token
    pool.revoke_token(Token=renewed.refresh_token, ClientId=settings["ClientId"])
    profiles.save("default", replace(renewed, expires_at=0))
    assert app.run(["types", "text.search"]) == 77

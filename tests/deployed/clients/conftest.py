"""A browser whose page has an origin that may call the deployed API."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.stack import FRONT_END
from tests.clients.js import pages
from tests.support.browser import Browser, chromium
from tests.support.deployed import Api, Caller


@pytest.fixture(scope="package")
def site() -> Iterator[pages.Site]:
    with pages.serve() as site:
        yield site


@pytest.fixture(scope="package")
def browser(site: pages.Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Start a browser for which the front end's port is that of the site, whose own one is free by chance."""
    origin = FRONT_END.removeprefix("http://")
    mapped = f"--host-resolver-rules=MAP {origin} 127.0.0.1:{site.port}"
    with chromium(tmp_path_factory.mktemp("browser") / "profile", options=[mapped]) as browser:
        yield browser


@pytest.fixture(scope="session")
def environment(api: Api, alice: Caller) -> dict[str, str]:
    """Return the variables that a client reads its address and its token from."""
    token = alice.http.headers["authorization"].removeprefix("Bearer ")
    return {"ASYNCJOBS_URL": api.outputs.api_url, "ASYNCJOBS_TOKEN": token}

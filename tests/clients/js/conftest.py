"""A browser and a site for the tests of pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clients.js import pages
from tests.support.browser import Browser, chromium


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("browser") / "profile") as browser:
        yield browser


@pytest.fixture
def site() -> Iterator[pages.Site]:
    with pages.serve() as site:
        yield site

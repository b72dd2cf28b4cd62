"""What several folders of tests of the deployed stack need."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.support.deployed import Api, Caller
from tests.support.receiver import Receiver, receiving


@pytest.fixture
def user(api: Api, request: pytest.FixtureRequest) -> Caller:
    """Return a user of this test alone: an owner has ten webhooks at most."""
    return api.caller(re.sub(r"\W+", "-", request.node.name)[:60])


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def create(user: Caller, receiver: Receiver) -> Callable[..., dict[str, Any]]:
    """Return a function that creates a webhook at a receiver, the test's own unless it names one, which then has the secret."""

    def create(at: Receiver = receiver, **fields: Any) -> dict[str, Any]:
        answer = user.post("/webhooks", json={"url": at.url, **fields})
        assert answer.status_code == httpx.codes.CREATED, answer.text
        webhook: dict[str, Any] = answer.json()
        at.secrets.append(webhook["secret"])
        return webhook

    return create

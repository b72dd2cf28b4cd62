"""Webhooks and tickets: the requests that the client makes."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx2
import pytest

from asyncjobs_client import ApiConnectionError
from clients.contract import server
from tests.clients.python.harness import FLAVORS, SYNC, Flavor, value_of

URL = "https://api.example.com"
WEBHOOK = {
    "webhookId": "w-1",
    "url": "https://app.example.com/hook",
    "events": ["job.failed"],
    "secret": "whsec_x",
    "novelty": 1,
}


def answering(flavor: Flavor, *answers: httpx2.Response | Exception) -> tuple[Any, list[tuple[str, str, Any]]]:
    left, seen = list(answers), list[tuple[str, str, Any]]()

    def handle(request: httpx2.Request) -> httpx2.Response:
        seen.append((request.method, request.url.path.removeprefix("/api/v1"), json.loads(request.content or b"null")))
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    transport = httpx2.MockTransport(handle)
    http = httpx2.Client(transport=transport) if flavor is SYNC else httpx2.AsyncClient(transport=transport)
    return flavor.jobs(URL, "t", http_client=http, _clock=flavor.clock()), seen


@pytest.mark.parametrize("flavor", FLAVORS, ids=lambda flavor: flavor.name)
def test_webhooks_are_created_listed_tested_rotated_and_deleted(flavor: Flavor) -> None:
    delivery = httpx2.Response(202, json=server.RUNNING)
    jobs, seen = answering(
        flavor,
        httpx2.Response(201, json=WEBHOOK),
        httpx2.Response(200, json={"webhooks": [WEBHOOK]}),
        delivery,
        httpx2.Response(200, json=WEBHOOK),
        httpx2.Response(204),
    )

    async def main() -> tuple[Any, Any, Any, Any]:
        hooks = jobs.webhooks
        created = await value_of(hooks.create("https://app.example.com/hook", events=["job.failed"], named_only=True))
        listed = await value_of(hooks.all())
        tested = await value_of(hooks.test("w-1"))
        rotated = await value_of(hooks.rotate("w-1"))
        await value_of(hooks.delete("w-1"))
        return created, listed, tested, rotated

    created, listed, tested, rotated = asyncio.run(main())
    assert (created.id, created.secret, created.raw["novelty"]) == ("w-1", "whsec_x", 1)
    assert "whsec_x" not in repr(created)
    assert [each.events for each in listed] == [("job.failed",)]
    assert (tested.id, rotated.secret) == (server.JOB, "whsec_x")
    body = {"url": "https://app.example.com/hook", "events": ["job.failed"], "namedOnly": True}
    assert seen == [
        ("POST", "/webhooks", body),
        ("GET", "/webhooks", None),
        ("POST", "/webhooks/w-1/test", None),
        ("POST", "/webhooks/w-1/rotate", None),
        ("DELETE", "/webhooks/w-1", None),
    ]


@pytest.mark.parametrize("flavor", FLAVORS, ids=lambda flavor: flavor.name)
def test_webhook_is_not_created_twice_when_the_answer_is_lost(flavor: Flavor) -> None:
    jobs, seen = answering(flavor, httpx2.ReadError("lost"))
    with pytest.raises(ApiConnectionError):
        asyncio.run(value_of_call(jobs))
    assert len(seen) == 1


async def value_of_call(jobs: Any) -> Any:
    return await value_of(jobs.webhooks.create("https://app.example.com/hook"))


@pytest.mark.parametrize("flavor", FLAVORS, ids=lambda flavor: flavor.name)
def test_ticket_opens_the_named_jobs_or_all(flavor: Flavor) -> None:
    answer = {"ticket": "ajt_secret", "expiresAt": "2026-11-26T12:15:00.000Z"}
    jobs, seen = answering(flavor, *(httpx2.Response(201, json=answer) for _ in range(2)))

    async def main() -> tuple[Any, Any]:
        return await value_of(jobs.ticket("j-1", "j-2", ttl=60)), await value_of(jobs.ticket())

    first, _ = asyncio.run(main())
    assert (first.text, first.expires_at) == ("ajt_secret", "2026-11-26T12:15:00.000Z")
    assert "ajt_secret" not in repr(first)
    assert [body for _, _, body in seen] == [{"jobs": ["j-1", "j-2"], "ttlSeconds": 60}, {"scope": "owner"}]

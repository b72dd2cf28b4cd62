"""Generated requests, batches and damaged records: each has a valid answer. tests/unit has properties of body, cursor, key
and message."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asyncjobs.aws.items import Item, from_item, to_item
from asyncjobs.core.errors import Unreadable
from asyncjobs.core.message import JobMessage
from tests.deployed.security.world import World
from tests.support.factories import JOB_ID, new_job, running_job

ROUTES = [
    "POST /api/v1/jobs",
    "POST /api/v1/jobs/{asyncJobId}/cancel",
    "GET /api/v1/jobs/{asyncJobId}",
    "GET /api/v1/jobs/{asyncJobId}/result",
    "GET /api/v1/jobs",
    "GET /api/v1/job-types",
    "GET /api/v1/health",
    "GET /api/v1/openapi.json",
]
ANSWERS = {200, 202, 303, 400, 403, 404, 406, 409, 413, 415, 422}

FUZZ = settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])

TEXTS = st.text(max_size=20) | st.sampled_from(
    ["", JOB_ID, "application/json", "*/*", '"k"', "alice", "0", "a#b", "../x", "\x00"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(["jobType", "input", "metadata", "message", "delaySeconds", "retentionSeconds", "size", "owner"])
BODIES = st.dictionaries(FIELDS, JSON | st.sampled_from(["sample.returns", "sample.halves", "sample.returns_much"]), max_size=4)


def maps(*names: str) -> st.SearchStrategy[dict[str, str] | None]:
    return st.none() | st.dictionaries(st.sampled_from(names) | TEXTS, TEXTS, max_size=4)


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    """Draw an event of the gateway with any value in each part that a client controls."""
    body = draw(st.none() | TEXTS | BODIES.map(json.dumps) | st.binary(max_size=60).map(lambda b: base64.b64encode(b).decode()))
    return {
        "pathParameters": draw(maps("asyncJobId")),
        "queryStringParameters": draw(maps("status", "jobType", "limit", "cursor")),
        "headers": draw(maps("accept", "content-type", "idempotency-key", "Content-Type")),
        "body": body,
        "isBase64Encoded": draw(st.booleans()),
        "requestContext": {
            "requestId": "r",
            "authorizer": draw(st.none() | st.just({}) | st.builds(lambda sub: {"jwt": {"claims": {"sub": sub}}}, JSON)),
        },
    }


@FUZZ
@given(st.sampled_from(ROUTES), events())
def test_every_request_has_an_answer(route: str, event: dict[str, Any]) -> None:
    world = World()
    world.store.jobs |= {job.key: job for job in (new_job(), running_job(owner="bob"))}
    answer = world.answer({**event, "routeKey": route})
    assert answer.status in ANSWERS
    assert answer.body is not None
    assert all("\n" not in value and "\r" not in value for value in answer.headers.values())
    if answer.status >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.body["status"] == answer.status


GOOD = JobMessage.of(new_job()).to_body()
FOREIGN = st.sampled_from([GOOD, GOOD[:-1], GOOD.replace("sample.returns", "no.such"), GOOD.replace("alice", "b#c")])


@FUZZ
@given(st.lists(FOREIGN | TEXTS | JSON.map(json.dumps) | st.binary(max_size=20).map(lambda b: b.decode("latin-1")), max_size=4))
def test_any_batch_returns_only_its_own_messages(bodies: list[str]) -> None:
    world = World()
    world.store.jobs[new_job().key] = new_job()
    failures = world.deliver(*bodies)
    assert set(failures) <= {str(number) for number in range(len(bodies))}
    assert all(bodies[int(number)] != GOOD for number in failures)


DAMAGES: st.SearchStrategy[Any] = st.sampled_from(
    [
        {"S": ""},
        {"S": "x"},
        {"S": "RETRYING"},
        {"S": "J#alice"},
        {"S": "2026-13-45T99:00:00Z"},
        {"S": "[" * 2000},
        {"N": "-1"},
        {"N": "1e30"},
        {"N": "0.5"},
        {"B": b"\x00"},
        {"NULL": True},
        {"M": {}},
        {"L": [{"S": "x"}]},
        None,
    ]
)
ITEMS = [to_item(new_job()), to_item(running_job())]


@FUZZ
@given(st.sampled_from(ITEMS), st.data())
def test_damaged_record_is_read_or_rejected_with_a_plain_error(item: Item, data: st.DataObject) -> None:
    damaged = copy.deepcopy(item)
    for name in data.draw(st.sets(st.sampled_from(sorted(item)), min_size=1, max_size=3)):
        damage = data.draw(DAMAGES)
        if damage is None:
            del damaged[name]
        else:
            damaged[name] = damage
    try:
        job = from_item(damaged)
    except Unreadable:
        return
    once = to_item(job)
    assert to_item(from_item(once)) == once

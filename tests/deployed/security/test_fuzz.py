"""Generated requests, batches and damaged records: each has a valid answer. tests/unit has properties of body, cursor, key
and message."""

from __future__ import annotations

import base64
import copy
import gzip
import json
from typing import Any
from urllib.parse import quote

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asyncjobs.aws.items import Item, from_item, to_item
from asyncjobs.codegen.openapi import OPERATIONS
from asyncjobs.core.errors import Unreadable
from asyncjobs.core.job import AsyncJob
from asyncjobs.core.message import JobMessage
from asyncjobs.http.dialects.find import BUILT_IN, find_dialects
from asyncjobs.tracking.worker_token import WorkerToken
from tests.deployed.security.world import World
from tests.support.factories import JOB_ID, OWNER, new_job, new_tracked_job, running_job
from tests.support.http_events import Answer
from tests.unit.http.dialects.in_memory_dialects import InMemoryDialects, working
from tests.unit.http.in_memory_api import SEARCH, SEARCH_SYNCHRONOUS, InMemoryApi

OPEN = [each.route_key for each in OPERATIONS if each.security != "bearer"]
ROUTES = [*(each.route_key for each in OPERATIONS), SEARCH, SEARCH_SYNCHRONOUS]
ROUTES += [route.replace("GET ", "HEAD ") for route in ROUTES if route.startswith("GET ")]

FUZZ = settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])

TEXTS = st.text(max_size=20) | st.sampled_from(
    ["", JOB_ID, "application/json", "*/*", '"k"', "alice", "0", "a#b", "../x", "\x00", "\ud800", "%", "x" * 3000]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
SUBMITS = st.sampled_from(
    ["jobType", "input", "metadata", "message", "delaySeconds", "notBefore", "priority", "retentionSeconds", "owner"]
)
REPORTS = st.sampled_from(["status", "progress", "message", "result", "resultLocation", "error"])
VALUES = JSON | st.sampled_from(
    ["api.reads", "api.takes_anything", "COMPLETED", "https://a.example", {"pages": 1}, {"message": "m"}]
)
BODIES = st.dictionaries(SUBMITS | REPORTS | TEXTS, VALUES, max_size=4).map(json.dumps)

NAMES = st.sampled_from(["status", "jobType", "limit", "cursor", "wait", "subject", "tags", "pages", "ratio"]) | TEXTS
QUERIES = st.text("ab0=&%+,;/F\x00\ud800", max_size=20) | st.lists(st.tuples(NAMES, TEXTS), max_size=4).map(
    lambda pairs: "&".join(f"{quote(name, errors='replace')}={quote(value, errors='replace')}" for name, value in pairs)
)
HEADERS = st.sampled_from(
    ["accept", "accept-encoding", "content-encoding", "idempotency-key", "if-none-match", "prefer", "authorization", "x"]
)
HEADER_TEXTS = TEXTS | st.sampled_from(
    [
        *("application/json;q=0", "text/csv", "gzip", "gzip, br", "*", "wait=5", 'x="a, wait=3"', "respond-async"),
        *(f"Bearer {WorkerToken.new(owner).text}" for owner in (OWNER, "bob", "x" * 128)),
        *("Bearer ajw_" + "A" * 44, "Bearer ajw_" + "_" * 256, "bearer  x"),
    ]
)
CONTENT_TYPES = st.just("application/json") | st.sampled_from(
    ["application/json; charset=utf8", "application/json;,", "text/plain"]
)


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a request with any value in each part that a client controls."""
    body = draw(st.none() | TEXTS | BODIES)
    event: dict[str, Any] = {"body": body}
    if draw(st.booleans()):
        data = draw(st.binary(max_size=60)) if body is None else body.encode(errors="replace")
        data = gzip.compress(data) if draw(st.booleans()) else data
        event = {"body": base64.b64encode(data).decode(), "isBase64Encoded": True}
    return {
        **event,
        "path": draw(st.dictionaries(st.sampled_from(["asyncJobId", "subject", "key"]), st.just(JOB_ID) | TEXTS, max_size=2)),
        "query": draw(QUERIES),
        "headers": {"content-type": draw(CONTENT_TYPES), **draw(st.dictionaries(HEADERS, HEADER_TEXTS, max_size=3))},
    }


def answer_to(route: str, request: dict[str, Any]) -> Answer:
    """Return the answer of an API with jobs of two owners. It is checked against the OpenAPI document, and is no server error."""
    api = InMemoryApi()
    api.add_jobs(new_job(), running_job(owner="bob"), new_tracked_job(async_job_id="00000000-0000-4000-8000-000000000001"))
    answer = api.call(route, **request)
    assert answer.status < 500 or answer.status == 504 or answer.code == "JOB_FAILED"
    assert all("\n" not in value and "\r" not in value for value in answer.headers.values())
    (answer.text + "".join(answer.headers.values())).encode()  # as Lambda sends it
    if answer.status >= 400 and not route.startswith("HEAD "):
        assert answer.body["status"] == answer.status
    return answer


@FUZZ
@given(st.sampled_from(ROUTES), requests(), st.just(OWNER) | JSON)
def test_every_request_has_a_documented_answer(route: str, request: dict[str, Any], owner: Any) -> None:
    answer_to(route, {**request, "owner": owner})


@FUZZ
@given(st.sampled_from(OPEN), requests(), st.sampled_from([None, {}, {"jwt": {}}]))
def test_request_without_a_token_is_no_server_error(route: str, request: dict[str, Any], authorizer: Any) -> None:
    context = {"requestId": "r", "authorizer": authorizer}
    assert answer_to(route, {**request, "requestContext": context}).status < 500


CANARY = "canary-of-bob"
BOBS = "00000000-0000-4000-8000-000000000002"


def bobs_job() -> AsyncJob:
    """Return a job of another owner's, with a canary in each part that an answer may show."""
    job = working(
        "gemini_analysis", message=CANARY, async_job_id=BOBS, owner="bob", metadata=json.dumps({"documentId": CANARY})
    )
    return job.with_input(text=json.dumps({"text": CANARY}))


PATHS = TEXTS | st.builds(
    "/".join,
    st.lists(
        st.sampled_from(
            ["api", "v1", "jobs", "cache", "refresh", "result", "analyze", "import", "mysql", JOB_ID, f"x-1-{JOB_ID}", BOBS]
        )
        | TEXTS,
        max_size=5,
    ),
)
KNOWN_PATHS = st.sampled_from(
    [
        *(route.theirs.partition(" ")[2] for dialect in find_dialects(BUILT_IN).values() for route in dialect.routes),
        "/api/v1/jobs/cache/refresh",
        "/api/v1/analyze/",
        "/api/v1/search/subject/{asyncJobId}",
    ]
)
KNOWN_PATHS_OF_JOBS = st.builds(
    lambda path, job_id: path.replace("{asyncJobId}", job_id), KNOWN_PATHS, st.sampled_from([JOB_ID, BOBS, f"x-1-{BOBS}"])
)
FORMS = st.builds(
    lambda name, data: b'--b\r\nContent-Disposition: form-data; name="%b"; filename="f"\r\n\r\n%b\r\n--b--' % (name, data),
    st.binary(max_size=5),
    st.binary(max_size=20),
)


@FUZZ
@given(
    st.sampled_from(sorted(BUILT_IN)),
    st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]),
    PATHS | KNOWN_PATHS_OF_JOBS,
    requests(),
    st.just(OWNER) | JSON,
    st.none() | FORMS,
)
def test_every_request_of_a_dialect_has_an_answer_of_the_dialect(
    dialect: str, method: str, path: str, request: dict[str, Any], owner: Any, form: bytes | None
) -> None:
    dialects = InMemoryDialects()
    bobs = bobs_job()
    for job in (bobs, new_tracked_job(async_job_id="00000000-0000-4000-8000-000000000001"), new_job()):
        dialects.has(job)
    if form is not None:
        request |= {"body": base64.b64encode(form).decode(), "isBase64Encoded": True}
        request["headers"]["content-type"] = "multipart/form-data; boundary=b"
    del request["path"]
    answer = dialects.send(dialect, f"{method} /{path.removeprefix('/')}", owner=owner, **request)
    assert answer.status < 500 or answer.status == 504
    (answer.text + "".join(answer.headers.values())).encode()  # as Lambda sends it
    assert all("\n" not in value and "\r" not in value for value in answer.headers.values())
    assert CANARY not in answer.text or owner == "bob"
    assert dialects.job_of(BOBS, "bob") == bobs or owner == "bob"
    if answer.status >= 400 and method != "HEAD":
        (shape,) = [each.error for name, each in find_dialects([dialect]).items()]
        assert isinstance(shape, dict)
        assert answer.body.keys() == shape.keys()


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

"""Generated requests to the dialects over HTTP: none is a server error, and none shows or changes another owner's job."""

from __future__ import annotations

import json
from urllib.parse import quote, urlencode

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asyncjobs.http.dialects.find import BUILT_IN, find_dialects
from tests.deployed.http.dialects.examples import client_of
from tests.deployed.http.dialects.test_every_dialect import ERRORS
from tests.support.deployed import UNKNOWN, Api

CANARY = "canary-of-bob"
BOBS = "{bobs job}"
"""In a generated path: the id of a job of another owner's."""

TEXTS = st.text(max_size=20) | st.sampled_from(["", "0", "a#b", "../x", "%", "%2e%2e/", "\x00", "null", "x" * 3000, UNKNOWN])
MEMBERS = st.sampled_from(
    [
        "jobType",
        "job_type",
        "task_type",
        "input_data",
        "status",
        "progress",
        "message",
        "metadata",
        "error",
        "documentId",
        "depth",
    ]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | TEXTS
    | st.sampled_from(["generic", "gemini_analysis", "completed"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(MEMBERS | TEXTS, inner, max_size=3),
    max_leaves=6,
)
BODIES = (
    st.none()
    | st.binary(max_size=60)
    | st.dictionaries(MEMBERS | TEXTS, VALUES, max_size=4).map(lambda value: json.dumps(value).encode())
)
QUERIES = st.dictionaries(st.sampled_from(["q", "limit", "wait", "cursor"]) | TEXTS, TEXTS, max_size=3).map(urlencode)
HEADERS = st.dictionaries(
    st.sampled_from(["accept", "idempotency-key", "if-none-match", "content-type", "x-http-method-override"]),
    st.sampled_from(
        ["*/*", "text/csv", '"k"', "k", "application/json", "multipart/form-data", "multipart/form-data; boundary=b", "x" * 300]
    ),
    max_size=2,
)


def paths(dialect: str) -> st.SearchStrategy[str]:
    """Draw a path: one of the dialect's with any id, or any other."""
    own = [route.theirs.partition(" ")[2] for route in find_dialects([dialect])[dialect].routes]
    # Not "..": a client resolves it, and so leaves the dialect.
    ids = st.sampled_from([UNKNOWN, BOBS, f"x-1-{BOBS}", "1", "%2E%2E", "%00"]) | TEXTS.map(lambda text: quote(text, safe=""))
    known = st.builds(lambda path, job_id: path.replace("{asyncJobId}", job_id), st.sampled_from(own), ids)
    return known | st.lists(st.sampled_from(["api", "v1", "jobs", "result", "search", "cache"]) | ids, max_size=5).map(
        lambda parts: "/" + "/".join(parts)
    )


@pytest.mark.parametrize("dialect", sorted(BUILT_IN))
def test_any_request_has_an_answer_of_the_dialect_and_reaches_no_other_owner(api: Api, dialect: str) -> None:
    bob, client = api.caller("bob"), client_of(api, dialect, "mallory")
    metadata = {"documentId": CANARY}
    answer = bob.post("/jobs", json={"jobType": "file_processing", "message": CANARY, "metadata": metadata})
    job = bob.job(answer.json())

    @settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]), paths(dialect), QUERIES, BODIES, HEADERS)
    def check(method: str, path: str, query: str, body: bytes | None, headers: dict[str, str]) -> None:
        given = {"content-type": "application/json", "prefer": "respond-async", **headers}
        url = f"{path.replace(BOBS, job['asyncJobId'])}?{query}"
        found: httpx.Response = client.request(method, url, content=body, headers=given)
        assert found.status_code not in {500, 502}, found.text  # 503 and 504 are those of a busy machine
        assert CANARY not in found.text
        if found.status_code >= 400 and method != "HEAD":
            assert set(found.json()) in (ERRORS[dialect], {"message"}), found.text  # the latter is the gateway's own

    check()
    assert bob.job(job) == job

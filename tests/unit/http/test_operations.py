"""Rules for every operation: its owner, its job id, its headers."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncjobs.codegen.openapi import OPERATIONS, codes_of
from asyncjobs.core.errors import Unavailable
from asyncjobs.core.job import Result, Status
from asyncjobs.http.operations import Operation
from asyncjobs.tracking.worker_token import WorkerToken
from tests.support.factories import JOB_ID, NOW, OWNER, new_job
from tests.support.http_events import ABOUT_ONE_JOB, CANCEL, DELETE, HEALTH, JOB, JOB_TYPES, JOBS, RESULT, SUBMIT, WORKER_TOKEN
from tests.unit.http.in_memory_api import BODY, InMemoryApi, walk


@pytest.mark.parametrize("route", ABOUT_ONE_JOB)
def test_jobs_of_others_unknown_malformed_and_expired_ids_are_the_same_404(api: InMemoryApi, route: str) -> None:
    theirs, expired = new_job(owner="bob"), new_job(async_job_id="00000000-0000-4000-8000-000000000001", record_expires_at=NOW)
    api.add_jobs(theirs, expired)
    before = dict(api.store.jobs)
    answers = [
        api.call(route, async_job_id=async_job_id)
        for async_job_id in (
            theirs.async_job_id,
            "00000000-0000-4000-8000-000000000002",
            expired.async_job_id,
            "",
            "7",
            JOB_ID.upper(),
            JOB_ID + "\n",
            f"bob#{JOB_ID}",
            "../" + JOB_ID,
            "00000000-0000-1000-8000-000000000001",
            "x" * 5000,
            "\x00",
            "ü",
        )
    ]
    assert (answers[0].status, answers[0].body["code"]) == (404, "JOB_NOT_FOUND")
    assert all(answer == answers[0] for answer in answers)
    assert api.store.jobs == before


@pytest.mark.parametrize("route", ABOUT_ONE_JOB)
def test_every_route_takes_an_id_in_upper_case(api: InMemoryApi, route: str) -> None:
    """RFC 9562 4."""
    async_job_id = "3f2b8c1e-4d5a-4b6c-8d7e-9f0a1b2c3d4e"
    answers = []
    for written in (async_job_id, async_job_id.upper()):
        api.store.jobs.clear()
        api.add_jobs(new_job(async_job_id=async_job_id))
        answer = api.call(route, async_job_id=written)
        answers.append((answer.status, "" if route == WORKER_TOKEN else answer.text.replace(written, async_job_id)))
    assert answers[0] == answers[1]
    assert answers[0][0] != 404


@pytest.mark.parametrize("route", [SUBMIT, JOBS, JOB_TYPES, *ABOUT_ONE_JOB])
def test_every_route_is_403_without_an_owner(api: InMemoryApi, route: str) -> None:
    api.add_jobs(new_job())
    answer = api.call(route, owner="", async_job_id=JOB_ID, body=json.dumps(BODY))
    assert (answer.status, answer.body["code"]) == (403, "OWNER_MISSING")


@pytest.mark.parametrize("route", [SUBMIT, JOBS, JOB_TYPES, HEALTH, *ABOUT_ONE_JOB])
@pytest.mark.parametrize("accept", ["application/json", "text/html"], ids=["answer", "problem"])
def test_every_answer_has_the_security_headers(api: InMemoryApi, route: str, accept: str) -> None:
    api.add_jobs(new_job())
    answer = api.call(route, async_job_id=JOB_ID, body=json.dumps(BODY), headers={"accept": accept})
    # A DELETE has nothing to choose from; of a job without a result, the problem says more.
    is_chosen = route not in {DELETE, RESULT}
    assert (answer.status == 406) is (is_chosen and accept == "text/html")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["strict-transport-security"]


OWNERS = st.text("ab|. ", min_size=1, max_size=3)


def test_accept_matters_where_there_is_a_body_to_choose() -> None:
    ignored = {operation.route for operation in OPERATIONS if not operation.is_json}
    assert ignored == {
        "DELETE /jobs/{asyncJobId}",
        "DELETE /uploads/{key}",
        "DELETE /webhooks/{webhookId}",
        "DELETE /admin/jobs/{asyncJobId}",
        "GET /admin/jobs/{asyncJobId}/result",
        "GET /jobs/{asyncJobId}/result",
        "GET /tickets/jobs/{asyncJobId}/result",
    }
    assert not [each for each in OPERATIONS if each.route.startswith("DELETE") and "NOT_ACCEPTABLE" in str(codes_of(each))]


STEPS = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from(["submit", "cancel", "finish"]), st.sampled_from(["", "k", "kk"]))
)


@settings(max_examples=25)
@given(st.tuples(OWNERS, OWNERS).filter(lambda owners: owners[0] != owners[1]), STEPS)
def test_owners_never_see_each_others_jobs(owners: tuple[str, str], steps: list[tuple[int, str, str]]) -> None:
    api = InMemoryApi()
    own: tuple[list[str], list[str]] = ([], [])
    for who, step, key in steps:
        if step == "submit":
            submitted = api.submit({"jobType": "api.takes_anything", "input": who}, key=key or None, owner=owners[who])
            assert submitted.status in (200, 202)
            if "idempotency-replayed" not in submitted.headers:
                own[who].append(submitted.body["asyncJobId"])
        elif own[who]:
            async_job_id = own[who][-1]
            if step == "cancel":
                api.call(CANCEL, owner=owners[who], async_job_id=async_job_id)
            else:
                job = next(job for job in api.store.jobs.values() if job.async_job_id == async_job_id)
                api.add_jobs(replace(job, status=Status.COMPLETED, result=Result(text=str(who)), due_at=None))
    for who in (0, 1):
        assert {found for page in walk(api, {"limit": "2"}, owner=owners[who]) for found in page} == set(own[who])
        for async_job_id in own[who]:
            assert api.call(JOB, owner=owners[who], async_job_id=async_job_id).status == 200
            assert {api.call(route, owner=owners[1 - who], async_job_id=async_job_id).status for route in ABOUT_ONE_JOB} == {
                404
            }


@pytest.mark.parametrize(
    "operation", [each for each in OPERATIONS if "asyncJobId" in each.path_parameters], ids=lambda each: each.route
)
@pytest.mark.parametrize(
    "async_job_id", ["", "x", JOB_ID.replace("-", ""), f"{JOB_ID}#", "x" * 3000], ids=lambda text: text[:40]
)
def test_invalid_job_id_reads_nothing(api: InMemoryApi, operation: Operation, async_job_id: str) -> None:
    """DynamoDB rejects a key of over 2,048 bytes, and a token of a worker can be made up."""
    api.store.failures.append(Unavailable("must not be read"))
    token = {"authorization": f"Bearer {WorkerToken.new(OWNER).text}"}
    query = {"owner": OWNER} if "/admin/" in operation.route else {}
    answer = api.call(operation.route_key, async_job_id=async_job_id, headers=token, groups="[admin]", query=query)
    assert answer.status == (404 if operation.security == "bearer" else 401)

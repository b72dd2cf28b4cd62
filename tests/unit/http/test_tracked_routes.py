"""The answers of the operations on tracked jobs, for real HTTP API events."""

from __future__ import annotations

import json
from typing import Any

import pytest

from asyncjobs.core.errors import Unavailable
from tests.support.factories import JOB_ID, OWNER, new_job
from tests.support.http_events import CANCEL, JOB, REPORT, RESULT, RETRY, UPDATE, WORKER_TOKEN, Answer
from tests.unit.http.in_memory_api import InMemoryApi


def reported(api: InMemoryApi, tracked: Answer, route: str, report: Any, token: str | None = None, **event: Any) -> Answer:
    bearer = tracked.body["workerToken"] if token is None else token
    headers = {"authorization": f"Bearer {bearer}"} if route == REPORT else {}
    return api.call(route, async_job_id=tracked.body["asyncJobId"], headers=headers, **{"body": json.dumps(report), **event})


@pytest.mark.parametrize("route", [UPDATE, REPORT])
def test_accepted_report_returns_the_job(api: InMemoryApi, tracked: Answer, route: str) -> None:
    answer = reported(api, tracked, route, {"progress": 45, "message": "Extracting document data..."})
    assert answer.status == 200
    assert answer.body == api.call(JOB, async_job_id=tracked.body["asyncJobId"]).body
    assert (answer.body["status"], answer.body["progress"]) == ("IN_PROGRESS", 45)


@pytest.mark.parametrize("route", [UPDATE, REPORT])
def test_invalid_report_is_400_with_each_problem(api: InMemoryApi, tracked: Answer, route: str) -> None:
    answer = reported(api, tracked, route, {"status": "PENDING", "owner": "bob"})
    assert (answer.status, answer.pointers) == (400, ["/owner", "/status"])
    assert reported(api, tracked, route, None, body="{").body["code"] == "INVALID_JSON"


def test_result_url_is_served_by_the_result_route(api: InMemoryApi, tracked: Answer) -> None:
    url = "https://files.example/report.pdf"
    job = reported(api, tracked, REPORT, {"status": "COMPLETED", "resultLocation": url}).body
    assert (job["resultType"], job["result"]) == ("URL", None)
    assert job["resultLocation"] == f"../../jobs/{job['asyncJobId']}/result"
    answer = api.call(RESULT, async_job_id=job["asyncJobId"])
    assert (answer.status, answer.headers["location"], answer.body) == (303, url, {"location": url})


def test_oversized_result_is_413_and_its_detail_names_result_location(api: InMemoryApi, tracked: Answer) -> None:
    answer = reported(api, tracked, UPDATE, {"status": "COMPLETED", "result": "x" * 9000})
    assert (answer.status, answer.body["code"]) == (413, "RESULT_TOO_LARGE")
    assert "`resultLocation`" in answer.body["detail"]


@pytest.mark.parametrize("route", [UPDATE, REPORT])
def test_report_of_an_ended_job_is_409_with_its_status(api: InMemoryApi, tracked: Answer, route: str) -> None:
    api.call(CANCEL, async_job_id=tracked.body["asyncJobId"])
    late = reported(api, tracked, route, {"progress": 50})
    assert (late.status, late.body["code"], late.body["jobStatus"]) == (409, "JOB_CANCELLED", "CANCELLED")


def test_report_of_a_job_that_is_not_tracked_is_409(api: InMemoryApi) -> None:
    api.add_jobs(new_job())
    answer = api.call(UPDATE, async_job_id=JOB_ID, body='{"progress": 50}')
    assert (answer.status, answer.body["code"]) == (409, "JOB_NOT_TRACKED")


def test_each_wrong_token_is_the_same_401(api: InMemoryApi, tracked: Answer) -> None:
    other = api.submit({}).body
    api.add_jobs(new_job())
    report = {"progress": 50}
    answers = [
        *(reported(api, tracked, REPORT, report, token) for token in ("", "x", "a.b.c", other["workerToken"])),
        reported(api, tracked, REPORT, report, tracked.body["workerToken"][:-1]),
        api.call(REPORT, async_job_id=tracked.body["asyncJobId"], body=json.dumps(report)),
        *(
            reported(api, Answer(0, {}, json.dumps({**tracked.body, "asyncJobId": async_job_id})), REPORT, report)
            for async_job_id in (JOB_ID, other["asyncJobId"], "x", "", "x" * 3000)
        ),
    ]
    assert {answer.status for answer in answers} == {401}
    assert all(answer == answers[0] for answer in answers)
    assert answers[0].headers["www-authenticate"] == "Bearer"


def test_worker_may_write_the_id_in_upper_case(api: InMemoryApi, tracked: Answer) -> None:
    """RFC 9562 4: as clients in Swift and .NET do."""
    as_written = Answer(0, {}, json.dumps({**tracked.body, "asyncJobId": tracked.body["asyncJobId"].upper()}))
    answer = reported(api, as_written, REPORT, {"progress": 50})
    assert (answer.status, answer.body["asyncJobId"]) == (200, tracked.body["asyncJobId"])


def test_owner_claim_does_not_replace_the_worker_token(api: InMemoryApi, tracked: Answer) -> None:
    # The gateway does not check the token of this route, so the event's owner proves nothing.
    answer = api.call(REPORT, owner=OWNER, async_job_id=tracked.body["asyncJobId"], body='{"progress": 50}')
    assert answer.status == 401


def test_report_on_an_invalid_id_does_not_read_the_table(api: InMemoryApi, tracked: Answer) -> None:
    """DynamoDB rejects a key of over 2,048 bytes, and anybody can send one: this route has no authorizer."""
    api.store.failures.append(Unavailable("would be read"))
    answer = reported(api, Answer(0, {}, json.dumps({**tracked.body, "asyncJobId": "x" * 3000})), REPORT, {"progress": 1})
    assert (answer.status, answer.body["code"]) == (401, "INVALID_WORKER_TOKEN")


def test_new_worker_token_replaces_the_earlier_one(api: InMemoryApi, tracked: Answer) -> None:
    async_job_id, report = tracked.body["asyncJobId"], {"progress": 50}
    before = api.call(JOB, async_job_id=async_job_id)
    answer = api.call(WORKER_TOKEN, async_job_id=async_job_id)
    token = answer.body["workerToken"]
    assert (answer.status, answer.body) == (200, before.body | {"workerToken": token})
    # Nothing that a client reads has changed.
    assert api.call(JOB, async_job_id=async_job_id).headers["etag"] == before.headers["etag"]
    assert reported(api, tracked, REPORT, report).status == 401
    assert reported(api, tracked, REPORT, report, token).status == 200


def test_no_worker_token_is_issued_for_an_ended_or_other_job(api: InMemoryApi, tracked: Answer) -> None:
    api.call(CANCEL, async_job_id=tracked.body["asyncJobId"])
    api.add_jobs(new_job())
    answers = [api.call(WORKER_TOKEN, async_job_id=each) for each in (tracked.body["asyncJobId"], JOB_ID)]
    assert [(answer.status, answer.code) for answer in answers] == [(409, "JOB_ALREADY_FINISHED"), (409, "JOB_NOT_TRACKED")]


def test_retried_tracked_job_has_a_new_worker_token(api: InMemoryApi, tracked: Answer) -> None:
    async_job_id, report = tracked.body["asyncJobId"], {"progress": 50}
    api.call(CANCEL, async_job_id=async_job_id)
    answer = api.call(RETRY, async_job_id=async_job_id)
    assert (answer.status, answer.body["status"], answer.body["progress"]) == (202, "PENDING", 0)
    assert reported(api, tracked, REPORT, report).status == 401
    assert reported(api, tracked, REPORT, report, answer.body["workerToken"]).status == 200

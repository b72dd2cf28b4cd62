"""What every dialect has: our operations, owners, headers and errors, in its own form."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from asyncjobs.core.errors import Unavailable
from asyncjobs.core.job import JobKey, Result
from asyncjobs.core.placement import result_location
from asyncjobs.http.dialects.dialect import Dialect, Ids, Route
from asyncjobs.http.dialects.find import BUILT_IN, find_dialects
from asyncjobs.service.contents import MAX_SHOWN_RESULT
from tests.support.factories import JOB_ID, NOW, OWNER
from tests.unit.conftest import Lines
from tests.unit.http.dialects.in_memory_dialects import InMemoryDialects, cancelled, done, failed, working

NAMES = sorted(BUILT_IN)
SUBMITS = {
    "daemon": "POST /api/v1/jobs/search/subject/tides",
    "entity": "POST /api/v1/jobs",
    "executor": "POST /api/v1/import/mysql",
    "polling": "POST /api/v1/analyze",
    "tracking": "POST /api/jobs",
}
"""A submit of each dialect that needs no member in its body."""
ERRORS = {
    "daemon": {"error", "message", "timestamp"},
    "entity": {"error"},
    "executor": {"error"},
    "polling": {"detail"},
    "tracking": {"error"},
}


REQUEST_ID = "JKJaXmPLvHcESHA="


def status_path(dialect: str) -> str:
    path = find_dialects([dialect])[dialect].job_route.theirs.partition(" ")[2]
    return path.replace("{asyncJobId}", JOB_ID)


def test_unknown_dialect_is_the_gateways_404(dialects: InMemoryDialects) -> None:
    answer = dialects.call("klingon", "GET /api/v1/jobs/1")
    assert (answer.status, answer.body) == (404, {"message": "Not Found"})


@pytest.mark.parametrize("dialect", NAMES)
def test_unknown_path_is_404_in_the_dialect(dialects: InMemoryDialects, dialect: str) -> None:
    for path in ("/", "/api/v1/nothing", "/api/v1/jobs/1/2/3", "/api/v1/job-types", "/api/v1/uploads"):
        answer = dialects.call(dialect, f"POST {path}")
        assert (answer.status, set(answer.body)) == (404, ERRORS[dialect])


@pytest.mark.parametrize("dialect", NAMES)
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_wrong_method_is_405_in_the_dialect(dialects: InMemoryDialects, dialect: str, method: str) -> None:
    answer = dialects.call(dialect, f"{method} {status_path(dialect)}")
    assert (answer.status, set(answer.body)) == (405, ERRORS[dialect])
    assert {"GET", "HEAD"} <= set(answer.headers["allow"].split(", "))
    assert method not in answer.headers["allow"]


@pytest.mark.parametrize("dialect", NAMES)
def test_request_without_an_owner_is_403_in_the_dialect(dialects: InMemoryDialects, dialect: str) -> None:
    answer = dialects.call(dialect, f"GET {status_path(dialect)}", owner=None)
    assert (answer.status, set(answer.body)) == (403, ERRORS[dialect])


@pytest.mark.parametrize("dialect", NAMES)
def test_broken_body_is_400_in_the_dialect(dialects: InMemoryDialects, dialect: str) -> None:
    answer = dialects.send(dialect, SUBMITS[dialect], body="{")
    assert (answer.status, set(answer.body)) == (400, ERRORS[dialect])
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("dialect", NAMES)
def test_other_media_type_is_415_in_the_dialect(dialects: InMemoryDialects, dialect: str) -> None:
    answer = dialects.send(dialect, SUBMITS[dialect], body="a=b", headers={"content-type": "text/plain"})
    assert (answer.status, set(answer.body)) == (415, ERRORS[dialect])


@pytest.mark.parametrize("dialect", NAMES)
def test_unavailable_store_is_503_in_the_dialect(dialects: InMemoryDialects, dialect: str) -> None:
    dialects.api.store.failures.append(Unavailable("The table is down."))
    answer = dialects.call(dialect, SUBMITS[dialect])
    assert (answer.status, set(answer.body)) == (503, ERRORS[dialect])
    assert answer.headers["retry-after"] == "2"


@pytest.mark.parametrize("dialect", NAMES)
def test_idempotency_key_returns_the_same_job(dialects: InMemoryDialects, dialect: str) -> None:
    first, again = (dialects.call(dialect, SUBMITS[dialect], idempotency_key="k") for _ in range(2))
    assert len(dialects.api.store.jobs) == 1
    assert again.body == {**first.body, **({"timestamp": again.body["timestamp"]} if "timestamp" in first.body else {})}
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"]


@pytest.mark.parametrize("dialect", NAMES)
def test_reused_idempotency_key_is_422_in_the_dialect(dialects: InMemoryDialects, dialect: str) -> None:
    dialects.call(dialect, SUBMITS[dialect], idempotency_key="k")
    changed = {"daemon": {"limit": 1}, "tracking": {"message": "m"}, "entity": {"message": "m"}}.get(dialect, {"a": 1})
    answer = dialects.call(dialect, SUBMITS[dialect], body=changed, idempotency_key="k")
    assert (answer.status, set(answer.body)) == (422, ERRORS[dialect])


@pytest.mark.parametrize("dialect", sorted(BUILT_IN - {"entity", "tracking"}))
def test_prefer_wait_waits_and_says_so(dialects: InMemoryDialects, dialect: str) -> None:
    # Tracked jobs, which the others submit, do not wait.
    answer = dialects.call(dialect, SUBMITS[dialect], prefer="wait=3")
    assert (answer.status, answer.headers["preference-applied"]) == (202, "wait=3")
    assert dialects.api.wait.elapsed >= 3


@pytest.mark.parametrize("dialect", NAMES)
def test_submit_without_a_preference_names_none(dialects: InMemoryDialects, dialect: str) -> None:
    answer = dialects.call(dialect, SUBMITS[dialect])
    assert answer.status == 202
    assert "preference-applied" not in answer.headers
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize("dialect", NAMES)
def test_submit_leads_to_the_status_in_the_dialect(dialects: InMemoryDialects, dialect: str) -> None:
    submit = SUBMITS[dialect]
    location = dialects.call(dialect, submit).headers["location"]
    depth = submit.partition(" ")[2].count("/") - 1
    assert location.startswith("../" * depth + "api/")
    found = dialects.call(dialect, f"GET /{location.replace('../', '')}")
    assert found.status == 200
    assert int(found.headers["retry-after"]) > 0


@pytest.mark.parametrize("dialect", NAMES)
def test_slash_at_the_end_changes_nothing(dialects: InMemoryDialects, dialect: str) -> None:
    assert dialects.call(dialect, f"{SUBMITS[dialect]}/").status == 202


@pytest.mark.parametrize("dialect", NAMES)
def test_head_is_get_without_its_body(dialects: InMemoryDialects, dialect: str) -> None:
    answer = dialects.call(dialect, f"HEAD {status_path(dialect)}")
    assert (answer.status, answer.text) == (404, "")


@pytest.mark.parametrize("dialect", NAMES)
def test_job_of_another_owner_is_404(dialects: InMemoryDialects, dialect: str) -> None:
    location = dialects.call(dialect, SUBMITS[dialect]).headers["location"].replace("../", "")
    unknown = dialects.call(dialect, f"GET {status_path(dialect)}", owner="bob")
    answer = dialects.call(dialect, f"GET /{location}", owner="bob")
    assert (answer.status, unknown.status, set(answer.body)) == (404, 404, ERRORS[dialect])


def test_bug_is_500_in_the_dialect_and_logged(lines: Lines) -> None:
    def breaks(_: object) -> None:
        raise ZeroDivisionError

    broken = replace(find_dialects(["polling"])["polling"], started=breaks)
    dialects = InMemoryDialects(dialects={"polling": broken})
    answer = dialects.call("polling", "POST /api/v1/analyze", body={})
    assert (answer.status, set(answer.body)) == (500, {"detail"})
    assert "REQUEST_FAILED" in lines.names()


@pytest.mark.parametrize("dialect", NAMES)
@pytest.mark.parametrize("path", ["{status}", "/api/v1/nothing/at/all"])
def test_error_has_the_id_of_its_request_in_a_header(dialects: InMemoryDialects, dialect: str, path: str) -> None:
    answer = dialects.call(dialect, f"GET {path.format(status=status_path(dialect))}")
    assert (answer.status, answer.headers["x-request-id"]) == (404, REQUEST_ID)


def test_success_has_no_header_with_the_id_of_its_request(dialects: InMemoryDialects) -> None:
    assert "x-request-id" not in dialects.call("polling", SUBMITS["polling"]).headers


@pytest.mark.parametrize("path", ["/api/v1/analyze", "/api/v1/nothing"])
def test_bug_in_the_form_of_errors_is_answered_with_our_own_problem(lines: Lines, path: str) -> None:
    def breaks(_: object) -> None:
        raise RuntimeError("canary")

    broken = replace(find_dialects(["polling"])["polling"], started=breaks, error=breaks)
    answer = InMemoryDialects(dialects={"polling": broken}).answer("polling", f"POST {path}", body="{}")
    body = json.loads(answer["body"])
    assert (answer["statusCode"], body["code"], body["requestId"]) == (500, "INTERNAL_ERROR", REQUEST_ID)
    assert "REQUEST_FAILED" in lines.names()
    assert "canary" not in f"{answer}{lines.text()}"


def test_dialect_may_have_the_id_of_the_request_in_its_errors() -> None:
    def breaks(_: object) -> None:
        raise ZeroDivisionError

    named = replace(find_dialects(["polling"])["polling"], started=breaks, error={"id": "requestId"})
    dialects = InMemoryDialects(dialects={"polling": named})
    for request in ("POST /api/v1/analyze", "POST /api/v1/nothing", f"GET {status_path('polling')}"):
        assert dialects.call("polling", request, body={}).body == {"id": REQUEST_ID}


def test_not_modified_has_no_body(dialects: InMemoryDialects) -> None:
    dialects.has(done("refreshcache"))
    first = dialects.call("daemon", f"GET /api/v1/jobs/{JOB_ID}")
    again = dialects.call("daemon", f"GET /api/v1/jobs/{JOB_ID}", if_none_match=first.headers["etag"])
    assert (again.status, again.text) == (304, "")


def test_large_result_is_in_the_answer(dialects: InMemoryDialects) -> None:
    job = working("refreshcache")
    location = result_location(job, 1)
    dialects.api.objects.stored[location] = b'{"rows": [1.50]}'
    dialects.has(job.completed(now=NOW, result=Result(location=location)))
    assert dialects.call("daemon", f"GET /api/v1/jobs/{JOB_ID}").body["job"]["result"] == {"rows": [1.5]}
    answer = dialects.call("daemon", f"GET /api/v1/jobs/{JOB_ID}/result")
    assert (answer.status, answer.body["result"]) == (200, {"rows": [1.5]})
    assert "location" not in answer.headers


def test_result_that_no_answer_can_hold_is_a_link(dialects: InMemoryDialects) -> None:
    job = working("refreshcache")
    location = result_location(job, 1)
    dialects.api.objects.stored[location] = b"[" + b"1," * MAX_SHOWN_RESULT + b"1]"
    dialects.has(job.completed(now=NOW, result=Result(location=location)))
    result = dialects.call("daemon", f"GET /api/v1/jobs/{JOB_ID}/result").body["result"]
    assert result == {"url": f"https://bucket.example/{location}?signature=x"}


def test_result_of_a_synchronous_route_is_bare(dialects: InMemoryDialects) -> None:
    # The job that the key names has run already.
    started = dialects.call("daemon", "POST /api/v1/jobs/search/subject/tides", idempotency_key="k")
    pending = dialects.job_of(started.body["job_id"])
    dialects.has(pending.claimed(by="w", now=NOW, lease_until=NOW).completed(now=NOW, result=Result(text='{"rows": 2}')))
    answer = dialects.call("daemon", "GET /api/v1/search/subject/tides", idempotency_key="k")
    assert (answer.status, answer.body) == (200, {"rows": 2})


def test_parameters_of_the_path_and_the_query_become_input(dialects: InMemoryDialects) -> None:
    job = dialects.call("daemon", "POST /api/v1/jobs/search/subject/war%25", query="limit=10").body
    assert json.loads(dialects.job_of(job["job_id"]).input or "") == {"subject": "war%", "limit": 10}


def test_rejected_parameter_is_named(dialects: InMemoryDialects) -> None:
    answer = dialects.call("daemon", "POST /api/v1/jobs/search/subject/tides", query="limit=ten")
    assert (answer.status, answer.body["error"]) == (400, "INVALID_REQUEST")
    assert answer.body["message"].startswith("/limit ")


def test_dialect_may_name_any_of_our_operations() -> None:
    own = Dialect(
        statuses=find_dialects(["polling"])["polling"].statuses,
        routes=(
            Route(theirs="PUT /tickets", ours="POST /jobs", fields={"kind": "jobType"}),
            Route(theirs="GET /tickets/{asyncJobId}", ours="GET /jobs/{asyncJobId}", answer={"id": "asyncJobId"}),
            Route(theirs="POST /tickets/{asyncJobId}/stop", ours="POST /jobs/{asyncJobId}/cancel", answer="status"),
            Route(theirs="DELETE /tickets/{asyncJobId}", ours="DELETE /jobs/{asyncJobId}"),
            Route(theirs="GET /tickets", ours="GET /jobs"),
        ),
        started={"id": "asyncJobId"},
        error="message",
        ids=Ids(lambda job: f"T{job['asyncJobId']}", lambda text: text.removeprefix("T")),
    )
    dialects = InMemoryDialects(dialects={"tickets": own})
    ticket = dialects.call("tickets", "PUT /tickets", body={"kind": "mysql.import"}).body["id"]
    assert dialects.call("tickets", f"GET /tickets/{ticket}").body == {"id": ticket}
    assert dialects.call("tickets", f"POST /tickets/{ticket}/stop").body == "CANCELLED"
    assert [job["asyncJobId"] for job in dialects.call("tickets", "GET /tickets").body["jobs"]] == [ticket[1:]]
    assert dialects.call("tickets", f"DELETE /tickets/{ticket}").status == 204
    assert JobKey(OWNER, ticket[1:]) not in dialects.api.store.jobs


@pytest.mark.parametrize("dialect", NAMES)
def test_every_state_of_a_job_has_an_answer(dialects: InMemoryDialects, dialect: str) -> None:
    form = find_dialects([dialect])[dialect]
    for job in (working("mysql.import"), done("mysql.import"), failed("mysql.import"), cancelled("mysql.import")):
        dialects.has(job)
        job_id = form.ids.theirs({"asyncJobId": JOB_ID, "jobType": "mysql.import", "createdAt": NOW.isoformat()})
        path = form.job_route.theirs.partition(" ")[2].replace("{asyncJobId}", job_id)
        answer = dialects.call(dialect, f"GET {path}")
        assert answer.status == 200
        assert form.statuses[job.status] in answer.text

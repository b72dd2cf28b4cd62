"""Query parameters are parsed, or rejected with the place of each problem."""

from __future__ import annotations

import pytest

from tests.support.factories import JOB_ID, new_job, running_job
from tests.support.http_events import JOB, JOBS
from tests.unit.http.in_memory_api import InMemoryApi


@pytest.mark.parametrize(("query", "pointer"), [("21", "/wait"), ("-1", "/wait"), ("1.5", "/wait"), ("soon", "/wait")])
def test_invalid_wait_is_400(api: InMemoryApi, query: str, pointer: str) -> None:
    api.add_jobs(running_job())
    answer = api.call(JOB, async_job_id=JOB_ID, query={"wait": query})
    assert (answer.status, answer.pointers) == (400, [pointer])


def test_unknown_parameter_is_400(api: InMemoryApi) -> None:
    api.add_jobs(running_job())
    assert api.call(JOB, async_job_id=JOB_ID, query={"wiat": "5"}).pointers == ["/wiat"]


@pytest.mark.parametrize("limit", ["0", "-1", "101", "1000000000", "10.5", "1e1", "true", "", " 5", "5\n", "05", "٣", "0x5"])
def test_page_size_is_1_to_100(api: InMemoryApi, limit: str) -> None:
    answer = api.call(JOBS, query={"limit": limit})
    assert (answer.status, answer.pointers) == (400, ["/limit"])


@pytest.mark.parametrize("status", ["pending", "RUNNING", "", "PENDING,FAILED", "finished", "__class__"])
def test_invalid_status_is_400(api: InMemoryApi, status: str) -> None:
    answer = api.call(JOBS, query={"status": status})
    assert (answer.status, answer.pointers) == (400, ["/status"])


@pytest.mark.parametrize("query", ["jobType=a&jobType=b", "jobType=a&jobType=a", "job%54ype=a&jobType=b"])
def test_parameter_that_is_given_twice_is_400(api: InMemoryApi, query: str) -> None:
    answer = api.call(JOBS, query=query)
    assert (answer.status, answer.pointers) == (400, ["/jobType"])


@pytest.mark.parametrize(
    ("query", "pointer"),
    [("jobType=%00", "/jobType"), ("jobType=%FF", "/jobType"), ("jobType=%ED%A0%80", "/jobType"), ("a%2Fb~=1", "/a~1b~0")],
)
def test_unclean_text_is_400_and_pointers_are_escaped(api: InMemoryApi, query: str, pointer: str) -> None:
    answer = api.call(JOBS, query=query)
    assert (answer.status, answer.pointers) == (400, [pointer])


def test_query_is_decoded_as_forms_encode_it(api: InMemoryApi) -> None:
    api.add_jobs(new_job(job_type="a b+\u00fc"))
    assert len(api.call(JOBS, query="jobType=a+b%2B%c3%bc").body["jobs"]) == 1


@pytest.mark.parametrize("name", ["status", "jobType", "limit"])
@pytest.mark.parametrize("form", ["{}=", "{}"])
def test_empty_parameter_is_400(api: InMemoryApi, name: str, form: str) -> None:
    """It was probably meant to be left out, and an empty list would hide that."""
    answer = api.call(JOBS, query=form.format(name))
    assert (answer.status, answer.pointers) == (400, [f"/{name}"])


def test_each_invalid_parameter_is_named(api: InMemoryApi) -> None:
    answer = api.call(JOBS, query={"owner": "bob", "status": "x", "limit": "x"})
    assert answer.pointers == ["/limit", "/owner", "/status"]

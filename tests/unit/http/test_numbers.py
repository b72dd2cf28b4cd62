"""Numbers keep their value on the way from a request to a job, into fingerprints, and back."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from asyncjobs.core.job import Result
from tests.support.factories import JOB_ID, NOW, running_job
from tests.support.http_events import JOB, JOBS, REPORT, RESULT, SUBMIT
from tests.unit.http.in_memory_api import SEARCH, InMemoryApi

LONG, OTHER = "12345678901234567.89", "12345678901234567.12"


def submit(api: InMemoryApi, number: str, *, key: str | None = None, job_type: str = "api.takes_anything") -> Any:
    body = f'{{"jobType": "{job_type}", "input": {{"pages": {number}}}, "metadata": {{"amount": {number}}}}}'
    return api.call(SUBMIT, headers={"idempotency-key": key} if key else {}, body=body)


def test_number_arrives_as_it_was_sent(api: InMemoryApi) -> None:
    assert float(LONG) == float(OTHER), "a float would not tell them apart"
    answer = submit(api, LONG)
    (job,) = api.store.jobs.values()
    assert job.input == f'{{"pages":{LONG}}}'
    assert f'"metadata":{{"amount":{LONG}}}' in answer.text
    assert f'"metadata":{{"amount":{LONG}}}' in api.call(JOB, async_job_id=job.async_job_id).text
    assert f'"metadata":{{"amount":{LONG}}}' in api.call(JOBS).text


def test_another_number_under_the_same_key_is_another_request(api: InMemoryApi) -> None:
    assert submit(api, LONG, key="k").status == 202
    assert submit(api, f"{LONG}0", key="k").headers["idempotency-replayed"] == "true"
    assert submit(api, OTHER, key="k").body["code"] == "IDEMPOTENCY_KEY_REUSED"


@pytest.mark.parametrize(
    ("number", "stored"),
    [
        ("1e25", "1" + "0" * 25),
        ("1.0", "1"),
        ("9007199254740993", "9007199254740993"),
        ("9007199254740993.0", "9007199254740993"),
    ],
)
def test_integer_is_stored_with_all_its_digits(api: InMemoryApi, number: str, stored: str) -> None:
    assert submit(api, number, job_type="api.reads").status == 202
    (job,) = api.store.jobs.values()
    assert job.input == f'{{"pages":{stored}}}'


@pytest.mark.parametrize("number", ["1e38", "1e300", "1.5", "-1e38", f"{10**36}.5"])
def test_number_that_is_no_integer_of_38_digits_is_rejected(api: InMemoryApi, number: str) -> None:
    answer = submit(api, number, job_type="api.reads")
    assert (answer.status, set(answer.pointers)) == (400, {"/input/pages"})


@pytest.mark.parametrize(("text", "stored"), [(LONG, LONG), ("0.5", "0.5"), ("1e3", "1000")])
def test_number_in_a_query_keeps_its_value(api: InMemoryApi, text: str, stored: str) -> None:
    assert api.call(SEARCH, path={"subject": "x"}, query={"ratio": text}, body="").status == 202
    (job,) = api.store.jobs.values()
    assert job.input == f'{{"ratio":{stored},"subject":"x"}}'


def test_number_with_too_many_digits_in_a_query_is_rejected(api: InMemoryApi) -> None:
    answer = api.call(SEARCH, path={"subject": "x"}, query={"ratio": "1." + "3" * 37 + "3"}, body="")
    assert (answer.status, answer.pointers) == (400, ["/ratio"])


def test_number_of_a_result_is_shown_as_it_is(api: InMemoryApi) -> None:
    api.add_jobs(running_job().completed(now=NOW, result=Result(text=f'{{"amount":{LONG}}}')))
    for route in (JOB, RESULT):
        assert f'{{"amount":{LONG}}}' in api.call(route, async_job_id=JOB_ID).text


def test_number_of_a_reported_result_keeps_its_value(api: InMemoryApi, tracked: Any) -> None:
    headers = {"authorization": f"Bearer {tracked.body['workerToken']}"}
    body = f'{{"status": "COMPLETED", "result": {{"amount": {LONG}}}}}'
    answer = api.call(REPORT, async_job_id=tracked.body["asyncJobId"], headers=headers, body=body)
    assert json.loads(answer.text, parse_float=Decimal)["result"] == {"amount": Decimal(LONG)}

"""Contents of jobs: inputs, whole results, and uploads that come with a request."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from asyncjobs.core.errors import JobNotFound, SubmitRateExceeded, Unavailable
from asyncjobs.core.job import AsyncJob, JobKey, Result
from asyncjobs.core.placement import result_location
from asyncjobs.service.contents import MAX_SHOWN_RESULT, Contents
from asyncjobs.service.queries import Queries
from tests.support.factories import NOW, OWNER, new_job, running_job
from tests.support.fakes import FakeObjects, FakeStore


@pytest.fixture
def contents(queries: Queries, objects: FakeObjects) -> Contents:
    return Contents(queries=queries, objects=objects)


def stored(store: FakeStore, job: AsyncJob) -> JobKey:
    store.jobs[job.key] = job
    return job.key


def completed(result: Result) -> AsyncJob:
    return running_job().completed(now=NOW, result=result)


def test_input_is_that_of_the_record_or_of_the_bucket(contents: Contents, store: FakeStore, objects: FakeObjects) -> None:
    assert contents.input(stored(store, new_job().with_input(text='{"a": 1}'))) == {"a": 1}
    job = new_job()
    location = objects.put_input(job, b'{"b": 2}')
    assert contents.input(stored(store, job.with_input(location=location))) == {"b": 2}


def test_missing_input_is_none(contents: Contents, store: FakeStore) -> None:
    job = new_job()
    assert contents.input(stored(store, replace(job, input=None))) is None
    gone = job.with_input(location=FakeObjects().put_input(job, b"{}"))
    assert contents.input(stored(store, gone)) is None


@pytest.mark.parametrize(
    ("result", "value"),
    [
        (Result(text='{"rows": 1}'), {"rows": 1}),
        (Result(text="null"), None),
        (Result(url="https://files.example/a"), {"url": "https://files.example/a"}),
    ],
)
def test_result_of_the_record(contents: Contents, store: FakeStore, result: Result, value: Any) -> None:
    assert contents.result(stored(store, completed(result))) == value


def test_unfinished_job_has_no_result(contents: Contents, store: FakeStore) -> None:
    assert contents.result(stored(store, running_job())) is None


@pytest.mark.parametrize(
    ("data", "content_type", "is_shown"),
    [
        (b"[1]", "application/json", True),
        (b'"%b"' % (b"x" * (MAX_SHOWN_RESULT - 2)), "application/json", True),
        (b'"%b"' % (b"x" * (MAX_SHOWN_RESULT - 1)), "application/json", False),
        (b"[1", "application/json", False),
        (b"NaN", "application/json", False),
        (b"\xff", "application/json", False),
        (b"[" * 100_000, "application/json", False),
        (b"1" * 5000, "application/json", False),
        (b"[1]", "text/csv", False),
    ],
    ids=["small", "largest", "too large", "broken", "NaN", "no UTF-8", "too deep", "too many digits", "no JSON"],
)
def test_result_of_the_bucket_is_shown_up_to_a_size(
    contents: Contents, store: FakeStore, objects: FakeObjects, data: bytes, content_type: str, is_shown: bool
) -> None:
    location = result_location(running_job(), 1)
    job = running_job()
    location = result_location(job, 1)
    objects.stored[location], objects.types[location] = data, content_type
    value = contents.result(stored(store, job.completed(now=NOW, result=Result(location=location))))
    assert (value == {"url": f"https://bucket.example/{location}?signature=x"}) is not is_shown


def test_job_of_nobody_is_not_found(contents: Contents) -> None:
    for read in (contents.input, contents.result):
        with pytest.raises(JobNotFound):
            read(JobKey("bob", new_job().async_job_id))


def test_upload_is_stored_for_its_owner(contents: Contents, objects: FakeObjects) -> None:
    key = contents.store_upload(OWNER, b"1", content_type="text/plain", idempotency_key=None)
    assert objects.open_upload(OWNER, key).read() == b"1"
    assert contents.store_upload(OWNER, b"1", content_type="text/plain", idempotency_key=None) != key


def test_same_upload_with_the_same_key_has_the_same_name(contents: Contents, objects: FakeObjects) -> None:
    def store(data: bytes, key: str) -> str:
        return contents.store_upload(OWNER, data, content_type="text/plain", idempotency_key=key)

    assert store(b"1", "k") == store(b"1", "k")
    assert len({store(b"1", "k"), store(b"2", "k"), store(b"1", "l"), store(b"k1", ""), store(b"", "k1")}) == 5
    assert len(objects.stored) == 5


def test_unavailable_bucket_is_unavailable(contents: Contents, objects: FakeObjects) -> None:
    objects.is_down = True
    with pytest.raises(Unavailable):
        contents.store_upload(OWNER, b"1", content_type="text/plain", idempotency_key=None)


def test_upload_counts_under_the_submit_rate(queries: Queries, objects: FakeObjects) -> None:
    class NoTokens:
        def take_token(self, owner: str) -> None:
            raise SubmitRateExceeded("No token.", retry_after=NOW - NOW)

    admission: Any = NoTokens()
    limited = Contents(queries=queries, objects=objects, admission=admission)
    with pytest.raises(SubmitRateExceeded):
        limited.store_upload(OWNER, b"1", content_type="text/plain", idempotency_key=None)
    assert objects.stored == {}

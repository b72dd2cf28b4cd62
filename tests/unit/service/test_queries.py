"""What an owner can read: a job, a list of jobs, the job types."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncjobs.core.errors import InputMissing, JobNotFound, Unavailable
from asyncjobs.core.job import AsyncJob, Result, Status
from asyncjobs.core.placement import artifact_location, result_location
from asyncjobs.core.ports import ListPosition
from asyncjobs.service.commands import Commands
from asyncjobs.service.queries import JobsPage, JobsQuery, Queries
from tests.support.factories import NOW, OWNER, new_job, new_tracked_job, running_job
from tests.support.fakes import FakeClock, FakeObjects, FakeStore
from tests.unit.service.conftest import CATALOG


def test_job_is_returned_to_its_owner(queries: Queries, store: FakeStore) -> None:
    job = new_job()
    store.jobs[job.key] = job
    assert queries.job(OWNER, job.async_job_id) == job


def test_job_of_another_owner_unknown_or_expired_is_not_found(
    commands: Commands, queries: Queries, store: FakeStore, clock: FakeClock
) -> None:
    job = new_job().cancelled(now=NOW)
    store.jobs[job.key] = job
    asked = [("bob", job.async_job_id), (OWNER, "00000000-0000-4000-8000-000000000000")]
    clock.now = job.record_expires_at
    asked.append((OWNER, job.async_job_id))
    for ask, (owner, async_job_id) in itertools.product((queries.job, commands.cancel), asked):
        with pytest.raises(JobNotFound):
            ask(owner, async_job_id)
    assert store.jobs == {job.key: job}


def test_inline_result_has_no_link(queries: Queries) -> None:
    assert queries.link(new_job()) is None
    assert queries.link(running_job().completed(now=NOW, result=Result(text="1"))) is None


def test_result_url_is_its_own_link(queries: Queries) -> None:
    advanced = new_tracked_job().advanced(now=NOW, progress=None, message=None)
    assert queries.link(advanced.completed(now=NOW, result=Result(url="https://a.example/b"))) == "https://a.example/b"


def test_result_in_the_bucket_has_a_link(queries: Queries, objects: FakeObjects) -> None:
    job = running_job()
    job = job.completed(now=NOW, result=Result(location=result_location(job, 1)))
    assert queries.link(job) == objects.link(job)


def test_input_is_the_stored_json_of_the_record_or_of_the_bucket(queries: Queries, objects: FakeObjects) -> None:
    assert queries.input_of(new_job().with_input(text='{"price":1.10}')) == '{"price":1.10}'
    assert queries.input_of(new_job().with_input(text="null")) == "null"
    large = new_job()
    assert queries.input_of(large.with_input(location=objects.put_input(large, '{"a":"ü"}'.encode()))) == '{"a":"ü"}'


def test_input_that_is_not_stored_is_missing(queries: Queries, objects: FakeObjects) -> None:
    job = new_job()
    gone = job.with_input(location=objects.put_input(job, b"{}"))
    objects.stored.clear()
    for each in (new_tracked_job(), gone):
        with pytest.raises(InputMissing):
            queries.input_of(each)


def test_input_in_a_bucket_that_does_not_answer_is_unavailable(queries: Queries, objects: FakeObjects) -> None:
    job = new_job()
    large = job.with_input(location=objects.put_input(job, b"{}"))
    objects.is_down = True
    with pytest.raises(Unavailable):
        queries.input_of(large)


def listed(number: int, **changes: Any) -> AsyncJob:
    """Return a job for a list. A higher number means a newer job."""
    return new_job(async_job_id=f"00000000-0000-4000-8000-{number:012}", now=NOW + timedelta(seconds=number), **changes)


def walk(queries: Queries, query: JobsQuery) -> list[list[AsyncJob]]:
    """Return all pages of a list."""
    pages, more = [], True
    while more:
        page = queries.jobs(OWNER, query)
        pages.append(list(page.jobs))
        more = page.next is not None
        query = replace(query, after=page.next)
    return pages


def fill(store: FakeStore, jobs: Sequence[AsyncJob]) -> None:
    store.jobs |= {job.key: job for job in jobs}


def test_list_has_the_owners_jobs_newest_first(queries: Queries, store: FakeStore) -> None:
    jobs = [listed(number) for number in range(5)]
    fill(store, [*jobs, listed(9, owner="bob")])
    assert walk(queries, JobsQuery(limit=2)) == [jobs[:2:-1], jobs[2:0:-1], jobs[:1]]


def test_full_last_page_has_no_next_page(queries: Queries, store: FakeStore) -> None:
    fill(store, [listed(number) for number in range(3)])
    assert queries.jobs(OWNER, JobsQuery(limit=3)).next is None


def test_empty_list_has_no_next_page(queries: Queries) -> None:
    page = queries.jobs(OWNER, JobsQuery())
    assert (page.jobs, page.next) == ([], None)


def test_list_is_filtered_and_leaves_out_expired_jobs(queries: Queries, store: FakeStore, clock: FakeClock) -> None:
    wanted = listed(1, job_type="a")
    expired = listed(2, job_type="a", record_expires_at=NOW)
    fill(store, [wanted, expired, listed(3, job_type="b"), listed(4, job_type="a").cancelled(now=NOW)])
    clock.now = NOW + timedelta(seconds=10)
    assert queries.jobs(OWNER, JobsQuery(status=Status.PENDING, job_type="a")).jobs == [wanted]


@settings(max_examples=50)
@given(st.lists(st.sampled_from("abx"), max_size=40), st.integers(1, 5), st.sampled_from(["a", None]))
def test_pages_hold_each_job_once_and_are_never_too_long(kinds: list[str], limit: int, wanted: str | None) -> None:
    store = FakeStore()
    jobs = [listed(number, job_type=kind) for number, kind in enumerate(kinds)]
    fill(store, [replace(job, record_expires_at=NOW) if job.job_type == "x" else job for job in jobs])
    queries = Queries(store=store, objects=FakeObjects(), catalog=CATALOG, clock=FakeClock(NOW))
    pages = walk(queries, JobsQuery(limit=limit, job_type=wanted))
    assert all(len(page) <= limit for page in pages)
    assert [job.key for page in pages for job in page] == [
        job.key for job in reversed(jobs) if job.job_type != "x" and wanted in (None, job.job_type)
    ]


def test_one_call_finds_the_few_jobs_of_a_filter_among_hundreds(queries: Queries, store: FakeStore) -> None:
    wanted = [listed(number, job_type="a") for number in (0, 250)]
    fill(store, [listed(number, job_type="b") for number in range(500)])
    fill(store, wanted)
    assert queries.jobs(OWNER, JobsQuery(job_type="a", limit=2)) == JobsPage(wanted[::-1], None)


def test_filtered_page_continues_behind_its_last_job(queries: Queries, store: FakeStore) -> None:
    wanted = [listed(number, job_type="a") for number in (0, 250)]
    fill(store, [listed(number, job_type="b") for number in range(500)])
    fill(store, wanted)
    assert walk(queries, JobsQuery(job_type="a", limit=1)) == [[wanted[1]], [wanted[0]]]


def test_selective_filter_ends_a_page_after_500_jobs(queries: Queries, store: FakeStore) -> None:
    # No filter makes one call read the whole table.
    wanted = listed(0, job_type="a")
    fill(store, [wanted, *(listed(number, job_type="b") for number in range(1, 511))])
    first = queries.jobs(OWNER, JobsQuery(job_type="a", limit=2))
    assert first.jobs == []
    assert first.next == ListPosition(listed(11).created_at, listed(11).async_job_id)
    assert queries.jobs(OWNER, JobsQuery(job_type="a", limit=2, after=first.next)) == JobsPage([wanted], None)


def test_list_without_a_filter_reads_no_more_jobs_than_it_returns() -> None:
    store = CountingStore()
    queries = Queries(store=store, objects=FakeObjects(), catalog=CATALOG, clock=FakeClock(NOW))
    fill(store, [listed(number) for number in range(10)])
    assert len(queries.jobs(OWNER, JobsQuery(limit=3)).jobs) == 3
    assert store.limits == [3]


def test_full_page_is_filled_past_many_expired_jobs(queries: Queries, store: FakeStore, clock: FakeClock) -> None:
    fill(store, [listed(number, record_expires_at=NOW) for number in range(5, 50)])
    fill(store, [listed(number) for number in range(5)])
    clock.now = NOW + timedelta(seconds=60)
    assert len(queries.jobs(OWNER, JobsQuery(limit=5)).jobs) == 5


class CountingStore(FakeStore):
    """Remembers how many jobs each read of a list could return."""

    def __init__(self) -> None:
        super().__init__()
        self.limits: list[int] = []

    def list_by_owner(
        self, owner: str, *, limit: int, after: ListPosition | None = None, deliveries: bool = False
    ) -> tuple[Sequence[AsyncJob], ListPosition | None]:
        self.limits.append(limit)
        return super().list_by_owner(owner, limit=limit, after=after, deliveries=deliveries)


def test_job_types_are_those_of_the_catalog(queries: Queries) -> None:
    names = ["service.reads", "generic", "service.once", "service.keeps"]
    assert [found.name for found in queries.job_types()] == names


def test_answers_with_a_result_have_links_to_its_artifacts(queries: Queries, store: FakeStore) -> None:
    job = running_job().completed(now=NOW, result=Result(text='{"pdf":"asyncjobs:artifact:1"}'))
    store.jobs[job.key] = job
    (listed,) = queries.jobs(OWNER, JobsQuery()).jobs
    for shown in (queries.job(OWNER, job.async_job_id), listed):
        assert shown.result == Result(
            text=f'{{"pdf": "https://bucket.example/{artifact_location(job, 1, 1)}?signature=x"}}'.replace(": ", ":", 1)
        )
    assert store.jobs[job.key] == job

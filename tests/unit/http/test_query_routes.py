"""The answers of the operations that read, for real HTTP API events."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncjobs.core.durations import Durations
from asyncjobs.core.errors import Unavailable
from asyncjobs.core.job import AsyncJob, Priority, Result, Status
from asyncjobs.core.placement import input_location, result_location
from asyncjobs.jobtypes import catalog
from tests.support.events import sample
from tests.support.factories import JOB_ID, NOW, OWNER, new_job, new_tracked_job, running_job
from tests.support.http_events import HEALTH, INPUT, JOB, JOBS, OPENAPI, RESULT
from tests.unit.http.in_memory_api import InMemoryApi, SimulatedWait, listed, walk


def test_changed_estimate_keeps_the_entity_tag(api: InMemoryApi) -> None:
    api.durations["sample.returns"] = Durations.of([18.0, 20.0, 22.0] * 40)
    api.add_jobs(running_job())
    first = api.call(JOB, async_job_id=JOB_ID)
    api.clock.advance(seconds=21)
    later = api.call(JOB, async_job_id=JOB_ID)
    again = api.call(JOB, async_job_id=JOB_ID, headers={"if-none-match": first.headers["etag"]})
    assert first.body["estimatedEndAt"] != later.body["estimatedEndAt"]
    # A strong tag would promise the same bytes.
    assert later.headers["etag"] == first.headers["etag"]
    assert first.headers["etag"].startswith("W/")
    assert (again.status, again.headers["retry-after"]) == (304, later.headers["retry-after"])


def test_entity_tag_changes_with_the_number_the_record_and_the_status(api: InMemoryApi) -> None:
    job = running_job(seq=2)
    heartbeat = job.reported(now=NOW + timedelta(seconds=8), progress=0, message=None, lease_until=NOW + timedelta(minutes=2))
    others = [
        replace(job, seq=3),
        replace(job, generation="another"),
        # A worker of an earlier release, which numbers nothing, ends it while the stack is updated.
        job.cancelled(now=NOW),
    ]
    tags = []
    for each in (job, heartbeat, *others):
        api.add_jobs(each)
        tags.append(api.call(JOB, async_job_id=JOB_ID).headers["etag"])
    assert tags[0] == tags[1]
    assert len(set(tags)) == 1 + len(others)


def test_queue_depth_is_that_of_the_jobs_own_queue() -> None:
    api = InMemoryApi(shows_queue_depth=True)
    for count, priority in enumerate(Priority, start=1):
        api.queue.add_waiting(count, priority)
    for priority, depth in zip(Priority, (1, 2, 3), strict=True):
        api.add_jobs(new_job(priority=priority))
        assert api.call(JOB, async_job_id=JOB_ID).body["queueDepth"] == depth


def test_queue_depth_is_off_by_default(api: InMemoryApi) -> None:
    api.queue.add_waiting(2)
    api.add_jobs(new_job())
    assert "queueDepth" not in api.call(JOB, async_job_id=JOB_ID).body
    assert api.queue.backlog_reads == 0


@pytest.mark.parametrize(
    "job",
    [
        running_job(),
        running_job().completed(now=NOW, result=Result(text="1")),
        new_job(delay=timedelta(seconds=1)),
        new_job().exclusively("1#lock"),
        new_tracked_job(),
        new_job(attempt=3),
    ],
    ids=["running", "finished", "delayed", "exclusive", "tracked", "out of attempts"],
)
def test_queue_is_not_read_for_a_job_that_does_not_wait_in_it(job: AsyncJob) -> None:
    api = InMemoryApi(shows_queue_depth=True)
    api.add_jobs(job)
    assert "queueDepth" not in api.call(JOB, async_job_id=JOB_ID).body
    assert api.queue.backlog_reads == 0


def test_queue_is_read_every_five_seconds_and_not_on_each_poll() -> None:
    api = InMemoryApi(shows_queue_depth=True)
    api.add_jobs(new_job())
    depths = []
    for seconds in (0, 4.999, 0.001):
        api.clock.advance(seconds=seconds)
        depths.append(api.call(JOB, async_job_id=JOB_ID).body["queueDepth"])
        api.queue.add_waiting(1)
    assert (depths, api.queue.backlog_reads) == ([0, 0, 2], 2)


def test_unavailable_queue_has_no_depth_and_is_read_again_after_a_minute() -> None:
    api = InMemoryApi(shows_queue_depth=True)
    api.add_jobs(new_job())
    api.queue.is_down = True
    for _ in range(3):
        answer = api.call(JOB, async_job_id=JOB_ID)
        assert (answer.status, "queueDepth" in answer.body) == (200, False)
    assert api.queue.backlog_reads == 1
    api.queue.is_down = False
    api.clock.advance(seconds=60)
    assert api.call(JOB, async_job_id=JOB_ID).body["queueDepth"] == 0


def test_changed_queue_depth_keeps_the_entity_tag() -> None:
    api = InMemoryApi(shows_queue_depth=True)
    api.add_jobs(new_job())
    first = api.call(JOB, async_job_id=JOB_ID)
    api.queue.add_waiting(7)
    api.clock.advance(seconds=5)
    later = api.call(JOB, async_job_id=JOB_ID)
    again = api.call(JOB, async_job_id=JOB_ID, headers={"if-none-match": first.headers["etag"]})
    assert (first.body["queueDepth"], later.body["queueDepth"]) == (0, 7)
    assert later.headers["etag"] == first.headers["etag"]
    assert first.headers["etag"].startswith("W/")
    assert again.status == 304


def test_long_poll_does_not_read_the_queue() -> None:
    api = InMemoryApi(shows_queue_depth=True)
    api.add_jobs(new_job())
    answer = api.call(JOB, async_job_id=JOB_ID, query={"wait": "1"})
    assert (answer.status, "queueDepth" in answer.body, api.queue.backlog_reads) == (200, False, 0)


def test_inline_result_is_returned_unchanged(api: InMemoryApi) -> None:
    api.add_jobs(running_job().completed(now=NOW, result=Result(text='{"price":1.10}')))
    answer = api.call(RESULT, async_job_id=JOB_ID)
    assert (answer.status, answer.text) == (200, '{"price":1.10}')
    assert answer.headers["content-type"] == "application/json"


def test_large_result_redirects_to_a_new_link(api: InMemoryApi) -> None:
    job = running_job()
    job = job.completed(now=NOW, result=Result(location=result_location(job, 1)))
    api.add_jobs(job)
    answer = api.call(RESULT, async_job_id=JOB_ID)
    assert answer.status == 303
    assert answer.headers["location"] == answer.body["location"] == api.objects.link(job)
    assert answer.headers["cache-control"] == "no-store"


def test_result_of_another_type_is_not_negotiated(api: InMemoryApi) -> None:
    job = running_job()
    api.add_jobs(job.completed(now=NOW, result=Result(location=result_location(job, 1))))
    assert api.call(RESULT, async_job_id=JOB_ID, headers={"accept": "text/csv"}).status == 303


def test_inline_result_is_406_for_a_client_that_accepts_no_json(api: InMemoryApi) -> None:
    api.add_jobs(running_job().completed(now=NOW, result=Result(text="1")))
    answer = api.call(RESULT, async_job_id=JOB_ID, headers={"accept": "text/csv"})
    assert (answer.status, answer.body["code"]) == (406, "NOT_ACCEPTABLE")


def test_input_is_what_the_request_had_without_defaults(api: InMemoryApi) -> None:
    job = api.submit({"jobType": "api.searches", "input": {"subject": "ü", "limit": 44.0}}).body
    answer = api.call(INPUT, async_job_id=job["asyncJobId"])
    assert (answer.status, answer.text) == (200, '{"limit":44,"subject":"ü"}')
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("stored", ["null", '{"pages":9007199254740993,"price":1.10}'])
def test_input_is_returned_unchanged_in_each_state_of_its_job(api: InMemoryApi, stored: str) -> None:
    states = [new_job(), running_job(), running_job().completed(now=NOW, result=Result(text="1")), new_job().cancelled(now=NOW)]
    for job in states:
        api.add_jobs(replace(job, input=stored))
        answer = api.call(INPUT, async_job_id=JOB_ID)
        assert (answer.status, answer.text) == (200, stored)


def test_large_input_is_in_the_answer(api: InMemoryApi) -> None:
    text = "x" * 200_000
    job = api.submit({"jobType": "api.takes_anything", "input": {"text": text}}).body
    assert len(api.objects.stored) == 1
    assert api.call(INPUT, async_job_id=job["asyncJobId"]).body == {"text": text}


def test_input_that_is_not_stored_is_404(api: InMemoryApi) -> None:
    job = new_job()
    for missing in (new_tracked_job(), job.with_input(location=input_location(job))):
        api.add_jobs(missing)
        answer = api.call(INPUT, async_job_id=JOB_ID)
        assert (answer.status, answer.code) == (404, "INPUT_NOT_FOUND")


def test_input_of_another_owner_or_an_expired_job_is_404(api: InMemoryApi) -> None:
    job = new_job(input="{}").cancelled(now=NOW)
    api.add_jobs(job)
    assert api.call(INPUT, async_job_id=JOB_ID, owner="bob").code == "JOB_NOT_FOUND"
    api.clock.now = job.record_expires_at
    assert api.call(INPUT, async_job_id=JOB_ID).code == "JOB_NOT_FOUND"


def test_input_is_json_only(api: InMemoryApi) -> None:
    api.add_jobs(new_job(input="{}"))
    assert api.call(INPUT, async_job_id=JOB_ID, headers={"accept": "text/csv"}).code == "NOT_ACCEPTABLE"


@pytest.mark.parametrize("end", [running_job().completed(now=NOW, result=Result(text="1")), running_job().cancelled(now=NOW)])
def test_long_poll_returns_when_the_job_finishes(api: InMemoryApi, wait: SimulatedWait, end: AsyncJob) -> None:
    api.add_jobs(running_job())
    wait.events = [(3, end)]
    answer = api.call(JOB, async_job_id=JOB_ID, query={"wait": "20"})
    assert (answer.status, answer.body["status"]) == (200, end.status)
    assert 3 <= wait.elapsed <= 4


def test_long_poll_returns_on_progress(api: InMemoryApi, wait: SimulatedWait) -> None:
    api.add_jobs(running_job())
    wait.events = [(3, running_job(progress=45)), (5, running_job(progress=46))]
    answer = api.call(JOB, async_job_id=JOB_ID, query={"wait": "20"})
    assert answer.body["progress"] == 45


def test_long_poll_without_a_change_returns_the_job(api: InMemoryApi, wait: SimulatedWait) -> None:
    api.add_jobs(running_job())
    answer = api.call(JOB, async_job_id=JOB_ID, query={"wait": "7"})
    assert (answer.status, answer.body["status"], "retry-after" in answer.headers) == (200, "IN_PROGRESS", True)
    assert wait.elapsed == pytest.approx(7, abs=0.1)


def test_long_poll_with_an_old_tag_returns_immediately(api: InMemoryApi, wait: SimulatedWait) -> None:
    api.add_jobs(running_job())
    tag = api.call(JOB, async_job_id=JOB_ID).headers["etag"]
    api.add_jobs(running_job(progress=45))
    answer = api.call(JOB, async_job_id=JOB_ID, query={"wait": "20"}, headers={"if-none-match": tag})
    assert (answer.status, answer.body["progress"], wait.elapsed) == (200, 45, 0)


def test_long_poll_with_the_current_tag_waits_and_is_304(api: InMemoryApi, wait: SimulatedWait) -> None:
    api.add_jobs(running_job())
    tag = api.call(JOB, async_job_id=JOB_ID).headers["etag"]
    answer = api.call(JOB, async_job_id=JOB_ID, query={"wait": "5"}, headers={"if-none-match": tag})
    assert (answer.status, answer.text, answer.headers["etag"]) == (304, "", tag)
    assert wait.elapsed == pytest.approx(5, abs=0.1)


def test_long_poll_beyond_the_owners_slots_is_answered_immediately() -> None:
    api = InMemoryApi(wait_slots=1)
    api.add_jobs(new_job())
    api.store.wait_slots[OWNER, 0] = NOW + timedelta(seconds=20)
    refused = api.call(JOB, async_job_id=JOB_ID, query={"wait": "20"})
    assert (refused.status, refused.headers["preference-applied"], api.wait.elapsed) == (200, "wait=0", 0)
    assert int(refused.headers["retry-after"]) > 0
    unchanged = api.call(JOB, async_job_id=JOB_ID, query={"wait": "20"}, headers={"if-none-match": refused.headers["etag"]})
    assert (unchanged.status, unchanged.headers["preference-applied"], api.wait.elapsed) == (304, "wait=0", 0)


def test_long_poll_shows_how_long_it_could_wait() -> None:
    for longest, applied in ((20, 7), (5, 5), (0, 0)):
        api = InMemoryApi(longest_wait=timedelta(seconds=longest), wait_slots=1)
        api.add_jobs(new_job())
        answer = api.call(JOB, async_job_id=JOB_ID, query={"wait": "7"})
        assert (answer.headers["preference-applied"], round(api.wait.elapsed)) == (f"wait={applied}", applied)
        assert api.store.wait_slots == {} or api.store.wait_slots[OWNER, 0] <= api.clock.now
    assert "preference-applied" not in api.call(JOB, async_job_id=JOB_ID).headers


def test_poll_that_need_not_wait_takes_no_slot() -> None:
    api = InMemoryApi(wait_slots=1)
    api.add_jobs(running_job().cancelled(now=NOW))
    assert api.call(JOB, async_job_id=JOB_ID, query={"wait": "20"}).headers["preference-applied"] == "wait=20"
    assert api.store.writes == 0


@pytest.mark.parametrize(("changes", "seconds"), [(0, 5), (1, 3)], ids=["unchanged", "changed"])
def test_long_poll_with_any_tag_waits_for_a_change_and_is_304(
    api: InMemoryApi, wait: SimulatedWait, changes: int, seconds: float
) -> None:
    """RFC 9110 13.1.2: `*` is every state of a job that exists. Without the wait, such a client would poll in a loop."""
    api.add_jobs(running_job())
    wait.events = [(3, running_job(progress=45))] * changes
    answer = api.call(JOB, async_job_id=JOB_ID, query={"wait": "5"}, headers={"if-none-match": "*"})
    assert answer.status == 304
    assert wait.elapsed == pytest.approx(seconds, abs=0.5)


def test_long_poll_of_a_finished_job_does_not_wait(api: InMemoryApi, wait: SimulatedWait) -> None:
    api.add_jobs(running_job().cancelled(now=NOW))
    first = api.call(JOB, async_job_id=JOB_ID, query={"wait": "20"})
    again = api.call(JOB, async_job_id=JOB_ID, query={"wait": "20"}, headers={"if-none-match": first.headers["etag"]})
    assert (first.status, again.status, wait.elapsed) == (200, 304, 0)
    assert "retry-after" not in again.headers


@pytest.mark.parametrize("form", ["{}", "W/{}", '"x", {}', "*"])
def test_unchanged_job_is_304_for_each_form_of_if_none_match(api: InMemoryApi, form: str) -> None:
    api.add_jobs(running_job())
    tag = api.call(JOB, async_job_id=JOB_ID).headers["etag"].removeprefix("W/")
    answer = api.call(JOB, async_job_id=JOB_ID, headers={"if-none-match": form.format(tag)})
    assert (answer.status, answer.text) == (304, "")
    assert int(answer.headers["retry-after"]) > 0
    assert api.call(JOB, async_job_id=JOB_ID, headers={"if-none-match": '"another"'}).status == 200


def test_list_has_the_owners_jobs_newest_first(api: InMemoryApi) -> None:
    api.add_jobs(listed(1), listed(2), listed(3, owner="bob"))
    answer = api.call(JOBS)
    assert (answer.status, answer.body["nextCursor"]) == (200, None)
    assert answer.body["jobs"] == [api.call(JOB, async_job_id=listed(number).async_job_id).body for number in (2, 1)]


def test_list_page_has_20_jobs_by_default(api: InMemoryApi) -> None:
    api.add_jobs(*(listed(number) for number in range(120)))
    assert [len(api.call(JOBS, query=query).body["jobs"]) for query in ({}, {"limit": "1"}, {"limit": "100"})] == [20, 1, 100]


def test_list_is_filtered_by_status_and_job_type(api: InMemoryApi) -> None:
    api.add_jobs(
        listed(1), listed(2).cancelled(now=NOW), listed(3, job_type="other"), listed(4, job_type="other").cancelled(now=NOW)
    )

    def numbers(**query: str) -> list[int]:
        return [int(job["asyncJobId"][-1]) for job in api.call(JOBS, query=query).body["jobs"]]

    assert numbers(status="PENDING") == [3, 1]
    assert numbers(jobType="other") == [4, 3]
    assert numbers(status="CANCELLED", jobType="other") == [4]
    assert numbers(jobType="no.such") == []


def test_expired_job_is_not_listed(api: InMemoryApi) -> None:
    api.add_jobs(listed(1, record_expires_at=NOW), listed(2))
    assert [job["asyncJobId"] for job in api.call(JOBS).body["jobs"]] == [listed(2).async_job_id]


@settings(max_examples=30)
@given(
    st.lists(st.sampled_from([Status.PENDING, Status.CANCELLED]), max_size=12),
    st.integers(1, 4),
    st.sampled_from(["", "CANCELLED"]),
)
def test_pages_together_are_the_whole_list(statuses: list[Status], limit: int, wanted: str) -> None:
    api = InMemoryApi()
    jobs = [listed(number, status=status) for number, status in enumerate(statuses)]
    api.add_jobs(*jobs, listed(99, owner="bob"))
    query = {"limit": str(limit), **({"status": wanted} if wanted else {})}
    pages = list(walk(api, query))
    assert [found for page in pages for found in page] == [
        job.async_job_id for job in reversed(jobs) if wanted in ("", job.status)
    ]
    assert max(map(len, pages)) <= limit


def test_health_needs_neither_token_nor_table(api: InMemoryApi) -> None:
    api.store.failures.append(Unavailable("down"))
    event = sample("status")
    del event["requestContext"]["authorizer"]
    answer = api.call(HEALTH, requestContext=event["requestContext"])
    assert (answer.status, answer.body) == (200, {"status": "ok"})


def test_openapi_document_needs_no_token_and_is_the_generated_file(api: InMemoryApi) -> None:
    event = sample("status")
    del event["requestContext"]["authorizer"]
    answer = api.call(OPENAPI, requestContext=event["requestContext"])
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.body == json.loads(catalog.document_path(catalog.OPENAPI).read_text())
    assert answer.headers["cache-control"] == "public, max-age=300"
    assert len(answer.text) < 0.7 * catalog.document_path(catalog.OPENAPI).stat().st_size


def test_openapi_document_is_compressed_for_clients_that_accept_it(api: InMemoryApi) -> None:
    """Everybody can read it, and each byte of an answer costs."""
    plain, small = (api.call(OPENAPI, headers={"accept-encoding": each}) for each in ("identity", "br, gzip"))
    assert (small.text, small.headers["content-encoding"]) == (plain.text, "gzip")
    assert "content-encoding" not in plain.headers
    assert plain.headers["vary"] == small.headers["vary"] == "Accept-Encoding"


def test_openapi_document_that_the_client_has_is_304(api: InMemoryApi) -> None:
    tag = api.call(OPENAPI).headers["etag"]
    assert tag == api.call(OPENAPI, headers={"accept-encoding": "gzip"}).headers["etag"]
    answer = api.call(OPENAPI, headers={"if-none-match": tag})
    assert (answer.status, answer.text, answer.headers["cache-control"]) == (304, "", "public, max-age=300")
    assert api.call(OPENAPI, headers={"if-none-match": '"another"'}).status == 200

"""A batch of messages: which of them return to the queue, and when."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import Any

import pytest

from asyncjobs.core.job import AsyncJob, Status
from asyncjobs.core.message import JobMessage
from asyncjobs.core.ports import Lost
from asyncjobs.worker.executor import Executor
from asyncjobs.worker.process_state import STATE
from asyncjobs.worker.sqs_batch import BatchWorker
from tests.support.factories import NOW, new_job
from tests.support.fakes import FakeClock, FakeQueue, FakeStore
from tests.unit.conftest import Lines


@pytest.fixture
def worker(executor: Executor, queue: FakeQueue) -> BatchWorker:
    return BatchWorker(executor, queue)


def record(number: int, body: str) -> dict[str, Any]:
    return {"messageId": f"m{number}", "receiptHandle": f"r{number}", "body": body, "eventSourceARN": f"queue-{number}"}


def waiting(store: FakeStore, number: int, job_type: str, text: str = "{}", **changes: Any) -> AsyncJob:
    job = new_job(async_job_id=f"00000000-0000-4000-8000-{number:012}", job_type=job_type, **changes).with_input(text=text)
    store.jobs[job.key] = job
    return job


def handle(worker: BatchWorker, *records: dict[str, Any]) -> list[str]:
    answer = worker.handle({"Records": records}, request_id="req", remaining=lambda: timedelta(minutes=15))
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def test_finished_messages_are_not_reported(store: FakeStore, worker: BatchWorker) -> None:
    job = waiting(store, 1, "sample.returns")
    assert handle(worker, record(1, JobMessage.of(job).to_body())) == []
    assert store.jobs[job.key].status is Status.COMPLETED


def test_message_to_retry_is_reported_and_returns_in_time(store: FakeStore, queue: FakeQueue, worker: BatchWorker) -> None:
    job = waiting(store, 1, "sample.succeeds_at_last")
    assert handle(worker, record(1, JobMessage.of(job).to_body())) == ["m1"]
    assert queue.returned == [("r1", timedelta(seconds=1))]
    assert queue.returned_to == ["queue-1"]


@pytest.mark.parametrize(
    "body", ["", "{", "[]", "{}", '{"version":2}', "null", '"text"', "[" * 100_000, '{"version":1,"owner":1}']
)
def test_malformed_message_returns_and_the_others_run(
    store: FakeStore, queue: FakeQueue, worker: BatchWorker, lines: Lines, body: str
) -> None:
    job = waiting(store, 1, "sample.returns")
    assert handle(worker, record(7, body), record(1, JobMessage.of(job).to_body())) == ["m7"]
    assert (queue.returned, queue.returned_to) == ([("r7", timedelta(0))], ["queue-7"])
    assert store.jobs[job.key].status is Status.COMPLETED
    assert "MESSAGE_MALFORMED" in lines.names()


def test_unforeseen_error_of_one_message_does_not_affect_the_others(
    store: FakeStore, worker: BatchWorker, lines: Lines
) -> None:
    jobs = [waiting(store, number, "sample.returns") for number in (1, 2)]
    store.failures.append(RuntimeError("canary-secret"))
    assert handle(worker, *(record(n, JobMessage.of(job).to_body()) for n, job in enumerate(jobs))) == ["m0"]
    assert store.jobs[jobs[1].key].status is Status.COMPLETED
    assert "canary" not in lines.text()


def test_coroutines_of_a_batch_run_concurrently(store: FakeStore, worker: BatchWorker) -> None:
    jobs = [waiting(store, number, "sample.returns_async", '{"seconds":1}') for number in range(5)]
    started = time.monotonic()
    assert handle(worker, *(record(n, JobMessage.of(job).to_body()) for n, job in enumerate(jobs))) == []
    assert time.monotonic() - started < 4
    assert {job.status for job in store.jobs.values()} == {Status.COMPLETED}


def test_each_delivery_claims_under_its_own_name(store: FakeStore, worker: BatchWorker) -> None:
    jobs = [waiting(store, number, "sample.returns") for number in (1, 2)]
    handle(worker, *(record(n, JobMessage.of(job).to_body()) for n, job in enumerate(jobs)))
    claimants = {job.claimed_by for job in store.jobs.values()}
    assert len(claimants) == 2
    assert all(name is not None and name.startswith("req/") for name in claimants)


def test_unavailable_queue_does_not_fail_the_batch(store: FakeStore, queue: FakeQueue, worker: BatchWorker) -> None:
    job = waiting(store, 1, "sample.raises", now=NOW)
    queue.is_down = True
    assert handle(worker, record(1, JobMessage.of(job).to_body())) == ["m1"]


def test_job_that_the_earlier_ones_left_too_little_time_returns_unclaimed(
    store: FakeStore, queue: FakeQueue, clock: FakeClock, worker: BatchWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends_at = clock.now + timedelta(seconds=895)
    first, second, third = (
        waiting(store, 1, "sample.works"),
        waiting(store, 2, "sample.works"),
        waiting(store, 3, "sample.returns"),
    )
    claim = store.claim_if_claimable

    def claim_and_take_long(message: JobMessage, **terms: Any) -> AsyncJob | Lost:
        claimed = claim(message, **terms)
        clock.advance(seconds=290)  # less than the third one may take, by more than it takes here
        return claimed

    monkeypatch.setattr(store, "claim_if_claimable", claim_and_take_long)
    records = [record(number, JobMessage.of(job).to_body()) for number, job in enumerate((first, second, third), start=1)]
    answer = worker.handle({"Records": records}, request_id="req", remaining=lambda: ends_at - clock.now)
    assert [failure["itemIdentifier"] for failure in answer["batchItemFailures"]] == ["m2"]
    assert queue.returned == [("r2", timedelta(0))]
    assert store.jobs[second.key] == second
    assert {store.jobs[job.key].status for job in (first, third)} == {Status.COMPLETED}


def test_first_job_runs_however_little_time_its_type_is_left(store: FakeStore, worker: BatchWorker) -> None:
    job = waiting(store, 1, "sample.works")
    message = record(1, JobMessage.of(job).to_body())
    worker.handle({"Records": [message]}, request_id="req", remaining=lambda: timedelta(seconds=60))
    assert store.jobs[job.key].status is Status.COMPLETED


def test_table_that_answers_slowly_to_one_coroutine_holds_up_no_other(
    store: FakeStore, worker: BatchWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [waiting(store, number, "sample.returns_async", '{"seconds":0.01}') for number in range(5)]
    swap, all_wait = store.swap_if_unchanged, threading.Barrier(5, timeout=30)

    def swap_slowly(*write: Any) -> Any:
        all_wait.wait()
        return swap(*write)

    monkeypatch.setattr(store, "swap_if_unchanged", swap_slowly)
    assert handle(worker, *(record(n, JobMessage.of(job).to_body()) for n, job in enumerate(jobs))) == []
    assert {job.status for job in store.jobs.values()} == {Status.COMPLETED}


def test_process_that_a_job_has_broken_is_replaced_after_the_batch(
    store: FakeStore, queue: FakeQueue, worker: BatchWorker, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Exited(Exception):
        """The process has ended."""

    def end(status: int) -> None:
        raise Exited(status)

    monkeypatch.setattr("asyncjobs.worker.sqs_batch.os._exit", end)
    monkeypatch.setattr(STATE, "broken", ["standard streams"])
    jobs = [waiting(store, 1, "sample.returns"), waiting(store, 2, "sample.succeeds_at_last")]
    with pytest.raises(Exited):
        handle(worker, *(record(n, JobMessage.of(job).to_body()) for n, job in enumerate(jobs, start=1)))
    assert store.jobs[jobs[0].key].status is Status.COMPLETED
    assert queue.returned == [("r1", timedelta(0)), ("r2", timedelta(seconds=1))]
    assert lines.names()[-1] == "PROCESS_REPLACED"

"""What comes of the job's own code: its result, or why there is none."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import pytest

from asyncjobs.core.errors import Fatal, TimeLimitExceeded
from asyncjobs.core.job import JobFailure, Status
from tests.support.factories import NOW
from tests.support.fakes import FakeObjects, FakeStore
from tests.unit.conftest import Lines
from tests.unit.worker.conftest import Run, Submit, failure, stored


def test_what_a_job_returns_is_its_result(store: FakeStore, submit: Submit, run: Run) -> None:
    job = submit("sample.halves", {"number": 14})
    assert run(job) is None
    ended = stored(store, job)
    assert (ended.status, ended.result and ended.result.text) == (Status.COMPLETED, "7")


def test_a_coroutine_runs_too(store: FakeStore, submit: Submit, run: Run) -> None:
    job = submit("sample.returns_async", {"seconds": 0.001})
    assert run(job) is None
    assert stored(store, job).status is Status.COMPLETED


@pytest.mark.parametrize("name", ["sample.returns_much", "sample.streams"])
def test_a_large_result_lies_in_the_bucket_under_the_attempts_own_name(
    store: FakeStore, objects: FakeObjects, submit: Submit, run: Run, name: str
) -> None:
    job = submit(name, {"size": 10_000})
    run(job)
    result = stored(store, job).result
    assert result is not None
    assert result.location == f"results/{job.async_job_id}/{job.generation}/1"
    assert len(json.loads(objects.stored[result.location])) == 10_000


def test_a_small_streamed_result_lies_in_the_job(store: FakeStore, submit: Submit, run: Run) -> None:
    job = submit("sample.streams", {"size": 1000})
    run(job)
    result = stored(store, job).result
    assert result is not None
    assert result.text == f'"{"x" * 1000}"'


def test_an_unforeseen_exceptions_words_are_neither_shown_nor_logged(
    store: FakeStore, submit: Submit, run: Run, lines: Lines
) -> None:
    job = submit("sample.raises")
    run(job)
    error = failure(store, job)
    assert (error.code, error.type, error.retryable) == ("JOB_RAISED", "ValueError", True)
    assert "canary" not in error.message
    assert "canary" not in lines.text()
    assert "sample_jobs.py" in lines.text()


def test_fatal_fails_at_once_with_the_jobs_own_words(store: FakeStore, submit: Submit, run: Run) -> None:
    job = submit("sample.gives_up")
    assert run(job) is None
    assert stored(store, job).status is Status.FAILED
    assert failure(store, job) == JobFailure(
        code="HOPELESS", message="This will never work: change the input.", type="Fatal", retryable=False
    )


def test_a_message_that_no_utf_8_can_hold_is_mended_not_refused(
    store: FakeStore, submit: Submit, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raises(_attempt: object, _definition: object) -> None:
        raise Fatal("a\ud800b")

    monkeypatch.setattr("asyncjobs.worker.attempt.Attempt._input", raises)
    job = submit("sample.returns")
    run(job)
    assert failure(store, job).message == "a?b"


def test_sys_exit_is_a_failure_like_any_other(store: FakeStore, submit: Submit, run: Run) -> None:
    job = submit("sample.exits")
    run(job)
    assert failure(store, job).type == "SystemExit"


@pytest.mark.parametrize("name", ["sample.returns_unserialisable", "sample.returns_wrong_type", "sample.streams_no_json"])
def test_a_result_that_is_no_json_of_its_type_fails_for_good(store: FakeStore, submit: Submit, run: Run, name: str) -> None:
    job = submit(name)
    assert run(job) is None
    assert failure(store, job).code == "RESULT_NOT_SERIALIZABLE"


def test_an_input_that_only_the_model_can_refuse_fails_for_good(store: FakeStore, submit: Submit, run: Run) -> None:
    job = submit("sample.halves", {"number": 7})
    assert run(job) is None
    error = failure(store, job)
    assert error.code == "INVALID_INPUT"
    assert "must be even" in error.message


def test_an_input_that_is_gone_fails_for_good(store: FakeStore, submit: Submit, run: Run) -> None:
    job = submit("sample.returns", input=None, input_location="inputs/alice/gone.json")
    assert run(job) is None
    assert failure(store, job).code == "INPUT_MISSING"


def test_a_large_input_is_fetched_from_the_bucket(store: FakeStore, objects: FakeObjects, submit: Submit, run: Run) -> None:
    objects.stored["inputs/alice/x.json"] = b'{"number":4}'
    job = submit("sample.halves", input=None, input_location="inputs/alice/x.json")
    run(job)
    assert stored(store, job).status is Status.COMPLETED


def test_a_job_type_that_the_worker_does_not_know_yet_is_tried_again(store: FakeStore, submit: Submit, run: Run) -> None:
    job = submit("sample.returns", job_type="sample.of_tomorrow")
    assert run(job) is not None
    assert failure(store, job).code == "UNKNOWN_JOB_TYPE"


@pytest.mark.parametrize("name", ["sample.sleeps", "sample.sleeps_async"])
def test_the_time_limit_is_raised_in_the_job_and_its_finally_runs(
    store: FakeStore, submit: Submit, run: Run, lines: Lines, name: str
) -> None:
    job = submit(name, {"seconds": 5}, deadline_at=NOW + timedelta(seconds=0.05))
    run(job)
    assert failure(store, job).code == "TIME_LIMIT_EXCEEDED"
    assert "cleaned up" in lines.names()


def test_an_alarm_that_rings_just_as_the_job_ends_counts_as_the_time_limit(
    store: FakeStore, submit: Submit, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rings_late(function: Callable[[], object], _limit: timedelta) -> object:
        function()
        raise TimeLimitExceeded

    monkeypatch.setattr("asyncjobs.worker.executor.call_with_timeout", rings_late)
    job = submit("sample.returns")
    assert run(job) is not None
    assert failure(store, job).code == "TIME_LIMIT_EXCEEDED"


def test_a_bucket_that_is_down_when_the_result_is_kept_is_a_reason_to_try_again(
    store: FakeStore, objects: FakeObjects, submit: Submit, run: Run
) -> None:
    objects.is_down = True
    job = submit("sample.returns_much", {"size": 10_000})
    assert run(job) is not None
    assert stored(store, job).status is Status.PENDING

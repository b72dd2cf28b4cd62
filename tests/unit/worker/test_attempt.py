"""One attempt: the job's input, its code, and the result or the error."""

from __future__ import annotations

import json
import time
import weakref
from collections.abc import Callable, Iterator
from datetime import timedelta
from io import BytesIO
from typing import Any, Self

import pytest
from pydantic import BaseModel, model_validator

from asyncjobs import JobContext
from asyncjobs.core.errors import Fatal, JobError, Retry, TimeLimitExceeded
from asyncjobs.core.job import GRACE, JobFailure, Status
from asyncjobs.worker.process_state import STATE
from tests.support.factories import JOB_ID, NOW, OWNER, new_job
from tests.support.fakes import FakeObjects, FakeStore
from tests.unit.conftest import Lines
from tests.unit.worker.conftest import Run, RunFunction, Submit, failure, stored


def test_returned_value_is_the_result(store: FakeStore, submit: Submit, run: Run) -> None:
    job = submit("sample.halves", {"number": 14})
    assert run(job) is None
    ended = stored(store, job)
    assert (ended.status, ended.result and ended.result.text) == (Status.COMPLETED, "7")


def test_coroutine_runs(store: FakeStore, submit: Submit, run: Run) -> None:
    job = submit("sample.returns_async", {"seconds": 0.001})
    assert run(job) is None
    assert stored(store, job).status is Status.COMPLETED


@pytest.mark.parametrize("name", ["sample.returns_much", "sample.streams"])
def test_large_result_is_stored_under_the_attempts_own_name(
    store: FakeStore, objects: FakeObjects, submit: Submit, run: Run, name: str
) -> None:
    job = submit(name, {"size": 10_000})
    run(job)
    result = stored(store, job).result
    assert result is not None
    assert result.location == f"results/{job.async_job_id}/{job.generation}/1"
    assert len(json.loads(objects.stored[result.location])) == 10_000


def test_small_streamed_result_is_stored_in_the_record(store: FakeStore, submit: Submit, run: Run) -> None:
    job = submit("sample.streams", {"size": 1000})
    run(job)
    result = stored(store, job).result
    assert result is not None
    assert result.text == f'"{"x" * 1000}"'


@pytest.mark.parametrize("then", ["returns", "leaves one open"])
def test_artifacts_are_stored_under_the_attempts_own_names(
    store: FakeStore, objects: FakeObjects, submit: Submit, run: Run, then: str
) -> None:
    job = submit("sample.attaches", {"sizes": [3, 0], "then": then})
    run(job)
    result = stored(store, job).result
    assert result is not None
    assert json.loads(result.text or "")["files"] == ["asyncjobs:artifact:1", "asyncjobs:artifact:2"]
    place = f"results/{job.async_job_id}/{job.generation}/1"
    assert (objects.stored[f"{place}.1"], objects.stored[f"{place}.2"]) == (b"xxx", b"")
    assert objects.types[f"{place}.1"] == "text/csv"


def test_artifact_of_a_failed_attempt_is_discarded(store: FakeStore, objects: FakeObjects, submit: Submit, run: Run) -> None:
    job = submit("sample.attaches", {"then": "gives up"})
    run(job)
    assert failure(store, job).code == "HOPELESS"
    assert objects.stored == {}


def test_large_result_with_artifacts_fails_without_a_retry(store: FakeStore, submit: Submit, run: Run) -> None:
    job = submit("sample.attaches", {"size": 9000})
    run(job)
    error = failure(store, job)
    assert (error.code, error.retryable) == ("RESULT_TOO_LARGE", False)
    assert "into an artifact" in error.message


def test_more_artifacts_than_an_attempt_may_have_fail_it(store: FakeStore, submit: Submit, run: Run) -> None:
    job = submit("sample.attaches", {"sizes": [1] * 11})
    run(job)
    assert (stored(store, job).status, stored(store, job).error and failure(store, job).type) == (Status.PENDING, "ValueError")


def test_text_of_an_unforeseen_exception_is_neither_shown_nor_logged(
    store: FakeStore, submit: Submit, run: Run, lines: Lines
) -> None:
    job = submit("sample.raises")
    run(job)
    error = failure(store, job)
    assert (error.code, error.type, error.retryable) == ("JOB_RAISED", "ValueError", True)
    assert "canary" not in error.message
    assert "canary" not in lines.text()
    assert "sample_jobs.py" in lines.text()


def test_fatal_fails_the_job_with_its_message_and_code(store: FakeStore, submit: Submit, run: Run) -> None:
    job = submit("sample.gives_up")
    assert run(job) is None
    assert stored(store, job).status is Status.FAILED
    assert failure(store, job) == JobFailure(
        code="HOPELESS", message="This will never work: change the input.", type="Fatal", retryable=False
    )


@pytest.mark.parametrize("kind", [Fatal, Retry])
def test_invalid_error_code_fails_the_job_with_its_message(
    store: FakeStore, submit: Submit, run: Run, monkeypatch: pytest.MonkeyPatch, kind: type[JobError]
) -> None:
    def raises(_attempt: object, _definition: object) -> None:
        raise kind("Remove the password.", code="broken-pdf")

    monkeypatch.setattr("asyncjobs.worker.attempt.Attempt._input", raises)
    job = submit("sample.returns")
    assert run(job) is None
    assert stored(store, job).status is Status.FAILED
    error = failure(store, job)
    assert (error.code, error.type, error.retryable) == ("INVALID_ERROR_CODE", "InvalidErrorCode", False)
    assert "'broken-pdf'" in error.message
    assert "Remove the password." in error.message


def test_lone_surrogate_in_an_error_message_is_replaced(
    store: FakeStore, submit: Submit, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raises(_attempt: object, _definition: object) -> None:
        raise Fatal("a\ud800b")

    monkeypatch.setattr("asyncjobs.worker.attempt.Attempt._input", raises)
    job = submit("sample.returns")
    run(job)
    assert failure(store, job).message == "a?b"


def test_sys_exit_fails_the_attempt(store: FakeStore, submit: Submit, run: Run) -> None:
    job = submit("sample.exits")
    run(job)
    assert failure(store, job).type == "SystemExit"


@pytest.mark.parametrize("name", ["sample.returns_unserialisable", "sample.returns_wrong_type", "sample.streams_no_json"])
def test_unserializable_result_fails_without_a_retry(store: FakeStore, submit: Submit, run: Run, name: str) -> None:
    job = submit(name)
    assert run(job) is None
    assert failure(store, job).code == "RESULT_NOT_SERIALIZABLE"


def test_input_rejected_by_the_model_fails_without_a_retry(store: FakeStore, submit: Submit, run: Run) -> None:
    job = submit("sample.halves", {"number": 7})
    assert run(job) is None
    error = failure(store, job)
    assert error.code == "INVALID_INPUT"
    assert "must be even" in error.message


@pytest.mark.parametrize(("attempt", "share"), [(0, 1 / 16), (1, 1)])
def test_input_of_an_earlier_type_keeps_attempts_until_the_deadline(
    store: FakeStore, submit: Submit, run: Run, attempt: int, share: float
) -> None:
    job = submit("sample.halves", {"numerator": 14}, attempt=attempt)
    again_after = run(job)
    released = stored(store, job)
    assert (released.status, failure(store, job).code) == (Status.PENDING, "INPUT_TYPE_CHANGED")
    assert "/number: Field required" in failure(store, job).message
    left = job.deadline_at - NOW - timedelta(minutes=1) - GRACE
    assert again_after == pytest.approx(left * share, abs=timedelta(milliseconds=1))
    assert released.not_before is not None
    assert released.not_before < job.deadline_at - timedelta(minutes=1)


def test_input_of_an_earlier_type_fails_the_job_at_its_last_attempt(store: FakeStore, submit: Submit, run: Run) -> None:
    job = submit("sample.halves", {"numerator": 14}, attempt=2)
    assert run(job) is None
    assert (stored(store, job).status, failure(store, job).code) == (Status.FAILED, "INPUT_TYPE_CHANGED")


def test_large_input_of_an_earlier_type_keeps_attempts(
    store: FakeStore, objects: FakeObjects, submit: Submit, run: Run
) -> None:
    location = objects.put_input(new_job(), b'{"numerator":4}')
    job = submit("sample.halves", input=None, input_location=location)
    assert run(job) is not None
    assert failure(store, job).code == "INPUT_TYPE_CHANGED"


def test_missing_input_fails_without_a_retry(store: FakeStore, submit: Submit, run: Run) -> None:
    job = submit("sample.returns", input=None, input_location="inputs/alice/gone.json")
    assert run(job) is None
    assert failure(store, job).code == "INPUT_MISSING"


def test_large_input_is_read_from_the_bucket(store: FakeStore, objects: FakeObjects, submit: Submit, run: Run) -> None:
    location = objects.put_input(new_job(), b'{"number":4}')
    job = submit("sample.halves", input=None, input_location=location)
    run(job)
    assert stored(store, job).status is Status.COMPLETED


def test_unknown_job_type_is_retried(store: FakeStore, submit: Submit, run: Run) -> None:
    job = submit("sample.returns", job_type="sample.of_tomorrow")
    assert run(job) is not None
    assert failure(store, job).code == "UNKNOWN_JOB_TYPE"


@pytest.mark.parametrize("name", ["sample.sleeps", "sample.sleeps_async"])
def test_time_limit_is_raised_in_the_job_and_its_finally_runs(
    store: FakeStore, submit: Submit, run: Run, lines: Lines, name: str
) -> None:
    job = submit(name, {"seconds": 5}, deadline_at=NOW + timedelta(seconds=0.5))
    run(job)
    assert failure(store, job).code == "TIME_LIMIT_EXCEEDED"
    assert "cleaned up" in lines.names()


def test_timeout_of_a_type_without_their_retries_fails_the_job(store: FakeStore, submit: Submit, run: Run) -> None:
    job = submit("sample.sleeps_too_long", {"seconds": 5}, deadline_at=NOW + timedelta(seconds=0.5))
    assert run(job) is None
    assert (stored(store, job).status, failure(store, job).code) == (Status.FAILED, "TIME_LIMIT_EXCEEDED")
    assert not failure(store, job).retryable


def test_job_without_memory_is_retried_and_leaves_nothing_in_memory(
    store: FakeStore, submit: Submit, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[weakref.ref[object]] = []

    class Large:
        """What the job holds when the memory is used up."""

    def allocate(_self: object, _definition: object) -> None:
        large = Large()
        held.append(weakref.ref(large))
        raise MemoryError

    def recorded(*arguments: Any, **options: Any) -> object:
        assert [reference() for reference in held] == [None]
        return swap(*arguments, **options)

    swap = store.swap_if_unchanged
    monkeypatch.setattr("asyncjobs.worker.attempt.Attempt._input", allocate)
    monkeypatch.setattr(store, "swap_if_unchanged", recorded)
    monkeypatch.setattr(STATE, "broken", [])
    job = submit("sample.returns")
    assert run(job) is not None
    assert (failure(store, job).code, failure(store, job).retryable) == ("OUT_OF_MEMORY", True)
    assert STATE.broken == ["memory"]


class ChecksSlowly(BaseModel):
    """An input whose validator takes long."""

    @model_validator(mode="after")
    def take_long(self) -> Self:
        """Sleep."""
        time.sleep(20)
        return self


def of_a_slow_input(_input: ChecksSlowly, _context: JobContext) -> int:
    """Return immediately."""
    return 1


async def of_a_slow_input_async(_input: ChecksSlowly, _context: JobContext) -> int:
    """Return immediately."""
    return 1


def slowly() -> Iterator[int]:
    """Yield after a long time."""
    time.sleep(20)
    yield 1


def with_a_slow_result(_input: Any, _context: JobContext) -> Any:
    """Return what takes long to read."""
    return slowly()


async def with_a_slow_result_async(_input: Any, _context: JobContext) -> Any:
    """Return what takes long to read."""
    return slowly()


@pytest.mark.parametrize(
    "function", [of_a_slow_input, of_a_slow_input_async, with_a_slow_result, with_a_slow_result_async], ids=lambda f: f.__name__
)
def test_time_limit_includes_the_check_of_the_input_and_of_the_result(
    run_function: RunFunction, function: Callable[..., Any]
) -> None:
    began = time.monotonic()
    job = run_function(function, "{}", seconds=0.2)
    assert time.monotonic() - began < 10
    assert job.error is not None
    assert job.error.code == "TIME_LIMIT_EXCEEDED"


def test_time_limit_that_fires_as_the_job_ends_counts(
    store: FakeStore, submit: Submit, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fire_late(function: Callable[[], object], _limit: timedelta) -> object:
        function()
        raise TimeLimitExceeded

    monkeypatch.setattr("asyncjobs.worker.executor.call_with_timeout", fire_late)
    job = submit("sample.returns")
    assert run(job) is not None
    assert failure(store, job).code == "TIME_LIMIT_EXCEEDED"


def test_unavailable_bucket_at_the_end_is_retried(store: FakeStore, objects: FakeObjects, submit: Submit, run: Run) -> None:
    objects.is_down = True
    job = submit("sample.returns_much", {"size": 10_000})
    assert run(job) is not None
    assert stored(store, job).status is Status.PENDING


# ── The owner's uploads and files ──────────────────────────────────────────────────────────────────


UPLOAD = f"uploads/{JOB_ID}"


def counts_and_deletes(_input: None, context: JobContext) -> list[str]:
    """Delete the owner's uploads, and return their keys."""
    keys = [upload.key for upload in context.uploads()]
    for key in (*keys, UPLOAD):
        context.delete_upload(key)
    return keys


def test_job_lists_and_deletes_uploads_of_its_owner_only(run_function: RunFunction) -> None:
    for owner in (OWNER, f"{OWNER}x", "bob"):
        run_function.objects.put_upload(owner, UPLOAD, b"1", content_type="text/plain")
    job = run_function(counts_and_deletes)
    assert job.result is not None
    assert job.result.text == f'["{UPLOAD}"]'
    assert sorted(run_function.objects.stored) == sorted(f"inputs/{owner}/{UPLOAD}" for owner in (f"{OWNER}x", "bob"))


def test_context_has_the_owner(run_function: RunFunction) -> None:
    def tells(_input: None, context: JobContext) -> str:
        return context.owner

    result = run_function(tells).result
    assert (result and result.text) == f'"{OWNER}"'


def appends(_input: None, context: JobContext) -> str:
    """Add a line to a file of the owner's, and return it."""
    try:
        with context.open_file("lines") as file:
            text = file.read()
    except Fatal:
        text = b""
    context.save_file("lines", BytesIO(text + b"line\n"))
    return text.decode()


def test_file_is_read_by_later_jobs_of_the_same_owner(run_function: RunFunction) -> None:
    run_function.objects.save_file("bob", "lines", BytesIO(b"secret"))
    texts = [job.result and job.result.text for job in (run_function(appends), run_function(appends))]
    assert texts == ['""', '"line\\n"']
    assert run_function.objects.open_file("bob", "lines").read() == b"secret"


@pytest.mark.parametrize("key", [f"../bob/{UPLOAD}", f"uploads/../../bob/{UPLOAD}", f"{JOB_ID}/x.json", "files/lines", ""])
def test_other_keys_are_not_deleted(run_function: RunFunction, key: str) -> None:
    def deletes(_input: None, context: JobContext) -> None:
        context.delete_upload(key)

    run_function.objects.stored["inputs/bob/uploads/x"] = b"1"
    error = run_function(deletes).error
    assert (error and error.code) == "NOT_AN_UPLOAD"
    assert run_function.objects.stored == {"inputs/bob/uploads/x": b"1"}


@pytest.mark.parametrize("name", ["../../bob/files/lines", "/lines", ""])
def test_name_of_a_file_cannot_leave_the_owners_area(run_function: RunFunction, name: str) -> None:
    def opens(_input: None, context: JobContext) -> bytes:
        return context.open_file(name).read()

    def saves(_input: None, context: JobContext) -> None:
        context.save_file(name, BytesIO(b"1"))

    for function in (opens, saves):
        error = run_function(function).error
        assert (error and error.type) == "ValueError"
    assert run_function.objects.stored == {}

"""The context for unit tests of jobs behaves as the worker's does."""

from __future__ import annotations

import io

import pytest

from asyncjobs import Fatal, JobCancelled, JobContext
from asyncjobs.testing import FakeContext


def test_reports_are_kept_in_order() -> None:
    context = FakeContext()
    context.progress(10)
    context.progress(20.5, "Half")
    assert context.reports == [(10, None), (20.5, "Half")]


def test_interruption_is_raised_by_the_next_report_and_by_a_check() -> None:
    context = FakeContext(interruption=JobCancelled())
    with pytest.raises(JobCancelled):
        context.progress(10)
    with pytest.raises(JobCancelled):
        context.check()
    assert context.reports == [(10, None)]


def test_effect_key_is_the_same_on_every_attempt_and_differs_between_jobs() -> None:
    assert FakeContext(attempt=1).effect_key == FakeContext(attempt=2).effect_key
    assert FakeContext(async_job_id="a").effect_key != FakeContext(async_job_id="b").effect_key


def test_streamed_result_keeps_its_bytes_and_its_type() -> None:
    with FakeContext().stream_result("text/csv") as stream:
        assert stream.write(b"a,") == 2
        stream.write(b"b")
    assert (stream.getvalue(), stream.content_type) == (b"a,b", "text/csv")


def test_input_is_read_as_a_stream_and_a_missing_one_is_fatal() -> None:
    context: JobContext = FakeContext(inputs={"a.txt": b"text"})
    assert context.open_input("a.txt").read() == b"text"
    with pytest.raises(Fatal) as raised:
        context.open_input("b.txt")
    assert raised.value.code == "INPUT_MISSING"


KEY = "uploads/00000000-0000-4000-8000-000000000000"


def test_uploads_are_those_inputs_that_are_uploads() -> None:
    context: JobContext = FakeContext(inputs={KEY: b"text", "a.txt": b"text"})
    assert [(upload.key, upload.size) for upload in context.uploads()] == [(KEY, 4)]
    context.delete_upload(KEY)
    context.delete_upload(KEY)
    assert list(context.uploads()) == []
    with pytest.raises(Fatal) as raised:
        context.delete_upload("a.txt")
    assert raised.value.code == "NOT_AN_UPLOAD"


def test_saved_file_is_opened_and_a_missing_one_is_fatal() -> None:
    context: JobContext = FakeContext()
    with pytest.raises(Fatal) as raised:
        context.open_file("index")
    assert raised.value.code == "FILE_MISSING"
    context.save_file("index", io.BytesIO(b"1"))
    context.save_file("index", io.BytesIO(b"2"))
    assert context.open_file("index").read() == b"2"
    with pytest.raises(ValueError, match="not a name"):
        context.save_file("../index", io.BytesIO(b"3"))


def test_artifacts_are_collected_in_their_order() -> None:
    context = FakeContext()
    references = []
    for name in ("a.csv", "b.csv"):
        with context.open_artifact(name, "text/csv") as file:
            file.write(name.encode())
        references.append(file.reference)
    assert [(file.name, file.content_type, file.getvalue()) for file in context.artifacts] == [
        ("a.csv", "text/csv", b"a.csv"),
        ("b.csv", "text/csv", b"b.csv"),
    ]
    assert references == ["asyncjobs:artifact:1", "asyncjobs:artifact:2"]


def test_name_that_no_artifact_may_have_is_rejected_as_in_an_attempt() -> None:
    with pytest.raises(ValueError, match="not a name"):
        FakeContext().open_artifact("../a", "text/csv")


def test_events_are_kept_in_order_and_checked_as_by_the_worker() -> None:
    context: JobContext = FakeContext()
    context.event("begun")
    context.event("rows_loaded", {"rows": 7})
    assert isinstance(context, FakeContext)
    assert context.events == [("begun", {}), ("rows_loaded", {"rows": 7})]
    with pytest.raises(Fatal) as raised:
        context.event("rows_loaded", {"rows": "x" * 1024})
    assert raised.value.code == "INVALID_EVENT"
    for _ in range(98):
        context.event("tick")
    with pytest.raises(Fatal) as raised:
        context.event("tick")
    assert raised.value.code == "TOO_MANY_EVENTS"

"""Our words in a dialect's form."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from asyncjobs.http.dialects.find import find_dialects
from asyncjobs.http.dialects.words import ErrorWords, JobWords, time_in
from tests.support.factories import JOB_ID, NOW

DAEMON, ENTITY, EXECUTOR = find_dialects(["daemon", "entity", "executor"]).values()
JOB = {
    "asyncJobId": JOB_ID,
    "jobType": "refreshcache",
    "status": "FAILED",
    "progress": 45,
    "createdAt": "2026-11-21T12:00:00.123Z",
    "startedAt": None,
    "metadata": {"documentId": "d"},
    "error": {"message": "Lost", "code": "LOST"},
    "result": None,
    "resultType": None,
    "resultLocation": None,
}


def words(dialect: Any = DAEMON, **changes: Any) -> JobWords:
    return JobWords(
        dialect=dialect,
        ours={**JOB, **changes},
        now=NOW,
        input=lambda: {"in": 1},
        result=lambda: {"out": 1},
        result_location="jobs/1/result",
    )


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("asyncJobId", JOB_ID),
        ("status", "failed"),
        ("progress", 0.45),
        ("createdAt", "2026-11-21T12:00:00Z"),
        ("startedAt", None),
        ("now", "2026-11-21T12:00:00Z"),
        ("started", "Cache refresh job started"),
        ("input", {"in": 1}),
        ("input.in", 1),
        ("input.in.further", None),
        ("result", None),
        ("metadata.documentId", "d"),
        ("metadata.other", None),
        ("error.message", "Lost"),
        ("resultLocation", None),
        ("jobType", "refreshcache"),
        ("unknown", None),
    ],
)
def test_word_of_a_job(word: str, value: Any) -> None:
    assert words()(word) == value


@pytest.mark.parametrize("kind", ["S3", "URL"])
def test_result_that_our_answer_has_not_is_read(kind: str) -> None:
    found = words(resultType=kind, resultLocation="x")
    assert (found("result"), found("resultLocation")) == ({"out": 1}, "jobs/1/result")


def test_input_and_result_are_read_only_for_their_words() -> None:
    def fails() -> None:
        raise AssertionError

    found = replace(words(), input=fails, result=fails)
    assert [found(word) for word in ("status", "result", "progress")]


@pytest.mark.parametrize(
    ("status", "message"), [("PENDING", None), ("CANCELLED", "The job was cancelled."), ("FAILED", "Lost")]
)
def test_error_is_that_of_the_end(status: str, message: str | None) -> None:
    assert words(status=status)("error.message") == message


def test_progress_and_times_stay_ours_without_another_form() -> None:
    found = words(ENTITY)
    assert (found("progress"), found("createdAt")) == (45, "2026-11-21T12:00:00.123Z")
    assert time_in(ENTITY, NOW) == "2026-11-21T12:00:00.000Z"


def test_message_of_a_job_type_without_its_own_is_that_of_all() -> None:
    assert words(jobType="other")("started") == DAEMON.messages[""]


def error(problem: dict[str, Any], **fields: str) -> ErrorWords:
    ours = {"code": "X", "status": 400, "title": "T", "detail": "Do it.", **problem}
    return ErrorWords(dialect=DAEMON, problem=ours, now=NOW, requested_id="abc", fields=fields)


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        ({}, "Do it."),
        ({"code": "JOB_NOT_FOUND"}, "Job with ID abc not found"),
        ({"error": {"message": "Lost"}}, "Lost"),
        ({"error": None}, "Do it."),
        ({"errors": [{"pointer": "/input/a/b", "detail": "is required"}]}, "/input_data/a/b is required"),
        ({"errors": [{"pointer": "/x", "detail": "is odd"}, {"pointer": "", "detail": "Empty."}]}, "/x is odd; Empty."),
    ],
)
def test_message_of_an_error(problem: dict[str, Any], message: str) -> None:
    assert error(problem, input_data="input")("message") == message


def test_other_words_of_an_error() -> None:
    found = error({})
    assert [found(word) for word in ("code", "status", "title", "asyncJobId", "now")] == [
        "X",
        400,
        "T",
        "abc",
        "2026-11-21T12:00:00Z",
    ]


def test_id_that_is_made_of_the_job_needs_the_job() -> None:
    bare = replace(words(EXECUTOR), ours={"asyncJobId": JOB_ID, "status": "COMPLETED", "result": 1})
    assert bare("asyncJobId") == JOB_ID
    assert words(EXECUTOR)("asyncJobId").startswith("refreshcache-")


def test_form_of_times_is_the_dialects() -> None:
    assert time_in(replace(DAEMON, whole_seconds=False), NOW) == "2026-11-21T12:00:00.000Z"

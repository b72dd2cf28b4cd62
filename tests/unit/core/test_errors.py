"""The errors that a job raises, and those that stop it."""

from __future__ import annotations

import copy
import pickle
from datetime import timedelta
from typing import Any

import pytest

from asyncjobs.core.errors import (
    Fatal,
    InputProblem,
    InvalidErrorCode,
    InvalidInput,
    InvalidRetryDelay,
    JobCancelled,
    JobError,
    JobInterrupted,
    LeaseLost,
    Retry,
    TimeLimitExceeded,
)


@pytest.mark.parametrize(
    ("error", "code"), [(Fatal("m"), "JOB_ERROR"), (Retry("m"), "JOB_RETRIED"), (Fatal("m", code="A1_"), "A1_")]
)
def test_error_has_its_own_code_or_that_of_its_class(error: JobError, code: str) -> None:
    assert (error.code, error.message) == (code, "m")


@pytest.mark.parametrize("code", ["", "lower", "1A", "A B", "A-B", "A\n", "A" * 65, 404, b"A"])
@pytest.mark.parametrize("kind", [Fatal, Retry])
def test_invalid_code_is_rejected_where_it_is_raised(kind: type[JobError], code: Any) -> None:
    with pytest.raises(InvalidErrorCode, match=r"use capitals.*ended with: Remove the password\.") as raised:
        kind("Remove the password.", code=code)
    assert raised.value.code == "INVALID_ERROR_CODE"


@pytest.mark.parametrize(
    ("after", "expected"), [(None, None), (1.5, timedelta(seconds=1.5)), (timedelta(hours=1), timedelta(hours=1))]
)
def test_retry_takes_seconds_or_a_timedelta(after: float | timedelta | None, expected: timedelta | None) -> None:
    assert Retry("m", after=after).after == expected


def test_class_with_an_invalid_code_is_rejected_where_it_is_defined() -> None:
    with pytest.raises(InvalidErrorCode, match="Broken: 'broken-pdf' is not an error code"):
        type("Broken", (Fatal,), {"default_code": "broken-pdf"})


@pytest.mark.parametrize(
    ("after", "expected"),
    [(float("inf"), timedelta.max), (1e30, timedelta.max), (-1e30, timedelta(0)), (-5, timedelta(seconds=-5))],
)
def test_any_number_of_seconds_is_a_delay(after: float, expected: timedelta) -> None:
    assert Retry("m", after=after).after == expected


@pytest.mark.parametrize("after", ["30", float("nan"), [], b"1"])
def test_delay_that_is_no_number_is_rejected_where_it_is_raised(after: Any) -> None:
    with pytest.raises(InvalidRetryDelay, match="pass seconds or a timedelta"):
        Retry("m", after=after)
    assert not issubclass(InvalidRetryDelay, Retry)


@pytest.mark.parametrize("error", [Fatal("m", code="A"), Retry("m", code="B", after=3)], ids=["fatal", "retry"])
def test_error_of_another_process_is_the_same_error(error: JobError) -> None:
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (type(other), vars(other), str(other)) == (type(error), vars(error), "m")


@pytest.mark.parametrize("interruption", [JobCancelled, LeaseLost, TimeLimitExceeded])
def test_interruption_passes_a_jobs_own_except_exception(interruption: type[JobInterrupted]) -> None:
    assert not issubclass(interruption, Exception)


def test_text_of_an_invalid_input_names_each_place() -> None:
    error = InvalidInput([InputProblem("", "must be an object"), InputProblem("/a", "is missing")])
    assert str(error) == "/: must be an object; /a: is missing"

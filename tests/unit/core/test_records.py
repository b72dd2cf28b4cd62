"""Copies of records."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncjobs.core.job import AsyncJob, JobFailure, Status
from asyncjobs.core.records import replace
from tests.support.factories import NOW, new_job, running_job

CHANGES: dict[str, Any] = {
    "status": Status.FAILED,
    "attempt": 3,
    "ended_at": NOW + timedelta(seconds=1),
    "message": "Half",
    "error": JobFailure(code="A", message="b", type="C", retryable=False),
    "claimed_by": None,
}


@given(st.sets(st.sampled_from(sorted(CHANGES))))
def test_copy_is_that_of_the_standard_library(names: set[str]) -> None:
    changes = {name: CHANGES[name] for name in names}
    for job in (new_job(), running_job(message="Queued")):
        assert replace(job, **changes) == dataclasses.replace(job, **changes)


def test_original_does_not_change_and_the_copy_is_frozen() -> None:
    job = new_job()
    before = dataclasses.replace(job)
    copy = replace(job, message="Half")
    assert job == before
    with pytest.raises(dataclasses.FrozenInstanceError):
        copy.message = "Done"  # type: ignore[misc]  # that is the test
    assert hash(copy) == hash(dataclasses.replace(job, message="Half"))


def test_unknown_field_is_rejected() -> None:
    with pytest.raises(TypeError, match="AsyncJob has no field 'colour'"):
        replace(new_job(), colour="red")  # type: ignore[call-arg]  # a type checker rejects it too


def test_every_field_is_copied() -> None:
    @dataclass(frozen=True, slots=True)
    class Two:
        one: int
        other: list[int] = field(default_factory=list)

    two = Two(1, [2])
    copy = replace(two, one=3)
    assert (copy.one, copy.other) == (3, [2])
    assert copy.other is two.other


def test_job_has_no_post_init_that_a_copy_would_skip() -> None:
    assert not hasattr(AsyncJob, "__post_init__")

"""What a job raises decides about its attempt, wherever it surfaces."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel, computed_field, field_serializer, field_validator

from asyncjobs import Fatal, JobCancelled, JobContext, LeaseLost, Retry, TimeLimitExceeded
from asyncjobs.core.errors import Unavailable
from asyncjobs.core.job import Status
from asyncjobs.worker.raised import deciding, out_of_time
from tests.unit.conftest import Lines
from tests.unit.worker.conftest import RunFunction

FATAL = Fatal("The page is behind a login.", code="LOGIN_NEEDED")
RETRY = Retry("The site is busy.", after=7, code="SITE_BUSY")
LATER = Retry("The site is very busy.", after=60)
SECRET = ConnectionError("password=hunter2 refused")
OUT_OF_TIME, CANCELLED, LOST = TimeLimitExceeded(), JobCancelled(), LeaseLost()


def group(*members: BaseException) -> BaseExceptionGroup[BaseException]:
    return BaseExceptionGroup("some", members)


# ── Groups and chains ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("error", "decides"),
    [
        (group(FATAL), FATAL),
        (group(group(ValueError(), group(FATAL)), KeyError()), FATAL),
        (group(RETRY, ValueError()), RETRY),
        (group(RETRY, LATER), LATER),
        (group(RETRY, FATAL), FATAL),
        (group(OUT_OF_TIME, RETRY), RETRY),
        (group(ValueError(), OUT_OF_TIME), OUT_OF_TIME),
        (group(FATAL, CANCELLED), CANCELLED),
        (group(group(LOST), RETRY), LOST),
        (group(SECRET), SECRET),
    ],
    ids=str,
)
def test_member_with_the_most_to_say_decides_for_its_group(error: BaseException, decides: BaseException) -> None:
    assert deciding(error) is decides


def test_several_unforeseen_exceptions_stay_a_group() -> None:
    error = group(ValueError(), SECRET)
    assert deciding(error) is error


def test_error_of_the_library_decides_before_an_unforeseen_one() -> None:
    error = Unavailable("throttled")
    assert deciding(group(ValueError(), error)) is error


def raised_while(first: BaseException, second: BaseException, *, explicitly: bool = False) -> BaseException:
    """Return the second exception as it is raised while the first one is handled."""
    try:
        try:
            raise first  # noqa: TRY301
        except BaseException as error:
            if explicitly:
                raise second from error
            raise second  # noqa: B904 - the test's subject
    except BaseException as error:  # noqa: BLE001
        return error


@pytest.mark.parametrize("explicitly", [True, False])
@pytest.mark.parametrize("interruption", [TimeLimitExceeded(), JobCancelled(), LeaseLost()], ids=str)
def test_failing_cleanup_does_not_hide_an_interruption(interruption: BaseException, explicitly: bool) -> None:
    error = raised_while(interruption, ConnectionError("closed"), explicitly=explicitly)
    assert deciding(error) is interruption
    assert deciding(group(error)) is interruption


@pytest.mark.parametrize("first", [TimeLimitExceeded(), ValueError(), Fatal("m")], ids=str)
@pytest.mark.parametrize("second", [Fatal("m", code="TOO_LARGE"), Retry("m")], ids=repr)
def test_error_that_a_job_chose_instead_of_another_decides(first: BaseException, second: BaseException) -> None:
    assert deciding(raised_while(first, second)) is second


def test_exception_that_a_job_raised_in_place_of_a_fatal_one_counts_as_it_is() -> None:
    error = raised_while(Fatal("m"), ValueError(), explicitly=True)
    assert deciding(error) is error


def test_circular_chain_is_followed_once() -> None:
    one, other = ValueError(), KeyError()
    one.__context__, other.__context__ = other, one
    assert deciding(one) is one


@pytest.mark.parametrize("error", [asyncio.CancelledError(), TimeoutError(), ValueError(), group(ValueError())], ids=repr)
def test_coroutine_at_its_time_limit_is_out_of_time(error: BaseException) -> None:
    assert isinstance(out_of_time(error), TimeLimitExceeded)


@pytest.mark.parametrize("error", [FATAL, RETRY, CANCELLED, group(FATAL)], ids=repr)
def test_coroutine_may_decide_otherwise_at_its_time_limit(error: BaseException) -> None:
    assert out_of_time(error) is error


# ── In an attempt ────────────────────────────────────────────────────────────────────────────────────

ERRORS = [
    pytest.param(FATAL, "LOGIN_NEEDED", Status.FAILED, None, id="fatal"),
    pytest.param(RETRY, "SITE_BUSY", Status.PENDING, timedelta(seconds=7), id="retry"),
    pytest.param(TimeLimitExceeded(), "TIME_LIMIT_EXCEEDED", Status.PENDING, None, id="time limit"),
    pytest.param(SECRET, "JOB_RAISED", Status.PENDING, None, id="unforeseen"),
]


def in_a_task_group(error: BaseException) -> Any:
    async def raises(_input: Any, _context: JobContext) -> str:
        async def fail() -> None:
            raise error

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fail())
            tasks.create_task(asyncio.sleep(0.001))
        return ""

    return raises


def in_a_generator(error: BaseException) -> Any:
    def raises(_input: Any, _context: JobContext) -> Iterator[int]:
        yield 1
        raise error

    return raises


def in_a_generator_inside_the_result(error: BaseException) -> Any:
    def raises(_input: Any, _context: JobContext) -> dict[str, list[int]]:
        def items() -> Iterator[int]:
            yield 1
            raise error

        found: Any = {"items": items()}
        return dict(found)

    return raises


def in_an_asynchronous_generator(error: BaseException) -> Any:
    async def raises(_input: Any, _context: JobContext) -> AsyncIterator[int]:
        yield 1
        raise error

    return raises


def in_a_validator_of_the_output(error: BaseException) -> Any:
    class Output(BaseModel):
        number: int

        @field_validator("number")
        @classmethod
        def fails(cls, _value: int) -> int:
            raise error

    def raises(_input: Any, _context: JobContext) -> Output:
        found: Any = {"number": 1}
        return found  # type: ignore[no-any-return]  # pydantic makes the model

    raises.__annotations__["return"] = Output
    return raises


def in_a_serializer(error: BaseException) -> Any:
    class Output(BaseModel):
        number: int = 1

        @field_serializer("number")
        def fails(self, value: int) -> int:
            raise error

    def raises(_input: Any, _context: JobContext) -> Output:
        return Output()

    raises.__annotations__["return"] = Output
    return raises


def in_a_property_of_the_output(error: BaseException) -> Any:
    class Output(BaseModel):
        @computed_field  # type: ignore[prop-decorator]  # pydantic's own way
        @property
        def number(self) -> int:
            raise error

    def raises(_input: Any, _context: JobContext) -> Output:
        return Output()

    raises.__annotations__["return"] = Output
    return raises


def in_a_validator_of_the_input(error: BaseException) -> Any:
    class Input(BaseModel):
        number: int = 1

        def model_post_init(self, _context: object) -> None:
            raise error

    def raises(_input: Input, _context: JobContext) -> None:
        raise AssertionError

    raises.__annotations__["_input"] = Input
    return raises


PLACES = [
    in_a_task_group,
    in_a_generator,
    in_a_generator_inside_the_result,
    in_an_asynchronous_generator,
    in_a_validator_of_the_output,
    in_a_serializer,
    in_a_property_of_the_output,
    in_a_validator_of_the_input,
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("error", "code", "status", "after"), ERRORS)
def test_error_counts_as_raised_wherever_it_surfaces(
    run_function: RunFunction,
    lines: Lines,
    place: Any,
    error: BaseException,
    code: str,
    status: Status,
    after: timedelta | None,
) -> None:
    ended = run_function(place(error), "{}")
    assert ended.error is not None
    assert (ended.error.code, ended.status) == (code, status)
    if after is not None:
        assert ended.not_before is not None
        assert ended.not_before - ended.updated_at == after
    assert "hunter2" not in f"{ended.error}{lines.text()}"


@pytest.mark.parametrize("place", PLACES)
def test_interruption_records_nothing_wherever_it_surfaces(run_function: RunFunction, lines: Lines, place: Any) -> None:
    ended = run_function(place(JobCancelled()), "{}")
    assert (ended.status, ended.error) == (Status.IN_PROGRESS, None)
    assert [line["reason"] for line in lines.events if line["message"] == "JOB_FENCED"] == ["JobCancelled"]


def test_time_limit_reaches_a_generator(run_function: RunFunction) -> None:
    def dawdles(_input: Any, _context: JobContext) -> Iterator[int]:
        yield 1
        time.sleep(20)

    ended = run_function(dawdles, seconds=0.05)
    assert ended.error is not None
    assert ended.error.code == "TIME_LIMIT_EXCEEDED"


@pytest.mark.parametrize("place", [in_a_generator, in_an_asynchronous_generator])
def test_group_of_unforeseen_exceptions_is_raised_again(run_function: RunFunction, place: Any) -> None:
    ended = run_function(place(group(SECRET, ValueError("secret"))))
    assert ended.error is not None
    assert (ended.error.code, ended.error.type, ended.error.retryable) == ("JOB_RAISED", "ExceptionGroup", True)
    assert "secret" not in ended.error.message


class Refuses(BaseModel):
    """An input that its own code refuses."""

    number: int

    @field_validator("number")
    @classmethod
    def refuse(cls, value: int) -> int:
        """Refuse any number."""
        if value:
            raise ValueError("must be a prime")
        raise UnicodeError("canary")


@pytest.mark.parametrize(("number", "said"), [(4, "must be a prime"), (0, "/number: a validator raised UnicodeError")])
def test_only_a_validators_own_message_is_shown(run_function: RunFunction, number: int, said: str) -> None:
    def takes(_input: Refuses, _context: JobContext) -> None:
        raise AssertionError

    ended = run_function(takes, f'{{"number":{number}}}')
    assert ended.error is not None
    assert (ended.status, ended.error.code) == (Status.FAILED, "INVALID_INPUT")
    assert said in ended.error.message
    assert "canary" not in ended.error.message

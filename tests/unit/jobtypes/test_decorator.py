"""The `@job` decorator: the job type that it declares, and invalid declarations."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any, TypeVar

import pytest
from pydantic import BaseModel, Field

from asyncjobs import INPUT_BYTES, Exclusive, Fatal, JobContext, ResultStream, job, tracked_job
from asyncjobs.core.errors import InvalidJob, StaleCatalog
from asyncjobs.core.job import Priority, RetentionFrom, is_short
from asyncjobs.jobtypes.decorator import DEFAULT_RETENTION, MAX_RETENTION, MAX_TIMEOUT, JobDefinition, definition_of, load
from asyncjobs.jobtypes.pydantic_schema import describe
from asyncjobs.testing import FakeContext
from tests.support import sample_jobs

F = TypeVar("F", bound=Callable[..., Any])


class Numbers(BaseModel):
    """Some numbers."""

    numbers: list[int] = Field(max_length=10)


class Sum(BaseModel):
    """Their sum."""

    total: int = Field(serialization_alias="sumOfAll")


def definition(function: object) -> JobDefinition:
    found = definition_of(function)
    assert found is not None
    return found


@job("registry.adds", expected_seconds=0.5, timeout_seconds=90, max_attempts=2, retention_seconds=3600, deadline_seconds=600)
def adds(input: Numbers, _context: JobContext) -> Sum:
    """Add numbers.

    All of them.
    """
    if len(input.numbers) > 3:
        raise Fatal("Too many.")
    return Sum(total=sum(input.numbers))


@job("registry.waits")
async def waits(_input: None, _context: JobContext) -> None:
    """Wait."""


def plain(_input: None, _context: JobContext) -> None:
    """Do nothing; a valid function to decorate."""


# ── Declarations ─────────────────────────────────────────────────────────────────────────────────────


def test_decorated_function_stays_callable() -> None:
    assert adds(Numbers(numbers=[1, 2]), FakeContext()) == Sum(total=3)
    with pytest.raises(Fatal):
        adds(Numbers(numbers=[1, 2, 3, 4]), FakeContext())


def test_job_is_described_without_its_code() -> None:
    found = describe(definition(adds))
    assert (found.name, found.module, found.function) == ("registry.adds", __name__, "adds")
    assert found.description == "Add numbers."
    assert (found.expected, found.timeout) == (timedelta(seconds=0.5), timedelta(seconds=90))
    assert (found.max_attempts, found.retention, found.deadline) == (2, timedelta(hours=1), timedelta(minutes=10))
    assert found.input_schema["properties"]["numbers"]["maxItems"] == 10
    assert list(found.output_schema["properties"]) == ["sumOfAll"]


def test_job_without_options_is_short_and_has_three_attempts() -> None:
    found = describe(definition(waits))
    assert is_short(found.timeout)
    assert (found.max_attempts, found.retention, found.deadline) == (3, timedelta(days=7), timedelta(days=1))


@pytest.mark.parametrize(("function", "is_async"), [(adds, False), (waits, True)])
def test_coroutine_function_is_recognized(function: Callable[..., Any], is_async: bool) -> None:
    assert definition(function).job_type.is_async is is_async
    assert describe(definition(function)).is_async is is_async


@pytest.mark.parametrize("value", [len, Numbers, None, 7, FakeContext.check])
def test_other_value_is_not_a_job(value: object) -> None:
    assert definition_of(value) is None


def test_input_and_output_may_be_any_pydantic_type() -> None:
    @job("registry.anything")
    def anything(values: dict[str, list[int]] | None, _context: JobContext) -> list[str]:
        return sorted(values or {})

    found = definition(anything)
    assert found.read_input('{"a": [1]}') == {"a": [1]}
    assert found.output_adapter.validate_python(["a"]) == ["a"]


@pytest.mark.parametrize(
    ("annotation", "type_"), [(Sum | ResultStream, "object"), (ResultStream | str | int, None), (ResultStream, None)], ids=str
)
def test_streamed_result_is_described_by_the_rest_of_the_return_type(annotation: Any, type_: str | None) -> None:
    def streams(_input: None, _context: JobContext) -> Any:
        pass

    streams.__annotations__["return"] = annotation
    schema = describe(definition(job("registry.streams")(streams))).output_schema
    assert schema.get("type") == type_


# ── Other decorators ─────────────────────────────────────────────────────────────────────────────────


def traced(function: F) -> F:
    """Call the function and say so, as decorators of tracers and retries do."""

    @functools.wraps(function)
    def wrapper(*args: Any, **options: Any) -> Any:
        return f"traced({function(*args, **options)})"

    return wrapper  # type: ignore[return-value]  # as such decorators are written


def untraced(function: Callable[..., Any]) -> Callable[..., Any]:
    """Do the same without `functools.wraps`."""
    return lambda *args: f"untraced({function(*args)})"


@traced
@job("registry.traced_above")
def traced_above(input: int, _context: JobContext) -> str:
    """Have a decorator above."""
    return str(input)


@job("registry.traced_below")
@traced
def traced_below(input: int, _context: JobContext) -> str:
    """Have a decorator below."""
    return str(input)


class Counted:
    """A decorator that is a class."""

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self._function = function

    def __call__(self, *args: Any) -> Any:
        return f"counted({self._function(*args)})"


@Counted
@job("registry.counted")
def counted_above(input: int, _context: JobContext) -> str:
    """Have a decorator above that is a class."""
    return str(input)


@job("registry.counted_below")
@Counted
def counted_below(input: int, _context: JobContext) -> str:
    """Have a decorator below that is a class."""
    return str(input)


@job("registry.waits_below")
@traced
async def waits_below(input: int, _context: JobContext) -> str:
    """Have a decorator below that returns the coroutine."""
    return str(input)


@pytest.mark.parametrize(
    ("function", "returned"),
    [(traced_above, "traced(1)"), (traced_below, "traced(1)"), (counted_above, "counted(1)"), (counted_below, "counted(1)")],
    ids=["above", "below", "class above", "class below"],
)
def test_worker_calls_the_function_that_a_test_calls(function: Any, returned: str) -> None:
    described = describe(definition(function))
    loaded = load(described)
    assert loaded.function is function
    assert loaded.function(loaded.read_input("1"), FakeContext()) == function(1, FakeContext()) == returned
    assert (described.input_schema, described.output_schema) == ({"type": "integer"}, {"type": "string"})
    assert described.description.startswith("Have a decorator")


def in_a_loop(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a coroutine function of the function."""

    @functools.wraps(function)
    async def wrapper(*args: Any) -> Any:
        return function(*args)

    return wrapper


@in_a_loop
@job("registry.in_a_loop")
def runs_in_a_loop(input: int, _context: JobContext) -> str:
    """Have a coroutine function above."""
    return str(input)


@pytest.mark.parametrize("function", [waits_below, runs_in_a_loop], ids=["below", "above"])
def test_decorated_coroutine_function_is_recognized(function: Callable[..., Any]) -> None:
    assert definition(function).job_type.is_async
    assert describe(definition(function)).is_async


@pytest.mark.parametrize("decorate", [untraced, functools.partial(functools.partial)], ids=["function", "partial"])
def test_decorator_that_hides_the_arguments_is_rejected_with_its_remedy(decorate: Any) -> None:
    with pytest.raises(InvalidJob, match=r"^registry\.hidden: a decorator below @job .* Use functools\.wraps"):
        job("registry.hidden")(decorate(plain))


# ── Invalid declarations ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["a", "text.search", "document.extract_2", "a.b.c", "x" * 50])
def test_dotted_words_are_a_valid_name(name: str) -> None:
    assert definition(job(name)(plain)).job_type.name == name


@pytest.mark.parametrize(
    "name", ["", "A", "a-b", "a b", ".a", "a.", "a..b", "1a", "a.1", "_a", "a/b", "ä", "a\n", "x" * 51], ids=ascii
)
def test_invalid_name_is_rejected(name: str) -> None:
    with pytest.raises(InvalidJob, match="not a valid name for a job type"):
        job(name)


@pytest.mark.parametrize(
    "route", ["POST /import/mysql", "GET /search/{subject}", "PUT /jobs/cache/refresh/{depth}", "POST /jobs/cache"]
)
def test_method_and_path_are_a_valid_route(route: str) -> None:
    assert definition(job("a", route=route)(plain)).job_type.routes == (route,)
    assert definition(job("a", synchronous_route=[route])(plain)).job_type.synchronous_routes == (route,)


@pytest.mark.parametrize(
    "route", ["/import", "POST import", "post /import", "POST /", "POST /a//b", "POST /{a", "POST /a b", "POST /a\n"]
)
def test_invalid_route_is_rejected(route: str) -> None:
    with pytest.raises(InvalidJob, match="is not a route"):
        job("a", route=route)


def test_invalid_retention_from_is_rejected() -> None:
    assert definition(job("a", retention_from="CREATION")(plain)).job_type.retention_from is RetentionFrom.CREATION
    with pytest.raises(InvalidJob, match="it must be 'CREATION' or 'END'"):
        job("a", retention_from="start")  # type: ignore[arg-type]  # a type checker rejects it too


def test_priority_is_standard_by_default_and_an_invalid_one_is_rejected() -> None:
    assert describe(definition(job("a")(plain))).priority is Priority.STANDARD
    assert describe(definition(job("a", priority="low")(plain))).priority is Priority.LOW
    with pytest.raises(InvalidJob, match="it must be 'high', 'standard', 'low'"):
        job("a", priority="urgent")  # type: ignore[arg-type]  # a type checker rejects it too


@pytest.mark.parametrize(
    ("option", "least", "most"),
    [
        ("expected_seconds", 0, MAX_TIMEOUT.total_seconds()),
        ("timeout_seconds", 1, MAX_TIMEOUT.total_seconds()),
        ("max_attempts", 1, 10),
        ("retention_seconds", 60, MAX_RETENTION.total_seconds()),
        ("deadline_seconds", 60, 86400),
        ("dedupe_seconds", 0, DEFAULT_RETENTION.total_seconds()),
    ],
)
def test_option_out_of_bounds_is_rejected(option: str, least: float, most: float) -> None:
    whole = int if option == "max_attempts" else float
    for good in (least, most):
        options: Any = {option: whole(good)}
        assert definition(job("registry.bounds", **options)(plain))
    for bad in (least - 1, most + 1, True, float("nan"), float("inf")):
        options = {option: bad}
        with pytest.raises(InvalidJob, match=f"^registry.bounds: {option} is "):
            job("registry.bounds", **options)


def test_same_input_is_the_same_job_no_longer_than_the_job_is_kept() -> None:
    assert describe(definition(job("a", retention_seconds=60, dedupe_seconds=60)(plain))).dedupe == timedelta(minutes=1)
    with pytest.raises(InvalidJob, match=r"^a: dedupe_seconds is 61; it must be 0 to 60\.$"):
        job("a", retention_seconds=60, dedupe_seconds=61)


class Sized(BaseModel):
    """An input with members of several kinds."""

    rows: int
    share: float | None = None
    name: str = ""


def sized(input: Sized, _context: JobContext) -> int:
    """Return the size."""
    return input.rows


@pytest.mark.parametrize("size", [None, "rows", "share", INPUT_BYTES])
def test_size_is_a_number_of_the_input_or_its_bytes(size: str | None) -> None:
    assert describe(definition(job("a", size=size)(sized))).size == size


@pytest.mark.parametrize("size", ["name", "missing", ""])
def test_size_that_is_not_a_number_of_the_input_is_rejected(size: str) -> None:
    with pytest.raises(InvalidJob, match=rf"^a: size is '{size}'; it must be a number among the members"):
        describe(definition(job("a", size=size)(sized)))


def test_fractional_max_attempts_is_rejected() -> None:
    half: Any = 2.5
    with pytest.raises(InvalidJob, match="max_attempts"):
        job("registry.bounds", max_attempts=half)


@pytest.mark.parametrize(
    "function",
    [lambda: 0, lambda a: a, lambda a, b, c: a + b + c, len, Numbers, "text"],
    ids=["none", "one", "three", "builtin", "class", "text"],
)
def test_function_without_exactly_two_arguments_is_rejected(function: Any) -> None:
    with pytest.raises(InvalidJob, match="exactly two arguments"):
        job("registry.arguments")(function)


def test_rejected_function_shows_its_arguments() -> None:
    def needs_more(_input: int, _context: JobContext, *, database: str) -> None:
        pass

    with pytest.raises(InvalidJob, match=r"This one has \(_input, _context, database\)"):
        job("registry.arguments")(needs_more)


def test_input_of_an_unsupported_type_is_rejected() -> None:
    def takes(_input: JobContext, _context: JobContext) -> None:
        pass

    with pytest.raises(InvalidJob, match="pydantic does not support the type of its input '_input'"):
        describe(definition(job("registry.unsupported")(takes)))


def test_input_whose_pattern_no_submit_can_check_is_rejected() -> None:
    def takes(_input: Annotated[str, Field(json_schema_extra={"pattern": "(unclosed"})], _context: JobContext) -> None:
        pass

    with pytest.raises(InvalidJob, match="a submit cannot check its input's JSON Schema"):
        describe(definition(job("registry.pattern")(takes)))


def test_input_without_annotation_is_rejected() -> None:
    def bare(payload, _context: JobContext) -> None:  # type: ignore[no-untyped-def] # the test's subject
        pass

    with pytest.raises(InvalidJob, match="annotate its input 'payload'"):
        describe(definition(job("registry.bare")(bare)))


def test_output_without_annotation_is_rejected() -> None:
    def bare(_input: None, _context: JobContext):  # type: ignore[no-untyped-def] # noqa: ANN202 - the test's subject
        pass

    with pytest.raises(InvalidJob, match="annotate its output"):
        describe(definition(job("registry.bare")(bare)))


def test_input_without_json_schema_is_rejected() -> None:
    def calls(input: Callable[[], None], _context: JobContext) -> None:
        input()

    with pytest.raises(InvalidJob, match="its input has no JSON Schema"):
        describe(definition(job("registry.calls")(calls)))


# ── Loading ──────────────────────────────────────────────────────────────────────────────────────────


def test_described_job_is_loaded() -> None:
    found = definition_of(sample_jobs.returns)
    assert found is not None
    assert load(describe(found)) is found


@pytest.mark.parametrize("changes", [{"function": "not_there"}, {"function": "Nothing"}, {"name": "sample.another"}], ids=str)
def test_job_that_is_not_where_the_catalog_says_is_a_stale_catalog(changes: dict[str, Any]) -> None:
    described = replace(describe(definition(sample_jobs.returns)), **changes)
    with pytest.raises(StaleCatalog, match="make catalog"):
        load(described)


# ── Tracked job types and locks ──────────────────────────────────────────────────────────────────────


def test_tracked_type_has_no_function_and_no_attempt() -> None:
    declared = tracked_job("file_processing", description="Take in a file.", retention_seconds=60, deadline_seconds=600)
    assert (declared.tracked, declared.max_attempts, declared.module, declared.function) == (True, 0, "", "")
    assert (declared.retention, declared.deadline) == (timedelta(minutes=1), timedelta(minutes=10))
    assert (declared.name, declared.description) == ("file_processing", "Take in a file.")


@pytest.mark.parametrize(
    "options",
    [
        {"name": "File"},
        {"name": ""},
        {"name": "x" * 51},
        {"retention_seconds": 59},
        {"retention_seconds": 91 * 24 * 3600},
        {"deadline_seconds": 59},
        {"deadline_seconds": 30 * 24 * 3600 + 1},
        {"expected_seconds": -1},
        {"expected_seconds": 30 * 24 * 3600 + 1},
        {"deadline_seconds": True},
    ],
)
def test_invalid_tracked_type_is_rejected(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidJob):
        tracked_job(**{"name": "a", **options})


def test_tracked_type_may_have_a_deadline_of_30_days_and_another_type_of_one() -> None:
    assert tracked_job("a", deadline_seconds=30 * 24 * 3600).deadline == timedelta(days=30)
    with pytest.raises(InvalidJob):
        job("a", deadline_seconds=24 * 3600 + 1)


def test_job_may_declare_a_lock() -> None:
    lock = Exclusive("cache", scope="OWNER", policy="QUEUE", limit=10)
    assert describe(definition(job("a", exclusive=lock)(plain))).exclusive == lock
    assert describe(definition(job("a")(plain))).exclusive is None


@pytest.mark.parametrize(
    "options",
    [
        {"name": ""},
        {"name": "Cache"},
        {"name": "a#b"},
        {"name": "c" * 51},
        {"scope": "EVERYBODY"},
        {"policy": "wait"},
        {"limit": 0},
        {"limit": 11},
        {"limit": 1.0},
        {"limit": True},
    ],
)
def test_invalid_lock_is_rejected(options: Any) -> None:
    with pytest.raises(InvalidJob, match="lock"):
        Exclusive(**{"name": "cache", **options})

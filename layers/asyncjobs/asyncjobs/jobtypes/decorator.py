"""Job types, and the `@job` decorator that makes them from functions."""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import re
import types
import typing
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from asyncjobs.context import ResultStream
from asyncjobs.core.errors import InvalidJob, StaleCatalog
from asyncjobs.core.exact_json import exact_number
from asyncjobs.core.job import (
    GRACE,
    MAX_ATTEMPTS_LIMIT,
    MAX_DEADLINE,
    MAX_TRACKED_DEADLINE,
    MIN_RETENTION,
    Priority,
    RetentionFrom,
)

if TYPE_CHECKING:
    # pydantic costs a third of a cold start; only the worker and the build pay for it.
    from pydantic import TypeAdapter

MAX_TIMEOUT = timedelta(minutes=15) - 2 * GRACE
"""The worker function's timeout, less the time that an attempt needs around the job."""
MAX_RETENTION = timedelta(days=90)
DEFAULT_RETENTION = timedelta(days=7)
"""The retention of types without their own, by default; a deployment may set another one (`DefaultRetentionDays`)."""
DEFAULT_TRACKED_RETENTION = timedelta(minutes=5)
DEFAULT_DEADLINE = timedelta(days=1)

_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")
_MAX_NAME_LENGTH = 50
_MAX_LOCK_LIMIT = 10
_MARK = "__asyncjob__"
_ROUTE = re.compile(r"(GET|POST|PUT|PATCH|DELETE) (/([A-Za-z0-9._~-]+|\{[A-Za-z][A-Za-z0-9_]*\}))+")

INPUT_BYTES = "$bytes"
"""The size of a job whose input has no number by which jobs grow: the bytes of its JSON."""
GENERIC = "generic"
"""The tracked job type that always exists, and the type of a submit without one."""

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Exclusive:
    """A lock that jobs run under: of all that share it, at most `limit` are in progress at the same time.

    Job types that name the same lock share it; they must agree on its scope and limit.

    - `scope`: which jobs share it: those of all owners, of each owner, or of one owner with the same input.
    - `policy`: the answer to a submit while it is held. `REJECT` answers 409 `JOB_CREATION_FAILED`. `JOIN` answers with the
      running job if it belongs to the caller and has the same type, and rejects otherwise. `QUEUE` accepts, and the job waits.
    - `limit`: 1 to 10. Each costs a claim one read unit.

    Raises `InvalidJob` for any other value.
    """

    name: str
    scope: Literal["GLOBAL", "OWNER", "INPUT"] = "GLOBAL"
    policy: Literal["REJECT", "JOIN", "QUEUE"] = "REJECT"
    limit: int = 1

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or len(self.name) > _MAX_NAME_LENGTH:
            raise InvalidJob(
                f"{self.name!r} is not a valid name for a lock: use lower-case words joined by dots, such as 'cache'."
            )
        for option, value in (("scope", self.scope), ("policy", self.policy)):
            allowed = typing.get_args(typing.get_type_hints(Exclusive)[option])
            if value not in allowed:
                raise InvalidJob(f"The lock {self.name!r}: {option} is {value!r}; it must be one of {', '.join(allowed)}.")
        if type(self.limit) is not int or not 1 <= self.limit <= _MAX_LOCK_LIMIT:
            raise InvalidJob(f"The lock {self.name!r}: limit is {self.limit!r}; it must be 1 to {_MAX_LOCK_LIMIT}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobType:
    """A job type without its code: what `@job` or `tracked_job` declares."""

    name: str
    module: str
    function: str
    description: str
    is_async: bool
    expected: timedelta
    timeout: timedelta
    max_attempts: int
    retention: timedelta
    retention_from: RetentionFrom
    deadline: timedelta
    immediate: bool | None
    dedupe: timedelta
    priority: Priority
    exclusive: Exclusive | None
    routes: tuple[str, ...]
    synchronous_routes: tuple[str, ...]
    input_schema: Mapping[str, Any] = field(default_factory=dict)
    output_schema: Mapping[str, Any] = field(default_factory=dict)
    """Both are empty until `JobDefinition.describe` makes them: that takes pydantic."""
    tracked: bool = False
    """Whether it has no function here: an outside worker reports on its jobs."""
    retry_timeouts: bool = True
    has_default_retention: bool = False
    """Whether the deployment decides about the retention."""
    size: str | None = None
    """The number in the input by which its jobs grow, or `INPUT_BYTES`."""


type_without_options = functools.partial(
    JobType,
    is_async=False,
    retention_from=RetentionFrom.END,
    immediate=False,
    dedupe=timedelta(0),
    priority=Priority.STANDARD,
    exclusive=None,
    routes=(),
    synchronous_routes=(),
)
"""Makes a job type that `@job` does not declare: a tracked one, or one of the library."""


def job(
    name: str,
    *,
    expected_seconds: float = 10,
    timeout_seconds: float = 60,
    max_attempts: int = 3,
    retry_timeouts: bool = True,
    retention_seconds: float | None = None,
    retention_from: Literal["CREATION", "END"] = "END",
    deadline_seconds: float = DEFAULT_DEADLINE.total_seconds(),
    immediate: bool | None = None,
    dedupe_seconds: float = 0,
    size: str | None = None,
    priority: Literal["high", "standard", "low"] = "standard",
    exclusive: Exclusive | None = None,
    route: str | Sequence[str] = (),
    synchronous_route: str | Sequence[str] = (),
) -> Callable[[F], F]:
    """Make the function below a job type. The function itself does not change, so a test just calls it.

    The function, `def` or `async def`, takes its input and a `JobContext` and returns its output, or yields the items of a
    list. The annotations of input and output are types that pydantic supports; input that does not fit is rejected before
    the job is accepted. Other decorators may be above or below this one if they use `functools.wraps`.

    - `name`: the job type that clients submit: lower-case words joined by dots, 50 characters at most.
    - `expected_seconds`: how long it usually takes.
    - `timeout_seconds`: the longest time of one attempt, up to 890; then `TimeLimitExceeded` is raised in it. Up to 60 the
      attempt runs on one lease and costs no heartbeat; above, it renews its lease every 8 s, one write unit each.
    - `max_attempts`: 1 to 10. Every exception but `Fatal` leads to another attempt, after a backoff with full jitter.
    - `retry_timeouts`: whether `TimeLimitExceeded` leads to another attempt. False: the job fails, since its input alone
      decides how long it takes.
    - `retention_seconds`: how long the job and its result are kept; 60 s to 90 days. None: for as long as the deployment says
      (`DefaultRetentionDays`, 7 days).
    - `retention_from`: the start of the retention: the job's end, or its creation. In any case at least a minute from the end.
    - `immediate`: whether the submit function may run the job when it is quick and has attempts left. True: if measured
      durations show that it is quick or, without enough of them, its `expected_seconds` does (0.5 or less, unless the
      deployment has another threshold). None: the same, but only if its `expected_seconds` is quick. False: never, for jobs
      that need the worker's memory, role or network.
    - `dedupe_seconds`: for how long after its submit the same input of the same owner is the same job, unless it failed or was
      cancelled; no longer than `retention_seconds`, 0 is never. It costs a submit one more write unit. An `Idempotency-Key` takes precedence.
    - `size`: the member of the input with the number by which its jobs grow, such as `"tables"`, or `INPUT_BYTES`. Durations are
      then learned apart for 0 to 9, 10 to 99, 100 to 999 and so on.
    - `priority`: the queue that its jobs wait in, unless a submit sets another: they wait only for jobs of that priority.
    - `exclusive`: the lock that its jobs run under: see `Exclusive`. Such a job never runs in the submit function.
    - `route`: its own routes, below the API's base path, such as `"POST /import/{name}"`: path, query and body become the input,
      and the answer is that of `POST /jobs`. Each needs its line in the template.
    - `synchronous_route`: routes for callers without support for jobs: they wait, up to 20 s, for the bare result.
    - `deadline_seconds`: when the job must have ended, counted from its submit, waiting and retries included; up to a day.

    Raises `InvalidJob` when an option is out of range or the function cannot be a job.
    """
    _check_name(name)
    retention = DEFAULT_RETENTION
    if retention_seconds is not None:
        retention = _seconds(name, "retention_seconds", retention_seconds, MIN_RETENTION, MAX_RETENTION)
    declared = functools.partial(
        JobType,
        name=name,
        expected=_seconds(name, "expected_seconds", expected_seconds, timedelta(0), MAX_TIMEOUT),
        timeout=_seconds(name, "timeout_seconds", timeout_seconds, timedelta(seconds=1), MAX_TIMEOUT),
        max_attempts=max_attempts,
        retry_timeouts=retry_timeouts,
        retention=retention,
        has_default_retention=retention_seconds is None,
        retention_from=_retention_from(name, retention_from),
        deadline=_seconds(name, "deadline_seconds", deadline_seconds, timedelta(minutes=1), MAX_DEADLINE),
        immediate=immediate,
        # An expired job cannot be returned for the same input.
        dedupe=_seconds(name, "dedupe_seconds", dedupe_seconds, timedelta(0), retention),
        size=size,
        priority=_priority(name, priority),
        exclusive=exclusive,
        routes=_routes(name, route),
        synchronous_routes=_routes(name, synchronous_route),
    )
    if type(max_attempts) is not int or not 1 <= max_attempts <= MAX_ATTEMPTS_LIMIT:
        raise InvalidJob(f"{name}: max_attempts is {max_attempts!r}; it must be 1 to {MAX_ATTEMPTS_LIMIT}.")

    def decorate(function: F) -> F:
        _check_signature(name, function)
        job_type = declared(
            module=function.__module__,
            function=function.__name__,
            description=(function.__doc__ or "").strip().partition("\n")[0],
            is_async=_is_async(function),
        )
        definition = JobDefinition(function, job_type)
        _declared.setdefault(function.__module__, []).append(definition)
        setattr(function, _MARK, definition)
        return function

    return decorate


def tracked_job(
    name: str,
    *,
    description: str = "",
    expected_seconds: float = 10,
    retention_seconds: float = DEFAULT_TRACKED_RETENTION.total_seconds(),
    deadline_seconds: float = DEFAULT_DEADLINE.total_seconds(),
) -> JobType:
    """Declare a job type without a function: an outside worker does the work and reports on it.

    Assign the returned job type to a variable of a module in the jobs layer; the catalog finds it there.

    - `name`: the job type that clients submit, by the rule of `@job`.
    - `description`: one sentence for `GET /api/v1/job-types`.
    - `expected_seconds`: how long it usually takes, up to 30 days; clients can read it.
    - `retention_seconds`: how long the job and its result are kept after the end; 60 s to 90 days.
    - `deadline_seconds`: how long after its submit the worker may report; then the job fails. Up to 30 days.

    Raises `InvalidJob` when an option is out of range.
    """
    _check_name(name)
    deadline = _seconds(name, "deadline_seconds", deadline_seconds, timedelta(minutes=1), MAX_TRACKED_DEADLINE)
    return type_without_options(
        name=name,
        module="",
        function="",
        description=description,
        expected=_seconds(name, "expected_seconds", expected_seconds, timedelta(0), MAX_TRACKED_DEADLINE),
        timeout=deadline,
        max_attempts=0,
        retention=_seconds(name, "retention_seconds", retention_seconds, timedelta(minutes=1), MAX_RETENTION),
        deadline=deadline,
        # The outside worker has its input already; `metadata` is for the job's readers.
        input_schema={"type": "object", "maxProperties": 0},
        output_schema={},
        tracked=True,
    )


@dataclass(frozen=True)
class JobDefinition:
    """A job type with its code."""

    function: Callable[..., Any]
    job_type: JobType

    @functools.cached_property
    def input_adapter(self) -> TypeAdapter[Any]:
        """The adapter that reads the job's input."""
        parameter = next(iter(inspect.signature(self.function).parameters))
        return self._adapter(parameter, f"its input {parameter!r}")

    @functools.cached_property
    def output_adapter(self) -> TypeAdapter[Any]:
        """The adapter that checks the job's output."""
        return self._adapter("return", "its output")

    def read_input(self, text: str | bytes) -> Any:
        """Make the job's input from JSON. A decimal gets all digits of its number. Raises pydantic's `ValidationError`."""
        if self._has_decimals and (value := _with_long_numbers(text)) is not None:
            # Submit has checked the types; a strict model accepts a date's text only from JSON.
            return self.input_adapter.validate_python(value, strict=False)
        return self.input_adapter.validate_json(text)

    @functools.cached_property
    def _has_decimals(self) -> bool:
        return _has_type(self.input_adapter.core_schema, "decimal")

    def _adapter(self, parameter: str, what: str) -> TypeAdapter[Any]:
        from pydantic import TypeAdapter  # noqa: PLC0415 - see TYPE_CHECKING above
        from pydantic.errors import PydanticUserError  # noqa: PLC0415

        try:
            hints = typing.get_type_hints(self.function, include_extras=True)
            if parameter in hints:
                return TypeAdapter(_listed(_without_stream(hints[parameter])) if parameter == "return" else hints[parameter])
        except (PydanticUserError, NameError) as error:
            raise InvalidJob(f"{self.job_type.name}: pydantic does not support the type of {what}: {error}") from error
        raise InvalidJob(f"{self.job_type.name}: annotate {what}, so that it can be checked and described.")


def load(job_type: JobType) -> JobDefinition:
    """Import the job's module and return the job.

    Raises `StaleCatalog` when it is not there, and any error that the module raises while it is imported.
    """
    definition = definition_of(getattr(importlib.import_module(job_type.module), job_type.function, None))
    if definition is None or definition.job_type.name != job_type.name:
        raise StaleCatalog(f"{job_type.module}.{job_type.function} is not the job {job_type.name!r}; run `make catalog`.")
    return definition


def definition_of(function: object) -> JobDefinition | None:
    """Return the definition that `@job` made of the function; None for anything else.

    A decorator above `@job` has its own function, with the mark that `functools.wraps` copies: the worker calls that one, as
    everybody else does.
    """
    definition = getattr(function, _MARK, None)
    if not isinstance(definition, JobDefinition) or not callable(function):
        return None
    if function is definition.function:
        return definition
    return JobDefinition(function, replace(definition.job_type, is_async=_is_async(function)))


def declared_in(module: str) -> Sequence[JobDefinition]:
    """Return all definitions that `@job` made in the module, also those that the module has under no name."""
    return _declared.get(module, ())


_declared: dict[str, list[JobDefinition]] = {}


def _check_signature(name: str, function: Callable[..., Any]) -> None:
    parameters = inspect.signature(function).parameters.values() if callable(function) else ()
    positional = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    missing = [each.name for each in parameters if each.kind is each.KEYWORD_ONLY and each.default is each.empty]
    if len(positional) == len(("input", "context")) and not missing and hasattr(function, "__name__"):
        return
    if any(each.kind is each.VAR_POSITIONAL for each in parameters) or (
        callable(function) and not hasattr(function, "__name__")
    ):
        raise InvalidJob(
            f"{name}: a decorator below @job hides the job's two arguments. Use functools.wraps in the decorator, or write it "
            "above @job."
        )
    found = ", ".join(each.name for each in parameters)
    raise InvalidJob(
        f"{name}: a job takes exactly two arguments, its input and its context: def f(input, context). This one has ({found})."
    )


def _is_async(function: Callable[..., Any]) -> bool:
    """Return whether a call needs an event loop. A decorator's function may return the coroutine of the one below it."""
    each: Any = function
    while each is not None:
        if inspect.iscoroutinefunction(each) or inspect.isasyncgenfunction(each):
            return True
        each = getattr(each, "__wrapped__", None)
    return False


def _listed(annotation: Any) -> Any:
    """Return the type of a generator's result, which is a list: the items that it yields."""
    if typing.get_origin(annotation) in _ITERATORS:
        return list[typing.get_args(annotation)[0]]  # type: ignore[misc]  # a type made at run time
    return annotation


_ITERATORS = frozenset({Iterator, Iterable, Generator, AsyncIterator, AsyncIterable, AsyncGenerator})


class _LongNumber(float):
    """A number with more digits than a float holds. Pydantic makes a decimal of its text, and a float of its value."""

    def __new__(cls, text: str) -> Self:
        """Keep the text, too."""
        number = super().__new__(cls, text)
        number.text = text
        return number

    text: str

    def __str__(self) -> str:
        return self.text


def _with_long_numbers(text: str | bytes) -> Any:
    """Return the value of the JSON text if it has a number with more digits than a float holds; otherwise None."""
    found: list[_LongNumber] = []

    def number(digits: str) -> float:
        if not isinstance(exact_number(digits), Decimal):
            return float(digits)
        found.append(_LongNumber(digits))
        return found[-1]

    value = json.loads(text, parse_float=number)
    return value if found else None


def _has_type(schema: Any, name: str) -> bool:
    """Return whether a core schema of pydantic has this type anywhere in it."""
    if isinstance(schema, dict):
        return schema.get("type") == name or any(_has_type(part, name) for part in schema.values())
    return isinstance(schema, (list, tuple)) and any(_has_type(part, name) for part in schema)


def _without_stream(annotation: Any) -> Any:
    """Return the type of a streamed result: the rest of `Output | ResultStream`."""
    if typing.get_origin(annotation) not in (typing.Union, types.UnionType):
        return Any if annotation is ResultStream else annotation
    rest = tuple(member for member in typing.get_args(annotation) if member is not ResultStream)
    return typing.Union[rest]  # noqa: UP007 - made from a tuple, which `|` cannot be


def _routes(name: str, given: str | Sequence[str]) -> tuple[str, ...]:
    routes = (given,) if isinstance(given, str) else tuple(given)
    for route in routes:
        if not _ROUTE.fullmatch(route):
            raise InvalidJob(f"{name}: {route!r} is not a route: write a method and a path, such as 'POST /import/{{name}}'.")
    return routes


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or len(name) > _MAX_NAME_LENGTH:
        raise InvalidJob(
            f"{name!r} is not a valid name for a job type: use lower-case words joined by dots, such as 'document.extract', "
            f"at most {_MAX_NAME_LENGTH} characters."
        )


def _retention_from(name: str, value: str) -> RetentionFrom:
    try:
        return RetentionFrom(value)
    except ValueError:
        raise InvalidJob(f"{name}: retention_from is {value!r}; it must be 'CREATION' or 'END'.") from None


def _priority(name: str, value: str) -> Priority:
    try:
        return Priority(value)
    except ValueError:
        raise InvalidJob(f"{name}: priority is {value!r}; it must be {', '.join(map(repr, map(str, Priority)))}.") from None


def _seconds(name: str, option: str, value: float, least: timedelta, most: timedelta) -> timedelta:
    if isinstance(value, bool) or not least.total_seconds() <= value <= most.total_seconds():
        raise InvalidJob(f"{name}: {option} is {value!r}; it must be {least.total_seconds():g} to {most.total_seconds():g}.")
    return timedelta(seconds=value)

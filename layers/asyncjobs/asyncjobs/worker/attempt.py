"""An attempt: run the user's code, and turn its end into an outcome."""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from traceback import clear_frames
from typing import Any, BinaryIO

from pydantic import ValidationError

from asyncjobs import log
from asyncjobs.context import ArtifactStream, ResultStream
from asyncjobs.core.clock import Clock
from asyncjobs.core.errors import (
    Fatal,
    InputMissing,
    InputTypeChanged,
    JobError,
    JobInterrupted,
    Retry,
    TimeLimitExceeded,
    Unavailable,
    UnknownJobType,
)
from asyncjobs.core.job import GRACE, INVALID_INPUT, MAX_ERROR_MESSAGE, AsyncJob, JobFailure, Result
from asyncjobs.core.named_events import checked_event
from asyncjobs.core.placement import (
    INLINE_RESULT_LIMIT,
    MAX_FILE_NAME,
    artifact_reference,
    check_artifact,
    is_file_name,
    is_upload_key,
)
from asyncjobs.core.ports import Objects, StoredUpload
from asyncjobs.jobtypes.decorator import JobDefinition
from asyncjobs.worker.event_loop import JobTask
from asyncjobs.worker.heartbeat import Heartbeat, storable
from asyncjobs.worker.plan import Plan
from asyncjobs.worker.process_state import STATE, call_apart
from asyncjobs.worker.raised import deciding
from asyncjobs.worker.results import Artifact, LimitedResult, places, result_json
from asyncjobs.worker.steps import blocking


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The job returned, and its result is stored."""

    result: Result


@dataclass(frozen=True, slots=True)
class Errored:
    """The attempt failed for a `reason`. `exception` is all that was raised, for the operator's log."""

    failure: JobFailure
    reason: BaseException
    exception: BaseException

    @property
    def after(self) -> timedelta | None:
        """The delay that the job itself requested."""
        return self.reason.after if isinstance(self.reason, Retry) else None


@dataclass(frozen=True, slots=True)
class Stopped:
    """The job was cancelled or taken over while it ran: there is nothing to record."""

    reason: JobInterrupted


Outcome = Succeeded | Errored | Stopped


class Attempt:
    """A claimed job about to run, and the job's `JobContext`."""

    def __init__(
        self, *, heartbeat: Heartbeat, objects: Objects, plan: Plan, clock: Clock, ends_at: datetime, max_result: int
    ) -> None:
        self._heartbeat = heartbeat
        self._objects = objects
        self._plan = plan
        self._clock = clock
        self._ends_at = ends_at
        self._max_result = max_result
        self._stream: LimitedResult | None = None
        self._artifacts: list[Artifact] = []

    # ── For the executor ───────────────────────────────────────────────────────────────────────────

    def run(self) -> Outcome:
        """Run a plain function."""
        try:
            # An interruption that came before this call had nothing to raise in.
            self._heartbeat.raise_interruption()
            definition = self._load()
            return call_apart(partial(self._call, definition))
        except BaseException as error:  # noqa: BLE001 - a job's code may raise anything
            return self.errored(error)

    async def run_async(self, task: JobTask) -> Outcome:
        """Run a coroutine function. An interruption reaches it as the cancellation of what it awaits."""
        try:
            self._heartbeat.raise_interruption()
            definition = self._load()
            given = await task.call(partial(self._input, definition), seconds=self.remaining_seconds)
            returned = await task.run(_awaited(definition.function(given, self)), seconds=self.remaining_seconds)
            return await task.call(partial(self._completed, definition, returned), seconds=self.remaining_seconds)
        except BaseException as error:  # noqa: BLE001 - a job's code may raise anything
            return await blocking(self.errored, error)

    def errored(self, error: BaseException) -> Errored | Stopped:
        """Return the outcome of a job that raised this error."""
        for stream in (self._stream, *self._artifacts):
            if stream is not None:
                stream.discard()
        reason = deciding(error)
        if isinstance(reason, JobInterrupted) and not isinstance(reason, TimeLimitExceeded):
            return Stopped(reason)
        if isinstance(reason, MemoryError):
            # Free the job's own variables: recording its end needs memory.
            clear_frames(reason.__traceback__)
            # Other memory may be kept, and any module may be left half changed: an allocation fails anywhere.
            STATE.replace_process("memory")
        code, message, retryable = _explain(reason)
        if isinstance(reason, TimeLimitExceeded):
            retryable = self._plan.retries_timeouts
        failure = JobFailure(
            code=code, message=storable(message)[:MAX_ERROR_MESSAGE], type=type(reason).__name__, retryable=retryable
        )
        return Errored(failure, reason=reason, exception=error)

    # ── For the job: see JobContext ────────────────────────────────────────────────────────────────

    @property
    def async_job_id(self) -> str:
        return self._job.async_job_id

    @property
    def owner(self) -> str:
        return self._job.owner

    @property
    def attempt(self) -> int:
        return self._job.attempt

    @property
    def max_attempts(self) -> int:
        return self._job.max_attempts

    @property
    def effect_key(self) -> str:
        return self._job.effect_key

    @property
    def remaining_seconds(self) -> float:
        return max((self._ends_at - self._clock()).total_seconds(), 0.0)

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        return log.for_job(self._job)

    def progress(self, percent: float, message: str | None = None) -> None:
        self._heartbeat.report(percent, message)

    def event(self, name: str, data: Mapping[str, Any] | None = None) -> None:
        self._heartbeat.send(checked_event(name, {} if data is None else data))

    def check(self) -> None:
        self._heartbeat.report()

    def stream_result(self, content_type: str = "application/json") -> ResultStream:
        if self._stream is not None:
            raise RuntimeError("An attempt has one result: stream_result may be called once.")
        self._stream = LimitedResult(self._objects.open_result(self._job, content_type), self._max_result)
        return self._stream

    def open_artifact(self, name: str, content_type: str) -> ArtifactStream:
        number = len(self._artifacts) + 1
        check_artifact(name, number=number)
        writer = self._objects.open_artifact(self._job, number, name=name, content_type=content_type)
        self._artifacts.append(Artifact(writer, self._max_result, artifact_reference(number)))
        return self._artifacts[-1]

    def open_input(self, key: str) -> BinaryIO:
        try:
            return self._objects.open_upload(self._job.owner, key)
        except InputMissing as error:
            raise Fatal(f"There is no object {key!r} in your inputs area.", code="INPUT_MISSING") from error

    # None of these takes an owner: it is always the job's own.

    def uploads(self) -> Iterator[StoredUpload]:
        return self._objects.uploads(self._job.owner)

    def delete_upload(self, key: str) -> None:
        if not is_upload_key(key):
            raise Fatal(f"{key!r} is not the key of an upload: it is `uploads/` and an id.", code="NOT_AN_UPLOAD")
        self._objects.delete_upload(self._job.owner, key)

    def open_file(self, name: str) -> BinaryIO:
        try:
            if is_file_name(name):
                return self._objects.open_file(self._job.owner, name)
        except InputMissing as error:
            raise Fatal(f"None of your jobs has saved a file {name!r}.", code="FILE_MISSING") from error
        raise _invalid_file_name(name)

    def save_file(self, name: str, file: BinaryIO) -> None:
        if not is_file_name(name):
            raise _invalid_file_name(name)
        self._objects.save_file(self._job.owner, name, file)

    # ── Steps ──────────────────────────────────────────────────────────────────────────────────────

    @property
    def _job(self) -> AsyncJob:
        return self._heartbeat.job

    def _load(self) -> JobDefinition:
        if not self._plan.is_loaded:
            STATE.prepare_import()
        definition = self._plan.load()
        STATE.note_imports()
        return definition

    def _call(self, definition: JobDefinition) -> Succeeded:
        returned = definition.function(self._input(definition), self)
        return self._completed(definition, returned)

    def _input(self, definition: JobDefinition) -> Any:
        job = self._job
        text = self._objects.get_input(job) if job.input_location else job.input or "null"
        try:
            return definition.read_input(text)
        except ValidationError as error:
            where = places(error.errors(include_input=False), is_input=True)
            if self._plan.allows_input(text):
                raise Fatal(f"The input is not valid. {where}", code=INVALID_INPUT) from error
            # The submit has checked the input by the schema that the type had then.
            raise InputTypeChanged(
                f"The input fitted its job type when it was submitted, and the type has changed since. {where}",
                after=self._until_next_attempt(),
            ) from error

    def _until_next_attempt(self) -> timedelta:
        """Return a delay that leaves attempts for as long as the job may run: the last one begins just before its deadline."""
        job = self._job
        left = job.deadline_at - self._clock() - self._plan.timeout - GRACE
        attempts_between = max(job.max_attempts - job.attempt - 1, 0)
        return max(left / float(16**attempts_between), timedelta(0))

    def _completed(self, definition: JobDefinition, returned: Any) -> Succeeded:
        for artifact in self._artifacts:
            if artifact.is_open:
                artifact.close()
        succeeded = self._succeeded(definition, returned)
        if self._artifacts and succeeded.result.text is None:
            # No answer could show links in it: its readers get it from the bucket.
            raise Fatal(
                f"A result with artifacts has {INLINE_RESULT_LIMIT // 1024} KB of JSON at most. Put the rest into an artifact.",
                code="RESULT_TOO_LARGE",
            )
        return succeeded

    def _succeeded(self, definition: JobDefinition, returned: Any) -> Succeeded:
        if self._stream is not None and returned is self._stream:
            return Succeeded(self._stream.close())
        data = result_json(definition, returned, limit=self._max_result)
        if len(data) <= INLINE_RESULT_LIMIT:
            return Succeeded(Result(text=data.decode()))
        with self._objects.open_result(self._job) as writer:
            writer.write(data)
        return Succeeded(writer.close())


def _invalid_file_name(name: str) -> ValueError:
    return ValueError(
        f"{name!r} is not a name for a file: use up to {MAX_FILE_NAME} letters, digits, `.`, `_`, `-`, in parts joined by `/`."
    )


async def _awaited(returned: Any) -> Any:
    """Return what a coroutine function returns, or the items that an asynchronous generator yields."""
    if inspect.isawaitable(returned):
        # A decorator between `@job` and a coroutine function may return either.
        returned = await returned
    if isinstance(returned, AsyncIterator):
        return [item async for item in returned]
    return returned


def _explain(error: BaseException) -> tuple[str, str, bool]:
    """Return the error's code, a message for the job's owner, and whether another attempt may help."""
    if isinstance(error, JobError):
        return error.code, error.message, isinstance(error, Retry)
    for kind, explanation in _EXPLANATIONS.items():
        if isinstance(error, kind):
            return explanation
    return "JOB_RAISED", f"The job raised {type(error).__name__}; its traceback is in the log.", True


_EXPLANATIONS: dict[type[BaseException], tuple[str, str, bool]] = {
    InputMissing: ("INPUT_MISSING", "The job's input does not exist any more. Submit it again.", False),
    UnknownJobType: ("UNKNOWN_JOB_TYPE", "The worker does not have this job type.", True),
    Unavailable: ("UNAVAILABLE", "A service that the job needs was not available.", True),
    TimeLimitExceeded: (
        "TIME_LIMIT_EXCEEDED",
        "The attempt used up its time: its timeout, or what was left before the deadline.",
        True,
    ),
    # Jobs that run side by side share the memory, so another attempt may have more of it.
    MemoryError: ("OUT_OF_MEMORY", "The job needs more memory than its worker has. Submit a smaller input.", True),
}

"""Every error of this library, on one page.

Two roots, because two kinds of reader catch them: `AsyncJobsError` is an ordinary exception; `JobInterrupted` says that
a running job must stop now, and is no `Exception`, so that a job's own `except Exception` cannot swallow it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncjobs.core.rate import Quota

_CODE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")


class AsyncJobsError(Exception):
    """The root of what can go wrong."""


# ── Raised by a job ────────────────────────────────────────────────────────────────────────────────


class JobError(AsyncJobsError):
    """An ending that a job chose itself. Its message and code are shown to the API's client."""

    default_code = "JOB_ERROR"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = str(message)
        self.code = self.default_code if code is None else code
        if not _CODE.fullmatch(self.code):
            raise ValueError(f"{code!r} is no code: use capitals, digits and underscores, 64 at most, such as 'BROKEN_PDF'.")


class Fatal(JobError):
    """Raise it to fail the job at once: another attempt would end the same way."""


class Retry(JobError):
    """Raise it to be tried again, after `after` (seconds or a timedelta) or, with none given, after the usual backoff.

    It uses up an attempt; a `Retry` from the last one fails the job.
    """

    default_code = "JOB_RETRIED"

    def __init__(self, message: str, *, after: float | timedelta | None = None, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.after = after if after is None or isinstance(after, timedelta) else timedelta(seconds=after)


class JobInterrupted(BaseException):
    """The root of what stops a running job from outside. Let it pass: `finally` runs, nothing of the job is recorded."""


class JobCancelled(JobInterrupted):
    """Somebody cancelled the job while it ran."""


class LeaseLost(JobInterrupted):
    """Another attempt has taken the job over, or it has ended; what this one still does cannot be recorded."""


class TimeLimitExceeded(JobInterrupted):
    """The attempt's time is used up. A few seconds remain for `finally`."""


# ── Raised while a job is written or loaded ────────────────────────────────────────────────────────


class InvalidJob(AsyncJobsError):
    """The `@job` decorator was given something that cannot become a job type; the message says what to change."""


class StaleCatalog(AsyncJobsError):
    """The catalog is missing, or does not say what the decorators say; `make catalog` writes it anew."""


class UnknownJobType(AsyncJobsError):
    """No job type has this name."""

    def __init__(self, job_type: str) -> None:
        super().__init__(f"There is no job type {job_type!r}.")
        self.job_type = job_type


# ── Raised by the service ──────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class InputProblem:
    """One thing wrong with an input: where (a JSON pointer, RFC 6901) and what."""

    pointer: str
    detail: str


class InvalidInput(AsyncJobsError):
    """The input does not fit its schema. `problems` names each place."""

    def __init__(self, problems: Sequence[InputProblem]) -> None:
        super().__init__("; ".join(f"{p.pointer or '/'}: {p.detail}" for p in problems))
        self.problems = tuple(problems)


class InvalidReport(InvalidInput):
    """A report of a tracked job that makes no sense. `problems` names each place."""


class ResultTooLarge(AsyncJobsError):
    """A reported result is larger than a record holds; `size` and `limit` are bytes of JSON."""

    def __init__(self, *, size: int, limit: int) -> None:
        super().__init__(f"The result has {size} bytes; {limit} are the most.")
        self.size = size
        self.limit = limit


class JobNotTracked(AsyncJobsError):
    """The job runs here; nobody outside can report of it."""


class JobHasEnded(AsyncJobsError):
    """A report came too late; `status` says how the job ended."""

    def __init__(self, status: str) -> None:
        super().__init__(f"The job is {status}.")
        self.status = status


class InvalidWorkerToken(AsyncJobsError):
    """The token is no token, or not this job's, or its job is gone: nobody is told which."""


class JobNotFound(AsyncJobsError):
    """There is no such job, or it is somebody else's, or it has expired: nobody is told which."""


class JobAlreadyFinished(AsyncJobsError):
    """The job had ended before it could be cancelled."""


class JobNotFinished(AsyncJobsError):
    """The job has not ended, and only a finished one can be deleted."""


class JobNotRetryable(AsyncJobsError):
    """The job neither failed nor was cancelled, so there is nothing to do again; or nobody here would do it (a tracked one)."""


class IdempotencyKeyReused(AsyncJobsError):
    """The idempotency key already belongs to a different request."""


class InvalidCursor(AsyncJobsError):
    """The cursor was not made for this list, or was damaged."""


class NotAdmitted(AsyncJobsError):
    """The job was not taken, for now: nothing of it is kept. Asking again after `retry_after` is worth it."""

    def __init__(self, message: str, *, retry_after: timedelta, quota: Quota | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.quota = quota


class SubmitRateExceeded(NotAdmitted):
    """The owner submits more often than one may."""


class TooManyLiveJobs(NotAdmitted):
    """The owner has as many unfinished jobs as one may have."""


class Busy(NotAdmitted):
    """More jobs wait than the deployment lets wait, whosever they are."""


class AnotherIsRunning(NotAdmitted):
    """Another job holds the lock that this one needs; `async_job_id` names it if it is the caller's own."""

    def __init__(self, *, retry_after: timedelta, async_job_id: str | None) -> None:
        super().__init__("Another job holds the lock.", retry_after=retry_after)
        self.async_job_id = async_job_id


class IllegalMove(AsyncJobsError):
    """A change of state that the job's state does not allow: a mistake in this library, never in its use."""


# ── Raised by the adapters ─────────────────────────────────────────────────────────────────────────


class Unavailable(AsyncJobsError):
    """An AWS service did not answer, or refused for now, also after the SDK's own retries. Later may be better."""


class InputMissing(AsyncJobsError):
    """An input object is not in the bucket."""


class MalformedMessage(AsyncJobsError):
    """A queue message that no job can be made of."""

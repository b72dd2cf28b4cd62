"""The errors that several parts of this library know, on one page. One that only a module's caller catches is in that module.

There are two roots. `AsyncJobsError` is an ordinary exception. `JobInterrupted` stops a running job; it is not an
`Exception`, so that a job's own `except Exception` cannot catch it.
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
    """The root of all ordinary errors."""


# ── Raised by a job ────────────────────────────────────────────────────────────────────────────────


def _is_code(code: object) -> bool:
    return isinstance(code, str) and _CODE.fullmatch(code) is not None


def _not_a_code(code: object) -> str:
    return f"{code!r} is not an error code: use capitals, digits and underscores, 64 at most, such as 'BROKEN_PDF'."


class JobError(AsyncJobsError):
    """An ending that the job chose. The API's client reads its message and code."""

    default_code = "JOB_ERROR"

    def __init_subclass__(cls) -> None:
        """Check the code of a class that a job defines, while its module is imported."""
        super().__init_subclass__()
        if not _is_code(cls.default_code):
            raise InvalidErrorCode(f"{cls.__name__}: {_not_a_code(cls.default_code)}")

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = str(message)
        self.code = self.default_code if code is None else code
        if not _is_code(self.code):
            raise InvalidErrorCode(f"{_not_a_code(self.code)} The job ended with: {message}")


class Fatal(JobError):
    """Fail the job without another attempt, which would end the same way."""


class InvalidErrorCode(Fatal):
    """A `Fatal` or `Retry` has an invalid code. The job fails: another attempt would come to the same mistake."""

    default_code = "INVALID_ERROR_CODE"


class InvalidRetryDelay(Fatal):
    """A `Retry` has an invalid delay. The job fails: another attempt would come to the same mistake."""

    default_code = "INVALID_RETRY_DELAY"


class Retry(JobError):
    """Run the job again after `after` (seconds or a timedelta), or without it after the usual backoff.

    Each `Retry` uses up an attempt; the last attempt's fails the job.
    """

    default_code = "JOB_RETRIED"

    def __init__(self, message: str, *, after: float | timedelta | None = None, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.after = after if after is None or isinstance(after, timedelta) else self._delay(after)

    @staticmethod
    def _delay(after: float) -> timedelta:
        try:
            return timedelta(seconds=after)
        except OverflowError:
            return timedelta.max if after > 0 else timedelta(0)
        except (TypeError, ValueError):
            raise InvalidRetryDelay(f"{after!r} is not a delay: pass seconds or a timedelta as `after`.") from None


class InputTypeChanged(Retry):
    """A release has changed the type of a waiting job, and its input does not fit any more. Another release may read it."""

    default_code = "INPUT_TYPE_CHANGED"


class JobInterrupted(BaseException):
    """The root of interruptions of a running job. Let them pass: `finally` runs, and nothing of the attempt is recorded."""


class JobCancelled(JobInterrupted):
    """The job was cancelled while it ran."""


class LeaseLost(JobInterrupted):
    """Another attempt has taken the job over, or the job has ended; this attempt can record nothing any more."""


class TimeLimitExceeded(JobInterrupted):
    """The attempt's time is used up. A few seconds remain for `finally`."""


# ── Raised while a job is written or loaded ────────────────────────────────────────────────────────


class InvalidJob(AsyncJobsError):
    """The `@job` decorator has invalid options; the message says what to change."""


class StaleCatalog(AsyncJobsError):
    """The catalog is missing or differs from the decorators; `make catalog` writes it."""


class InvalidDialect(AsyncJobsError):
    """The deployment names a dialect that does not exist, or is none; the message says what to do."""


class UnknownJobType(AsyncJobsError):
    """No job type has this name."""

    def __init__(self, job_type: str) -> None:
        super().__init__(f"There is no job type {job_type!r}.")
        self.job_type = job_type


# ── Raised by the service ──────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class InputProblem:
    """An invalid place in an input: a JSON pointer (RFC 6901) and what is wrong there."""

    pointer: str
    detail: str


class InvalidInput(AsyncJobsError):
    """The input does not fit its schema. `problems` names each place."""

    def __init__(self, problems: Sequence[InputProblem]) -> None:
        super().__init__("; ".join(f"{p.pointer or '/'}: {p.detail}" for p in problems))
        self.problems = tuple(problems)


class InvalidReport(InvalidInput):
    """The report of a tracked job is invalid. `problems` names each place."""


class ResultTooLarge(AsyncJobsError):
    """A reported result is larger than a record holds; `size` and `limit` are bytes of JSON."""

    def __init__(self, *, size: int, limit: int) -> None:
        super().__init__(f"The result has {size} bytes; {limit} are the most.")
        self.size = size
        self.limit = limit


class JobNotTracked(AsyncJobsError):
    """The job runs here, or is an action of an administrator, so it has no outside worker that could report on it."""


class JobHasEnded(AsyncJobsError):
    """The report came after the job's end; `status` is the final one."""

    def __init__(self, status: str) -> None:
        super().__init__(f"The job is {status}.")
        self.status = status


class InvalidWorkerToken(AsyncJobsError):
    """The token is malformed, replaced, or for another job, or its job is deleted: the answer is the same for all."""


class InvalidTicket(AsyncJobsError):
    """The ticket is malformed, unknown or expired, or was used where it can be used once: the answer is the same for all."""


class TooManyWatches(AsyncJobsError):
    """The connection watches as many jobs as one may."""


class TooManyWatchers(AsyncJobsError):
    """As many connections as may watch one job, or one owner's jobs, do it already."""


class JobNotFound(AsyncJobsError):
    """The job does not exist, belongs to another owner, or has expired: the answer is the same for all."""


class JobAlreadyFinished(AsyncJobsError):
    """The job had ended before it could be cancelled."""


class JobNotFinished(AsyncJobsError):
    """The job has not ended, and only a finished one can be deleted."""


class JobNotRetryable(AsyncJobsError):
    """The job neither failed nor was cancelled; its type has become tracked, or no longer is; or it is an action on many jobs."""


class IdempotencyKeyReused(AsyncJobsError):
    """The idempotency key already belongs to a different request."""


class WebhooksOff(AsyncJobsError):
    """The deployment has no webhooks."""


class WebhookNotFound(AsyncJobsError):
    """The webhook does not exist or belongs to another owner: the answer is the same for both."""


class UnknownWebhook(AsyncJobsError):
    """The submit names a webhook that its owner does not have."""


class TooManyWebhooks(AsyncJobsError):
    """The owner has as many webhooks as allowed."""


class JobTypeNotFound(AsyncJobsError):
    """No job type of this name takes messages from a queue, so it cannot be paused."""


class TooManyPausedTypes(AsyncJobsError):
    """As many job types are paused as can be at the same time."""


class InvalidCursor(AsyncJobsError):
    """The cursor is damaged, or belongs to another list."""


class NotAdmitted(AsyncJobsError):
    """The job was rejected for now, and nothing of it is stored. Retry after `retry_after`."""

    def __init__(self, message: str, *, retry_after: timedelta, quota: Quota | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.quota = quota


class SubmitRateExceeded(NotAdmitted):
    """The owner's submit rate is above the limit."""


class TooManyLiveJobs(NotAdmitted):
    """The owner has as many unfinished jobs as the limit allows."""


class Busy(NotAdmitted):
    """More jobs of all owners wait than the limit allows."""


class AnotherIsRunning(NotAdmitted):
    """Another job holds the lock that this one needs; `async_job_id` names it if it belongs to the caller."""

    def __init__(self, *, retry_after: timedelta, async_job_id: str | None) -> None:
        super().__init__("Another job holds the lock.", retry_after=retry_after)
        self.async_job_id = async_job_id


class JobProcessLost(AsyncJobsError):
    """The process that ran the job has ended, or did not answer and was killed. Nothing of the attempt runs any more."""


class IllegalMove(AsyncJobsError):
    """The job's state does not allow this change: a bug in this library, never in its use."""


# ── Raised by the adapters ─────────────────────────────────────────────────────────────────────────


class Unavailable(AsyncJobsError):
    """An AWS service did not answer, or refused for now, also after the SDK's own retries. Try later."""


class AcceptanceUnknown(Unavailable):
    """The table did not answer the write that accepts a job. The job exists if, and only if, its id is found."""

    def __init__(self, async_job_id: str) -> None:
        super().__init__("The table did not say whether the job was accepted.")
        self.async_job_id = async_job_id


class InvocationFailed(AsyncJobsError):
    """A function failed by an error of this type, which its log has."""


class Unreadable(AsyncJobsError):
    """A stored item that this release cannot read: a newer release has written it, or something else than asyncjobs."""


class InputMissing(AsyncJobsError):
    """An input is not stored: its object is not in the bucket, or its record has none."""


class MalformedMessage(AsyncJobsError):
    """A queue message is not a job message."""

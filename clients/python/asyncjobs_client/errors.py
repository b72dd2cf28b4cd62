"""All errors of the client, under one root. Each can be pickled, and has the job's id where there is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncjobs_client.snapshot import Snapshot


class AsyncjobsError(Exception):
    """The root of all errors of this client."""

    job_id: str | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (type(self), self.args, self.__dict__.copy())


def _rebuilt(kind: type[AsyncjobsError], arguments: tuple[Any, ...], state: dict[str, Any]) -> AsyncjobsError:
    """Return an unpickled error. The constructors take other arguments than the ones that are printed."""
    error = kind.__new__(kind)
    error.args = arguments
    error.__dict__.update(state)
    return error


class NotConfigured(AsyncjobsError):
    """An address or a token is missing."""


class ApiConnectionError(AsyncjobsError):
    """The API could not be reached, or its answer was lost. A submit may have taken effect: repeat it with the same key."""

    def __init__(self, message: str, *, job_id: str | None = None) -> None:
        super().__init__(message)
        self.job_id = job_id


class ApiTimeout(ApiConnectionError):
    """The API did not answer within `timeout`, which is the time of one request."""


class ApiError(AsyncjobsError):
    """The API refused a request."""

    def __init__(self, status: int, problem: Mapping[str, Any], *, retry_after: float | None, job_id: str | None) -> None:
        self.status = status
        self.code: str | None = problem.get("code")
        """The error, for programs. None: a gateway or a proxy has answered, and not the API."""
        self.title: str = problem.get("title") or problem.get("message") or "The request was refused"
        self.detail: str | None = problem.get("detail")
        self.errors: Sequence[Mapping[str, str]] = problem.get("errors") or ()
        """The invalid places of the request, each with a `pointer` and a `detail`."""
        self.request_id: str | None = problem.get("requestId")
        self.retry_after = retry_after
        self.job_id = problem.get("asyncJobId") or job_id
        self.problem = dict(problem)
        places = "".join(f"\n  {place.get('pointer')}: {place.get('detail')}" for place in self.errors)
        code = f" {self.code}" if self.code else ""
        detail = f": {self.detail}" if self.detail else ""
        super().__init__(f"{status}{code}: {self.title}{detail}{places}")


class BadRequest(ApiError):
    """400: correct the request. `errors` has the invalid places."""


class Unauthorized(ApiError):
    """401: the token is missing, invalid or expired."""


class Forbidden(ApiError):
    """403: the token does not allow this."""


class NotFound(ApiError):
    """404: the job does not exist, belongs to another owner, or was deleted. Without a `code`: the address is wrong."""


class Conflict(ApiError):
    """409: the job's state, or another job, does not allow this."""


class KeyReused(ApiError):
    """422: the idempotency key stands for another request."""


class RateLimited(ApiError):
    """429: too many submits or unfinished jobs. `retry_after` has the seconds to wait."""


class Unavailable(ApiError):
    """5xx: the API cannot answer now."""


_BY_STATUS = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    422: KeyReused,
    429: RateLimited,
}
_SERVER_ERROR = 500


def api_error(
    status: int, problem: Mapping[str, Any], *, retry_after: float | None = None, job_id: str | None = None
) -> ApiError:
    """Return the error of the class that belongs to the status."""
    kind = _BY_STATUS.get(status, Unavailable if status >= _SERVER_ERROR else ApiError)
    return kind(status, problem, retry_after=retry_after, job_id=job_id)


class JobError(AsyncjobsError):
    """A job ended without a result. `job` is its record."""

    def __init__(self, job: Snapshot, message: str) -> None:
        super().__init__(message)
        self.job = job
        self.job_id = job.id


class JobFailed(JobError):
    """The job failed. `code` and `message` are the reasons that its record has."""

    def __init__(self, job: Snapshot) -> None:
        self.code = job.error.code if job.error else job.status or "FAILED"
        self.message = job.error.message if job.error else f"The job ended as {job.status}."
        super().__init__(job, f"Job {job.id} failed: {self.code}: {self.message}")


class JobCancelled(JobError):
    """The job was cancelled."""

    def __init__(self, job: Snapshot) -> None:
        super().__init__(job, f"Job {job.id} was cancelled.")


class GaveUp(AsyncjobsError, TimeoutError):
    """The wait is over, and the job is not. It runs on: `jobs.job(error.job_id)` waits again, in any process."""

    def __init__(self, job: Snapshot, seconds: float) -> None:
        super().__init__(f"Job {job.id} is {job.status or 'not known'} after {seconds:g} s. It runs on: wait for it again.")
        self.job = job
        self.job_id = job.id


class InvalidWebhook(AsyncjobsError, ValueError):
    """A webhook that was not signed with this secret, or not recently."""

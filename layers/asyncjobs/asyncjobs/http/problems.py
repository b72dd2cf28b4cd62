"""Problems (RFC 9457): the answers that are errors, made of the table of error codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asyncjobs.core.errors import (
    AcceptanceUnknown,
    AnotherIsRunning,
    AsyncJobsError,
    InputProblem,
    InvalidInput,
    InvalidReport,
    JobHasEnded,
    NotAdmitted,
    ResultTooLarge,
)
from asyncjobs.core.job import Status
from asyncjobs.http.error_codes import COMPUTED, ERRORS
from asyncjobs.http.render import rate_headers, whole_seconds

_BY_ERROR = {error.raised_as: error.code for error in ERRORS.values() if error.raised_as}


class Problem(AsyncJobsError):
    """An answer that is an error: one of the table's codes, and what this answer adds to it."""

    def __init__(
        self,
        code: str,
        detail: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        waiting: bool = False,
        **extensions: Any,
    ) -> None:
        error = ERRORS[code]
        fixed = {name.lower(): value for name, value in error.headers.items() if value != COMPUTED}
        self.status = error.waiting_status if waiting and error.waiting_status else error.status
        self.code = code
        self.title = error.title
        self.detail = detail or error.detail
        self.headers = {**fixed, **(headers or {})}
        self.extensions = extensions
        super().__init__(self.detail)

    @property
    def body(self) -> dict[str, Any]:
        """Return the members of the problem, without the request's id."""
        return {
            "type": f"urn:asyncjobs:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            **self.extensions,
        }


def invalid_request(*problems: InputProblem) -> Problem:
    """Return the problem that names each invalid place of the request."""
    return Problem("INVALID_REQUEST", errors=[{"pointer": problem.pointer, "detail": problem.detail} for problem in problems])


def code_of(error: AsyncJobsError) -> str:
    """Return the code of the problem that answers the error, which must be in the table."""
    return _BY_ERROR[type(error)]


def to_problem(error: Exception) -> Problem | None:  # noqa: PLR0911 - one case for each kind of error
    """Return the problem that answers the error, or None for an error that only a bug raises."""
    match error:
        case Problem():
            return error
        case InvalidReport():
            return invalid_request(*error.problems)
        case InvalidInput():
            return invalid_request(*(InputProblem(f"/input{each.pointer}", each.detail) for each in error.problems))
        case JobHasEnded():
            return _report_too_late(error.status)
        case ResultTooLarge():
            return Problem("RESULT_TOO_LARGE", f"{error} {ERRORS['RESULT_TOO_LARGE'].detail}")
        case AnotherIsRunning(async_job_id=str(async_job_id)):
            return Problem("JOB_CREATION_FAILED", headers=_admission_headers(error), asyncJobId=async_job_id)
        case AcceptanceUnknown():
            detail = f"{ERRORS['UNAVAILABLE'].detail} Get the job `asyncJobId` to find out: it was accepted if it is found."
            return Problem("UNAVAILABLE", detail, asyncJobId=error.async_job_id)
        case NotAdmitted():
            return Problem(_BY_ERROR[type(error)], headers=_admission_headers(error))
        case AsyncJobsError() if type(error) in _BY_ERROR:
            return Problem(_BY_ERROR[type(error)])
        case _:
            return None


def _report_too_late(status: str) -> Problem:
    code = "JOB_CANCELLED" if status == Status.CANCELLED else "JOB_ALREADY_FINISHED"
    return Problem(code, "Stop working on this job. It has ended and accepts no more reports.", jobStatus=status)


def _admission_headers(error: NotAdmitted) -> dict[str, str]:
    return {"retry-after": str(whole_seconds(error.retry_after)), **rate_headers(error.quota)}

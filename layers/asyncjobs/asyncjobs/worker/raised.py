"""What a job raised: the one exception that decides what becomes of its attempt, wherever it is."""

from __future__ import annotations

from asyncjobs.core.errors import AsyncJobsError, JobError, JobInterrupted, Retry, TimeLimitExceeded
from asyncjobs.log import ungrouped


def deciding(error: BaseException) -> BaseException:
    """Return the exception that decides: the error itself or, of an exception group, the member with the most to say.

    An interruption comes first, since nothing is left to record. Then `Fatal`, which rules out what the others would try
    again; the `Retry` with the longest delay; the end of the attempt's time. Other exceptions are alike: several of them
    stay a group.

    What the job raises in place of a `Fatal` or `Retry` (`raise ... from`) counts as it is. An exception that comes while an
    interruption unwinds the job (a `finally` that fails) does not hide the interruption.
    """
    members = [_interruption_behind(member) or member for member in ungrouped(error)]
    first = min(members, key=_rank)
    return error if len(members) > 1 and not isinstance(first, (AsyncJobsError, JobInterrupted)) else first


def out_of_time(error: BaseException) -> BaseException:
    """Return what a coroutine raised that was cancelled at its time limit: the limit, unless the job has decided otherwise."""
    if isinstance(deciding(error), (JobError, JobInterrupted)):
        return error
    return TimeLimitExceeded().with_traceback(error.__traceback__)


def _rank(error: BaseException) -> tuple[int, float]:
    match error:
        case TimeLimitExceeded():
            return 3, 0
        case JobInterrupted():
            return 0, 0
        case Retry():
            return 2, 0 if error.after is None else -error.after.total_seconds()
        case JobError():
            return 1, 0
        case AsyncJobsError():
            return 4, 0
        case _:
            return 5, 0


def _interruption_behind(error: BaseException) -> JobInterrupted | None:
    """Return the interruption during which an unforeseen exception was raised, if there was one."""
    if isinstance(error, JobError):
        return None
    seen = set[int]()
    behind: BaseException | None = error
    while behind is not None and id(behind) not in seen:
        if isinstance(behind, JobInterrupted):
            return behind
        seen.add(id(behind))
        behind = behind.__cause__ or behind.__context__
    return None

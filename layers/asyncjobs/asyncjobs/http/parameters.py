"""Query parameters, read into what the service accepts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta

from asyncjobs.core.errors import InputProblem
from asyncjobs.core.job import Status
from asyncjobs.http.cursor import from_cursor
from asyncjobs.http.problems import invalid_request
from asyncjobs.service.queries import JobsQuery

_WAIT = re.compile(r"1?[0-9]|20")
_PAGE_SIZE = re.compile(r"[1-9][0-9]?|100")


def wait_of(parameters: Mapping[str, str]) -> timedelta:
    """Return how long the caller waits for a change of the job."""
    problems = _unknown(parameters, {"wait"})
    seconds = parameters.get("wait", "0")
    if not _WAIT.fullmatch(seconds):
        problems.append(InputProblem("/wait", "must be a whole number of seconds from 0 to 20"))
    if problems:
        raise invalid_request(*problems)
    return timedelta(seconds=int(seconds))


def jobs_query(owner: str, parameters: Mapping[str, str]) -> JobsQuery:
    """Return which jobs to list, and from which place on. Raise a `Problem` (400) or `InvalidCursor`."""
    problems = _unknown(parameters, {"status", "jobType", "limit", "cursor"})
    status = parameters.get("status")
    if status is not None and status not in Status.__members__:
        problems.append(InputProblem("/status", f"must be one of {', '.join(Status)}"))
    limit = parameters.get("limit", "20")
    if not _PAGE_SIZE.fullmatch(limit):
        problems.append(InputProblem("/limit", "must be a whole number from 1 to 100"))
    if problems:
        raise invalid_request(*problems)
    query = JobsQuery(status=None if status is None else Status(status), job_type=parameters.get("jobType"), limit=int(limit))
    if "cursor" not in parameters:
        return query
    return replace(query, after=from_cursor(owner, query, parameters["cursor"]))


def _unknown(parameters: Iterable[str], known: set[str]) -> list[InputProblem]:
    return [InputProblem(f"/{name}", "is not a parameter of this call") for name in parameters if name not in known]

"""Query parameters, read into what the service accepts."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

from asyncjobs.core.errors import InputProblem
from asyncjobs.core.job import Status
from asyncjobs.http.cursor import from_cursor
from asyncjobs.http.problems import invalid_request
from asyncjobs.http.query_string import Query, text_of
from asyncjobs.jobtypes.json_schema import pointer
from asyncjobs.service.queries import JobsQuery

_WAIT = re.compile(r"1?[0-9]|20")
_SEQ = re.compile(r"[0-9]{1,9}")
PAGE_SIZE = re.compile(r"[1-9][0-9]?|100")


def wait_of(query: Query) -> timedelta:
    """Return how long the caller waits for a change of the job."""
    parameters, problems = known_texts(query, {"wait"})
    seconds = parameters.get("wait", "0")
    problems += _wrong_wait(seconds)
    if problems:
        raise invalid_request(*problems)
    return timedelta(seconds=int(seconds))


def after_and_wait(query: Query) -> tuple[int | None, timedelta | None]:
    """Return the number of the last event that the caller has, and how long it waits for the next one."""
    parameters, problems = known_texts(query, {"after", "wait"})
    after, seconds = parameters.get("after"), parameters.get("wait")
    if after is not None and not _SEQ.fullmatch(after):
        problems.append(InputProblem("/after", "must be the seq of an event: a whole number"))
    problems += _wrong_wait("0" if seconds is None else seconds)
    if problems:
        raise invalid_request(*problems)
    return None if after is None else int(after), None if seconds is None else timedelta(seconds=int(seconds))


def jobs_query(owner: str, query: Query) -> JobsQuery:
    """Return which jobs to list, and from which place on. Raise a `Problem` (400) or `InvalidCursor`."""
    parameters, problems = known_texts(query, {"status", "jobType", "limit", "cursor"})
    status = parameters.get("status")
    if status is not None and status not in Status.__members__:
        problems.append(InputProblem("/status", f"must be one of {', '.join(Status)}"))
    if parameters.get("jobType") == "":
        problems.append(InputProblem("/jobType", "must be the name of a job type"))
    limit = parameters.get("limit", "20")
    if not PAGE_SIZE.fullmatch(limit):
        problems.append(InputProblem("/limit", "must be a whole number from 1 to 100"))
    if problems:
        raise invalid_request(*problems)
    wanted = JobsQuery(status=None if status is None else Status(status), job_type=parameters.get("jobType"), limit=int(limit))
    if "cursor" not in parameters:
        return wanted
    return replace(wanted, after=from_cursor(owner, wanted, parameters["cursor"]))


def _wrong_wait(seconds: str) -> list[InputProblem]:
    if _WAIT.fullmatch(seconds):
        return []
    return [InputProblem("/wait", "must be a whole number of seconds from 0 to 20")]


def known_texts(query: Query, known: set[str]) -> tuple[dict[str, str], list[InputProblem]]:
    """Return the texts of the known parameters, and a problem for each that is unknown or given twice."""
    texts, problems = dict[str, str](), list[InputProblem]()
    for name, values in query.items():
        if name not in known:
            problems.append(InputProblem(pointer([name]), "is not a parameter of this call"))
        elif len(values) > 1:
            problems.append(InputProblem(pointer([name]), "is given twice"))
        else:
            texts[name] = text_of(values[0])
    return texts, problems

"""Query parameters of administrators' operations, read into what the service accepts, and their cursors."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

from asyncjobs.core.administration import AuditPosition
from asyncjobs.core.clock import epoch_milliseconds, from_epoch_milliseconds
from asyncjobs.core.errors import InputProblem, InvalidCursor
from asyncjobs.core.job import Priority, Status
from asyncjobs.core.records import replace
from asyncjobs.http.cursor import place_in, text_of_place
from asyncjobs.http.parameters import PAGE_SIZE, known_texts
from asyncjobs.http.problems import invalid_request
from asyncjobs.http.query_string import Query
from asyncjobs.service.administration import LivePosition, LiveQuery

T = TypeVar("T")

_LIVE, _AUDIT = "live", "audit"
_UNFINISHED = {status.value: status for status in Status if not status.is_finished}
_PRIORITIES = {priority.value: priority for priority in Priority}


def live_query(query: Query) -> LiveQuery:
    """Return which live jobs to list, and from which place on. Raise a `Problem` (400) or `InvalidCursor`."""
    texts, problems = known_texts(query, {"priority", "jobType", "status", "limit", "cursor"})
    priority, problem = _one_of(_PRIORITIES, texts.get("priority"), "/priority")
    status, another = _one_of(_UNFINISHED, texts.get("status"), "/status")
    limit, third = _limit(texts.get("limit", "20"))
    if texts.get("jobType") == "":
        problems.append(InputProblem("/jobType", "must be the name of a job type"))
    problems += [each for each in (problem, another, third) if each is not None]
    if problems:
        raise invalid_request(*problems)
    wanted = LiveQuery(priority=priority, status=status, job_type=texts.get("jobType"), limit=limit)
    if "cursor" not in texts:
        return wanted
    return replace(wanted, after=_read_place(texts["cursor"], _about(wanted), _live_position))


def live_cursor(query: LiveQuery, position: LivePosition) -> str:
    """Return the cursor of a place in the list of live jobs."""
    return text_of_place([epoch_milliseconds(position.due_at), position.async_job_id], _about(query))


def audit_query(query: Query) -> tuple[int, AuditPosition | None]:
    """Return how many audit records to list, and from which place on. Raise a `Problem` (400) or `InvalidCursor`."""
    texts, problems = known_texts(query, {"limit", "cursor"})
    limit, problem = _limit(texts.get("limit", "100"))
    if problems or problem is not None:
        raise invalid_request(*problems, *([] if problem is None else [problem]))
    return limit, _read_place(texts["cursor"], [_AUDIT], _audit_position) if "cursor" in texts else None


def audit_cursor(position: AuditPosition) -> str:
    """Return the cursor of a place in the audit log."""
    return text_of_place([epoch_milliseconds(position.at), position.audit_id], [_AUDIT])


def no_parameters(query: Query) -> None:
    """Raise a `Problem` (400) that names each parameter: the operation has none."""
    _, problems = known_texts(query, set())
    if problems:
        raise invalid_request(*problems)


def _about(query: LiveQuery) -> list[Any]:
    return [_LIVE, query.priority, query.status, query.job_type]


def _live_position(place: list[Any]) -> LivePosition:
    milliseconds, async_job_id = place
    return LivePosition(from_epoch_milliseconds(milliseconds), str(async_job_id))


def _audit_position(place: list[Any]) -> AuditPosition:
    milliseconds, audit_id = place
    return AuditPosition(from_epoch_milliseconds(milliseconds), str(audit_id))


def _read_place(cursor: str, about: list[Any], read: Callable[[list[Any]], T]) -> T:
    try:
        return read(place_in(cursor, about))
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidCursor from error


def _one_of(values: dict[str, T], text: str | None, place: str) -> tuple[T | None, InputProblem | None]:
    if text is None or text in values:
        return None if text is None else values[text], None
    return None, InputProblem(place, f"must be one of {', '.join(values)}")


def _limit(text: str) -> tuple[int, InputProblem | None]:
    if re.fullmatch(PAGE_SIZE, text):
        return int(text), None
    return 0, InputProblem("/limit", "must be a whole number from 1 to 100")

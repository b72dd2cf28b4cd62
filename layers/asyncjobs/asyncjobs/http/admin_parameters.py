"""Query parameters of administrators' operations, read into what the service accepts, and their cursors."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from asyncjobs.core.administration import AuditPosition, FailedPosition, LivePosition
from asyncjobs.core.clock import epoch_milliseconds, from_epoch_milliseconds
from asyncjobs.core.errors import InputProblem, InvalidCursor
from asyncjobs.core.exact_json import write_json
from asyncjobs.core.job import JobKey, Priority, Status
from asyncjobs.core.records import replace
from asyncjobs.http.cursor import place_in, text_of_place
from asyncjobs.http.parameters import PAGE_SIZE, known_texts
from asyncjobs.http.problems import Problem, invalid_request
from asyncjobs.http.query_string import Query
from asyncjobs.service.administration import FailedQuery, LiveQuery
from asyncjobs.service.bulk_actions import BulkAction, BulkRequest

T = TypeVar("T")

MOST_AT_A_TIME = 50
"""Jobs of a part of an action on many: each takes up to three calls, and a request has 25 s."""

MOST_SELECTED = 20_000
"""Characters of what selects the jobs of an action in the background: an event of Lambda and an item of the table hold it."""

_LIVE, _FAILED, _AUDIT, _OUTCOMES = "live", "failed", "audit", "outcomes"
UNFINISHED = {status.value: status for status in Status if not status.is_finished}
_PRIORITIES = {priority.value: priority for priority in Priority}


def live_query(query: Query, owner: str | None = None) -> LiveQuery:
    """Return which live jobs to list, and from which place on: those of one owner, or of all.

    Raise a `Problem` (400) or `InvalidCursor`.
    """
    texts, problems = known_texts(query, {"priority", "jobType", "status", "limit", "cursor"})
    return _live_query({**texts, **({} if owner is None else {"owner": owner})}, problems)


def _live_query(texts: Mapping[str, str], problems: list[InputProblem], *, within: str = "") -> LiveQuery:
    """Return the query of these texts, which are members of the place `within`."""
    priority, problem = _one_of(_PRIORITIES, texts.get("priority"), f"{within}/priority")
    status, another = _one_of(UNFINISHED, texts.get("status"), f"{within}/status")
    limit, third = _limit(texts.get("limit", "20"))
    if texts.get("jobType") == "":
        problems.append(InputProblem(f"{within}/jobType", "must be the name of a job type"))
    problems += [each for each in (problem, another, third) if each is not None]
    if problems:
        raise invalid_request(*problems)
    wanted = LiveQuery(priority=priority, status=status, job_type=texts.get("jobType"), owner=texts.get("owner"), limit=limit)
    if "cursor" not in texts:
        return wanted
    return replace(wanted, after=_read_place(texts["cursor"], _about(wanted), _live_position))


def live_cursor(query: LiveQuery, position: LivePosition) -> str:
    """Return the cursor of a place in the list of live jobs."""
    return text_of_place([epoch_milliseconds(position.due_at), position.async_job_id], _about(query))


def failed_query(query: Query) -> FailedQuery:
    """Return which failed jobs to list, and from which place on. Raise a `Problem` (400) or `InvalidCursor`."""
    return _failed_query(*known_texts(query, {"jobType", "code", "from", "to", "limit", "cursor"}))


def _failed_query(texts: Mapping[str, str], problems: list[InputProblem], *, within: str = "") -> FailedQuery:
    """Return the query of these texts, which are members of the place `within`."""
    missing = [name for name in ("jobType", "code") if not texts.get(name)]
    problems += [InputProblem(f"{within}/{name}", "is required: failed jobs are found by both") for name in missing]
    since, problem = _day(texts.get("from"), f"{within}/from")
    last, another = _day(texts.get("to"), f"{within}/to")
    limit, third = _limit(texts.get("limit", "20"))
    if since is not None and last is not None and last < since:
        problems.append(InputProblem(f"{within}/to", "must not be before `from`"))
    problems += [each for each in (problem, another, third) if each is not None]
    if problems:
        raise invalid_request(*problems)
    until = None if last is None else last + timedelta(days=1)
    wanted = FailedQuery(job_type=texts["jobType"], code=texts["code"], since=since, until=until, limit=limit)
    if "cursor" not in texts:
        return wanted
    return replace(wanted, after=_read_place(texts["cursor"], _about_failed(wanted), _failed_position))


def failed_cursor(query: FailedQuery, position: FailedPosition) -> str:
    """Return the cursor of a place in the list of failed jobs."""
    place = [epoch_milliseconds(position.ended_at), position.owner, position.async_job_id]
    return text_of_place(place, _about_failed(query))


def job_type_if_any(query: Query) -> str | None:
    """Return the type to which a list is restricted. Raise a `Problem` (400)."""
    texts, problems = known_texts(query, {"jobType"})
    if texts.get("jobType") == "":
        problems.append(InputProblem("/jobType", "must be the name of a job type"))
    if problems:
        raise invalid_request(*problems)
    return texts.get("jobType")


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


def bulk_request(fields: Mapping[str, Any]) -> BulkRequest:
    """Return the action in a body that fits its schema. Raise a `Problem` (400) or `InvalidCursor`."""
    named = [name for name in ("failed", "live", "jobs") if name in fields]
    if len(named) != 1:
        raise invalid_request(InputProblem("", "must name the jobs by one of `failed`, `live` and `jobs`"))
    (kind,) = named
    jobs: FailedQuery | LiveQuery | Sequence[JobKey]
    if kind == "jobs":
        if "cursor" in fields:
            raise invalid_request(InputProblem("/cursor", "cannot be combined with `jobs`"))
        jobs = [JobKey(each["owner"], each["asyncJobId"]) for each in fields["jobs"]]
        selected: Mapping[str, Any] = {"jobs": [each["asyncJobId"] for each in fields["jobs"]]}
    else:
        texts = {**fields[kind], "limit": str(MOST_AT_A_TIME), **({"cursor": fields["cursor"]} if "cursor" in fields else {})}
        jobs = (_failed_query if kind == "failed" else _live_query)(texts, [], within=f"/{kind}")
        selected = {kind: fields[kind]}
    return BulkRequest(
        action=BulkAction(fields["action"]),
        jobs=jobs,
        filter=selected,
        is_trial=fields.get("trial", False),
        expected=int(fields["expectedCount"]) if "expectedCount" in fields else None,
    )


def check_size(fields: Mapping[str, Any]) -> None:
    """Raise a `Problem` (400) for a body that is too long for an action in the background."""
    if len(write_json(fields)) > MOST_SELECTED:
        raise invalid_request(
            InputProblem(
                "", f"must not be longer than {MOST_SELECTED} characters with `Prefer: respond-async`; name fewer jobs"
            )
        )


def outcomes_number(query: Query, async_job_id: str) -> int:
    """Return the number of the part in the cursor, 0 without one. Raise a `Problem` (400) or `InvalidCursor`."""
    texts, problems = known_texts(query, {"cursor"})
    if problems:
        raise invalid_request(*problems)
    return _read_place(texts["cursor"], [_OUTCOMES, async_job_id], _number) if "cursor" in texts else 0


def outcomes_cursor(async_job_id: str, number: int) -> str:
    """Return the cursor of a part of an action."""
    return text_of_place([number], [_OUTCOMES, async_job_id])


def bulk_cursor(request: BulkRequest, position: FailedPosition | LivePosition | None) -> str | None:
    """Return the cursor of the next part; None at the end."""
    if isinstance(request.jobs, FailedQuery) and isinstance(position, FailedPosition):
        return failed_cursor(request.jobs, position)
    if isinstance(request.jobs, LiveQuery) and isinstance(position, LivePosition):
        return live_cursor(request.jobs, position)
    return None


def priority_of(path_parameters: Mapping[str, str]) -> Priority:
    """Return the priority in the path. Raise a `Problem` (404) for anything else."""
    found = _PRIORITIES.get(path_parameters.get("priority", ""))
    if found is None:
        raise Problem("QUEUE_NOT_FOUND")
    return found


def _about(query: LiveQuery) -> list[Any]:
    return [_LIVE, query.priority, query.status, query.job_type, query.owner]


def _about_failed(query: FailedQuery) -> list[Any]:
    times = [None if each is None else epoch_milliseconds(each) for each in (query.since, query.until)]
    return [_FAILED, query.job_type, query.code, *times]


def _failed_position(place: list[Any]) -> FailedPosition:
    milliseconds, owner, async_job_id = place
    return FailedPosition(from_epoch_milliseconds(milliseconds), str(owner), str(async_job_id))


def _day(text: str | None, place: str) -> tuple[datetime | None, InputProblem | None]:
    """Return the beginning of the day in UTC."""
    if text is None:
        return None, None
    try:
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            day = datetime.fromisoformat(text).replace(tzinfo=UTC)
            _ = day + timedelta(days=1)  # the end of the last day is no time
            return day, None
    except (ValueError, OverflowError):
        pass
    return None, InputProblem(place, "must be a day such as 2026-11-26")


def _number(place: list[Any]) -> int:
    (number,) = place
    return int(number)


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


def _one_of(values: Mapping[str, T], text: str | None, place: str) -> tuple[T | None, InputProblem | None]:
    if text is None or text in values:
        return None if text is None else values[text], None
    return None, InputProblem(place, f"must be one of {', '.join(values)}")


def _limit(text: str) -> tuple[int, InputProblem | None]:
    if re.fullmatch(PAGE_SIZE, text):
        return int(text), None
    return 0, InputProblem("/limit", "must be a whole number from 1 to 100")

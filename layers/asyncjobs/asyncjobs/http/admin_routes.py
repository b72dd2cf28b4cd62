"""The operations of administrators: the jobs of all owners, and what administrators did. Only these cross owners."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from asyncjobs.core.administration import AuditRecord, BulkTask, QueueDepth, Right, TypeHistory, rights_of
from asyncjobs.core.clock import Clock, rfc3339
from asyncjobs.core.exact_json import read_json
from asyncjobs.core.job import AsyncJob
from asyncjobs.http.admin_operation import OWNER, AdminOperation, AdminRequest, Groups
from asyncjobs.http.admin_parameters import (
    UNFINISHED,
    audit_cursor,
    audit_query,
    bulk_cursor,
    bulk_request,
    check_size,
    failed_cursor,
    failed_query,
    job_type_if_any,
    live_cursor,
    live_query,
    outcomes_cursor,
    outcomes_number,
    priority_of,
)
from asyncjobs.http.admin_schemas import (
    ADMIN_JOBS_PAGE,
    ADMIN_TYPES,
    AUDIT_PAGE,
    BULK_ANSWER,
    BULK_OUTCOMES,
    BULK_REQUEST,
    FAILED_GROUPS,
    JOB_INPUT,
    OWNER_TEXT,
    PAUSED,
    PAUSED_TYPE,
    QUEUES,
    REDRIVE_ANSWER,
    REDRIVE_REQUEST,
    RIGHTS,
)
from asyncjobs.http.answers import Answer, answer, no_content
from asyncjobs.http.bodies import checked
from asyncjobs.http.cursor import to_cursor
from asyncjobs.http.event_routes import EVENTS_PAGE, EventRoutes
from asyncjobs.http.job_answers import job_answer, none_known
from asyncjobs.http.operations import Success, operations_of
from asyncjobs.http.parameters import jobs_query
from asyncjobs.http.problems import code_of
from asyncjobs.http.query_routes import RESULT_LINK, QueryRoutes
from asyncjobs.http.render import job_body, job_path
from asyncjobs.http.schemas import NOT_EMPTY, STRING, described, query, ref
from asyncjobs.jobtypes.decorator import JobType
from asyncjobs.service.administration import Administration
from asyncjobs.service.bulk_actions import DONE, ELIGIBLE, BulkActions
from asyncjobs.service.dead_letters import Redriven
from asyncjobs.service.event_feed import EventFeed
from asyncjobs.service.queries import Queries

CSV = "text/csv"

_OWNER = {**query(OWNER, "The job's owner, which is a part of its key.", OWNER_TEXT), "required": True}
_OWNER_IF_KNOWN = query(
    OWNER, "The job's owner, which is a part of its key. Without it, only an unfinished job is found.", OWNER_TEXT
)
_DAY: Any = {"type": "string", "format": "date"}
_JOB_TYPE = query("jobType", "List only jobs of this type.", NOT_EMPTY)
_LIST = QueryRoutes.list_jobs.parameters
*_, _LIMIT, _CURSOR = _LIST
_RESULT = QueryRoutes.get_job_result


Logs = Callable[[AsyncJob], str | None]
"""Returns a link to the log lines of a job, if there is a page for them."""


class AdminRoutes:
    """The operations of administrators."""

    def __init__(
        self,
        administration: Administration,
        *,
        bulk: BulkActions,
        queries: Queries,
        feed: EventFeed,
        logs: Logs,
        groups: Groups,
        clock: Clock,
    ) -> None:
        self.groups = groups
        self._logs = logs
        self._clock = clock
        self._administration = administration
        self._bulk = bulk
        self._queries = queries
        self._results = QueryRoutes(queries, clock, none_known)
        self._events = EventRoutes(feed, clock, none_known)

    @AdminOperation(
        "GET /admin/rights",
        right=None,
        answers={200: Success("Your rights; none for most users.", RIGHTS)},
        errors=("INVALID_REQUEST",),
    )
    def get_admin_rights(self, request: AdminRequest) -> Answer:
        """Get your rights as an administrator.

        They follow from the groups in your token.
        """
        groups = self.groups.of(request)
        return answer(200, {"groups": list(groups), "rights": sorted(rights_of(groups))})

    @AdminOperation(
        "GET /admin/live-jobs",
        right=Right.VIEW,
        parameters=(
            query("priority", "List only jobs of this priority.", ref("Priority")),
            _JOB_TYPE,
            query("status", "List only jobs with this status.", {"enum": list(UNFINISHED)}),
            query(OWNER, "List only jobs of this owner.", OWNER_TEXT),
            _LIMIT,
            _CURSOR,
        ),
        answers={200: Success("A page of the list.", ADMIN_JOBS_PAGE)},
        errors=("INVALID_CURSOR",),
    )
    def list_live_jobs(self, request: AdminRequest) -> Answer:
        """List the unfinished jobs of all owners, those that are overdue first.

        They come in the order in which the sweeper reads them. A page reads a hundred jobs at most, so it may be short, or even
        empty, before the end of the list: continue until `nextCursor` is null.
        """
        wanted = live_query(request.query, request.owner_if_any)
        page = self._administration.live(wanted)
        return self._page(request, page.jobs, None if page.next is None else live_cursor(wanted, page.next))

    @AdminOperation(
        "GET /admin/failed-groups",
        right=Right.VIEW,
        parameters=(_JOB_TYPE,),
        answers={200: Success("The groups.", FAILED_GROUPS)},
    )
    def list_failed_groups(self, request: AdminRequest) -> Answer:
        """List the failed jobs of all owners, grouped by type and code.

        The group with the newest failure comes first. Jobs that failed before the deployment had this index are in no group.
        """
        found = self._administration.failed_groups(job_type_if_any(request.query))
        groups = [
            {
                "jobType": group.job_type,
                "code": group.code,
                "count": group.count,
                "isMore": group.is_more,
                "newestAt": rfc3339(group.newest_at),
            }
            for group in found.groups
        ]
        return answer(200, {"groups": groups, "isMore": found.is_more})

    @AdminOperation(
        "GET /admin/failed-jobs",
        right=Right.VIEW,
        parameters=(
            {**query("jobType", "The type of the jobs.", NOT_EMPTY), "required": True},
            {**query("code", "The code of their error.", NOT_EMPTY), "required": True},
            query("from", "The first day (UTC) on which they failed.", _DAY),
            query("to", "The last day (UTC) on which they failed.", _DAY),
            _LIMIT,
            _CURSOR,
        ),
        answers={200: Success("A page of the list.", ADMIN_JOBS_PAGE)},
        errors=("INVALID_CURSOR",),
    )
    def list_failed_jobs(self, request: AdminRequest) -> Answer:
        """List the failed jobs of a type and code, newest failure first."""
        wanted = failed_query(request.query)
        page = self._administration.failed(wanted)
        return self._page(request, page.jobs, None if page.next is None else failed_cursor(wanted, page.next))

    @AdminOperation("GET /admin/queues", right=Right.VIEW, answers={200: Success("The queues.", QUEUES)})
    def list_queues(self, request: AdminRequest) -> Answer:
        """List the queues with what they hold, and how late the sweeper is."""
        state = self._administration.queues()
        queues = [
            {
                "queue": each.name,
                **_depth_body(each.depth),
                "oldestWaitingSince": each.oldest_waiting_since and rfc3339(each.oldest_waiting_since),
                "isPaused": each.pollers.is_paused,
                "pausedTypes": sorted(each.pollers.paused_types),
            }
            for each in state.queues
        ]
        lag = state.sweeper_lag.total_seconds()
        return answer(200, {"queues": queues, "deadLetters": _depth_body(state.dead_letters), "sweeper": {"lagSeconds": lag}})

    @AdminOperation(
        "POST /admin/queues/{priority}/pause",
        right=Right.OPERATE,
        answers={200: Success("The priority is paused, or will be in some seconds.", PAUSED)},
        errors=("QUEUE_NOT_FOUND",),
    )
    def pause_priority(self, request: AdminRequest) -> Answer:
        """Pause a priority.

        No further job of this priority begins from its queue. Jobs that run go on; quick jobs, which run while their caller
        waits, are not affected. Jobs are accepted and wait, and fail at their deadlines as always.
        """
        priority = priority_of(request.path_parameters)
        self._administration.pause(request.actor, priority)
        return answer(200, {"queue": priority.value, "isPaused": True})

    @AdminOperation(
        "POST /admin/queues/{priority}/resume",
        right=Right.OPERATE,
        answers={200: Success("The priority is not paused any more, or will not be in some seconds.", PAUSED)},
        errors=("QUEUE_NOT_FOUND",),
    )
    def resume_priority(self, request: AdminRequest) -> Answer:
        """Resume a priority that was paused."""
        priority = priority_of(request.path_parameters)
        self._administration.resume(request.actor, priority)
        return answer(200, {"queue": priority.value, "isPaused": False})

    @AdminOperation(
        "POST /admin/dead-letters/redrive",
        right=Right.OPERATE,
        body=REDRIVE_REQUEST,
        example={},
        answers={200: Success("What became of each.", REDRIVE_ANSWER)},
    )
    def redrive_dead_letters(self, request: AdminRequest) -> Answer:
        """Redrive dead letters by the records of their jobs.

        A dead letter is a message that was delivered twenty times in vain. A request takes up to 50 of them: a job that may run gets a
        new message in its own queue, and a letter that the record makes needless is deleted. Repeat it while `isMore` is true. A
        letter that stays is hidden for 30 seconds.
        """
        fields = checked(REDRIVE_REQUEST, request.json())
        redriven, is_more = self._administration.redrive(
            request.actor, discards_malformed=fields.get("discardMalformed", False)
        )
        return answer(200, {"letters": [_letter_body(each) for each in redriven], "isMore": is_more})

    @AdminOperation(
        "POST /admin/types/{jobType}/pause",
        right=Right.OPERATE,
        answers={200: Success("The job type is paused, or will be in some seconds.", PAUSED_TYPE)},
        errors=("JOB_TYPE_NOT_FOUND", "TOO_MANY_PAUSED_TYPES"),
    )
    def pause_job_type(self, request: AdminRequest) -> Answer:
        """Pause a job type.

        No further job of this type begins from a queue. Jobs that run go on; quick jobs, which run while their caller waits, are
        not affected. Jobs are accepted and wait, and fail at their deadlines as always. `GET /admin/queues` lists paused types.
        """
        job_type = request.path_parameters.get("jobType", "")
        self._administration.pause_type(request.actor, job_type)
        return answer(200, {"jobType": job_type, "isPaused": True})

    @AdminOperation(
        "POST /admin/types/{jobType}/resume",
        right=Right.OPERATE,
        answers={200: Success("The job type is not paused any more, or will not be in some seconds.", PAUSED_TYPE)},
        errors=("JOB_TYPE_NOT_FOUND",),
    )
    def resume_job_type(self, request: AdminRequest) -> Answer:
        """Resume a job type that was paused.

        Its waiting jobs begin when the sweeper sends them again, within 18 minutes.
        """
        job_type = request.path_parameters.get("jobType", "")
        self._administration.resume_type(request.actor, job_type)
        return answer(200, {"jobType": job_type, "isPaused": False})

    @AdminOperation("GET /admin/types", right=Right.VIEW, answers={200: Success("The job types.", ADMIN_TYPES)})
    def list_type_statistics(self, request: AdminRequest) -> Answer:
        """List the job types, with how long their jobs take and how they ended in the last hours.

        The numbers come from the table's stream, a minute late, and are estimates: a change that arrives twice counts twice.
        """
        hours = _last_hours(self._clock())
        return answer(200, {"types": [_type_body(*each, hours) for each in self._administration.types()]})

    @AdminOperation(
        "GET /admin/jobs",
        right=Right.VIEW,
        parameters=(_OWNER, *_LIST),
        answers={200: Success("A page of the list.", ADMIN_JOBS_PAGE)},
        errors=("INVALID_CURSOR",),
    )
    def list_owner_jobs(self, request: AdminRequest) -> Answer:
        """List an owner's jobs, newest first.

        No index lists the finished jobs of all owners: it would cost each job a write.
        """
        owner = request.owner
        wanted = jobs_query(owner, request.query)
        page = self._queries.jobs(owner, wanted)
        return self._page(request, page.jobs, None if page.next is None else to_cursor(owner, wanted, page.next))

    @AdminOperation(
        "GET /admin/jobs/{asyncJobId}",
        right=Right.VIEW,
        parameters=(_OWNER_IF_KNOWN,),
        answers={200: Success("The job.", "AdminJob")},
    )
    def get_any_job(self, request: AdminRequest) -> Answer:
        """Get a job of any owner."""
        job_id = request.job_id
        if request.owner_if_any is None:
            return answer(200, self._body(request, self._administration.find_live(job_id)))
        return answer(200, self._body(request, self._queries.job(request.job_key.owner, job_id)))

    @AdminOperation(
        "GET /admin/jobs/{asyncJobId}/events",
        right=Right.VIEW,
        parameters=(
            _OWNER,
            query(
                "after",
                "The `seq` of the last event that you have. Without it, the events begin with the first one.",
                {"type": "integer", "minimum": 0, "maximum": 999_999_999},
            ),
        ),
        answers={200: Success("The events.", EVENTS_PAGE, sometimes=("Retry-After",))},
    )
    def list_any_job_events(self, request: AdminRequest) -> Answer:
        """List the events of a job of any owner."""
        return EventRoutes.list_job_events.handle(self._events, request)

    @AdminOperation(
        "GET /admin/jobs/{asyncJobId}/input",
        right=Right.PAYLOADS,
        parameters=(_OWNER,),
        answers={200: Success("The input.", JOB_INPUT)},
        errors=("INPUT_NOT_FOUND",),
    )
    def get_any_job_input(self, request: AdminRequest) -> Answer:
        """Get the input of a job of any owner.

        The reading is recorded in the audit log.
        """
        job = self._administration.note_reading(request.actor, "job.input", request.job_key)
        return answer(200, {"input": read_json(self._queries.input_of(job))})

    @AdminOperation(
        "GET /admin/jobs/{asyncJobId}/result",
        right=Right.PAYLOADS,
        parameters=(_OWNER,),
        answers={
            200: _RESULT.answers[200],
            303: Success("The result is at a link that works for 5 minutes.", RESULT_LINK, always=("Location",)),
        },
        errors=tuple(code for code in _RESULT.errors if code != "UNAVAILABLE"),
    )
    def get_any_job_result(self, request: AdminRequest) -> Answer:
        """Get the result of a job of any owner.

        The reading is recorded in the audit log.
        """
        self._administration.note_reading(request.actor, "job.result", request.job_key)
        return _RESULT.handle(self._results, request)

    @AdminOperation(
        "POST /admin/jobs/{asyncJobId}/cancel",
        right=Right.OPERATE,
        parameters=(_OWNER,),
        answers={200: Success("The cancelled job.", "AdminJob")},
        errors=("JOB_ALREADY_FINISHED",),
    )
    def cancel_any_job(self, request: AdminRequest) -> Answer:
        """Cancel a job of any owner."""
        return answer(200, self._body(request, self._administration.cancel(request.actor, request.job_key)))

    @AdminOperation(
        "POST /admin/jobs/{asyncJobId}/retry",
        right=Right.OPERATE,
        parameters=(_OWNER,),
        answers={202: Success("The job, pending again.", "AdminJob")},
        errors=("JOB_NOT_RETRYABLE", "UNKNOWN_JOB_TYPE"),
    )
    def retry_any_job(self, request: AdminRequest) -> Answer:
        """Retry a job of any owner that failed or was cancelled.

        Limits of its owner do not count. The owner of a tracked job issues the new token of its worker.
        """
        return answer(202, self._body(request, self._administration.retry(request.actor, request.job_key)))

    @AdminOperation(
        "DELETE /admin/jobs/{asyncJobId}",
        right=Right.OPERATE,
        parameters=(_OWNER,),
        answers={204: Success("The job is deleted.")},
        errors=("JOB_NOT_FINISHED",),
    )
    def delete_any_job(self, request: AdminRequest) -> Answer:
        """Delete a finished job of any owner, its input and its results."""
        self._administration.delete(request.actor, request.job_key)
        return no_content()

    @AdminOperation(
        "POST /admin/bulk-actions",
        right=Right.OPERATE,
        parameters=("Prefer",),
        body=BULK_REQUEST,
        example={"action": "delete", "failed": {"jobType": "text.search", "code": "INVALID_INPUT"}, "trial": True},
        answers={
            200: Success("What became of each job of this part.", BULK_ANSWER, sometimes=("Vary",)),
            202: Success(
                "The job of the action. You own it.",
                "AsyncJob",
                always=("Location", "Retry-After", "Preference-Applied", "Vary"),
                links=("getJob", "cancelJob", "listBulkOutcomes"),
            ),
        },
        errors=("INVALID_CURSOR",),
    )
    def act_on_many_jobs(self, request: AdminRequest) -> Answer:
        """Retry, cancel or delete many jobs, in the background or a part with each request.

        Send it with `trial` first: nothing changes, and each outcome says what would become of the job. A trial is answered with
        a part of up to 50 jobs: repeat the request with `cursor` until `nextCursor` is null.

        Then send it with `Prefer: respond-async`: all parts are done in the background, and the answer is a job that you own, by
        which you follow and cancel the action. Without this preference, each request does one part. A request that failed can be
        repeated as it is: jobs that are done are not eligible any more.
        """
        fields = checked(BULK_REQUEST, request.json())
        wanted = bulk_request(fields)
        if request.preference.respond_async and not wanted.is_trial:
            check_size(fields)
            job, base = self._bulk.start(request.actor, wanted, fields), request.own_base
            headers = {"location": job_path(job, base), "preference-applied": "respond-async", "vary": "Prefer"}
            return job_answer(202, job, job_body(job, base), self._clock(), headers)
        part = self._bulk.act_on(request.actor, wanted)
        outcomes = [
            {
                "asyncJobId": each.key.async_job_id,
                "owner": each.key.owner,
                "outcome": (ELIGIBLE if wanted.is_trial else DONE) if each.error is None else code_of(each.error),
            }
            for each in part.outcomes
        ]
        cursor = bulk_cursor(wanted, part.next)
        return answer(200, {"outcomes": outcomes, "nextCursor": cursor}, headers={"vary": "Prefer"})

    def go_on_with_bulk_action(self, task: BulkTask, has_time: Callable[[], bool]) -> None:
        """Go on with an action in the background while there is time. Raises `Unavailable`."""
        self._bulk.go_on(task, bulk_request(task.request), has_time)

    @AdminOperation(
        "GET /admin/bulk-actions/{asyncJobId}",
        right=Right.AUDIT,
        parameters=(query("cursor", "The `nextCursor` of the previous page.", STRING),),
        answers={200: Success("The outcomes of up to 50 jobs.", BULK_OUTCOMES)},
        errors=("INVALID_CURSOR",),
    )
    def list_bulk_outcomes(self, request: AdminRequest) -> Answer:
        """List what became of the jobs of an action in the background.

        `asyncJobId` is that of the action's job, which may belong to another operator. The outcomes are kept as long as the audit log, also when that
        job is deleted or has expired. A page may be empty before the end.
        """
        async_job_id = request.job_id
        number = outcomes_number(request.query, async_job_id)
        part = self._bulk.outcomes(async_job_id, number)
        if part is None or part.outcomes is None:
            return answer(200, {"outcomes": [], "counts": {} if part is None else part.counts, "nextCursor": None})
        outcomes = [
            {"asyncJobId": entry.key.async_job_id, "owner": entry.key.owner, "outcome": outcome}
            for entry, outcome in zip(part.entries, part.outcomes, strict=True)
        ]
        cursor = None if part.next is None else outcomes_cursor(async_job_id, number + 1)
        return answer(200, {"outcomes": outcomes, "counts": part.counts, "nextCursor": cursor})

    @AdminOperation(
        "GET /admin/audit",
        right=Right.AUDIT,
        parameters=(
            query("limit", "The maximum number of records.", {"type": "integer", "minimum": 1, "maximum": 100, "default": 100}),
            query("cursor", "The `nextCursor` of the previous page.", STRING),
        ),
        answers={
            200: Success(
                "A page of the log. With `Accept: text/csv`, the same as a table.",
                AUDIT_PAGE,
                headers={
                    "Next-Cursor": described("Of a table: the cursor of the next page, if there is one.", {"schema": STRING})
                },
                others={CSV: {"type": "string"}},
            )
        },
        errors=("INVALID_CURSOR",),
    )
    def list_audit_records(self, request: AdminRequest) -> Answer:
        """List what administrators did, newest first."""
        limit, after = audit_query(request.query)
        records, position = self._administration.audit(limit=limit, after=after)
        cursor = None if position is None else audit_cursor(position)
        rows = [_audit_body(record) for record in records]
        if request.accepts(CSV):
            return answer(200, text=_table(rows), headers={"content-type": CSV, **({"next-cursor": cursor} if cursor else {})})
        return answer(200, {"records": rows, "nextCursor": cursor})

    def _page(self, request: AdminRequest, jobs: Iterable[AsyncJob], cursor: str | None) -> Answer:
        return answer(200, {"jobs": [self._body(request, job) for job in jobs], "nextCursor": cursor})

    def _body(self, request: AdminRequest, job: AsyncJob) -> dict[str, Any]:
        """Return the job, with its payloads only for those who may read them."""
        body = job_body(job, request.base)
        is_hidden = Right.PAYLOADS not in rights_of(self.groups.of(request))
        if is_hidden:
            body |= dict.fromkeys(("result", "resultLocation", "metadata"))
        elif body["resultLocation"] is not None:
            body["resultLocation"] = f"{job_path(job, request.base)}/result?{OWNER}={quote(job.owner, safe='')}"
        return {
            **body,
            "owner": job.owner,
            "dueAt": job.due_at and rfc3339(job.due_at),
            "deadlineAt": rfc3339(job.deadline_at),
            "leaseUntil": job.lease_until and rfc3339(job.lease_until),
            "notBefore": job.not_before and rfc3339(job.not_before),
            "exclusive": job.exclusive_key is not None,
            "payloadsHidden": is_hidden,
            "logsUrl": self._logs(job),
        }


ADMIN = operations_of(AdminRoutes)


def _audit_body(record: AuditRecord) -> dict[str, Any]:
    return {
        "auditId": record.audit_id,
        "at": rfc3339(record.at),
        "actor": record.actor,
        "action": record.action,
        "owner": record.owner,
        "asyncJobId": record.async_job_id,
        "jobType": record.job_type,
        "filter": record.filter,
        "count": record.count,
        "outcomes": record.outcomes,
        "requestId": record.request_id,
    }


def _letter_body(redriven: Redriven) -> dict[str, Any]:
    message = redriven.message
    return {
        "asyncJobId": message and message.key.async_job_id,
        "owner": message and message.key.owner,
        "jobType": message and message.job_type,
        "outcome": redriven.outcome,
    }


def _depth_body(depth: QueueDepth) -> dict[str, int]:
    return {"waiting": depth.waiting, "delayed": depth.delayed, "inFlight": depth.in_flight}


def _last_hours(now: datetime) -> Sequence[datetime]:
    this = now.replace(minute=0, second=0, microsecond=0)
    return [this - timedelta(hours=ago) for ago in reversed(range(24))]


def _type_body(job_type: JobType, history: TypeHistory, hours: Sequence[datetime]) -> dict[str, Any]:
    durations = history.durations
    ended = [history.hours.get(rfc3339(hour)[:_HOUR], (0, 0)) for hour in hours]
    completed, failed = sum(each[0] for each in ended), sum(each[1] for each in ended)
    total = completed + failed
    return {
        "jobType": job_type.name,
        "description": job_type.description,
        "priority": job_type.priority.value,
        **{f"p{share}Seconds": durations.quantile(share / 100) if durations.total else None for share in (50, 95, 99)},
        "completed": completed,
        "failed": failed,
        "successRate": completed / total if total else None,
        "hours": [
            {"at": rfc3339(hour), "completed": each[0], "failed": each[1]} for hour, each in zip(hours, ended, strict=True)
        ],
    }


_HOUR = len("2026-11-26T16")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def _table(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return the rows as CSV (RFC 4180). A text that a spreadsheet would compute begins with an apostrophe."""
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(AUDIT_PAGE.json["properties"]["records"]["items"]["properties"])
    for row in rows:
        texts = ["" if value is None else value if isinstance(value, str) else json.dumps(value) for value in row.values()]
        writer.writerow([f"'{text}" if text.startswith(_FORMULA) else text for text in texts])
    return table.getvalue()

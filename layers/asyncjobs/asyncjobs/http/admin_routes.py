"""The operations of administrators: the jobs of all owners, and what administrators did. Only these cross owners."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from asyncjobs.core.administration import AuditRecord, Right, rights_of
from asyncjobs.core.clock import Clock, rfc3339
from asyncjobs.core.job import AsyncJob
from asyncjobs.http.admin_operation import OWNER, AdminOperation, AdminRequest, Groups
from asyncjobs.http.admin_parameters import audit_cursor, audit_query, live_cursor, live_query, no_parameters
from asyncjobs.http.answers import Answer, answer, no_content
from asyncjobs.http.api import Api
from asyncjobs.http.cursor import to_cursor
from asyncjobs.http.event_routes import EVENTS_PAGE, EventRoutes
from asyncjobs.http.job_answers import no_estimate
from asyncjobs.http.operations import Success, handlers_by_route, operations_of
from asyncjobs.http.parameters import jobs_query
from asyncjobs.http.problems import Problem
from asyncjobs.http.query_routes import RESULT_LINK, QueryRoutes
from asyncjobs.http.render import job_body, job_path
from asyncjobs.http.schemas import BOOLEAN, STRING, TIME, UUID, Schema, answer_object, described, query, ref
from asyncjobs.jobtypes.json_schema import nullable
from asyncjobs.service.administration import Administration
from asyncjobs.service.contents import Contents
from asyncjobs.service.event_feed import EventFeed
from asyncjobs.service.queries import Queries

CSV = "text/csv"

_OWN_MEMBERS: Mapping[str, Any] = {
    "owner": described("The `sub` of the job's owner. Requests about the job name it as `owner`.", STRING),
    "dueAt": described("When the sweeper looks at the job next; null once it has ended.", nullable(TIME)),
    "deadlineAt": TIME,
    "leaseUntil": described("Until when the attempt's worker is thought to live.", nullable(TIME)),
    "notBefore": described("The earliest start of the job, or of its next attempt.", nullable(TIME)),
    "exclusive": described("Whether the job runs under a lock.", BOOLEAN),
    "payloadsHidden": described(
        "Whether `result`, `resultLocation` and `metadata` are null because you lack the right `payloads`.", BOOLEAN
    ),
}
ADMIN_JOB = Schema(
    "AdminJob",
    {
        "description": "A job, as administrators read it.",
        "allOf": [ref("AsyncJob")],
        "required": list(_OWN_MEMBERS),
        "properties": dict(_OWN_MEMBERS),
    },
)
ADMIN_JOBS_PAGE = Schema(
    "AdminJobsPage",
    answer_object(
        "A page of a list of jobs.",
        {
            "jobs": {"type": "array", "items": ref("AdminJob")},
            "nextCursor": described("The cursor of the next page; null at the end of the list.", nullable(STRING)),
        },
    ),
)
RIGHTS = Schema(
    "AdminRights",
    answer_object(
        "What you may do as an administrator.",
        {
            "groups": described("Your groups, as this API calls them.", {"type": "array", "items": STRING}),
            "rights": {"type": "array", "items": STRING},
        },
    ),
)
JOB_INPUT = Schema("JobInput", answer_object("The input of a job.", {"input": {}}))
AUDIT_PAGE = Schema(
    "AuditPage",
    answer_object(
        "A page of what administrators did.",
        {
            "records": {
                "type": "array",
                "items": answer_object(
                    "An action. It was recorded before it was done, so it may have failed.",
                    {
                        "auditId": UUID,
                        "at": TIME,
                        "actor": described("The `sub` of the administrator's token.", STRING),
                        "action": STRING,
                        "owner": described("The owner of the job that it was about.", nullable(STRING)),
                        "asyncJobId": nullable(UUID),
                        "jobType": nullable(STRING),
                        "filter": described("Which jobs it was about, if not a single one.", nullable({"type": "object"})),
                        "count": described("About how many jobs or messages.", {"type": "integer", "minimum": 0}),
                        "requestId": STRING,
                    },
                ),
            },
            "nextCursor": described("The cursor of the next page; null at the end of the log.", nullable(STRING)),
        },
    ),
)

_OWNER = {**query(OWNER, "The job's owner, which is a part of its key.", STRING), "required": True}
_OWNER_IF_KNOWN = query(
    OWNER, "The job's owner, which is a part of its key. Without it, only an unfinished job is found.", STRING
)
_STATUS = query("status", "List only jobs with this status.", ref("Status"))
_JOB_TYPE = query("jobType", "List only jobs of this type.", STRING)
_LIMIT = query("limit", "The maximum number of jobs.", {"type": "integer", "minimum": 1, "maximum": 100, "default": 20})
_CURSOR = query("cursor", "The `nextCursor` of the previous page. Send it with the same filters.", STRING)
_RESULT = QueryRoutes.get_job_result


def admin_api(
    administration: Administration, *, queries: Queries, contents: Contents, feed: EventFeed, groups: Groups, clock: Clock
) -> Api:
    """Return the API of administrators."""
    routes = AdminRoutes(administration, queries=queries, contents=contents, feed=feed, groups=groups, clock=clock)
    return Api(handlers_by_route(routes, ADMIN))


class AdminRoutes:
    """The operations of administrators."""

    def __init__(
        self,
        administration: Administration,
        *,
        queries: Queries,
        contents: Contents,
        feed: EventFeed,
        groups: Groups,
        clock: Clock,
    ) -> None:
        self.groups = groups
        self._administration = administration
        self._queries = queries
        self._contents = contents
        self._results = QueryRoutes(queries, clock, no_estimate)
        self._events = EventRoutes(feed, clock)

    @AdminOperation("GET /admin/rights", right=None, answers={200: Success("Your rights; none for most users.", RIGHTS)})
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
            query("status", "List only jobs with this status.", {"enum": ["PENDING", "IN_PROGRESS"]}),
            _LIMIT,
            _CURSOR,
        ),
        answers={200: Success("A page of the list.", ADMIN_JOBS_PAGE)},
        errors=("INVALID_CURSOR",),
    )
    def list_live_jobs(self, request: AdminRequest) -> Answer:
        """List the unfinished jobs of all owners, those that are overdue first.

        They come in the order in which the sweeper looks at them. A page reads a hundred jobs at most, so it may be short, or even
        empty, before the end of the list: continue until `nextCursor` is null.
        """
        wanted = live_query(request.query)
        page = self._administration.live(wanted)
        return self._page(request, page.jobs, None if page.next is None else live_cursor(wanted, page.next))

    @AdminOperation(
        "GET /admin/jobs",
        right=Right.VIEW,
        parameters=(_OWNER, _STATUS, _JOB_TYPE, _LIMIT, _CURSOR),
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
        answers={200: Success("The job.", ADMIN_JOB)},
    )
    def get_any_job(self, request: AdminRequest) -> Answer:
        """Get a job of any owner."""
        no_parameters(request.query)
        job_id = request.job_id
        if request.owner_if_any is None:
            return answer(200, self._body(request, self._administration.find_live(job_id)))
        return answer(200, self._body(request, self._administration.job(request.job_key)))

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
        no_parameters(request.query)
        key = request.job_key
        self._administration.note_reading(request.actor, "job.input", key)
        found = self._contents.input(key)
        if found is None:
            raise Problem("INPUT_NOT_FOUND")
        return answer(200, {"input": found})

    @AdminOperation(
        "GET /admin/jobs/{asyncJobId}/result",
        right=Right.PAYLOADS,
        parameters=(_OWNER,),
        answers={200: _RESULT.answers[200], 303: Success("The result is at a link that works for 5 minutes.", RESULT_LINK, always=("Location",))},
        errors=tuple(code for code in _RESULT.errors if code != "UNAVAILABLE"),
    )
    def get_any_job_result(self, request: AdminRequest) -> Answer:
        """Get the result of a job of any owner.

        The reading is recorded in the audit log.
        """
        no_parameters(request.query)
        self._administration.note_reading(request.actor, "job.result", request.job_key)
        return _RESULT.handle(self._results, request)

    @AdminOperation(
        "POST /admin/jobs/{asyncJobId}/cancel",
        right=Right.OPERATE,
        parameters=(_OWNER,),
        answers={200: Success("The cancelled job.", ADMIN_JOB)},
        errors=("JOB_ALREADY_FINISHED",),
    )
    def cancel_any_job(self, request: AdminRequest) -> Answer:
        """Cancel a job of any owner."""
        no_parameters(request.query)
        return answer(200, self._body(request, self._administration.cancel(request.actor, request.job_key)))

    @AdminOperation(
        "POST /admin/jobs/{asyncJobId}/retry",
        right=Right.OPERATE,
        parameters=(_OWNER,),
        answers={202: Success("The job, pending again.", ADMIN_JOB)},
        errors=("JOB_NOT_RETRYABLE", "UNKNOWN_JOB_TYPE"),
    )
    def retry_any_job(self, request: AdminRequest) -> Answer:
        """Retry a job of any owner that failed or was cancelled.

        Limits of its owner do not count. The owner of a tracked job issues the new token of its worker.
        """
        no_parameters(request.query)
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
        no_parameters(request.query)
        self._administration.delete(request.actor, request.job_key)
        return no_content()

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
                headers={"Next-Cursor": described("Of a table: the cursor of the next page, if there is one.", {"schema": STRING})},
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
        "requestId": record.request_id,
    }


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

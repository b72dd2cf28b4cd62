"""HTTP API events for the routes of the API, and the answers to them."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import parse_qsl, urlencode

from tests.support.events import as_owner, sample

SUBMIT = "POST /api/v1/jobs"
CANCEL = "POST /api/v1/jobs/{asyncJobId}/cancel"
UPLOAD = "POST /api/v1/uploads"
DELETE_UPLOAD = "DELETE /api/v1/uploads/{key}"
RETRY = "POST /api/v1/jobs/{asyncJobId}/retry"
DELETE = "DELETE /api/v1/jobs/{asyncJobId}"
UPDATE = "PATCH /api/v1/jobs/{asyncJobId}"
REPORT = "PATCH /api/v1/jobs/{asyncJobId}/report"
WORKER_TOKEN = "POST /api/v1/jobs/{asyncJobId}/worker-token"
CREATE_WEBHOOK = "POST /api/v1/webhooks"
WEBHOOKS = "GET /api/v1/webhooks"
DELETE_WEBHOOK = "DELETE /api/v1/webhooks/{webhookId}"
ROTATE_WEBHOOK = "POST /api/v1/webhooks/{webhookId}/rotate"
TEST_WEBHOOK = "POST /api/v1/webhooks/{webhookId}/test"
JOB = "GET /api/v1/jobs/{asyncJobId}"
EVENTS = "GET /api/v1/jobs/{asyncJobId}/events"
RESULT = "GET /api/v1/jobs/{asyncJobId}/result"
INPUT = "GET /api/v1/jobs/{asyncJobId}/input"
JOBS = "GET /api/v1/jobs"
JOB_TYPES = "GET /api/v1/job-types"
HEALTH = "GET /api/v1/health"
OPENAPI = "GET /api/v1/openapi.json"
TICKET = "POST /api/v1/tickets"
TICKET_JOBS = "GET /api/v1/tickets/jobs"
TICKET_JOB = "GET /api/v1/tickets/jobs/{asyncJobId}"
TICKET_RESULT = "GET /api/v1/tickets/jobs/{asyncJobId}/result"
TICKET_EVENTS = "GET /api/v1/tickets/jobs/{asyncJobId}/events"
SOCKET_URL = "wss://socket.example/v1"
ASYNCAPI = "GET /api/v1/asyncapi.json"
ADMIN_RIGHTS = "GET /api/v1/admin/rights"
LIVE_JOBS = "GET /api/v1/admin/live-jobs"
OWNER_JOBS = "GET /api/v1/admin/jobs"
ANY_JOB = "GET /api/v1/admin/jobs/{asyncJobId}"
ANY_EVENTS = "GET /api/v1/admin/jobs/{asyncJobId}/events"
ANY_INPUT = "GET /api/v1/admin/jobs/{asyncJobId}/input"
ANY_RESULT = "GET /api/v1/admin/jobs/{asyncJobId}/result"
CANCEL_ANY = "POST /api/v1/admin/jobs/{asyncJobId}/cancel"
RETRY_ANY = "POST /api/v1/admin/jobs/{asyncJobId}/retry"
DELETE_ANY = "DELETE /api/v1/admin/jobs/{asyncJobId}"
FAILED_GROUPS = "GET /api/v1/admin/failed-groups"
FAILED_JOBS = "GET /api/v1/admin/failed-jobs"
ADMIN_QUEUES = "GET /api/v1/admin/queues"
ADMIN_TYPES = "GET /api/v1/admin/types"
BULK_ACTIONS = "POST /api/v1/admin/bulk-actions"
BULK_OUTCOMES = "GET /api/v1/admin/bulk-actions/{asyncJobId}"
PAUSE = "POST /api/v1/admin/queues/{priority}/pause"
RESUME = "POST /api/v1/admin/queues/{priority}/resume"
PAUSE_TYPE = "POST /api/v1/admin/types/{jobType}/pause"
RESUME_TYPE = "POST /api/v1/admin/types/{jobType}/resume"
REDRIVE = "POST /api/v1/admin/dead-letters/redrive"
AUDIT = "GET /api/v1/admin/audit"
ABOUT_ONE_JOB = [JOB, EVENTS, RESULT, INPUT, CANCEL, RETRY, DELETE, UPDATE, WORKER_TOKEN]

_SAMPLES = {
    UPLOAD: "upload",
    DELETE_UPLOAD: "delete-upload",
    CANCEL: "cancel",
    RETRY: "retry",
    DELETE: "delete",
    WORKER_TOKEN: "worker-token",
    TICKET: "ticket",
    CREATE_WEBHOOK: "create-webhook",
    DELETE_WEBHOOK: "delete-webhook",
    ROTATE_WEBHOOK: "rotate-webhook",
    TEST_WEBHOOK: "test-webhook",
    CANCEL_ANY: "admin-cancel",
    BULK_ACTIONS: "admin-bulk",
    PAUSE: "admin-pause",
    RESUME: "admin-resume",
    PAUSE_TYPE: "admin-pause-type",
    RESUME_TYPE: "admin-resume-type",
    REDRIVE: "admin-redrive",
    RETRY_ANY: "admin-retry",
    DELETE_ANY: "admin-delete",
}


@dataclass(frozen=True)
class Answer:
    """An answer as the client sees it."""

    status: int
    headers: Mapping[str, str]
    text: str

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Self:
        """Read what a handler returned to the gateway. Fail for a bug, which the API answers with a problem."""
        is_bug = answer["statusCode"] == HTTPStatus.INTERNAL_SERVER_ERROR and '"INTERNAL_ERROR"' in answer["body"]
        assert not is_bug, answer["body"]
        return cls(answer["statusCode"], answer["headers"], text_of(answer))

    @property
    def body(self) -> Any:
        return json.loads(self.text)

    @property
    def code(self) -> str | None:
        """Return the code of a problem."""
        found: str | None = self.body.get("code")
        return found

    @property
    def pointers(self) -> list[str]:
        return sorted(error["pointer"] for error in self.body["errors"])


def text_of(answer: Mapping[str, Any]) -> str:
    """Return the body as text, of which a client sees neither the base64 nor the compression."""
    if not answer.get("isBase64Encoded"):
        text: str = answer["body"]
        return text
    assert answer["headers"]["content-encoding"] == "gzip"
    return gzip.decompress(base64.b64decode(answer["body"])).decode()


def http_event(
    route: str,
    owner: Any,
    *,
    async_job_id: str | None = None,
    path: Mapping[str, str] | None = None,
    query: Mapping[str, str] | str | None = None,
    headers: Mapping[str, str] | None = None,
    groups: str | None = None,
    **event: Any,
) -> dict[str, Any]:
    """Return the sample event of the route, from this owner, without an idempotency key and with these changes.

    A query may be given as text, as the client wrote it.
    """
    request = as_owner(sample(_SAMPLES.get(route, "status" if route.startswith("GET") else "submit")), owner)
    request["headers"].pop("idempotency-key", None)
    request["headers"] |= headers or {}
    request.pop("pathParameters", None)
    claims = request["requestContext"]["authorizer"]["jwt"]["claims"]
    claims.pop("cognito:groups", None)
    if groups is not None:
        claims["cognito:groups"] = groups
    if async_job_id is not None:
        path = {**(path or {}), "asyncJobId": async_job_id}
    if path is not None:
        request["pathParameters"] = dict(path)
    request["rawQueryString"] = ""
    request.pop("queryStringParameters", None)
    if query is not None:
        request["rawQueryString"] = query if isinstance(query, str) else urlencode(query)
        joined = dict[str, list[str]]()
        for name, value in parse_qsl(request["rawQueryString"], keep_blank_values=True):
            joined.setdefault(name, []).append(value)
        request["queryStringParameters"] = {name: ",".join(values) for name, values in joined.items()}
    return {**request, "routeKey": route, "rawPath": route.partition(" ")[2], **event}

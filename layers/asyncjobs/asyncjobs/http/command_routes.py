"""The operations that create and change jobs, and the routes that job types declare."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from asyncjobs.core.clock import Clock, rfc3339
from asyncjobs.core.errors import InputProblem, InvalidInput
from asyncjobs.core.job import Status
from asyncjobs.core.placement import MAX_UPLOAD, is_upload_id
from asyncjobs.http.answers import Answer, answer, no_content
from asyncjobs.http.api import Handlers
from asyncjobs.http.bodies import checked, submit_request, submit_schema
from asyncjobs.http.job_answers import failed_while_waiting, job_answer, no_result_in_time, wait_applied
from asyncjobs.http.operations import Operation, Success, handlers_by_route, operations_of
from asyncjobs.http.problems import Problem, invalid_request
from asyncjobs.http.render import job_body, job_path, rate_headers
from asyncjobs.http.request import Preference, Request
from asyncjobs.http.route_input import input_of
from asyncjobs.http.schemas import STRING, TIME, URI, URI_REFERENCE, Schema, answer_object, described
from asyncjobs.jobtypes.decorator import JobType
from asyncjobs.jobtypes.json_schema import nulls_left_out
from asyncjobs.service.commands import Commands
from asyncjobs.service.long_poll import MAX_WAIT
from asyncjobs.service.submit import SubmitRequest

if TYPE_CHECKING:
    from asyncjobs.tracking.worker_token import WorkerToken

_NAME = "[A-Za-z0-9!#$&^_.+-]+"
_QUOTED_TEXT = r'"[ !#-\[\]-~]*"'
CONTENT_TYPE = f"^({_NAME}/{_NAME}( *; *{_NAME}=({_NAME}|{_QUOTED_TEXT}))*)?$"
"""RFC 9110 8.3, without characters that could end a header. Browsers give a file of an unknown type an empty one."""
UPLOAD_REQUEST = Schema(
    "UploadRequest",
    nulls_left_out(
        {
            "type": "object",
            "description": "The object to upload.",
            "additionalProperties": False,
            "required": ["contentLength"],
            "properties": {
                "contentType": {
                    "type": "string",
                    "maxLength": 100,
                    "pattern": CONTENT_TYPE,
                },
                "contentLength": {"type": "integer", "minimum": 0, "maximum": MAX_UPLOAD},
            },
        }
    ),
)


def upload_schema(max_upload: int) -> Schema:
    """Return the schema of an upload's request where uploads have so many bytes at most. The document has S3's maximum."""
    fields = UPLOAD_REQUEST.json["properties"]
    length = {**fields["contentLength"], "maximum": max_upload}
    return Schema("upload", {**UPLOAD_REQUEST.json, "properties": {**fields, "contentLength": length}})


UPLOAD = Schema(
    "Upload",
    answer_object(
        "Where to upload one object of this type and size.",
        {
            "key": described("The object's name, for a job's input.", STRING),
            "url": described("A secret: everybody who has it can upload.", URI),
            "method": {"const": "PUT"},
            "headers": described("Send exactly these.", {"type": "object", "additionalProperties": STRING}),
            "expiresAt": TIME,
        },
    ),
)
RESULT_PLACE = Schema("ResultPlace", answer_object("The URL in `Location`.", {"location": URI_REFERENCE}))

_RATE = ("RateLimit", "RateLimit-Policy")
_SUBMITTED = {
    200: Success(
        "The finished job: it was quick, its caller waited, or an earlier request with the key had submitted it.",
        "AsyncJob",
        always=("Location", "Vary"),
        sometimes=("Idempotency-Replayed", "Preference-Applied", *_RATE),
        links=("getJob", "getJobResult", "cancelJob"),
    ),
    202: Success(
        "The accepted job.",
        "AsyncJob",
        always=("Location", "Retry-After", "Vary"),
        sometimes=("Idempotency-Replayed", "Preference-Applied", *_RATE),
        links=("getJob", "getJobResult", "cancelJob"),
    ),
}
_NOT_ADMITTED = ("SUBMIT_RATE_EXCEEDED", "TOO_MANY_LIVE_JOBS", "BUSY", "UNAVAILABLE")
_NOT_SUBMITTED = ("JOB_CREATION_FAILED", "IDEMPOTENCY_KEY_REUSED", *_NOT_ADMITTED)


def command_handlers(
    commands: Commands,
    *,
    clock: Clock,
    max_retention: timedelta,
    max_upload: int = MAX_UPLOAD,
    job_types: Iterable[JobType] = (),
) -> Handlers:
    """Return the handlers of the operations that create and change jobs, with those of the routes of these job types."""
    routes = CommandRoutes(commands, clock, max_retention, max_upload)
    own = [operation for job_type in job_types for operation in operations_of_job_type(job_type)]
    return handlers_by_route(routes, [*COMMANDS, *own])


class CommandRoutes:
    """The operations that create and change jobs."""

    def __init__(self, commands: Commands, clock: Clock, max_retention: timedelta, max_upload: int) -> None:
        self._commands = commands
        self._clock = clock
        self._max_retention = max_retention
        self._submit_body = submit_schema(max_retention)
        self._upload_body = upload_schema(max_upload)

    @Operation(
        "POST /jobs",
        parameters=("IdempotencyKey", "Prefer"),
        body="SubmitRequest",
        example={"jobType": "generic", "message": "Waiting for the worker", "metadata": {"order": 7}},
        answers=_SUBMITTED,
        errors=("UNKNOWN_JOB_TYPE", "UNKNOWN_WEBHOOK", "WEBHOOKS_OFF", *_NOT_SUBMITTED),
        waiting_errors=("INVALID_INPUT", "JOB_FAILED"),
    )
    def submit_job(self, request: Request) -> Answer:
        """Submit a job.

        An accepted job runs at least once. With an `Idempotency-Key`, you can repeat the request safely.
        """
        latest = self._clock() + self._max_retention
        return self.answer_with_job(request, submit_request(request.json(), self._submit_body, latest))

    @Operation(
        "POST /jobs/{asyncJobId}/cancel",
        answers={200: Success("The cancelled job.", "AsyncJob", links=("getJob",))},
        errors=("JOB_ALREADY_FINISHED", "UNAVAILABLE"),
    )
    def cancel_job(self, request: Request) -> Answer:
        """Cancel a job.

        The job ends immediately. Code that still runs is interrupted, and can record nothing more. Cancelling it again
        changes nothing.
        """
        key = request.job_key
        job = self._commands.cancel(key.owner, key.async_job_id)
        return job_answer(200, job, job_body(job, request.base), self._clock())

    @Operation(
        "POST /jobs/{asyncJobId}/retry",
        answers={202: Success("The job, pending again.", "AsyncJob", always=("Retry-After",), links=("getJob",))},
        errors=("JOB_NOT_RETRYABLE", "UNKNOWN_JOB_TYPE", *_NOT_ADMITTED),
    )
    def retry_job(self, request: Request) -> Answer:
        """Retry a job that failed or was cancelled.

        The job starts again with the same id, all its attempts and its whole deadline. The answer for a tracked job has the
        new token of its worker.
        """
        key = request.job_key
        job, token = self._commands.retry(key.owner, key.async_job_id)
        return job_answer(202, job, job_body(job, request.base), self._clock(), extra=_token_member(token))

    @Operation(
        "DELETE /jobs/{asyncJobId}",
        answers={204: Success("The job is deleted.")},
        errors=("JOB_NOT_FINISHED", "UNAVAILABLE"),
    )
    def delete_job(self, request: Request) -> Answer:
        """Delete a finished job, its input and its results.

        The idempotency key can be used again. Uploads that the input names are deleted, too, except those that a later job
        names.
        """
        key = request.job_key
        self._commands.delete(key.owner, key.async_job_id)
        return no_content()

    @Operation(
        "POST /uploads",
        body=UPLOAD_REQUEST,
        example={"contentType": "application/pdf", "contentLength": 48_213},
        answers={201: Success("Where to upload the object.", UPLOAD, sometimes=_RATE)},
        errors=("SUBMIT_RATE_EXCEEDED", "UNAVAILABLE"),
    )
    def create_upload(self, request: Request) -> Answer:
        """Prepare the upload of a large input.

        PUT the object to `url` within 15 minutes, once, with exactly these headers. Then use `key` in a job's input. An upload
        that no job's input names is deleted after a day.
        """
        owner, wanted = request.owner, checked(self._upload_body, request.json())
        content_type, size = wanted.get("contentType") or "application/octet-stream", int(wanted["contentLength"])
        upload = self._commands.upload(owner, content_type=content_type, size=size)
        body = {
            "key": upload.key,
            "url": upload.url,
            "method": "PUT",
            "headers": dict(upload.headers),
            "expiresAt": rfc3339(upload.expires_at),
        }
        return answer(201, body, headers=rate_headers(upload.quota))

    @Operation(
        "DELETE /uploads/{key}",
        answers={204: Success("The upload is deleted.")},
        errors=("INVALID_REQUEST", "SUBMIT_RATE_EXCEEDED", "UNAVAILABLE"),
    )
    def delete_upload(self, request: Request) -> Answer:
        """Delete an upload.

        The path is the upload's `key`. A job that needs the upload, and has not read it, fails. Deleting it again is 204. It counts
        under the submit rate.
        """
        owner, upload_id = request.owner, request.path_parameters.get("key", "").lower()
        if not is_upload_id(upload_id):
            raise invalid_request(InputProblem("/key", "must be the part of an upload's `key` after `uploads/`"))
        self._commands.delete_upload(owner, f"uploads/{upload_id}")
        return no_content()

    def answer_with_job(self, request: Request, asked: SubmitRequest) -> Answer:
        """Submit a job and answer with it: finished, if the caller waits or the job is quick."""
        preference, began = request.preference, self._clock()
        wait = timedelta(seconds=preference.wait_seconds or 0)
        submission = self._commands.submit(
            request.owner,
            asked,
            idempotency_key=request.idempotency_key,
            in_background=preference.respond_async and not (wait and self._commands.requests_may_wait),
        )
        if submission.worker_token is not None:
            # The worker needs the token of this answer before it can report anything.
            preference, wait = preference._replace(wait_seconds=None), timedelta(0)
        job, at_most = self._commands.wait(submission.job, began, wait)
        job = self._commands.with_links(job)
        headers = {
            "location": job_path(job, request.base),
            "vary": "Prefer",
            **_preference_applied(preference, at_most),
            **rate_headers(submission.quota),
        }
        if submission.replayed:
            headers["idempotency-replayed"] = "true"
        if job.status is Status.FAILED and (at_most or not submission.replayed):
            raise failed_while_waiting(job, headers)
        extra = _token_member(submission.worker_token)
        body = job_body(job, request.base)
        return job_answer(200 if job.is_finished else 202, job, body, self._clock(), headers, extra=extra)

    def answer_with_result(self, request: Request, asked: SubmitRequest) -> Answer:
        """Submit a job, wait for it, and answer with its bare result."""
        began = self._clock()
        submission = self._commands.submit(request.owner, asked, idempotency_key=request.idempotency_key)
        job = self._commands.with_links(self._commands.wait(submission.job, began, MAX_WAIT).job)
        headers = {"location": job_path(job, request.base), **rate_headers(submission.quota)}
        if job.status is not Status.COMPLETED:
            raise no_result_in_time(job, self._clock(), headers)
        if job.result is None or job.result.text is None:
            headers["location"] += "/result"
            return answer(303, {"location": headers["location"]}, headers=headers)
        if not request.accepts_json:
            raise Problem("NOT_ACCEPTABLE", headers=headers)
        return answer(200, text=job.result.text, headers=headers)


COMMANDS = operations_of(CommandRoutes)


def operations_of_job_type(job_type: JobType) -> Iterator[Operation]:
    """Yield the operations of the routes that the job type declares."""
    for route in job_type.routes:
        yield Operation(
            route,
            parameters=("IdempotencyKey", "Prefer"),
            answers=_SUBMITTED,
            errors=("INVALID_REQUEST", *_NOT_SUBMITTED),
            waiting_errors=("INVALID_INPUT", "JOB_FAILED"),
            handler=_with_input(job_type, CommandRoutes.answer_with_job),
            job_type=job_type,
        )
    for route in job_type.synchronous_routes:
        yield Operation(
            route,
            description="The request waits up to 20 s for the bare result. If the job takes longer, it is at `Location`.",
            parameters=("IdempotencyKey",),
            answers={
                200: Success("The result.", f"{job_type.name}.output", always=("Location",), sometimes=_RATE),
                303: Success("The result is too large for this answer.", RESULT_PLACE, always=("Location",), sometimes=_RATE),
            },
            errors=("INVALID_REQUEST", *_NOT_SUBMITTED),
            waiting_errors=("INVALID_INPUT", "JOB_FAILED", "JOB_CANCELLED", "JOB_NOT_COMPLETED", "NOT_ACCEPTABLE"),
            handler=_with_input(job_type, CommandRoutes.answer_with_result),
            job_type=job_type,
        )


def _with_input(
    job_type: JobType, submit: Callable[[CommandRoutes, Request, SubmitRequest], Answer]
) -> Callable[[CommandRoutes, Request], Answer]:
    def handle(routes: CommandRoutes, request: Request) -> Answer:
        asked = SubmitRequest(job_type=job_type.name, input=input_of(request, job_type.input_schema))
        try:
            return submit(routes, request, asked)
        except InvalidInput as error:
            # The fields of the request are the input itself, so their pointers do not begin with `/input`.
            raise invalid_request(*error.problems) from error

    return handle


def _token_member(token: WorkerToken | None) -> dict[str, str]:
    return {} if token is None else {"workerToken": token.text}


def _preference_applied(preference: Preference, at_most: timedelta | None) -> dict[str, Any]:
    """Return which preference the answer met (RFC 7240 3): the wait, perhaps shortened to 0, or an answer without waiting."""
    if preference.respond_async and not at_most:
        return {"preference-applied": "respond-async"}
    return wait_applied(at_most) if preference.wait_seconds else {}

"""The entry point of the dialects function: it rewrites requests of a dialect to our own, and our answers to the dialect's.

Nothing here decides about jobs: each request goes through the operation that serves our own route, with the same token.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any, NamedTuple

from asyncjobs.core.clock import Clock
from asyncjobs.core.errors import JobNotFound
from asyncjobs.core.exact_json import read_json, write_json
from asyncjobs.core.job import UUID, JobKey, Status
from asyncjobs.http.answers import Answer, answer
from asyncjobs.http.api import answered, logged_problem
from asyncjobs.http.dialects.dialect import JOB_PATH, SUBMIT, Dialect, Form, Route, Shape, said
from asyncjobs.http.dialects.multipart import read_form
from asyncjobs.http.dialects.words import ErrorWords, JobWords
from asyncjobs.http.request import BASE_PATH, Request
from asyncjobs.jobtypes.decorator import JobType
from asyncjobs.service.contents import Contents

ROUTE = "/compat/{dialect}/{proxy+}"
_UUID = re.compile(UUID)
_PARAMETER = re.compile(r"\\{(\w+)\\}")
_IN_BACKGROUND = "respond-async"


class _Matched(NamedTuple):
    """A request that a route of the dialect serves."""

    dialect: Dialect
    route: Route
    parameters: Mapping[str, str]
    """The parameters of the path, as the gateway hands them over."""
    path: str
    """The path below the dialect."""
    is_submit: bool
    event: Mapping[str, Any]

    @property
    def requested_id(self) -> str | None:
        """Return the job id in the path, as its client wrote it."""
        return self.parameters.get("asyncJobId") if "/jobs/{asyncJobId}" in self.route.ours else None

    @property
    def our_id(self) -> str | None:
        """Return our id for the id in the path. It may be an invalid one."""
        return None if self.requested_id is None else self.dialect.ids.ours(self.requested_id)

    def path_of(self, route: Route, job_id: str) -> str:
        """Return the path of a job as a reference that is relative to the request's URL, whatever comes before it."""
        path = route.theirs.partition(" ")[2].replace("{asyncJobId}", job_id)
        return "../" * (self.path.count("/") - 1) + path.removeprefix("/")


class DialectsApi:
    """Answers the requests of all dialects that a deployment has."""

    def __init__(
        self,
        dialects: Mapping[str, Dialect],
        *,
        call: Callable[[Mapping[str, Any]], Answer],
        contents: Contents,
        clock: Clock,
        job_types: Iterable[JobType] = (),
    ) -> None:
        """Make the API. `call` answers the events of our own routes."""
        types = tuple(job_types)
        self._dialects = {name: (dialect, tuple(_routes(dialect, types))) for name, dialect in dialects.items()}
        self._call = call
        self._contents = contents
        self._clock = clock

    def handle(self, event: Mapping[str, Any]) -> Answer:
        """Answer an event of an HTTP API (payload format 2.0)."""
        # A bug in the dialect's form of errors leaves our own form.
        return answered(Request({**event, "routeKey": f"{event['requestContext']['http']['method']} {ROUTE}"}), self._answer)

    def _answer(self, request: Request) -> Answer:
        method, event = request.route.partition(" ")[0], request.event
        name, path = event["pathParameters"]["dialect"], f"/{event['pathParameters']['proxy']}"
        if name not in self._dialects:
            return answer(HTTPStatus.NOT_FOUND, {"message": "Not Found"})  # the gateway's own, as without any dialect
        dialect, routes = self._dialects[name]
        methods = dict[str, _Matched]()
        for place in routes:
            if found := place.pattern.fullmatch(path):
                matched = _Matched(dialect, place.route, found.groupdict(), path, place.is_submit, event)
                methods.setdefault(place.route.theirs.partition(" ")[0], matched)
        if method in methods:
            return self._answer_matched(request, methods[method])
        return _no_route(dialect, request, {*methods, "HEAD"} if "GET" in methods else {*methods}, self._clock)

    def _answer_matched(self, request: Request, matched: _Matched) -> Answer:
        try:
            ours = self._call(self._our_event(matched, request))
            return self._translated(ours, matched, request)
        except Exception as error:  # noqa: BLE001 - a bug, too, is answered in the dialect
            problem = logged_problem(request.route, error)
            return self._error(problem.status, {**problem.body, "requestId": request.request_id}, problem.headers, matched)

    # ── The request ────────────────────────────────────────────────────────────────────────────────

    def _our_event(self, matched: _Matched, request: Request) -> dict[str, Any]:
        route, parameters = matched.route, dict(matched.parameters)
        if matched.our_id is not None:
            parameters["asyncJobId"] = matched.our_id
        method, _, path = route.ours.partition(" ")
        headers = dict(request.headers)
        if matched.is_submit and matched.dialect.in_background:
            headers.setdefault("prefer", _IN_BACKGROUND)
        event = {
            **matched.event,
            "routeKey": f"{method} {BASE_PATH}{path}",
            # Only how deep it is counts.
            "rawPath": f"{BASE_PATH}{path}",
            "pathParameters": parameters,
            "headers": headers,
        }
        body = self._our_body(route, request)
        if body is None:
            return event
        headers["content-type"] = "application/json"
        event["headers"] = {name: value for name, value in headers.items() if name not in _OF_THE_BODY}
        return {**event, "body": write_json(body), "isBase64Encoded": False}

    def _our_body(self, route: Route, request: Request) -> Any:
        """Return our body, or None for theirs."""
        if route.form is not None and request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
            return route.form(self._stored(request))
        if not route.fields and route.rewrite is None:
            return None
        body = request.json() if request.has_body else {}
        if not isinstance(body, dict):
            return body
        body = {route.fields.get(name, name): value for name, value in body.items()}
        return body if route.rewrite is None else route.rewrite(body)

    def _stored(self, request: Request) -> Form:
        """Store the form's file as an upload of the caller."""
        owner, idempotency_key = request.owner, request.idempotency_key
        file, fields = read_form(request.headers["content-type"], request.binary())
        key = self._contents.store_upload(owner, file.data, content_type=file.content_type, idempotency_key=idempotency_key)
        return Form(key=key, file_name=file.name, size=len(file.data), fields=fields)

    # ── The answer ─────────────────────────────────────────────────────────────────────────────────

    def _translated(self, ours: Answer, matched: _Matched, request: Request) -> Answer:
        status, headers = ours["statusCode"], dict(ours["headers"])
        if status >= HTTPStatus.BAD_REQUEST:
            return self._error(status, read_json(ours["body"]), self._headers(headers, None, matched), matched)
        shape = _shape(matched, ours)
        if shape is None or status in {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}:
            return ours
        body = _job_in(ours, matched)
        job_id: str = body["asyncJobId"]
        key = JobKey(request.owner, job_id)
        words = JobWords(
            dialect=matched.dialect,
            ours=body,
            now=self._clock(),
            input=partial(self._contents.input, key),
            result=partial(self._contents.result, key),
            result_location=_result_location(body, matched),
        )
        if _is_another(words, matched):
            raise JobNotFound
        status = HTTPStatus.OK if status == HTTPStatus.SEE_OTHER else status
        return answer(status, said(shape, words), headers=self._headers(headers, words, matched))

    def _error(self, status: int, problem: Mapping[str, Any], headers: Mapping[str, str], matched: _Matched) -> Answer:
        # The gateway's text may be no Unicode, which an answer must be.
        requested_id = matched.requested_id and matched.requested_id.encode(errors="replace").decode()
        words = ErrorWords(
            dialect=matched.dialect,
            problem=problem,
            now=self._clock(),
            requested_id=requested_id,
            fields=matched.route.fields,
        )
        return _error_answer(status, said(matched.dialect.error, words), problem["requestId"], headers)

    @staticmethod
    def _headers(headers: Mapping[str, str], words: JobWords | None, matched: _Matched) -> dict[str, str]:
        """Return our headers, of which `Location` leads into the dialect."""
        kept = {name: value for name, value in headers.items() if name not in {"location", "content-type"}}
        if "prefer" not in {name.lower() for name in matched.event["headers"]}:
            # It names what the client preferred, and this one preferred nothing.
            kept.pop("preference-applied", None)
        if "location" in headers and words is not None and "createdAt" in words.ours:
            kept["location"] = matched.path_of(matched.dialect.job_route, words("asyncJobId"))
        return kept


class _Place(NamedTuple):
    """A route with the pattern of its path."""

    pattern: re.Pattern[str]
    route: Route
    is_submit: bool


def _routes(dialect: Dialect, job_types: Iterable[JobType]) -> Iterator[_Place]:
    """Return the dialect's routes: those with fewer parameters first, as in the gateway."""
    places = [_place(route, is_submit=route.ours == SUBMIT) for route in dialect.routes]
    if dialect.job_type_routes is not None:
        for job_type in job_types:
            places += [_place(_of_job_type(dialect, route), is_submit=True) for route in job_type.routes]
            places += [
                _place(_of_job_type(dialect, route, answer=dialect.bare), is_submit=False)
                for route in job_type.synchronous_routes
            ]
    return iter(sorted(places, key=lambda place: place.pattern.groups))


def _of_job_type(dialect: Dialect, route: str, answer: Shape | None = None) -> Route:
    method, _, path = route.partition(" ")
    return Route(theirs=f"{method} {dialect.job_type_routes}{path}", ours=route, answer=answer)


def _place(route: Route, *, is_submit: bool) -> _Place:
    path = re.escape(route.theirs.partition(" ")[2])
    # With a slash at the end or without: frameworks differ, and the gateway has no say here.
    return _Place(re.compile(_PARAMETER.sub(r"(?P<\1>[^/]+)", path) + "/?", re.DOTALL), route, is_submit)


def _shape(matched: _Matched, ours: Answer) -> Shape | None:
    dialect = matched.dialect
    if not matched.is_submit:
        return matched.route.answer
    if ours["statusCode"] != HTTPStatus.OK or dialect.ran is None:
        return dialect.started
    # A repeated request finds its job as it has ended, perhaps without a result.
    has_completed = read_json(ours["body"])["status"] == Status.COMPLETED
    return dialect.ran if has_completed else dialect.job_route.answer


def _job_in(ours: Answer, matched: _Matched) -> Mapping[str, Any]:
    """Return the job of our answer. An answer with a bare result has the job's id in its path or in `Location`."""
    if matched.is_submit or not _is_bare(matched):
        body: Mapping[str, Any] = read_json(ours["body"])
        return body
    location = _UUID.search(ours["headers"].get("location", "").partition("?")[0])
    job_id = (matched.our_id or "").lower() or (location[0] if location else "")
    job = {"asyncJobId": job_id, "status": Status.COMPLETED}
    if ours["statusCode"] == HTTPStatus.SEE_OTHER:
        return {**job, "resultType": "S3"}
    return {**job, "result": read_json(ours["body"])}


def _is_bare(matched: _Matched) -> bool:
    """Return whether our route answers with a result and not with a job."""
    return matched.route.ours == RESULT_PATH or not matched.route.ours.partition(" ")[2].startswith("/jobs/{asyncJobId}")


RESULT_PATH = "GET /jobs/{asyncJobId}/result"


def _result_location(body: Mapping[str, Any], matched: _Matched) -> str | None:
    route = next((route for route in matched.dialect.routes if route.ours == RESULT_PATH), None)
    return None if route is None or "createdAt" not in body else matched.path_of(route, matched.dialect.ids.theirs(body))


def _is_another(words: JobWords, matched: _Matched) -> bool:
    """Return whether the id in the path is that of the job only in part."""
    if matched.requested_id is None or matched.route.ours != JOB_PATH:
        return False
    return bool(words("asyncJobId").lower() != matched.requested_id.lower())


def _no_route(dialect: Dialect, request: Request, allowed: set[str], clock: Clock) -> Answer:
    """Answer a request that no route of the dialect serves."""
    problem: dict[str, Any] = {"status": 404, "code": "NOT_FOUND", "detail": "Check the path. No route has it."}
    headers = dict[str, str]()
    if allowed:
        detail = f"Use {' or '.join(sorted(allowed))} instead of {request.route.partition(' ')[0]}."
        problem, headers["allow"] = {"status": 405, "code": "METHOD_NOT_ALLOWED", "detail": detail}, ", ".join(sorted(allowed))
    problem["requestId"] = request.request_id
    words = ErrorWords(dialect=dialect, problem=problem, now=clock())
    return _error_answer(problem["status"], said(dialect.error, words), request.request_id, headers)


def _error_answer(status: int, body: Any, request_id: str, headers: Mapping[str, str]) -> Answer:
    """Return an error of the dialect. Its body is the dialect's, which may have no place for the request's id: a header has it."""
    return answer(status, body, headers={**headers, "content-type": "application/json", "x-request-id": request_id})


_OF_THE_BODY = frozenset({"content-length", "content-encoding"})

"""Requests and answers as values: addresses, headers and bodies, without a connection."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from asyncjobs_client._version import __version__
from asyncjobs_client.errors import ApiConnectionError, ApiError, api_error
from asyncjobs_client.events import Page
from asyncjobs_client.pauses import retry_after_of

BASE_PATH = "/api/v1"
USER_AGENT = f"asyncjobs-client/{__version__} python/{sys.version_info.major}.{sys.version_info.minor}"
_LAST_SUCCESS = 299
_NOT_MODIFIED, _SEE_OTHER = 304, 303
_ADVICE = {
    401: "The API does not accept the token. It is wrong, of another API, or has expired.",
    403: "Check the API's address, and whether the token has a scope that the API requires.",
    404: "Check the API's address.",
}
"""What to do about a refusal of the gateway, which says only that it has refused."""


@dataclass(frozen=True)
class Request:
    """A request to the API. `path` is below the base URL."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    job_id: str | None = None
    """For errors."""


@dataclass(frozen=True)
class Answer:
    """An answer that is not an error."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def retry_after(self) -> float | None:
        """The seconds in `Retry-After`."""
        return retry_after_of(self.headers.get("retry-after"), self.headers.get("date"))

    @property
    def is_unchanged(self) -> bool:
        """Whether the client has the job's state already."""
        return self.status == _NOT_MODIFIED

    def json(self) -> Any:
        """Return the body."""
        return json.loads(self.body)

    def record(self, *members: str) -> dict[str, Any]:
        """Return the body, an object with these members. One without them is another API's."""
        body = self.json() if self.body else None
        found: dict[str, Any] = body if isinstance(body, dict) else {}
        for name in members:
            if found.get(name) is None:
                raise ApiConnectionError(f"The answer has no {name!r}, so this is no asyncjobs API. {_ADVICE[404]}")
        return found


def api_url(url: str) -> str:
    """Return the base URL of the API at this address, which may be the stage's, or the API's own."""
    if urlsplit(url).scheme not in {"http", "https"}:
        raise ValueError(f"{url!r} is not an address of an API: use one that begins with https://.")
    stripped = url.rstrip("/")
    return stripped if stripped.endswith(BASE_PATH) else stripped + BASE_PATH


def checked(request: Request, answer: Answer) -> Answer:
    """Return the answer if it is a success with a whole body. Raise the error that it stands for otherwise."""
    if answer.status not in {_NOT_MODIFIED, _SEE_OTHER} and not _is_success(answer.status):
        raise error_of(answer, request.job_id, advice=_ADVICE.get(answer.status))
    if answer.body:
        try:
            answer.json()
        except ValueError as error:
            message = (
                f"{request.method} {request.path}: the answer is not JSON. Check the API's address, and proxies on the way."
            )
            raise ApiConnectionError(message, job_id=request.job_id) from error
    return answer


def error_of(answer: Answer, job_id: str | None, *, advice: str | None = None) -> ApiError:
    """Return the error that an answer stands for, whether the API, the gateway, the storage or a proxy has sent it.

    `advice` is for an answer that has none of its own, as only the API's have.
    """
    try:
        problem = answer.json()
    except ValueError:
        problem = {}
    if not isinstance(problem, dict):
        problem = {}
    if advice and "code" not in problem:
        problem = {"detail": advice, **problem}
    return api_error(answer.status, problem, retry_after=answer.retry_after, job_id=job_id)


def _is_success(status: int) -> bool:
    return 200 <= status <= _LAST_SUCCESS  # noqa: PLR2004 - the first success


def job_path(job_id: str, *rest: str) -> str:
    """Return the path of a job, or of what is below it."""
    return "/".join(["/jobs", quote(job_id, safe=""), *rest])


def get_job(job_id: str, etag: str | None = None) -> Request:
    """Return the request of a poll."""
    return Request("GET", job_path(job_id), headers={"if-none-match": etag} if etag else {}, job_id=job_id)


def get_result(job_id: str) -> Request:
    """Return the request of a result, or of the link to it."""
    return Request("GET", job_path(job_id, "result"), job_id=job_id)


def get_input(job_id: str) -> Request:
    """Return the request of an input."""
    return Request("GET", job_path(job_id, "input"), job_id=job_id)


def get_events(job_id: str, after: int, wait: int) -> Request:
    """Return the request of all events after a number, which may wait for one."""
    return Request("GET", job_path(job_id, "events"), {"after": str(after), "wait": str(wait)}, job_id=job_id)


def events_of(answer: Answer, after: int) -> Page:
    """Return the events of an answer."""
    return Page.of(answer.record(), after, answer.headers.get("preference-applied", ""))


def command(method: str, job_id: str, *rest: str) -> Request:
    """Return the request of a command on a job."""
    return Request(method, job_path(job_id, *rest), job_id=job_id)


def with_json(method: str, path: str, body: bytes, *, job_id: str | None = None, **headers: str) -> Request:
    """Return a request with a JSON body."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(method, path, headers={"content-type": "application/json", **named}, body=body, job_id=job_id)

"""What a dialect is: a table by which the requests and answers of another job API are those of this one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from asyncjobs.core.job import Status

Words = Callable[[str], Any]
"""Returns what one of our words means in the answer at hand, in the dialect's form: `words("createdAt")`."""
Shape: TypeAlias = "str | Mapping[str, Shape] | Callable[[Words], Any]"
"""One of our words, a table of members, or code. A member whose name ends with `?` is left out when it is null."""

JOB_PATH = "GET /jobs/{asyncJobId}"
SUBMIT = "POST /jobs"


def said(shape: Shape, words: Words) -> Any:
    """Return the value of this shape."""
    if isinstance(shape, str):
        return words(shape)
    if callable(shape):
        return shape(words)
    members = {name: said(part, words) for name, part in shape.items()}
    return {name.removesuffix("?"): value for name, value in members.items() if value is not None or not name.endswith("?")}


class Ids(NamedTuple):
    """The form of job ids."""

    theirs: Callable[[Mapping[str, Any]], str] = lambda job: job["asyncJobId"]
    """Makes the id of our job, as `GET /jobs/{asyncJobId}` answers with it."""
    ours: Callable[[str], str] = lambda text: text
    """Reads the id in a path. An invalid one may stay as it is: no job has it."""


UUIDS = Ids()


class Form(NamedTuple):
    """A form with one file, which is stored as an upload."""

    key: str
    """The upload's key, for the job's input."""
    file_name: str
    size: int
    fields: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Route:
    """A route of the dialect, and our own that answers it. Both name their parameters alike."""

    theirs: str
    """The method and the path below `/compat/{dialect}`."""
    ours: str
    """The method and the path below `/api/v1`."""
    answer: Shape | None = None
    """The shape of a success; None leaves our answer as it is. Submits have that of the dialect."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """Our names of the members of a request's body."""
    rewrite: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    """Makes our body in a way that renaming cannot. Our API checks the result."""
    form: Callable[[Form], dict[str, Any]] | None = None
    """Makes our body of a form (multipart/form-data) that is sent instead of JSON."""


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """Another job API: its routes, and its form of everything."""

    statuses: Mapping[Status, str]
    routes: tuple[Route, ...]
    started: Shape
    """The answer to a submit."""
    error: Shape
    """The body of every error: also has the words `code`, `message`, `title`, `requestId`, and `status` of HTTP."""
    ran: Shape | None = None
    """The answer to a submit whose job has completed already; None for that of any other submit."""
    bare: Shape = "result"
    """The answer of synchronous routes."""
    job_type_routes: str | None = None
    """The path before the routes that job types declare; None without these."""
    in_background: bool = True
    """Whether a submit without `Prefer` never waits for a quick job."""
    most_progress: int = 100
    """The progress of a completed job."""
    whole_seconds: bool = False
    """Whether times have no milliseconds."""
    ids: Ids = UUIDS
    messages: Mapping[str, str] = field(default_factory=lambda: {"": "Job started"})
    """What `started` means for a job type; "" for all others."""
    error_messages: Mapping[str, str] = field(default_factory=dict)
    """Texts by our error codes; `{id}` is the job id in the path. Other errors have our own text."""

    @property
    def job_route(self) -> Route:
        """Return the route of a job's status, which `Location` leads to."""
        return next(route for route in self.routes if route.ours == JOB_PATH)

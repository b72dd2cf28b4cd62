"""The dialects over the API in memory, called with the gateway's events."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from asyncjobs.core.job import AsyncJob, JobFailure, JobKey, Result
from asyncjobs.http.dialects.api import DialectsApi
from asyncjobs.http.dialects.dialect import Dialect
from asyncjobs.http.dialects.find import BUILT_IN, find_dialects
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.jobtypes.decorator import GENERIC, Exclusive, tracked_job
from asyncjobs.service.contents import Contents
from asyncjobs.service.queries import Queries
from tests.support.factories import OWNER, job_type, new_job, running_job
from tests.support.http_events import Answer, http_event
from tests.unit.http.in_memory_api import InMemoryApi

PDF_SCHEMA = {"type": "object", "required": ["key"], "properties": {"key": {"type": "string"}}}
SUBJECT = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"subject": {"type": "string"}, "limit": {"type": "integer"}},
}
CATALOG = Catalog(
    {
        "mysql.import": job_type("mysql.import", routes=("POST /import/mysql",)),
        "refreshcache": job_type(
            "refreshcache",
            routes=("POST /jobs/cache/refresh",),
            synchronous_routes=("POST /cache",),
            exclusive=Exclusive("operation"),
        ),
        "subjectdata": job_type(
            "subjectdata",
            routes=("POST /jobs/search/subject/{subject}",),
            synchronous_routes=("GET /search/subject/{subject}",),
            input_schema=SUBJECT,
        ),
        "gemini_analysis": job_type("gemini_analysis", routes=("POST /analyze",)),
        "document.extract": job_type("document.extract", input_schema=PDF_SCHEMA),
        GENERIC: tracked_job(GENERIC),
        "file_processing": tracked_job("file_processing"),
    }
)


@dataclass
class InMemoryDialects:
    """All dialects, over one API with the job types that their examples name."""

    api: InMemoryApi = field(default_factory=lambda: InMemoryApi(catalog=CATALOG))
    dialects: Mapping[str, Dialect] = field(default_factory=lambda: find_dialects(BUILT_IN))

    def __post_init__(self) -> None:
        parts: Any = {"store": self.api.store, "objects": self.api.objects, "clock": self.api.clock}
        contents = Contents(queries=Queries(catalog=self.api.catalog, **parts), objects=self.api.objects)
        self.contents = contents
        self._dialects = DialectsApi(
            self.dialects, call=self.api.handle, contents=contents, clock=self.api.clock, job_types=self.api.catalog
        )

    def call(
        self, dialect: str, request: str, *, body: Any = None, owner: Any = OWNER, query: str = "", **headers: str
    ) -> Answer:
        """Send a request with this JSON body: `call("daemon", "GET /api/v1/jobs/1")`."""
        given = {} if body is None else {"body": json.dumps(body)}
        return self.send(dialect, request, owner=owner, query=query, headers=headers, **given)

    def send(
        self, dialect: str, request: str, *, owner: Any = OWNER, headers: Mapping[str, str] | None = None, **event: Any
    ) -> Answer:
        """Send a request with these parts of an event. Fail for a bug that the dialect does not answer in its own form."""
        return Answer.of(self.answer(dialect, request, owner=owner, headers=headers, **event))

    def answer(
        self, dialect: str, request: str, *, owner: Any = OWNER, headers: Mapping[str, str] | None = None, **event: Any
    ) -> Mapping[str, Any]:
        """Return what the gateway receives."""
        method, _, path = request.partition(" ")
        found = http_event(f"{method} /compat/{{dialect}}/{{proxy+}}", owner, headers=None, **{"body": None, **event})
        found["headers"] = {"content-type": "application/json", "accept": "*/*"}
        found["headers"] |= {name.replace("_", "-"): value for name, value in (headers or {}).items()}
        found["requestContext"]["http"]["method"] = method
        found["pathParameters"] = {"dialect": dialect, "proxy": path.removeprefix("/")}
        found["rawPath"] = f"/compat/{dialect}{path}"
        return self._dialects.handle(found)

    def job_of(self, async_job_id: str, owner: str = OWNER) -> AsyncJob:
        return self.api.store.jobs[JobKey(owner, async_job_id)]

    def has(self, job: AsyncJob) -> AsyncJob:
        """Store the job."""
        self.api.add_jobs(job)
        return job


def working(job_type: str, *, progress: int = 0, message: str | None = None, **changes: Any) -> AsyncJob:
    """Return a job in progress."""
    job = running_job(job_type=job_type, **changes)
    lease = timedelta(minutes=1)
    return job.reported(now=job.updated_at, progress=progress, message=message, lease_until=job.updated_at + lease)


def done(job_type: str, result: str = "{}", **changes: Any) -> AsyncJob:
    """Return a completed job."""
    job = working(job_type, **changes)
    return job.completed(now=job.updated_at, result=Result(text=result))


def failed(job_type: str, message: str = "Connection timeout", **changes: Any) -> AsyncJob:
    """Return a failed job."""
    job = working(job_type, **changes)
    return job.failed(now=job.updated_at, error=JobFailure(code="LOST", message=message, type="Fatal", retryable=False))


def cancelled(job_type: str) -> AsyncJob:
    """Return a cancelled job."""
    job = new_job(job_type=job_type)
    return job.cancelled(now=job.created_at)

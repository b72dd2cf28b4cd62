"""Every operation of the deployed API, as requests."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from asyncjobs.codegen.openapi import OPERATIONS
from asyncjobs.http.admin_routes import ADMIN
from tests.support.deployed import UNKNOWN, Caller, Job


@dataclass(frozen=True)
class Call:
    """An operation's method and path. Without a job id, the path has an unknown one."""

    method: str
    template: str
    has_body: bool
    is_open: bool

    def path(self, async_job_id: str = UNKNOWN) -> str:
        return re.sub(r"\{(asyncJobId|key)\}", async_job_id, self.template)

    @property
    def is_about_a_job(self) -> bool:
        return "{asyncJobId}" in self.template

    def __str__(self) -> str:
        return f"{self.method} {self.template}"


_OWN_ROUTES = [
    Call("POST", "/search", has_body=True, is_open=False),
    Call("GET", "/search", has_body=False, is_open=False),
    Call("POST", "/jobs/search/subject/x", has_body=True, is_open=False),
    Call("GET", "/jobs/search/subject/x", has_body=False, is_open=False),
    Call("POST", "/jobs/cache/refresh/3", has_body=True, is_open=False),
    Call("GET", "/jobs/cache/refresh/3", has_body=False, is_open=False),
]
ALL = [
    Call(
        operation.route.partition(" ")[0],
        operation.route.partition(" ")[2],
        has_body=operation.body is not None,
        is_open=operation.security != "bearer",
    )
    for operation in OPERATIONS
    if operation not in ADMIN  # its job may be anybody's: see test_admin.py
] + _OWN_ROUTES


def calls(which: Callable[[Call], bool]) -> list[Call]:
    """Return the calls for which `which` is true; at least one."""
    found = [each for each in ALL if which(each)]
    assert found
    return found


ABOUT_A_JOB = calls(lambda call: call.is_about_a_job and not call.is_open)


def every_call_about(job: Job, caller: Caller) -> list[httpx.Response]:
    """Send every call about the job, and return the answers."""
    async_job_id, report = job["asyncJobId"], {"progress": 1}
    return [
        caller.http.request(call.method, call.path(async_job_id), json=report if call.has_body else None)
        for call in ABOUT_A_JOB
    ]

"""Collecting the declared job types."""

from __future__ import annotations

import re

import pytest

from asyncjobs.codegen.collect import collect
from asyncjobs.codegen.openapi import OPERATIONS
from asyncjobs.core.errors import InvalidJob
from asyncjobs.jobtypes.decorator import GENERIC, load
from asyncjobs.testing import FakeContext
from tests.unit.conftest import JOB, JobsPackage


def test_every_job_of_every_module_is_collected_by_name(jobs_package: JobsPackage) -> None:
    package = jobs_package(
        one=JOB.format(name="z.last", function="f") + JOB.format(name="a.first", function="g"),
        two=JOB.format(name="m.middle", function="f"),
    )
    found = [job_type for job_type in collect() if job_type.name != GENERIC]
    assert [job_type.name for job_type in found] == ["a.first", "m.middle", "z.last"]
    assert [job_type.module for job_type in found] == [f"{package.name}.{module}" for module in ("one", "two", "one")]


def test_imported_job_is_collected_once(jobs_package: JobsPackage) -> None:
    package = jobs_package(one=JOB.format(name="a.b", function="f"))
    (package / "two.py").write_text(f"from {package.name}.one import f\n__all__ = ['f']\n")
    assert [job_type.module for job_type in collect() if job_type.name != GENERIC] == [f"{package.name}.one"]


JOB_WITH_ROUTE = JOB.replace(")\ndef", ", route='{route}')\ndef", 1)


def test_same_route_of_two_jobs_is_rejected(jobs_package: JobsPackage) -> None:
    one, two = (
        JOB_WITH_ROUTE.format(name=name, function=function, route="POST /x") for name, function in (("a.b", "f"), ("c.d", "g"))
    )
    jobs_package(one=one, two=two)
    with pytest.raises(InvalidJob, match=r"'POST /x' is declared twice: by 'a\.b' and by 'c\.d'"):
        collect()


PATHS = sorted({operation.route.partition(" ")[2] for operation in OPERATIONS})


@pytest.mark.parametrize(
    "path",
    [
        *PATHS,
        *("/jobs/{id}", "/jobs/{id}/logs", "/jobs/{id}/pages/{number}"),
        *("/uploads/list", "/tickets/{id}", "/webhooks/all", "/admin", "/admin/owners"),
    ],
)
def test_route_of_the_api_itself_is_rejected(path: str, jobs_package: JobsPackage) -> None:
    jobs_package(one=JOB_WITH_ROUTE.format(name="a.b", function="f", route=f"GET {path}"))
    with pytest.raises(InvalidJob, match=re.escape(f"a.b: 'GET {path}' is taken by the API itself")):
        collect()


@pytest.mark.parametrize("path", ["/jobs/search", "/jobs/cache/refresh/{depth}", "/reports", "/health/disk", "/administration"])
def test_route_beside_those_of_the_api_is_collected(path: str, jobs_package: JobsPackage) -> None:
    jobs_package(one=JOB_WITH_ROUTE.format(name="a.b", function="f", route=f"GET {path}"))
    assert [job_type.routes for job_type in collect() if job_type.name == "a.b"] == [(f"GET {path}",)]


LOCKED = """
from asyncjobs import Exclusive, JobContext, job

@job("{name}", exclusive=Exclusive("cache", {options}))
def f(input: int, context: JobContext) -> int:
    return input
"""


def test_job_types_share_a_lock_with_the_same_scope_and_limit(jobs_package: JobsPackage) -> None:
    one, two = (
        LOCKED.format(name=name, options=f"limit=2, policy='{policy}'") for name, policy in (("a.b", "JOIN"), ("c.d", "QUEUE"))
    )
    jobs_package(one=one, two=two)
    assert [job_type.exclusive.policy for job_type in collect() if job_type.exclusive] == ["JOIN", "QUEUE"]


@pytest.mark.parametrize("options", ["limit=2", "scope='OWNER'"])
def test_lock_that_two_job_types_declare_differently_is_rejected(options: str, jobs_package: JobsPackage) -> None:
    jobs_package(one=LOCKED.format(name="a.b", options=""), two=LOCKED.format(name="c.d", options=options))
    with pytest.raises(InvalidJob, match=r"'a\.b' and 'c\.d' share the lock 'cache'"):
        collect()


def test_same_name_of_two_jobs_is_rejected(jobs_package: JobsPackage) -> None:
    jobs_package(one=JOB.format(name="a.b", function="f"), two=JOB.format(name="a.b", function="g"))
    with pytest.raises(InvalidJob, match=r"'a\.b' is declared twice: in .*one and in .*two"):
        collect()


def test_name_of_a_built_in_type_is_rejected(jobs_package: JobsPackage) -> None:
    jobs_package(one=JOB.format(name="webhook.deliver", function="f"))
    with pytest.raises(InvalidJob, match=r"'webhook\.deliver' is a type of the library itself"):
        collect()


TRACKED = """
from asyncjobs import tracked_job

a_type = tracked_job("{name}", retention_seconds={retention})
"""


def test_tracked_types_and_generic_are_collected(jobs_package: JobsPackage) -> None:
    jobs_package(one=TRACKED.format(name="file_processing", retention=60))
    found = {job_type.name: job_type for job_type in collect()}
    assert list(found) == ["file_processing", "generic"]
    assert all(job_type.tracked for job_type in found.values())
    assert [int(job_type.retention.total_seconds()) for job_type in found.values()] == [60, 300]


def test_own_generic_type_replaces_the_default_one(jobs_package: JobsPackage) -> None:
    jobs_package(one=TRACKED.format(name="generic", retention=60))
    assert [(found.name, found.retention.total_seconds()) for found in collect()] == [("generic", 60)]


def test_imported_tracked_type_is_collected_once(jobs_package: JobsPackage) -> None:
    package = jobs_package(one=TRACKED.format(name="a.b", retention=60))
    (package / "two.py").write_text(f"from {package.name}.one import a_type\n__all__ = ['a_type']\n")
    assert [found.name for found in collect()] == ["a.b", "generic"]


@pytest.mark.parametrize(
    "second", [TRACKED.format(name="a.b", retention=90), JOB.format(name="a.b", function="f")], ids=["tracked", "not tracked"]
)
def test_same_name_of_two_types_is_rejected(jobs_package: JobsPackage, second: str) -> None:
    jobs_package(one=TRACKED.format(name="a.b", retention=60), two=second)
    with pytest.raises(InvalidJob, match=r"'a\.b' is declared twice: in .*one and in .*two"):
        collect()


def test_same_name_of_two_jobs_of_one_module_is_rejected(jobs_package: JobsPackage) -> None:
    jobs_package(one=JOB.format(name="a.b", function="f") + JOB.format(name="a.b", function="g"))
    with pytest.raises(InvalidJob, match=r"'a\.b' is declared twice"):
        collect()


DECORATED = """
import functools
from asyncjobs import JobContext, job

def wrapped(function):
    @functools.wraps(function)
    def wrapper(*args):
        return -function(*args)
    return wrapper

def hidden(function):
    return lambda *args: function(*args)

def make(name):
    @job(name)
    def f(input: int, context: JobContext) -> int:
        return input
    return f
"""


def test_job_is_collected_under_the_name_that_its_module_has_for_it(jobs_package: JobsPackage) -> None:
    jobs_package(one=DECORATED + "one, two = make('a.one'), make('a.two')\nalias = one\nthree = wrapped(make('a.three'))\n")
    found = {job_type.name: job_type for job_type in collect() if job_type.name != GENERIC}
    assert {name: job_type.function for name, job_type in found.items()} == {"a.one": "one", "a.two": "two", "a.three": "three"}
    assert {name: load(job_type).function(7, FakeContext()) for name, job_type in found.items()} == {
        "a.one": 7,
        "a.two": 7,
        "a.three": -7,
    }


@pytest.mark.parametrize(
    "text", ["f = hidden(make('a.b'))", "make('a.b')", "f = make('a.b')\nf = job('a.c')(f)"], ids=["hidden", "lost", "twice"]
)
def test_job_that_the_worker_could_not_call_is_rejected(jobs_package: JobsPackage, text: str) -> None:
    jobs_package(one=f"{DECORATED}{text}\n")
    with pytest.raises(InvalidJob, match=r"^a\.b: nothing in .*one leads to this job.* functools\.wraps"):
        collect()

"""How attempts at a type's jobs run."""

from __future__ import annotations

from datetime import timedelta

import pytest

from asyncjobs.core.errors import StaleCatalog, UnknownJobType
from asyncjobs.core.job import SHORT_LEASE
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.worker.plan import Plan
from tests.support.factories import job_type
from tests.support.sample_jobs import returns


@pytest.mark.parametrize(
    ("timeout", "lease", "renews_lease"),
    [
        (timedelta(seconds=1), timedelta(minutes=1), False),
        (timedelta(minutes=1), timedelta(seconds=75), False),
        (timedelta(seconds=61), SHORT_LEASE, True),
    ],
)
def test_lease_follows_from_the_timeout(timeout: timedelta, lease: timedelta, *, renews_lease: bool) -> None:
    plan = Plan.of("a", Catalog({"a": job_type("a", timeout=timeout)}))
    assert (plan.timeout, plan.lease, plan.renews_lease) == (timeout, lease, renews_lease)


@pytest.mark.parametrize("is_async", [True, False])
def test_plan_is_for_a_coroutine_if_the_type_is_one(*, is_async: bool) -> None:
    assert Plan.of("a", Catalog({"a": job_type("a", is_async=is_async)})).is_async is is_async


def test_unknown_type_has_a_plan_that_fails_to_load() -> None:
    plan = Plan.of("no.such", Catalog({}))
    assert (plan.timeout, plan.is_async, plan.renews_lease) == (timedelta(minutes=1), False, False)
    with pytest.raises(UnknownJobType, match=r"no\.such"):
        plan.load()


def test_plan_loads_the_function_of_its_type(catalog: Catalog) -> None:
    assert Plan.of("sample.returns", catalog).load().function is returns


def test_plan_of_a_stale_catalog_fails_to_load() -> None:
    plan = Plan.of("a", Catalog({"a": job_type("a", module="tests.support.sample_jobs", function="returns")}))
    with pytest.raises(StaleCatalog):
        plan.load()

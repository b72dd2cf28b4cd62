"""Commands and queries over fakes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.jobtypes.decorator import GENERIC, tracked_job
from asyncjobs.service.commands import Commands
from asyncjobs.service.queries import Queries
from tests.support.factories import job_type
from tests.support.fakes import FakeClock, FakeObjects, FakeQueue, FakeStore, RacingStore
from tests.support.parts import make_commands

PAGES = {"type": "object", "properties": {"pages": {"type": "integer"}}}
CATALOG = Catalog(
    {
        "service.reads": job_type("service.reads", input_schema=PAGES, max_attempts=5, retention=timedelta(days=3)),
        GENERIC: tracked_job(GENERIC, deadline_seconds=3600),
        "service.once": job_type("service.once", dedupe=timedelta(hours=1)),
        "service.keeps": job_type("service.keeps", retention=timedelta(days=90)),
    }
)


@pytest.fixture
def store() -> RacingStore:
    return RacingStore()


@pytest.fixture
def commands(store: FakeStore, queue: FakeQueue, objects: FakeObjects, clock: FakeClock) -> Commands:
    return make_commands(store=store, queue=queue, objects=objects, catalog=CATALOG, clock=clock)


@pytest.fixture
def queries(store: FakeStore, objects: FakeObjects, clock: FakeClock) -> Queries:
    return Queries(store=store, objects=objects, catalog=CATALOG, clock=clock)

"""Commands and queries over fakes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from asyncjobs.core.job import FENCE, AsyncJob
from asyncjobs.core.ports import Lost
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.jobtypes.decorator import GENERIC, tracked_job
from asyncjobs.service.commands import Commands
from asyncjobs.service.queries import Queries
from tests.support.factories import job_type
from tests.support.fakes import FakeClock, FakeObjects, FakeQueue, FakeStore
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


@dataclass
class RacingStore(FakeStore):
    """A store in which another writer comes first: before each swap, the next of `rivals` runs."""

    rivals: list[Callable[[FakeStore], object]] = field(default_factory=list)

    def swap_if_unchanged(self, old: AsyncJob, new: AsyncJob, unchanged: Sequence[str] = FENCE) -> Lost | None:
        if self.rivals:
            self.rivals.pop(0)(self)
        return super().swap_if_unchanged(old, new, unchanged)


@pytest.fixture
def store() -> RacingStore:
    return RacingStore()


@pytest.fixture
def commands(store: FakeStore, queue: FakeQueue, objects: FakeObjects, clock: FakeClock) -> Commands:
    return make_commands(store=store, queue=queue, objects=objects, catalog=CATALOG, clock=clock)


@pytest.fixture
def queries(store: FakeStore, objects: FakeObjects, clock: FakeClock) -> Queries:
    return Queries(store=store, objects=objects, catalog=CATALOG, clock=clock)

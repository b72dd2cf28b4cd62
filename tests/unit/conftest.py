"""Fakes of the adapters, an executor over them, and temporary jobs packages."""

from __future__ import annotations

import json
import logging
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from asyncjobs.jobtypes import catalog as catalogs
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.log import exception_fields, exception_of
from asyncjobs.worker.executor import Executor
from tests.support import sample_jobs
from tests.support.factories import NOW, job_types_of
from tests.support.fakes import FakeClock, FakeObjects, FakeQueue, FakeStore
from tests.support.parts import make_executor


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
def queue() -> FakeQueue:
    return FakeQueue()


@pytest.fixture
def objects() -> FakeObjects:
    return FakeObjects()


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    """Return a catalog of the sample jobs."""
    return Catalog(job_types_of(*vars(sample_jobs).values()))


@pytest.fixture
def executor(store: FakeStore, queue: FakeQueue, objects: FakeObjects, catalog: Catalog, clock: FakeClock) -> Executor:
    return make_executor(
        store=store,
        queue=queue,
        objects=objects,
        catalog=catalog,
        clock=clock,
        jitter=random.Random(1),
        sleep=lambda seconds: clock.advance(seconds=seconds),
    )


class Lines(logging.Handler):
    """The fields of each log line."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        error = exception_of(record)
        self.events.append(
            {"message": record.getMessage(), **getattr(record, "fields", {}), **(exception_fields(error) if error else {})}
        )

    def names(self) -> list[str]:
        return [event["message"] for event in self.events]

    def text(self) -> str:
        return json.dumps(self.events, default=str)


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Collect the log lines of the test."""
    logger, handler = logging.getLogger("asyncjobs"), Lines()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(level)


JOB = '''
from asyncjobs import JobContext, job

@job("{name}")
def {function}(input: int, context: JobContext) -> int:
    """Return it."""
    return input
'''

JobsPackage = Callable[..., Path]


@pytest.fixture
def jobs_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> JobsPackage:
    """Return a function that makes a jobs package of the given modules and points the catalog to it."""

    def make(**modules: str) -> Path:
        name = re.sub(r"\W", "_", f"jobs_of_{request.node.name}")
        package = tmp_path / name
        package.mkdir()
        (package / "__init__.py").write_text("")
        for module, text in modules.items():
            (package / f"{module}.py").write_text(text)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setattr(catalogs, "JOBS_PACKAGE", name)
        return package

    return make

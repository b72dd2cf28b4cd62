"""An executor over fakes, and jobs for it to run; the state of the process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from asyncjobs.core.job import AsyncJob, JobFailure, submitted
from asyncjobs.core.message import JobMessage
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.jobtypes.decorator import definition_of, job
from asyncjobs.jobtypes.pydantic_schema import describe
from asyncjobs.worker import process_state
from asyncjobs.worker.executor import Executor
from asyncjobs.worker.process_parts import PARTS, RARE_PARTS
from asyncjobs.worker.process_state import ProcessState
from tests.support.factories import NOW, new_job
from tests.support.fakes import FakeClock, FakeObjects, FakeQueue, FakeStore
from tests.support.parts import make_executor, run_attempt

Submit = Callable[..., AsyncJob]
Run = Callable[[AsyncJob], timedelta | None]


@pytest.fixture
def submit(store: FakeStore, catalog: Catalog) -> Submit:
    """Store a new job of one of the sample types."""

    def submit(name: str, value: Any = None, **changes: Any) -> AsyncJob:
        job_type = catalog[name]
        job = submitted(
            new_job().key,
            job_type=name,
            request_hash=b"h",
            max_attempts=job_type.max_attempts,
            timeout=job_type.timeout,
            deadline=job_type.deadline,
            retention=job_type.retention,
            now=NOW,
        ).with_input(text=json.dumps(value or {}))
        job = replace(job, **changes)
        store.add_if_absent(job, NOW)
        return job

    return submit


@pytest.fixture
def run(executor: Executor) -> Run:
    """Run one attempt of the job."""

    def run(job: AsyncJob) -> timedelta | None:
        return run_attempt(executor, JobMessage.of(job))

    return run


class RunFunction:
    """Runs a function as a job, in one attempt, and returns the job as it is then."""

    def __init__(self, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
        self.objects = FakeObjects()
        self._clock = clock
        self._monkeypatch = monkeypatch

    def __call__(self, function: Any, text: str = "null", *, seconds: float = 60, **changes: Any) -> AsyncJob:
        """Run it with the input, for so many seconds at most. `changes` are arguments of the executor."""
        definition = definition_of(job("test.function")(function))
        assert definition is not None
        self._monkeypatch.setattr("asyncjobs.worker.plan.load", lambda _job_type: definition)
        job_type, store = describe(definition), FakeStore()
        store.add_if_absent(
            new_job(job_type=job_type.name, deadline_at=NOW + timedelta(seconds=seconds)).with_input(text=text), NOW
        )
        executor = make_executor(
            store=store,
            queue=FakeQueue(),
            objects=self.objects,
            catalog=Catalog({job_type.name: job_type}),
            clock=self._clock,
            **changes,
        )
        run_attempt(executor, JobMessage.of(stored(store, new_job())))
        return stored(store, new_job())


@pytest.fixture
def run_function(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> RunFunction:
    return RunFunction(clock, monkeypatch)


def stored(store: FakeStore, job: AsyncJob) -> AsyncJob:
    found = store.get(job.key)
    assert found is not None
    return found


def failure(store: FakeStore, job: AsyncJob) -> JobFailure:
    found = stored(store, job)
    assert found.error is not None
    return found.error


@pytest.fixture
def state() -> Iterator[ProcessState]:
    """Return the state, and restore everything in any case."""
    parts = [*PARTS, *RARE_PARTS]
    before = [part.read() for part in parts]
    yield ProcessState()
    for part, value in zip(parts, before, strict=True):
        if part.read() != value:
            part.restore(value)


@pytest.fixture
def compared(state: ProcessState, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Compare everything, and let no time pass from then on; return the time, which a test may change."""
    now = [1.0]
    monkeypatch.setattr(process_state, "_monotonic", lambda: now[0])
    with state:
        pass
    return now


def part(name: str) -> Any:
    return next(part for part in (*PARTS, *RARE_PARTS) if part.name == name).read()

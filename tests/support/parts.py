"""Compose the library's parts as the handlers in `functions/` do. A test sets only the parts that it changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from asyncjobs.core.administration import DeadLetters
from asyncjobs.core.clock import Clock
from asyncjobs.core.job import GRACE, IMMEDIATE_TIMEOUT, AsyncJob, DuePart, due_shards
from asyncjobs.core.message import JobMessage
from asyncjobs.core.ports import DueEntry, History, Objects, Queue, Store
from asyncjobs.http.problems import code_of
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.limits.locks import Locks
from asyncjobs.service.administration import Administration
from asyncjobs.service.bulk_actions import BulkActions
from asyncjobs.service.commands import Commands
from asyncjobs.service.dead_letters import DeadLetterRedrive
from asyncjobs.tracking.reports import Reports
from asyncjobs.tracking.worker_token import WorkerToken
from asyncjobs.worker.event_loop import run_side_by_side
from asyncjobs.worker.executor import Executor
from asyncjobs.worker.immediate import ImmediateExecutor
from asyncjobs.worker.job_process import JobProcess, run_immediately
from asyncjobs.worker.steps import run_plain
from asyncjobs.worker.sweeper import Sweeper
from tests.support.fakes import (
    FakeAuditLog,
    FakeBulkParts,
    FakeContinuations,
    FakeDeadLetters,
    FakeHistory,
    FakeIndexes,
    FakeObjects,
    FakePollers,
    FakeQueueDepths,
)

IMMEDIATE_THRESHOLD = timedelta(seconds=0.5)
QUARTER_HOUR = timedelta(minutes=15)


def make_commands(*, store: Store, queue: Queue, objects: Objects, catalog: Catalog, clock: Clock, **changes: Any) -> Commands:
    """Return the commands over these ports."""
    parts: dict[str, Any] = {
        "store": store,
        "queue": queue,
        "objects": objects,
        "catalog": catalog,
        "clock": clock,
        "max_retention": timedelta(days=30),
        "locks": lambda: Locks(store=store, queue=queue, clock=clock),
        "new_worker_token": WorkerToken.new,
    }
    return Commands(**{**parts, **changes})


def make_administration(
    *, store: Any, queue: Queue, catalog: Catalog, clock: Clock, letters: DeadLetters | None = None, **changes: Any
) -> Administration:
    """Return what administrators see and do over these ports. The indexes are those of a `FakeStore`, if no other ones are given."""
    parts: dict[str, Any] = {
        "store": store,
        "catalog": catalog,
        "clock": clock,
        "indexes": FakeIndexes(store),
        "queues": FakeQueueDepths(),
        "pollers": FakePollers(),
        "dead_letters": DeadLetterRedrive(letters=letters or FakeDeadLetters(), store=store, queue=queue, clock=clock),
        "histories": FakeHistory(),
        "audit": FakeAuditLog(),
    }
    if "commands" not in changes:
        parts["commands"] = make_commands(store=store, queue=queue, objects=FakeObjects(), catalog=catalog, clock=clock)
    return Administration(**{**parts, **changes})


def make_bulk_actions(
    administration: Administration, *, store: Store, commands: Commands, clock: Clock, **changes: Any
) -> BulkActions:
    """Return the actions on many jobs over these ports."""
    parts: dict[str, Any] = {
        "store": store,
        "commands": commands,
        "clock": clock,
        "parts": FakeBulkParts(),
        "continuations": FakeContinuations(),
        "reports": Reports(store=store, clock=clock),
        "code_of": code_of,
    }
    return BulkActions(administration=administration, **{**parts, **changes})


def make_executor(*, store: Store, queue: Queue, objects: Objects, catalog: Catalog, clock: Clock, **changes: Any) -> Executor:
    """Return an executor over these ports."""
    locks = Locks(store=store, queue=queue, clock=clock)
    return Executor(store=store, objects=objects, catalog=catalog, locks=locks, clock=clock, **changes)


class JobsHere(JobProcess):
    """Takes the place of the job process: runs each job in this process, by a new executor."""

    def __init__(self, executor: Callable[[], Executor]) -> None:
        self._executor = executor

    def run(self, job: AsyncJob) -> AsyncJob | None:
        """Run the claimed job here."""
        return run_immediately(self._executor(), job)


def make_immediate_executor(
    *,
    store: Store,
    queue: Queue,
    objects: Objects,
    catalog: Catalog,
    clock: Clock,
    history: History,
    threshold: timedelta = IMMEDIATE_THRESHOLD,
) -> ImmediateExecutor:
    """Return an immediate executor over these ports, which runs the jobs in this process."""
    ports: Any = {"store": store, "queue": queue, "objects": objects, "catalog": catalog, "clock": clock}
    here = JobsHere(lambda: make_executor(**ports, at_most=IMMEDIATE_TIMEOUT))
    return ImmediateExecutor(threshold=threshold, history=history, store=store, job_process=lambda: here, clock=clock)


def make_sweeper(*, store: Store, queue: Queue, clock: Clock, threads: int = 1) -> Sweeper:
    """Return a sweeper over these ports."""
    locks = Locks(store=store, queue=queue, clock=clock)
    return Sweeper(store=store, queue=queue, locks=locks, clock=clock, threads=threads)


def all_due(store: Store, now: datetime) -> Sequence[DueEntry]:
    """Return the entries of all partitions of the due index."""
    return [entry for part in DuePart for shard in due_shards(part) for entry in store.due(shard, now)]


def run_attempt(
    executor: Executor, message: JobMessage, *, claimant: str = "w1", remaining: timedelta = QUARTER_HOUR
) -> timedelta | None:
    """Run one attempt of the job, as the batch worker does."""
    plan = executor.plan(message.job_type)
    steps = executor.run(message, plan, claimant=claimant, remaining=remaining)
    return run_side_by_side([steps], plan.timeout + 2 * GRACE)[0] if plan.is_async else run_plain(steps)


def run_claimed(executor: Executor, claim: AsyncJob) -> AsyncJob | None:
    """Run the attempt that a claim of a plain job has begun."""
    return run_plain(executor.run_claimed(claim, executor.plan(claim.job_type), remaining=QUARTER_HOUR))

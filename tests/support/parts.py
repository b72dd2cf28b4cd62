"""Put the library's parts together, as the handlers in `functions/` do. A test names only what it changes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from asyncjobs.core.clock import Clock
from asyncjobs.core.ports import History, Objects, Queue, Store
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.limits.locks import Locks
from asyncjobs.service.commands import Commands
from asyncjobs.tracking.worker_token import WorkerToken
from asyncjobs.worker import inline
from asyncjobs.worker.executor import Executor
from asyncjobs.worker.inline import InlineExecutor
from asyncjobs.worker.sweeper import Sweeper

INLINE_THRESHOLD = timedelta(seconds=0.5)


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


def make_executor(*, store: Store, queue: Queue, objects: Objects, catalog: Catalog, clock: Clock, **changes: Any) -> Executor:
    """Return an executor over these ports."""
    locks = Locks(store=store, queue=queue, clock=clock)
    return Executor(store=store, objects=objects, catalog=catalog, locks=locks, clock=clock, **changes)


def make_inline_executor(
    *,
    store: Store,
    queue: Queue,
    objects: Objects,
    catalog: Catalog,
    clock: Clock,
    history: History,
    threshold: timedelta = INLINE_THRESHOLD,
) -> InlineExecutor:
    """Return an inline executor over these ports."""

    def executor() -> Executor:
        return make_executor(store=store, queue=queue, objects=objects, catalog=catalog, clock=clock, at_most=inline.AT_MOST)

    return InlineExecutor(threshold=threshold, history=history, executor=executor, clock=clock)


def make_sweeper(*, store: Store, queue: Queue, clock: Clock) -> Sweeper:
    """Return a sweeper over these ports."""
    return Sweeper(store=store, queue=queue, locks=Locks(store=store, queue=queue, clock=clock), clock=clock)

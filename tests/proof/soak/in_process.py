"""The soak in one process: the real commands, executor, batch worker and sweeper over the fakes, with a virtual clock.

One seed draws everything, so a run is reproducible by its seed. During each AWS call of a process, others may act before it
continues, recursively; the clock may jump past its lease meanwhile.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

from asyncjobs.context import JobContext
from asyncjobs.core.errors import (
    InvalidWorkerToken,
    JobAlreadyFinished,
    JobHasEnded,
    JobNotFinished,
    JobNotFound,
    JobNotRetryable,
    NotAdmitted,
    Unavailable,
)
from asyncjobs.core.job import IMMEDIATE_TIMEOUT, SWEEP_INTERVAL, AsyncJob, JobKey, Priority, job_id_for
from asyncjobs.core.message import JobMessage
from asyncjobs.core.rate import SubmitRate
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.jobtypes.decorator import MAX_TIMEOUT
from asyncjobs.limits.admission import Admission
from asyncjobs.service.commands import Commands
from asyncjobs.service.submit import SubmitRequest
from asyncjobs.tracking.reports import Report, Reports
from asyncjobs.tracking.worker_token import WorkerToken
from asyncjobs.worker.executor import Executor
from asyncjobs.worker.heartbeat import Heartbeat
from asyncjobs.worker.immediate import ImmediateExecutor
from asyncjobs.worker.sqs_batch import BatchWorker
from tests.proof.soak import jobs
from tests.proof.soak.jobs import Kind, Task
from tests.proof.soak.processes import Fault, Killed, Process, ProcessObjects, ProcessQueue, ProcessStore
from tests.proof.soak.tally import Ending, Ledger, Numbers, tally
from tests.proof.soak.watched import WatchedStore
from tests.support.factories import job_types_of
from tests.support.fakes import FakeClock, FakeHistory, FakeObjects
from tests.support.parts import JobsHere, make_commands, make_executor, make_sweeper

_VISIBILITY = timedelta(seconds=5400)
_MAX_RECEIVES = 20
_FUNCTION_TIMEOUT = timedelta(seconds=900)
_OWNERS = ("alice", "bob", "carol")
_KINDS = (*[Kind.RETURNS] * 4, *[Kind.WORKS] * 2, Kind.IS_QUICK, *(kind for kind in Kind if kind is not Kind.WAITS))
"""Without coroutines: their threads take real time, and the stateful test has them."""
_FAULTS = (*[Fault.FAILS] * 3, *[Fault.TWICE] * 3, *[Fault.LOST] * 2, Fault.KILLED_BEFORE, Fault.KILLED_AFTER)
_DEEPEST = 4
_INTERRUPTED = 0.03
"""The probability that others act before or after a call."""
_BACKLOG = 40
_MAX_LIVE, _MAX_BACKLOG, _RATE = 10, 8, SubmitRate(20, 20)
"""Limits that reject some submits."""
_INPUTS = 5
"""The number of different inputs of jobs that are locked by their input."""
_QUIET_ROUNDS = 3000


@dataclass(order=True)
class Delivery:
    """A message in the queue, and when it can be received next."""

    visible_at: datetime
    number: int
    body: str = field(compare=False)
    receives: int = field(default=0, compare=False)


class LossyQueue:
    """A queue that delivers at least once, in any order, and may lose a message."""

    def __init__(self, clock: FakeClock, chance: random.Random) -> None:
        self._clock, self._chance = clock, chance
        self._numbers = itertools.count()
        self._waiting: list[Delivery] = []
        self._received: dict[str, Delivery] = {}

    def send(self, message: JobMessage, *, delay: timedelta = timedelta(0)) -> None:
        for _ in range(self._chance.choices((0, 1, 2), (0.01, 0.97, 0.02))[0]):
            heapq.heappush(self._waiting, Delivery(self._clock() + delay, next(self._numbers), message.to_body()))

    def send_all(self, messages: Sequence[JobMessage]) -> Sequence[JobMessage]:
        refused = [message for message in messages if self._chance.random() < 0.01]
        for message in messages:
            if message not in refused:
                self.send(message)
        return refused

    def return_after(self, receipt_handle: str, delay: timedelta, *, source: str) -> None:
        if receipt_handle in self._received:
            self._received[receipt_handle].visible_at = self._clock() + delay

    def receive(self, most: int) -> list[Delivery]:
        """Receive some messages, which no other worker receives until `settle`."""
        found: list[Delivery] = []
        while len(found) < most and self._waiting and self._waiting[0].visible_at <= self._clock():
            delivery = heapq.heappop(self._waiting)
            delivery.receives += 1
            if delivery.receives <= _MAX_RECEIVES:
                delivery.visible_at = self._clock() + _VISIBILITY
                self._received[str(delivery.number)] = delivery
                found.append(delivery)
        return found

    def settle(self, delivery: Delivery, *, is_done: bool) -> None:
        """Delete the message, or make it visible again after its visibility timeout."""
        del self._received[str(delivery.number)]
        if not is_done:
            heapq.heappush(self._waiting, delivery)

    def backlog(self, _priority: Priority = Priority.STANDARD) -> int:
        return sum(delivery.visible_at <= self._clock() for delivery in self._waiting[: 4 * _BACKLOG])


class World:
    """The whole system, and its random steps."""

    def __init__(self, *, seed: int, fault_rate: float) -> None:
        self.chance = random.Random(seed)
        self.clock = FakeClock(datetime(2026, 11, 21, 12, tzinfo=UTC))
        self.store, self.objects = WatchedStore(), FakeObjects()
        self.queue = LossyQueue(self.clock, self.chance)
        self.ledger = Ledger()
        self.starts: list[tuple[str, int]] = []
        self.happened: Counter[str] = Counter()
        self._fault_rate, self._depth = fault_rate, 0
        self._catalog = _catalog()
        self._running: list[Process] = []
        self._names = itertools.count()
        self._next_sweep = self.clock()
        self._to_retry: list[int] = []
        self._tasks: list[tuple[str, Task]] = []
        self._worker_tokens: list[tuple[JobKey, WorkerToken]] = []
        self._tried: set[int] = set()
        """The tasks of which a submit may have been applied."""

    # ── Faults ───────────────────────────────────────────────────────────────────────────────────────────

    def fault(self) -> Fault | None:
        self.clock.advance(seconds=0.004)
        if self.chance.random() >= self._fault_rate:
            return None
        fault = self.chance.choice(_FAULTS)
        self.happened[fault.name.lower()] += 1
        return fault

    def meanwhile(self) -> None:
        if self._fault_rate and self._depth < _DEEPEST and self.chance.random() < _INTERRUPTED:
            self._depth += 1
            self.act()
            self._depth -= 1

    # ── Surroundings of a job ────────────────────────────────────────────────────────────────────────────

    def note_start(self, context: JobContext) -> None:
        self.starts.append((context.effect_key, context.attempt))

    def work(self, context: Any, seconds: float) -> None:
        for _ in range(self.chance.randrange(3) if seconds else 0):
            self.clock.advance(seconds=seconds)
            if context._heartbeat._renews_lease:
                context._heartbeat.beat()
            context.check()
            self.meanwhile()
        if self.chance.random() < self._fault_rate / 5:
            self.happened["killed_inside"] += 1
            self._running[-1].die()

    # ── Actions ──────────────────────────────────────────────────────────────────────────────────────────

    def act(self) -> None:
        """Take one possible step."""
        if self.clock() >= self._next_sweep:
            self._next_sweep = self.clock() + SWEEP_INTERVAL
            self.sweep()
            return
        actions = (
            self.deliver,
            self.pass_time,
            self.retry,
            self.submit_again,
            self.report,
            self.cancel,
            self.delete,
            self.retry_job,
            self.sweep,
        )
        self.chance.choices(actions, (60, 12, 10, 6, 6, 3, 2, 2, 1))[0]()

    def submit(self) -> None:
        """Submit a new task."""
        kind, number = self.chance.choice(_KINDS), len(self._tasks)
        if kind is Kind.SHARES_INPUT:
            task = Task(kind=kind, number=number % _INPUTS, seconds=0.1)
        else:
            task = Task(
                kind=kind,
                number=number,
                seconds=self.chance.choice((0, 0, 0.1, 5)),
                padding="." * self.chance.choice((0, 0, 0, 3000)),
            )
        self._tasks.append((self.chance.choice(_OWNERS), task))
        self._submit(number)

    def submit_again(self) -> None:
        """Repeat an earlier submit."""
        if self._tasks:
            self._submit(self.chance.randrange(len(self._tasks)))

    def retry(self) -> None:
        """Repeat a submit that has no accepted answer."""
        if self._to_retry:
            self._submit(self._to_retry.pop(0))

    def cancel(self) -> None:
        """Cancel one of the newest jobs, most of which still run."""
        if not self._tasks:
            return
        key = self._one_of_the_last(30)
        self.ledger.cancels.add(key.async_job_id)
        with self._process() as process:
            try:
                self._commands(process).cancel(key.owner, key.async_job_id)
                self.happened["cancelled"] += 1
            except (JobNotFound, JobAlreadyFinished, Unavailable):
                pass

    def delete(self) -> None:
        """Delete a job, most of which have ended. Its id is free again, and a repeated submit makes another job."""
        if not self._tasks:
            return
        key = self._one_of_the_last(300)
        # Whatever the answer: two deletions may each find that the other one came first.
        self.ledger.deletions.add(key.async_job_id)
        with self._process() as process:
            try:
                self._commands(process).delete(key.owner, key.async_job_id)
                self.happened["deleted"] += 1
            except (JobNotFound, JobNotFinished, Unavailable):
                pass

    def retry_job(self) -> None:
        """Retry a job that failed or was cancelled, as its owner."""
        if not self._tasks:
            return
        key = self._one_of_the_last(100)
        with self._process() as process:
            try:
                _, token = self._commands(process).retry(key.owner, key.async_job_id)
                self.happened["retried"] += 1
                if token is not None:
                    self._worker_tokens.append((key, token))
            except (JobNotFound, JobNotRetryable, NotAdmitted, Unavailable):
                pass

    def report(self) -> None:
        """Report on one of the newest tracked jobs, as its owner or as its worker."""
        if not self._worker_tokens:
            return
        key, token = self._worker_tokens[-1 - self.chance.randrange(min(10, len(self._worker_tokens)))]
        task = self.ledger.asked[key.async_job_id]
        report = Report.of(
            self.chance.choice(
                ({"progress": self.chance.randrange(100)}, {"status": "COMPLETED", "result": jobs.text(task)}),
            )
        )
        with self._process() as process:
            reports = Reports(store=ProcessStore(self.store, process), clock=self.clock)
            try:
                if self.chance.random() < 0.5:
                    reports.by_owner(key, report)
                else:
                    reports.by_worker(key.async_job_id, token, report)
                self.happened["reported"] += 1
            except (JobNotFound, JobHasEnded, InvalidWorkerToken, Unavailable):
                pass

    def deliver(self) -> None:
        """Deliver a batch of messages to a worker."""
        batch = self.queue.receive(self.chance.choice((1, 1, 1, 3)))
        if not batch:
            return
        came_back = {str(delivery.number) for delivery in batch}
        ends_at = self.clock() + _FUNCTION_TIMEOUT
        with self._process() as process:
            worker = BatchWorker(self._executor(process), ProcessQueue(self.queue, process))
            records = [
                {"messageId": str(each.number), "receiptHandle": str(each.number), "body": each.body, "eventSourceARN": "jobs"}
                for each in batch
            ]
            answer = worker.handle(
                {"Records": records}, request_id=f"request-{next(self._names)}", remaining=lambda: ends_at - self.clock()
            )
            came_back = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        for delivery in batch:
            self.queue.settle(delivery, is_done=str(delivery.number) not in came_back)

    def sweep(self) -> None:
        with self._process() as process:
            sweeper = make_sweeper(
                store=ProcessStore(self.store, process), queue=ProcessQueue(self.queue, process), clock=self.clock
            )
            try:
                sweeper.sweep(lambda: timedelta(minutes=1))
            except Unavailable:
                self.happened["sweeps_cut_short"] += 1

    def pass_time(self) -> None:
        """Move the clock: mostly by a moment, sometimes by more than a lease."""
        seconds = self.chance.choices((1, 10, 100), (80, 15, 5))[0] * self.chance.random()
        if self._depth:
            self.happened["pauses"] += 1
        self.clock.advance(seconds=seconds)

    def run(self, count: int) -> None:
        """Run this many jobs, with faults."""
        while len(self._tasks) < count or self._to_retry:
            if len(self._tasks) < count and self.queue.backlog() < _BACKLOG:
                self.submit()
            self.act()

    def come_to_rest(self) -> None:
        """Stop the faults, then deliver and sweep until every job has ended or is stuck."""
        self._fault_rate = 0
        for _ in range(_QUIET_ROUNDS):
            while self.queue.backlog():
                self.deliver()
            if not self.store.watched.unfinished:
                return
            self.clock.advance(seconds=30)
            self.sweep()

    # ── Steps ──────────────────────────────────────────────────────────────────────────────────────

    def _submit(self, number: int) -> None:
        owner, task = self._tasks[number]
        key = JobKey(owner, job_id_for(owner, str(number)))
        self.ledger.asked[key.async_job_id] = task
        request = SubmitRequest(job_type=jobs.job_type(task), input=jobs.input_of(task))
        with self._process() as process:
            try:
                submission = self._commands(process).submit(owner, request, idempotency_key=str(number))
            except NotAdmitted as error:
                self.happened[f"rejected_{type(error).__name__}"] += 1
                if number not in self._tried and key in self.store.jobs:
                    self.store.watched.broken.append(f"{key.async_job_id}: stored, though it was rejected")
                self._to_retry.append(number)
                return
            except Unavailable:
                pass
            else:
                self.ledger.accepted.add(submission.job.async_job_id)
                self._tried.add(number)
                if submission.worker_token is not None:
                    self._worker_tokens.append((key, submission.worker_token))
                self._check_live(owner)
                return
        self._tried.add(number)
        self._to_retry.append(number)

    def _check_live(self, owner: str) -> None:
        """Check the limit of live jobs. Submits that count at the same moment may exceed it, by one each."""
        live = self.store.count_live(owner, at_most=10 * _MAX_LIVE)
        if live > _MAX_LIVE + _DEEPEST:
            self.store.watched.broken.append(f"{owner} has {live} unfinished jobs")

    def _one_of_the_last(self, count: int) -> JobKey:
        number = len(self._tasks) - 1 - self.chance.randrange(min(count, len(self._tasks)))
        owner, _ = self._tasks[number]
        return JobKey(owner, job_id_for(owner, str(number)))

    @contextmanager
    def _process(self) -> Iterator[Process]:
        """Run a process that may be killed, which ends the `with` block."""
        process = Process(self)
        self._running.append(process)
        try:
            yield process
        except Killed:
            self.happened["kills"] += 1
        finally:
            self._running.pop()

    def _commands(self, process: Process) -> Commands:
        immediate_executor = ImmediateExecutor(
            threshold=timedelta(seconds=0.5),
            history=FakeHistory(),
            store=self._ports(process)["store"],
            job_process=lambda: JobsHere(lambda: self._executor(process, at_most=IMMEDIATE_TIMEOUT)),
            clock=self.clock,
        )
        ports = self._ports(process)
        admission = Admission(
            store=ports["store"],
            queue=ports["queue"],
            clock=self.clock,
            rate=_RATE,
            max_live=_MAX_LIVE,
            max_backlog=_MAX_BACKLOG,
        )
        return make_commands(**ports, immediate_executor=immediate_executor, admission=admission)

    def _executor(self, process: Process, *, at_most: timedelta = MAX_TIMEOUT) -> Executor:
        return make_executor(
            **self._ports(process),
            at_most=at_most,
            jitter=self.chance,
            sleep=lambda seconds: self.clock.advance(seconds=seconds),
        )

    def _ports(self, process: Process) -> dict[str, Any]:
        return {
            "store": ProcessStore(self.store, process),
            "queue": ProcessQueue(self.queue, process),
            "objects": ProcessObjects(self.objects, process),
            "catalog": self._catalog,
            "clock": self.clock,
        }


def run(*, seed: int, count: int, fault_rate: float, say: Callable[[str], None] = lambda _: None) -> Numbers:
    """Run the whole soak."""
    world = World(seed=seed, fault_rate=fault_rate)
    # A heartbeat's thread uses real time, but here time is virtual: `work` sends the heartbeats.
    with patch.object(jobs, "surroundings", world), patch.object(Heartbeat, "start_thread"):
        world.run(count)
        world.come_to_rest()
    happened = world.happened
    say("happened: " + ", ".join(f"{name} {times}" for name, times in sorted(happened.items())))
    injected = sum(happened[fault.name.lower()] for fault in Fault) + happened["killed_inside"] + happened["pauses"]
    # A deletion that died leaves a record that has expired, whose objects may be deleted.
    deleted = world.ledger.deletions
    present = [
        job
        for job in world.store.jobs.values()
        if not (job.is_finished and job.is_expired(world.clock()) and job.async_job_id in deleted)
    ]
    return tally(
        world.ledger,
        {job.async_job_id: _ending(job, world.objects) for job in present},
        finals=world.store.watched.finals,
        starts=world.starts,
        faults=injected,
        broken=world.store.watched.broken,
    )


def _ending(job: AsyncJob, objects: FakeObjects) -> Ending:
    result = None
    if job.result is not None and job.result.text is not None:
        result = job.result.text.encode()
    elif job.result is not None and job.result.location == f"results/{job.async_job_id}/{job.generation}/{job.attempt}":
        result = objects.stored.get(job.result.location)
    return Ending(job.status.value, job.attempt, result, job.error.code if job.error else None, job.generation)


def _catalog() -> Catalog:
    return Catalog({**job_types_of(*vars(jobs).values()), jobs.ELSEWHERE.name: jobs.ELSEWHERE})

"""A whole deployment in one process: the product's own code over engines in memory, with one clock and one scheduler.

It makes no decision about jobs. It starts invocations, moves the clock, runs the queue, and records what an observer sees:
requests and answers, starts of jobs, writes.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from unittest.mock import patch

from asyncjobs import JobContext
from asyncjobs.aws.dynamodb_jobs import DynamoStore
from asyncjobs.aws.s3 import S3Objects
from asyncjobs.aws.sqs import SqsQueue
from asyncjobs.core.clock import to_milliseconds
from asyncjobs.core.errors import MalformedMessage
from asyncjobs.core.job import IMMEDIATE_TIMEOUT, SWEEP_INTERVAL, AsyncJob, JobKey, Priority, Status, job_id_for
from asyncjobs.core.message import JobMessage
from asyncjobs.core.rate import SubmitRate
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.jobtypes.decorator import JobType
from asyncjobs.limits.admission import Admission
from asyncjobs.limits.locks import Locks
from asyncjobs.service.commands import Commands
from asyncjobs.service.queries import JobsQuery, Queries
from asyncjobs.service.submit import SubmitRequest
from asyncjobs.tracking.reports import Report, Reports
from asyncjobs.tracking.worker_token import WorkerToken
from asyncjobs.worker.executor import Executor
from asyncjobs.worker.immediate import ImmediateExecutor
from asyncjobs.worker.sqs_batch import BatchWorker
from asyncjobs.worker.sweeper import Sweeper
from tests.proof.stateful import jobs
from tests.proof.stateful.mapping import Batch, EventSourceMapping
from tests.proof.stateful.memory.dynamodb import MemoryDynamoDB
from tests.proof.stateful.memory.s3 import MemoryS3
from tests.proof.stateful.memory.sqs import MemorySqs, Message
from tests.proof.stateful.records import Records
from tests.proof.stateful.scheduler import Invocation, Kind, Scheduler
from tests.proof.stateful.seams import Pulse, replaced_seams
from tests.proof.stateful.wires import Wire
from tests.support.factories import job_types_of
from tests.support.fakes import FakeHistory
from tests.support.parts import JobsHere
from tests.template.source import resource

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
OWNERS = ("alice", "bob")
QUEUE_URLS = {priority: f"https://sqs/{priority}" for priority in Priority}

TIMEOUTS = {
    "submit": timedelta(seconds=25),
    "cancel": timedelta(seconds=25),
    "retry": timedelta(seconds=25),
    "reissue": timedelta(seconds=25),
    "delete": timedelta(seconds=25),
    "report": timedelta(seconds=25),
    "look": timedelta(seconds=25),
    "worker": timedelta(seconds=900),
    "sweeper": timedelta(seconds=60),
    "burier": timedelta(seconds=60),
}
PAUSE_OF_THE_WORLD = timedelta(minutes=5)
"""The time by which an invocation may outlive its timeout: its host may pause, and Lambda's clock with it."""

VISIBILITY = timedelta(seconds=5400)
MAX_LIVE, RATE = 4, SubmitRate(12, 6)
"""The limits of a run that has some."""

MAX_RECEIVE_COUNT = 2
"""Fewer than in the template, for more dead letters."""

WITHOUT_A_SWEEP = timedelta(days=6)
"""The time after a deadline for which the sweeper may be broken: a day less than the record is kept."""


@functools.cache
def _table() -> Mapping[str, Any]:
    properties: Mapping[str, Any] = resource("Table")["Properties"]
    return properties


@functools.cache
def _job_types() -> Mapping[str, JobType]:
    return {**job_types_of(*vars(jobs).values()), jobs.ELSEWHERE.name: jobs.ELSEWHERE}


QUICK = timedelta(seconds=0.5)
"""A job that usually takes no longer runs in the submit function."""


def _is_plain(job_type: JobType) -> bool:
    return job_type.expected > QUICK and job_type.exclusive is None and not job_type.dedupe and not job_type.tracked


JOB_TYPES = tuple(sorted(name for name, job_type in _job_types().items() if _is_plain(job_type)))
"""The job types of the basic machine with submits, cancels and retries. `features` has the others."""
FEATURES = tuple(sorted(_job_types().keys() - set(JOB_TYPES)))


@dataclass(frozen=True, kw_only=True)
class Request:
    """A submit of a client, kept to be repeated."""

    owner: str
    key: str | None
    job_type: str
    number: int
    is_large: bool = False
    delay: int = 0
    priority: Priority | None = None

    @property
    def is_once(self) -> bool:
        """Return whether its input names the job."""
        return self.key is None and bool(_job_types()[self.job_type].dedupe)

    def means_the_same_job_as(self, other: Request) -> bool:
        """Return whether both must get the same job."""
        return self == other or (self.is_once and self == replace(other, delay=self.delay, priority=self.priority))

    @property
    def body(self) -> SubmitRequest:
        padding = "x" * 3000 if self.is_large else ""
        part = {} if self.job_type == jobs.ELSEWHERE.name else {"number": self.number, "padding": padding}
        return SubmitRequest(job_type=self.job_type, input=part, delay=timedelta(seconds=self.delay), priority=self.priority)


@dataclass(frozen=True, slots=True)
class Asked:
    """An invocation by a client, and its request."""

    invocation: Invocation
    request: Request | None = None
    key: JobKey | None = None
    report: Report | None = None
    token: WorkerToken | None = None


@dataclass(frozen=True, slots=True)
class Delivered:
    """An invocation by the event source mapping."""

    invocation: Invocation
    batch: Batch


@dataclass(frozen=True, slots=True)
class Start:
    """The start of a job's code: the effect on the outside world."""

    invocation: Invocation
    async_job_id: str
    effect_key: str
    attempt: int
    number: int


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The parts of the world. An ablation replaces one of them."""

    store: Callable[..., DynamoStore] = DynamoStore
    objects: Callable[..., S3Objects] = S3Objects
    queue: Callable[..., SqsQueue] = SqsQueue
    commands: type[Commands] = Commands
    immediate_executor: type[ImmediateExecutor] = ImmediateExecutor
    worker_locks: type[Locks] = Locks
    sweeps: bool = True
    bury: Callable[[DynamoStore, str, datetime], None] | None = None
    """What happens to the job of a dead letter. The product does nothing."""
    patches: Sequence[tuple[Any, str, Any]] = ()


@dataclass
class Notes:
    """The records of an observer."""

    asked: list[Asked] = field(default_factory=list)
    delivered: list[Delivered] = field(default_factory=list)
    swept: list[Invocation] = field(default_factory=list)
    starts: list[Start] = field(default_factory=list)
    retries: dict[tuple[str, int], float] = field(default_factory=dict)
    """The requested retries of jobs, by effect key and attempt."""


class World:
    """The deployment and its clock."""

    def __init__(self, parts: Parts | None = None) -> None:
        parts = parts or Parts()
        self.parts = parts
        self.now = START
        self.scheduler = Scheduler()
        self.notes = Notes()
        self.records = Records()
        self.invocations: list[Invocation] = []
        self.is_limited = False
        """Whether owners have limits in this run."""
        self.passes_reads = False
        """Whether new invocations do not pause at reads."""
        self._number = 0

        def writer() -> Invocation | None:
            return self.scheduler.current

        self.table = MemoryDynamoDB(_table(), clock=lambda: self.now, page_size=2, writer=writer)
        self.dead_letters = MemorySqs(lambda: self.now, retention=timedelta(days=14))
        self.queue = MemorySqs(
            lambda: self.now,
            urls=QUEUE_URLS.values(),
            visibility=VISIBILITY,
            max_receive_count=MAX_RECEIVE_COUNT,
            dead_letters=self.dead_letters,
            writer=writer,
        )
        self.bucket = MemoryS3(writer=writer)
        self.mapping = EventSourceMapping(self.queue)
        self.all_job_types = _job_types()
        self.job_types = dict(self.all_job_types)
        self._build(parts)
        self._stack = ExitStack()
        self._stack.enter_context(replaced_seams(self.scheduler, self._begun))
        for place, name, stand_in in parts.patches:
            self._stack.enter_context(patch.object(place, name, stand_in))
        self._pulses: list[tuple[Invocation, Pulse]] = []
        jobs.take_stage(self)

    def _build(self, parts: Parts) -> None:
        def wire(client: Any, service: str) -> Any:
            return Wire(client, service, self.scheduler)

        self.store = parts.store("jobs", wire(self.table, "dynamodb"))
        sqs = parts.queue(QUEUE_URLS, wire(self.queue, "sqs"))
        objects = parts.objects("jobs", wire(self.bucket, "s3"))
        common: Any = {
            "store": self.store,
            "objects": objects,
            "catalog": Catalog(self.job_types),
            "clock": self.clock,
        }
        locks = Locks(store=self.store, queue=sqs, clock=self.clock)

        def executor(locks: Locks, **changes: Any) -> Executor:
            pause = functools.partial(self.scheduler.pause, "between tries")
            return Executor(locks=locks, jitter=random.Random(7), sleep=lambda _: pause(), **common, **changes)

        for_immediate = executor(locks, at_most=IMMEDIATE_TIMEOUT)

        def commands(admission: Admission | None) -> Commands:
            return parts.commands(
                queue=sqs,
                max_retention=timedelta(days=30),
                locks=lambda: locks,
                new_worker_token=WorkerToken.new,
                admission=admission,
                immediate_executor=parts.immediate_executor(
                    threshold=QUICK,
                    history=FakeHistory(),
                    store=self.store,
                    job_process=lambda: JobsHere(lambda: for_immediate),
                    clock=self.clock,
                ),
                **common,
            )

        admission = Admission(store=self.store, queue=sqs, clock=self.clock, rate=RATE, max_live=MAX_LIVE)
        self._commands = {False: commands(None), True: commands(admission)}
        self.queries = Queries(**common)
        self.reports = Reports(store=self.store, clock=self.clock)
        self.worker = BatchWorker(executor(parts.worker_locks(store=self.store, queue=sqs, clock=self.clock)), sqs)
        self.sweeper = Sweeper(store=self.store, queue=sqs, locks=locks, clock=self.clock)

    @property
    def commands(self) -> Commands:
        """Return the commands of this run, with or without limits."""
        return self._commands[self.is_limited]

    def close(self) -> None:
        """Close the world."""
        self.scheduler.close()
        jobs.take_stage(None)
        self._stack.close()

    # ── Time ───────────────────────────────────────────────────────────────────────────────────────

    def clock(self) -> datetime:
        """Return the time by the clock of the present invocation's host."""
        asks = self.scheduler.current
        return to_milliseconds(self.now + (asks.skew if asks else timedelta(0)))

    def advance(self, by: timedelta) -> None:
        """Advance the clock, but not past the expiry of a record that no sweep had time to end."""
        unended = [job.deadline_at + WITHOUT_A_SWEEP for job in self.jobs() if not job.is_finished]
        then = max(self.now, min([self.now + by, *unended]))
        if then > self.now:
            # Leases end during live attempts: the host paused.
            self.scheduler.faults += len(self.at_work())
        self.now = then
        for invocation in self.live():
            if self.now > invocation.started_at + invocation.timeout + PAUSE_OF_THE_WORLD:
                self.scheduler.kill(invocation)

    def instants(self) -> Sequence[datetime]:
        """Return the times at which something ends, leases first."""
        jobs = self.jobs()
        leases = [job.lease_until for job in jobs]
        starts = [each for job in jobs for each in (job.not_before, job.due_at)]
        ends = [job.record_expires_at if job.is_finished else job.deadline_at for job in jobs]
        hidden = [message.visible_at for message in self.queue.messages.values()]
        return [at for at in (*leases, *starts, *ends, *hidden) if at is not None and at >= self.now]

    # ── Invocations ────────────────────────────────────────────────────────────────────────────────

    def live(self, role: str | None = None) -> list[Invocation]:
        """Return the paused invocations that may continue."""
        self.invocations = [invocation for invocation in self.invocations if invocation.is_live]
        return [invocation for invocation in self.invocations if role in {None, invocation.role}]

    def at_work(self) -> list[Invocation]:
        """Return the invocations that may run an attempt."""
        return [invocation for invocation in self.live() if invocation.role in {"worker", "submit"}]

    def submit(self, request: Request) -> Invocation:
        """Start a submit."""
        return self._asked(
            "submit",
            lambda: self.commands.submit(request.owner, request.body, idempotency_key=request.key),
            request=request,
        )

    def cancel(self, owner: str, async_job_id: str) -> Invocation:
        """Start a cancel."""
        key = JobKey(owner, async_job_id)
        return self._asked("cancel", lambda: self.commands.cancel(owner, async_job_id), key=key)

    def retry(self, owner: str, async_job_id: str) -> Invocation:
        """Start a retry."""
        key = JobKey(owner, async_job_id)
        return self._asked("retry", lambda: self.commands.retry(owner, async_job_id), key=key)

    def reissue(self, key: JobKey) -> Invocation:
        """Start a request for a new worker token."""
        return self._asked("reissue", lambda: self.reports.issue_token(key), key=key)

    def delete(self, owner: str, async_job_id: str) -> Invocation:
        """Start a delete."""
        key = JobKey(owner, async_job_id)
        return self._asked("delete", lambda: self.commands.delete(owner, async_job_id), key=key)

    def report(self, key: JobKey, report: Report, token: WorkerToken | None = None) -> Invocation:
        """Start a report of a tracked job's owner, or of a worker with its token."""

        def send() -> AsyncJob:
            reports = self.reports
            return reports.by_worker(key.async_job_id, token, report) if token else reports.by_owner(key, report)

        return self._asked("report", send, key=key, report=report, token=token)

    def tokens(self) -> Sequence[tuple[JobKey, WorkerToken]]:
        """Return the workers' tokens and their jobs."""
        answers = [(asked.invocation.role, asked.invocation.answer) for asked in self.notes.asked if asked.invocation.answer]
        issued = [(answer.job, answer.worker_token) for role, answer in answers if role == "submit"]
        issued += [answer for role, answer in answers if role in {"retry", "reissue"}]
        return [(job.key, token) for job, token in issued if token]

    def look(self, owner: str, async_job_id: str) -> AsyncJob:
        """Read a job as its client, without a pause."""
        return cast(AsyncJob, self._now("look", lambda: self.queries.job(owner, async_job_id)))

    def list_all(self, owner: str) -> Sequence[AsyncJob]:
        """Read the whole list of a client, page by page."""

        def work() -> Sequence[AsyncJob]:
            found: list[AsyncJob] = []
            query: JobsQuery | None = JobsQuery(limit=2)
            while query is not None:
                page = self.queries.jobs(owner, query)
                found += page.jobs
                query = None if page.next is None else JobsQuery(limit=2, after=page.next)
            return found

        return cast(Sequence[AsyncJob], self._now("look", work))

    def deliver(self, size: int = 1, *, skew: timedelta = timedelta(0)) -> Invocation | None:
        """Poll the queue, and invoke the worker if there is a message."""
        batch = self.mapping.poll(size)
        return None if batch is None else self._deliver(batch, skew)

    def deliver_again(self, message_id: str) -> Invocation:
        """Deliver a message again."""
        return self._deliver(self.mapping.poll_again(message_id), timedelta(0))

    def sweep(self, *, skew: timedelta = timedelta(0)) -> Invocation | None:
        """Start a sweep."""
        if not self.parts.sweeps:
            return None
        invocation = self._new("sweeper", lambda: self.sweeper.sweep(lambda: self._remaining(invocation)), skew=skew)
        self.notes.swept.append(invocation)
        self.scheduler.start(invocation)
        return invocation

    def pulses(self) -> Sequence[Pulse]:
        """Return the heartbeats that may be sent now."""
        self._pulses = [(parent, pulse) for parent, pulse in self._pulses if parent.is_live]
        return [pulse for _, pulse in self._pulses if pulse.may_beat]

    def beat(self, pulse: Pulse) -> Invocation:
        """Run the heartbeat's thread once."""
        (parent,) = (parent for parent, other in self._pulses if other is pulse)
        invocation = self._new(parent.role, pulse.heartbeat.beat, skew=parent.skew)
        invocation.parent, invocation.started_at = parent, parent.started_at
        parent.children.append(invocation)
        pulse.under_way = invocation
        self.scheduler.start(invocation)
        return invocation

    def bury(self) -> None:
        """Apply the ablation's handling to the jobs of dead letters."""
        bury = self.parts.bury
        for message in self.dead_letters.messages.values():
            if bury is not None:
                self._now("burier", functools.partial(bury, self.store, message.body, self.now))

    # ── State ──────────────────────────────────────────────────────────────────────────────────────

    def messages(self) -> Sequence[Message]:
        """Return every message ever sent, those of running jobs first, then those of waiting ones."""
        order = [Status.IN_PROGRESS, Status.PENDING]
        statuses = {job.key: job.status for job in self.jobs()}

        def place(message: Message) -> int:
            key = key_of(message.body)
            status = None if key is None else statuses.get(key)
            return len(order) if status not in order else order.index(status)

        return sorted(self.queue.sent, key=place)

    def jobs(self) -> Sequence[AsyncJob]:
        """Return every record, expired or not."""
        return [self.records.job(item) for pk, item in self.table.items.items() if is_job(pk)]

    @property
    def has_jobs(self) -> bool:
        """Return whether a job's record exists."""
        return any(map(is_job, self.table.items))

    def expire_records(self) -> int:
        """Delete the expired records, as DynamoDB's time to live does."""
        now = self.now.timestamp()
        expired = [pk for pk, item in self.table.items.items() if int(item["recordExpiresAt"]["N"]) <= now]
        for pk in expired:
            self.table.expire(pk)
        return len(expired)

    def key_of(self, request: Request) -> JobKey | None:
        """Return the job's key, if the request determines it."""
        return None if request.key is None else JobKey(request.owner, job_id_for(request.owner, request.key))

    # ── Stage of the jobs ──────────────────────────────────────────────────────────────────────────

    def enter(self, context: JobContext, number: int) -> None:
        """See `Stage`."""
        invocation = self.scheduler.current
        if invocation is None:
            raise AssertionError("A job runs outside an invocation.")
        self.notes.starts.append(Start(invocation, context.async_job_id, context.effect_key, context.attempt, number))
        self.scheduler.pause("started")

    def stand(self, step: str) -> None:
        """See `Stage`."""
        self.scheduler.pause(step)

    def will_retry(self, context: JobContext, after: float) -> None:
        """See `Stage`."""
        self.notes.retries[context.effect_key, context.attempt] = after

    # ── Settling ───────────────────────────────────────────────────────────────────────────────────

    def settle(self) -> datetime:
        """Stop the faults, end every invocation, and sweep and deliver until the system is quiet.

        Return when the faults stopped. Give up after the time in which every job must have ended.
        """
        self.scheduler.calm = True
        since = self.now
        for invocation in self.live():
            self.scheduler.finish(invocation)
        unfinished = [job.deadline_at for job in self.jobs() if not job.is_finished]
        give_up = max([since, *unfinished]) + 10 * SWEEP_INTERVAL
        next_sweep = since
        while self.now <= give_up:
            if next_sweep <= self.now:
                self.sweep()
                next_sweep = self.now + SWEEP_INTERVAL
            while self.deliver(10) is not None:
                pass
            if all(job.is_finished for job in self.jobs()):
                break
            visible = [message.visible_at for message in self.queue.messages.values()]
            due = [job.due_at for job in self.jobs() if job.due_at is not None]
            while next_sweep < min(due, default=next_sweep):
                next_sweep += SWEEP_INTERVAL
            self.now = max(self.now + timedelta(milliseconds=1), min([next_sweep, *visible]))
        return since

    def drain(self) -> None:
        """Deliver the remaining messages, also hidden ones."""
        for _ in range(100):
            if not self.queue.messages:
                return
            self.now = max(self.now, min(message.visible_at for message in self.queue.messages.values()))
            while self.deliver(10) is not None:
                pass

    # ── Steps ──────────────────────────────────────────────────────────────────────────────────────

    def _new(self, role: str, work: Callable[[], Any], *, skew: timedelta = timedelta(0)) -> Invocation:
        self._number += 1
        invocation = Invocation(self._number, role, work, started_at=self.now, timeout=TIMEOUTS[role], skew=skew)
        invocation.passes_reads = self.passes_reads
        invocation.began_after = len(self.table.history)
        self.invocations.append(invocation)
        return invocation

    def _now(self, role: str, work: Callable[[], Any]) -> Any:
        invocation = self._new(role, work)
        self.scheduler.run_here(invocation)
        if invocation.error is not None:
            raise invocation.error
        return invocation.answer

    def _asked(self, role: str, send: Callable[[], Any], **about: Any) -> Invocation:
        """Start an invocation that pauses between the end of the request and its answer."""

        def work() -> Any:
            answer = send()
            self.scheduler.pause("answer", Kind.END)
            return answer

        invocation = self._new(role, work)
        self.notes.asked.append(Asked(invocation, **about))
        self.scheduler.start(invocation)
        return invocation

    def _deliver(self, batch: Batch, skew: timedelta) -> Invocation:
        def work() -> Any:
            answer = self.worker.handle(
                batch.event, request_id=invocation.request_id, remaining=lambda: self._remaining(invocation)
            )
            self.scheduler.pause("answer", Kind.END)
            self.mapping.conclude(batch, answer)
            return answer

        invocation = self._new("worker", work, skew=skew)
        self.notes.delivered.append(Delivered(invocation, batch))
        self.scheduler.start(invocation)
        return invocation

    def _remaining(self, invocation: Invocation) -> timedelta:
        return invocation.started_at + invocation.timeout - self.now

    def _begun(self, invocation: Invocation, pulse: Pulse) -> None:
        self._pulses.append((invocation, pulse))


def is_job(pk: str) -> bool:
    """Return whether the item is a job's record. Names and locks are in the same table."""
    return pk.startswith("J#")


def key_of(body: str) -> JobKey | None:
    """Return the key of the message's job."""
    try:
        return JobMessage.parse(body).key
    except MalformedMessage:
        return None

"""The stream's function, the WebSocket API and their clients in one process: the product's code over engines in memory.

Jobs change by the product's store, one whole write at a time: the other machines have the faults between their calls.
Every call of the stream's function, and of the function that answers the messages of connections, goes through the scheduler.
"""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar
from unittest.mock import patch

from botocore.exceptions import ClientError

from asyncjobs.aws.dynamodb_events import DynamoEventLog
from asyncjobs.aws.dynamodb_history import DynamoHistory
from asyncjobs.aws.dynamodb_jobs import DynamoStore
from asyncjobs.aws.dynamodb_watchers import DynamoWatchers
from asyncjobs.aws.dynamodb_webhooks import DynamoWebhooks
from asyncjobs.aws.sqs import SqsQueue
from asyncjobs.aws.stream_records import jobs_of
from asyncjobs.aws.websocket import WebSocketConnections
from asyncjobs.core import job as job_module
from asyncjobs.core.clock import to_milliseconds
from asyncjobs.core.events import event_body
from asyncjobs.core.job import (
    DELIVERY,
    FENCE_AND_EXPIRY,
    FENCE_AND_REPORT,
    AsyncJob,
    JobFailure,
    JobKey,
    Priority,
    Result,
    Status,
    job_id_for,
    submitted,
)
from asyncjobs.core.message import DELIVERIES, JobMessage
from asyncjobs.core.named_events import NamedEvent
from asyncjobs.core.watch import Connection, Posted, Topic
from asyncjobs.core.webhook import OwnerWebhooks, Webhook
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.push import consumer as consumer_module
from asyncjobs.push import watchers as watchers_module
from asyncjobs.push.consumer import Consumer, Consumers
from asyncjobs.push.durations import DurationAggregator
from asyncjobs.push.event_log import EventLogWriter
from asyncjobs.push.subscriptions import Subscriptions
from asyncjobs.push.watchers import WatcherPushes
from asyncjobs.push.webhooks import WebhookConsumer
from asyncjobs.service.event_feed import EventFeed, EventsPage
from asyncjobs.service.queries import Queries
from asyncjobs.worker.heartbeat import Heartbeat
from tests.proof.stateful.memory.dynamodb import MemoryDynamoDB
from tests.proof.stateful.memory.sqs import MemorySqs
from tests.proof.stateful.records import Records
from tests.proof.stateful.scheduler import Invocation, Kind, Scheduler
from tests.proof.stateful.stream.shards import StreamBatch, StreamMapping
from tests.proof.stateful.wires import Wire
from tests.proof.stateful.world import START
from tests.support.factories import new_webhook
from tests.support.fakes import FakeObjects, FakeTickets
from tests.template.source import resource

T = TypeVar("T")

SHARDS = 2
CONNECTION = timedelta(minutes=15)
LEASE = timedelta(seconds=75)
TIMEOUT = timedelta(seconds=60)
PAUSE_OF_THE_WORLD = timedelta(minutes=5)
"""The time by which an invocation may outlive its timeout, while Lambda delivers its batch to another one."""
QUEUE_URLS = {name: f"https://sqs/{name}" for name in (*(priority.value for priority in Priority), DELIVERIES)}
SENDER_TRIES = 8
"""Writes of an attempt whose table may not answer. The product drops what is left by then."""
DEADLINE, RETENTION = timedelta(hours=1), timedelta(minutes=5)
_FAILURE = JobFailure(code="JOB_RAISED", message="canary", type="ValueError", retryable=True)


class Sender(Heartbeat):
    """The writer of an attempt's events, without a thread: the scheduler has one for an invocation."""

    def start_thread(self) -> None:
        """Start none."""

    @property
    def waiting(self) -> Sequence[NamedEvent]:
        """Return the events that it has still to write."""
        return tuple(self._events)


@dataclass(frozen=True, kw_only=True)
class StreamParts:
    """The parts of the world. An ablation replaces one of them."""

    log: Callable[..., DynamoEventLog] = DynamoEventLog
    watchers: Callable[..., DynamoWatchers] = DynamoWatchers
    subscriptions: type[Subscriptions] = Subscriptions
    sender: type[Sender] = Sender
    order: Sequence[str] = ("events", "webhooks", "watchers", "durations")
    """The order of the consumers, as in `functions/stream`."""
    patches: Sequence[tuple[Any, str, Any]] = ()


@dataclass(frozen=True, slots=True)
class Push:
    """A change in a message that a connection got."""

    connection_id: str
    change: dict[str, Any]
    by: Invocation
    is_logged: bool
    """Whether the log had the event at that moment."""
    present: frozenset[tuple[JobKey, datetime]]
    """The records that had not expired by then: the log of others is deleted, too."""


@dataclass
class Watch:
    """A watch that was confirmed to its client, until the client or the connection ends it."""

    connection: Connection
    topic: Topic
    since: int
    """The number of writes before its answer."""
    after: int
    snapshot: dict[str, Any] | None
    is_active: bool = True


@dataclass
class Subscribed:
    """A webhook, and the numbers of the writes between which it existed."""

    owner: str
    webhook: Webhook
    since: int
    until: int | None = None


@dataclass
class Sent:
    """The events that the code of an attempt sent, in order. No two have the same data."""

    name: tuple[JobKey, datetime]
    events: Sequence[NamedEvent]
    sender: Sender
    by: Invocation


@dataclass
class Notes:
    """The records of an observer."""

    pushes: list[Push] = field(default_factory=list)
    watches: list[Watch] = field(default_factory=list)
    webhooks: list[Subscribed] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    answered: list[Invocation] = field(default_factory=list)
    """The invocations of the stream's function, of the WebSocket API's, and of attempts that send events."""
    skipped: set[tuple[JobKey, datetime]] = field(default_factory=set)
    """The jobs of which a change was given up after failures for two minutes."""
    dropped: set[str] = field(default_factory=set)
    """The connections to which a message was dropped."""
    bugs: list[str] = field(default_factory=list)


class _InOrder:
    """Replaces the threads that send messages: the scheduler has one thread for an invocation."""

    def map(self, function: Callable[[Any], T], values: Iterable[Any]) -> Iterator[T]:
        return iter([function(value) for value in values])


class _Gateway:
    """The API of the WebSocket API's connections."""

    def __init__(self, world: StreamWorld) -> None:
        self._world = world

    def post_to_connection(self, *, ConnectionId: str, Data: bytes) -> dict[str, Any]:  # noqa: N803 - boto3's names
        if ConnectionId not in self._world.open:
            response: Any = {"Error": {"Code": "GoneException"}, "ResponseMetadata": {"HTTPStatusCode": 410}}
            raise ClientError(response, "PostToConnection")
        self._world.receive(ConnectionId, json.loads(Data))
        return {}


class _Connections:
    """`WebSocketConnections` whose dropped messages are noted."""

    def __init__(self, connections: WebSocketConnections, dropped: set[str]) -> None:
        self._connections = connections
        self._dropped = dropped

    def post(self, connection_id: str, text: str) -> Posted:
        outcome = self._connections.post(connection_id, text)
        if outcome is Posted.DROPPED:
            self._dropped.add(connection_id)
        return outcome


class StreamWorld:
    """The deployment and its clock."""

    def __init__(self, parts: StreamParts | None = None) -> None:
        self.parts = parts or StreamParts()
        self.now = START
        self.scheduler = Scheduler()
        self.notes = Notes()
        self.records = Records()
        self.invocations: list[Invocation] = []
        self.passes_reads = False
        self.open: dict[str, Connection] = {}
        """The connections that the gateway has."""
        self.owners: dict[str, str] = {}
        """The owner of each connection, also of those that are closed."""
        self.has_overlapped = False
        """Whether two invocations had changes of one shard at the same time."""
        self._numbers = itertools.count(1)
        self._names = itertools.count(1)
        table: Any = resource("Table")["Properties"]

        def writer() -> Invocation | None:
            return self.scheduler.current

        self.table = MemoryDynamoDB(table, clock=lambda: self.now, page_size=3, writer=writer)
        self.queue = MemorySqs(lambda: self.now, urls=QUEUE_URLS.values(), writer=writer)
        self.mapping = StreamMapping(self.table.history, SHARDS)
        self._dynamodb = self._wire(self.table, "dynamodb")
        self._sqs = self._wire(self.queue, "sqs")
        self._gateway = self._wire(_Gateway(self), "gateway")
        self.store = DynamoStore("jobs", self._dynamodb, pause=lambda _: None)
        self.watchers = self.parts.watchers("jobs", self._dynamodb)
        self.webhooks = DynamoWebhooks("jobs", self._dynamodb)
        self.log = self.parts.log("jobs", self._dynamodb)
        self.subscriptions = self.parts.subscriptions(
            store=self.store,
            tickets=FakeTickets(),
            watchers=self.watchers,
            clock=self.clock,
        )
        queries = Queries(store=self.store, objects=FakeObjects(), catalog=Catalog({}), clock=self.clock)
        self.feed = EventFeed(queries, self.log)
        self._environments: list[tuple[Consumers, list[Invocation]]] = []
        """The processes of the stream's function, and what each is invoked for."""
        self._batches: dict[Invocation, StreamBatch] = {}
        self._messages: list[tuple[str, Invocation]] = []
        """The messages of connections, and what answers each."""
        self._stack = ExitStack()
        for place, name, stand_in in (
            (job_module, "uuid", _Uuids()),
            (consumer_module, "log_event", self._note_line),
            (watchers_module, "log_event", self._note_line),
            *self.parts.patches,
        ):
            self._stack.enter_context(patch.object(place, name, stand_in))

    def _wire(self, client: Any, service: str) -> Any:
        return Wire(client, service, self.scheduler)

    def close(self) -> None:
        """Close the world."""
        self.scheduler.close()
        self._stack.close()

    # ── Time ───────────────────────────────────────────────────────────────────────────────────────

    def clock(self) -> datetime:
        """Return the time."""
        return to_milliseconds(self.now)

    def advance(self, by: timedelta) -> None:
        """Advance the clock. A connection whose ticket has ended is closed by its client."""
        self.now += by
        for connection_id, connection in list(self.open.items()):
            if connection.ends_at <= self.now:
                self._end(connection_id)
        for invocation in self.live():
            if self.now > invocation.started_at + TIMEOUT + PAUSE_OF_THE_WORLD:
                self.scheduler.kill(invocation)

    def expire(self) -> None:
        """Delete the items that have expired, as DynamoDB's time to live does."""
        now = self.now.timestamp()
        for pk, item in list(self.table.items.items()):
            if "recordExpiresAt" in item and int(item["recordExpiresAt"]["N"]) <= now:
                self.table.expire(pk)

    # ── Jobs ───────────────────────────────────────────────────────────────────────────────────────

    def jobs(self) -> Sequence[AsyncJob]:
        """Return every record that has not expired, but for deliveries."""
        found = (self.records.job(item) for pk, item in self.table.items.items() if pk.startswith("J#"))
        return [job for job in found if job.job_type != DELIVERY and not job.is_expired(self.now)]

    def submit(self, owner: str, key: str | None, *, is_quick: bool = False, is_tracked: bool = False) -> None:
        """Put a job. A quick one begins with its put. Nothing happens if the key has a job."""
        now = self._tick()
        job = submitted(
            JobKey(owner, job_id_for(owner, key)),
            job_type="play.stream",
            request_hash=b"h" * 32,
            max_attempts=0 if is_tracked else 3,
            timeout=timedelta(minutes=1),
            deadline=DEADLINE,
            retention=RETENTION,
            now=now,
            message="Queued",
        ).with_input(text="{}")
        if is_quick and not is_tracked:
            begun = self._tick()
            job = job.claimed(by=f"submit/{next(self._names)}", now=begun, lease_until=begun + LEASE)
        self._now(lambda: self.store.add_if_absent(job, now))

    def change(self, job: AsyncJob, move: str) -> None:
        """Let the job make the move, or the next one that it can. An attempt that sends events makes no other write."""
        if move != "cancel" and any(sent.by.is_live and sent.name == (job.key, job.created_at) for sent in self.notes.sent):
            return
        now = self._tick()
        if job.is_finished:
            if move == "retry" and job.status in job_module.RETRYABLE:
                retried = job.retried(max_attempts=job.max_attempts, timeout=timedelta(minutes=1), deadline=DEADLINE, now=now)
                self._swap(job, retried, FENCE_AND_EXPIRY)
            else:
                deleted = job.marked_deleted(now=now)
                self._swap(job, deleted, job_module.FENCE)
                if move != "leave":
                    self._now(lambda: self.store.remove_if_unchanged(deleted))
        elif move == "cancel":
            self._swap(job, job.cancelled(now=now))
        elif job.is_tracked:
            self._change_tracked(job, move, now)
        elif job.status is Status.PENDING or (move == "next" and job.lease_until is not None and job.lease_until <= now):
            self._now(
                lambda: self.store.claim_if_claimable(
                    JobMessage.of(job), by=f"worker/{next(self._names)}", now=now, lease_until=now + LEASE
                )
            )
        else:
            self._change_running(job, move, now)

    def running(self) -> Sequence[AsyncJob]:
        """Return the jobs whose code runs and sends no events at present."""
        sending = {sent.name for sent in self.notes.sent if sent.by.is_live}
        found = [job for job in self.jobs() if job.status is Status.IN_PROGRESS and not job.is_tracked]
        return [job for job in found if (job.key, job.created_at) not in sending]

    def send(self, job: AsyncJob, count: int) -> Invocation:
        """Let the job's code send events, by the product's writer."""
        sender = self.parts.sender(self.store, job, self.clock, renews_lease=True, interrupt=lambda _: None)
        events = [NamedEvent("rows_loaded", json.dumps({"rows": next(self._names)})) for _ in range(count)]
        for event in events:
            sender.send(event)

        def work() -> None:
            for _ in range(SENDER_TRIES):
                if not sender.waiting or sender.interruption is not None:
                    return
                # No two writes of an attempt have the same time.
                self.now += timedelta(milliseconds=1)
                sender.beat()
                self.scheduler.pause("between events")

        invocation = self._new("attempt", work)
        self.notes.sent.append(Sent((job.key, job.created_at), events, sender, invocation))
        self.notes.answered.append(invocation)
        self.scheduler.start(invocation)
        return invocation

    def _change_tracked(self, job: AsyncJob, move: str, now: datetime) -> None:
        begun = job.advanced(now=now, progress=job.progress + (move == "report"), message=move)
        if move == "end":
            begun = begun.completed(now=now, result=Result(text="1"))
        elif move == "fail":
            begun = begun.failed(now=now, error=_FAILURE)
        self._swap(job, begun)

    def _change_running(self, job: AsyncJob, move: str, now: datetime) -> None:
        match move:
            case "report" | "tell" | "beat":
                progress = min(99, job.progress + (move == "report"))
                message = f"Step {next(self._names)}" if move == "tell" else None
                self._swap(
                    job, job.reported(now=now, progress=progress, message=message, lease_until=now + LEASE), FENCE_AND_REPORT
                )
            case "release" if job.attempt < job.max_attempts:
                self._swap(job, job.released(now=now, error=_FAILURE, after=timedelta(0)))
            case "fail":
                self._swap(job, job.failed(now=now, error=_FAILURE))
            case _:
                self._swap(job, job.completed(now=now, result=Result(text="1")))

    def _swap(self, old: AsyncJob, new: AsyncJob, unchanged: Sequence[str] = job_module.FENCE) -> None:
        self._now(lambda: self.store.swap_if_unchanged(old, new, unchanged))

    # ── The stream ─────────────────────────────────────────────────────────────────────────────────

    def deliver(self, shard: int, size: int) -> Invocation | None:
        """Deliver the next changes of the shard, unless the function has a batch of it."""
        if any(
            batch.shard == shard and self.mapping.is_under_way(batch) and self.now <= invocation.started_at + TIMEOUT
            for invocation, batch in self._under_way()
        ):
            return None
        batch = self.mapping.poll(shard, size)
        if batch is None:
            return None
        self.has_overlapped = self.has_overlapped or any(other.shard == shard for _, other in self._under_way())
        consumers, invocations = self._environment()

        def work() -> Any:
            answer = consumers.handle(batch.event)
            self.scheduler.pause("answer", Kind.END)
            self.mapping.conclude(batch, answer)
            return answer

        invocation = self._new("stream", work)
        self._batches[invocation] = batch
        invocations.append(invocation)
        self.notes.answered.append(invocation)
        self.scheduler.start(invocation)
        return invocation

    def has_more(self) -> bool:
        """Return whether changes were not handled yet."""
        return any(self.mapping.has_more(shard) for shard in range(SHARDS))

    def _under_way(self) -> list[tuple[Invocation, StreamBatch]]:
        self._batches = {invocation: batch for invocation, batch in self._batches.items() if invocation.is_live}
        return list(self._batches.items())

    def _environment(self) -> tuple[Consumers, list[Invocation]]:
        """Return a process that is not busy. One that was killed is none any more."""
        kept = [each for each in self._environments if not any(invocation.killed for invocation in each[1])]
        idle = [each for each in kept if all(invocation.done for invocation in each[1])]
        self._environments = kept
        if not idle:
            idle = [(self._consumers(), [])]
            self._environments += idle
        return idle[0]

    def _consumers(self) -> Consumers:
        connections = WebSocketConnections("wss://memory", self._gateway)
        pushes = WatcherPushes(
            self.parts.watchers("jobs", self._dynamodb),
            _Connections(connections, self.notes.dropped),
            clock=self.clock,
            threads=1,
            sleep=lambda _: self.scheduler.pause("between messages"),
        )
        pushes._pool = _InOrder()  # type: ignore[assignment]  # it is only mapped
        every: dict[str, Consumer] = {
            "events": EventLogWriter(self.log),
            "webhooks": WebhookConsumer(
                webhooks=self.webhooks, store=self.store, queue=SqsQueue(QUEUE_URLS, self._sqs), clock=self.clock
            ),
            "watchers": pushes,
            "durations": DurationAggregator(
                DynamoHistory("jobs", self._dynamodb), clock=self.clock, pause=timedelta(minutes=1)
            ),
        }
        return Consumers({name: every[name] for name in self.parts.order}, jobs_of, clock=self.clock)

    def _note_line(self, event: str, job: AsyncJob | None = None, **fields: Any) -> None:
        if event == "CHANGE_SKIPPED" and job is not None:
            self.notes.skipped.add((job.key, job.created_at))
        elif event == "CHANGE_FAILED":
            self.notes.bugs.append(f"{fields['consumer']}: {fields['exception']!r}")
        elif event == "PUSH_DROPPED":
            # For want of time: it does not say to whom.
            self.notes.dropped |= self.open.keys()

    # ── Connections ────────────────────────────────────────────────────────────────────────────────

    def connect(self, owner: str, *, for_all: bool) -> Connection:
        """Open a connection: for all jobs of the owner, or for those that there are."""
        jobs = None if for_all else {job.async_job_id: job.created_at for job in self.jobs() if job.owner == owner}
        connection = Connection(f"c{next(self._names)}=", owner, jobs, self.clock() + CONNECTION)
        self._now(lambda: self.watchers.open(connection))
        self.open[connection.connection_id] = connection
        self.owners[connection.connection_id] = owner
        return connection

    def watch(self, connection: Connection, job: AsyncJob | None, after: int) -> Invocation:
        """Watch the job, or all jobs of the owner."""

        def work() -> None:
            if job is None:
                found = self.subscriptions.watch_owner(connection.connection_id)
            else:
                found = self.subscriptions.watch_job(connection.connection_id, job.async_job_id, after)
            self.scheduler.pause("answer", Kind.END)
            if connection.connection_id in self.open:
                snapshot = None if found.snapshot is None else event_body(found.snapshot)
                topic = self._watched(connection, job)
                self.notes.watches.append(Watch(connection, topic, len(self.table.history), after, snapshot))

        return self._socket(connection.connection_id, work)

    def unwatch(self, watch: Watch) -> Invocation:
        """End the watch, and those of earlier jobs with the same id."""
        connection_id, async_job_id = watch.connection.connection_id, watch.topic.async_job_id
        for other in self.notes.watches:
            if (other.connection.connection_id, other.topic.async_job_id) == (connection_id, async_job_id):
                other.is_active = False
        subscriptions = self.subscriptions
        if async_job_id is None:
            return self._socket(connection_id, lambda: subscriptions.unwatch_owner(connection_id))
        return self._socket(connection_id, lambda: subscriptions.unwatch_job(connection_id, async_job_id))

    def cut(self, connection_id: str, *, is_told: bool) -> Invocation | None:
        """Close the connection. API Gateway calls the function for most, and not for all."""
        self._end(connection_id)
        return self._socket(connection_id, lambda: self.subscriptions.disconnect(connection_id)) if is_told else None

    def ping(self, connection_id: str) -> dict[str, int]:
        """Return the numbers that a ping shows, without a pause."""
        return dict(self._now(lambda: self.subscriptions.ping(connection_id)).seqs)

    def receive(self, connection_id: str, message: dict[str, Any]) -> None:
        """Note what a connection got."""
        by = self.scheduler.current
        if by is None:
            raise AssertionError("A message is sent outside of any invocation.")
        for change in message["changes"]:
            number = f"e{change['seq']}"
            job_id = change["asyncJobId"]
            is_logged = any(number in item for pk, item in self.table.items.items() if _is_log_of(pk, job_id))
            present = frozenset((job.key, job.created_at) for job in self.jobs())
            self.notes.pushes.append(Push(connection_id, change, by, is_logged, present))

    def _watched(self, connection: Connection, job: AsyncJob | None) -> Topic:
        """Return what the connection watches: of several jobs with one id, the latest."""
        if job is None:
            return Topic(connection.owner)
        item = self.table.items[f"C#{connection.connection_id}"]
        topics = [topic for topic in map(Topic.parse, item["watches"]["SS"]) if topic.async_job_id == job.async_job_id]
        return max(topics, key=lambda topic: topic.created_at or START)

    def _end(self, connection_id: str) -> None:
        del self.open[connection_id]
        for watch in self.notes.watches:
            if watch.connection.connection_id == connection_id:
                watch.is_active = False

    def idle(self) -> list[Connection]:
        """Return the connections whose clients wait for no answer: they send one message after the other."""
        busy = {connection_id for connection_id, invocation in self._messages if invocation.is_live}
        return [connection for connection in self.open.values() if connection.connection_id not in busy]

    def _socket(self, connection_id: str, work: Callable[[], Any]) -> Invocation:
        invocation = self._new("socket", work)
        self._messages.append((connection_id, invocation))
        self.notes.answered.append(invocation)
        self.scheduler.start(invocation)
        return invocation

    # ── Webhooks ───────────────────────────────────────────────────────────────────────────────────

    def subscribe(self, owner: str, events: Sequence[str]) -> None:
        """Create a webhook for these events."""
        webhook = new_webhook(webhook_id=str(uuid.UUID(int=next(self._names))), events=tuple(events), created_at=self._tick())
        self._change_webhooks(owner, lambda own: own.with_webhook(webhook))
        self.notes.webhooks.append(Subscribed(owner, webhook, len(self.table.history)))

    def unsubscribe(self, subscribed: Subscribed) -> None:
        """Delete the webhook."""
        self._change_webhooks(subscribed.owner, lambda own: own.without(subscribed.webhook.webhook_id))
        subscribed.until = len(self.table.history)

    def _change_webhooks(self, owner: str, change: Callable[[OwnerWebhooks], OwnerWebhooks]) -> None:
        def work() -> None:
            own = self.webhooks.of(owner)
            assert self.webhooks.swap_if_unchanged(own, change(own), self.now)

        self._now(work)

    # ── Reads ──────────────────────────────────────────────────────────────────────────────────────

    def read(self, job: AsyncJob, after: int | None) -> EventsPage:
        """Read the job's events as a client, without a pause."""
        return self._now(lambda: self.feed.after(job.owner, job.async_job_id, after, wait=timedelta(0)))

    # ── Invocations ────────────────────────────────────────────────────────────────────────────────

    def live(self) -> list[Invocation]:
        """Return the paused invocations that may continue."""
        self.invocations = [invocation for invocation in self.invocations if invocation.is_live]
        return self.invocations

    def settle(self) -> None:
        """Stop the faults, end every invocation, and deliver until each change was handled."""
        self.scheduler.calm = True
        for invocation in list(self.live()):
            self.scheduler.finish(invocation)
        for _ in range(1000):
            if not self.has_more():
                return
            for shard in range(SHARDS):
                self.deliver(shard, 6)
        raise AssertionError("The stream does not end.")

    def _tick(self) -> datetime:
        """Return a time that no earlier change has."""
        self.advance(timedelta(milliseconds=1))
        return self.clock()

    def _new(self, role: str, work: Callable[[], Any]) -> Invocation:
        invocation = Invocation(next(self._numbers), role, work, started_at=self.now, timeout=TIMEOUT, skew=timedelta(0))
        invocation.passes_reads = self.passes_reads
        invocation.began_after = len(self.table.history)
        self.invocations.append(invocation)
        return invocation

    def _now(self, work: Callable[[], T]) -> T:
        invocation = self._new("world", work)
        self.scheduler.run_here(invocation)
        if invocation.error is not None:
            raise invocation.error
        answer: T = invocation.answer
        return answer


class _Uuids:
    """Replaces `uuid`: ids are the same in every run."""

    UUID = uuid.UUID

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def uuid4(self) -> uuid.UUID:
        return uuid.UUID(int=next(self._numbers), version=4)


def _is_log_of(pk: str, async_job_id: str) -> bool:
    return pk.startswith("E#") and pk.split("#")[2] == async_job_id

"""What a connection of the WebSocket API may do: watch the jobs of its ticket, and check what it has seen of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from asyncjobs.core.clock import Clock
from asyncjobs.core.errors import InvalidTicket, JobNotFound, TooManyWatchers, TooManyWatches
from asyncjobs.core.events import Event, snapshot_of
from asyncjobs.core.job import AsyncJob, JobKey, present_job
from asyncjobs.core.ports import Store, Tickets, Watchers
from asyncjobs.core.ticket import is_open, ticket_hash
from asyncjobs.core.watch import MAX_WATCHES, Connection, Topic


class Watching(NamedTuple):
    """The answer to a new watch of a job."""

    snapshot: Event | None
    """The job as it is; None if the client has seen this state."""
    ends_at: datetime
    """When the connection ends, and with it the watch."""


class Seen(NamedTuple):
    """The answer to a ping."""

    seqs: Mapping[str, int]
    """The number of the present state of each job that the connection watches. A deleted job has none."""
    ends_at: datetime


class Subscriptions:
    """Opens and closes connections, and answers their messages."""

    def __init__(self, *, store: Store, tickets: Tickets, watchers: Watchers, clock: Clock) -> None:
        self._store = store
        self._tickets = tickets
        self._watchers = watchers
        self._clock = clock

    def connect(self, connection_id: str, ticket_text: str) -> None:
        """Open a connection. Raises `InvalidTicket`. The ticket is used up, even if the connection fails."""
        ticket = self._tickets.take(ticket_hash(ticket_text))
        if ticket is None or ticket.connection_ends_at is None or ticket.expires_at <= self._clock():
            raise InvalidTicket
        self._watchers.open(Connection(connection_id, ticket.owner, ticket.jobs, ticket.connection_ends_at))

    def disconnect(self, connection_id: str) -> None:
        """Close a connection."""
        self._watchers.close(connection_id)

    def watch_job(self, connection_id: str, async_job_id: str, after: int) -> Watching:
        """Watch a job of the ticket, and return its state unless the client has seen it (`after`).

        The watch is stored before the job is read for its state, and the stream's function reads the watches after the change.
        So a change is in the state, or it is pushed, or both.
        """
        connection = self._connection(connection_id)
        topic = self._topic(connection, async_job_id)
        self._watch(connection, topic)
        job = self._job(connection, async_job_id)
        if Topic.of_job(job) != topic:
            # Deleted in between, and submitted again with the same id: that job has no watch.
            raise JobNotFound
        return Watching(None if job.seq == after else snapshot_of(job), connection.ends_at)

    def watch_owner(self, connection_id: str) -> Watching:
        """Watch all jobs of the ticket's owner. There is no state to return: the client reads the list afterwards."""
        connection = self._connection(connection_id)
        if connection.jobs is not None:
            raise JobNotFound
        self._watch(connection, Topic(connection.owner))
        return Watching(None, connection.ends_at)

    def unwatch_job(self, connection_id: str, async_job_id: str) -> None:
        """End the watch of a job. It need not be watched, or exist any more."""
        connection = self._connection(connection_id)
        for topic in map(Topic.parse, connection.watches):
            if topic.async_job_id == async_job_id:
                self._watchers.unwatch(connection, topic)

    def unwatch_owner(self, connection_id: str) -> None:
        """End the watch of all jobs."""
        connection = self._connection(connection_id)
        self._watchers.unwatch(connection, Topic(connection.owner))

    def ping(self, connection_id: str) -> Seen:
        """Return the present state's number of each watched job, so that a client notices what no message has brought."""
        connection, now = self._connection(connection_id), self._clock()
        topics = {topic for topic in map(Topic.parse, connection.watches) if topic.async_job_id is not None}
        # Of a deleted job and a later one with the same id, both may be watched.
        keys = {JobKey(topic.owner, topic.async_job_id or "") for topic in topics}
        found = self._store.get_all(list(keys)) if keys else {}
        seqs = {
            key.async_job_id: job.seq
            for key, job in found.items()
            if isinstance(job, AsyncJob) and not job.is_expired(now) and Topic.of_job(job) in topics
        }
        return Seen(seqs, connection.ends_at)

    def _connection(self, connection_id: str) -> Connection:
        connection = self._watchers.connection(connection_id)
        if connection is None or connection.ends_at <= self._clock():
            raise InvalidTicket
        return connection

    def _topic(self, connection: Connection, async_job_id: str) -> Topic:
        """Return the job's topic: as the ticket has it, which saves a read, or as the record has it."""
        if connection.jobs is None:
            return Topic.of_job(self._job(connection, async_job_id))
        if async_job_id not in connection.jobs:
            raise JobNotFound
        return Topic(connection.owner, async_job_id, connection.jobs[async_job_id])

    def _job(self, connection: Connection, async_job_id: str) -> AsyncJob:
        job = present_job(self._store.get(JobKey(connection.owner, async_job_id)), self._clock())
        if not is_open(job, connection.owner, connection.jobs):
            raise JobNotFound
        return job

    def _watch(self, connection: Connection, topic: Topic) -> None:
        if topic.text not in connection.watches and len(connection.watches) >= MAX_WATCHES:
            raise TooManyWatches
        if not self._watchers.watch(connection, topic, self._clock()):
            raise TooManyWatchers

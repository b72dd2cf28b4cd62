"""The ports of the library: a store, queues, objects and a history. `aws` has the adapters.

Those that only administrators use are in `core/administration.py`: no other cold start pays for them and their records. The
tests' fakes implement the same protocols, and one suite (`tests/adapters`) runs over both.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Protocol, Self

from asyncjobs.core.durations import Durations
from asyncjobs.core.errors import Unreadable
from asyncjobs.core.job import FENCE, AsyncJob, JobKey, LockOwner, Priority, Result
from asyncjobs.core.message import JobMessage
from asyncjobs.core.placement import JSON

if TYPE_CHECKING:
    from asyncjobs.core.events import Event
    from asyncjobs.core.rate import SubmitRate
    from asyncjobs.core.ticket import Ticket
    from asyncjobs.core.watch import Connection, Posted, Topic
    from asyncjobs.core.webhook import OwnerWebhooks


@dataclass(frozen=True, slots=True)
class Lost:
    """Another write came first. `current` is the stored job; None if there is none."""

    current: AsyncJob | None


@dataclass(frozen=True, slots=True)
class ListPosition:
    """A place in an owner's list of jobs: after this job."""

    created_at: datetime
    async_job_id: str


@dataclass(frozen=True, slots=True)
class DueEntry:
    """An entry of the due index. Without a key, the item is not a job, or not one that this release can name."""

    key: JobKey | None
    due_at: datetime


class Store(Protocol):
    """Storage of jobs. `DynamoStore` is the real adapter; the tests have a fake, and one suite runs over both.

    Every method raises `Unavailable` when the table does not answer, and `Unreadable` for a job that it cannot read.
    """

    def add_if_absent(self, job: AsyncJob, now: datetime) -> AsyncJob | None:
        """Create the job and return None; or return the existing record of that name if it has not expired."""
        ...

    def reserve_dedupe_key(
        self, owner: str, name: str, async_job_id: str, *, now: datetime, until: datetime, instead_of: str | None = None
    ) -> str:
        """Assign the owner's name to this job until then, if it has no other job, or the one to be replaced.

        Returns the id of the job that the name has now. That job may not exist yet.
        """
        ...

    def claim_if_claimable(self, message: JobMessage, *, by: str, now: datetime, lease_until: datetime) -> AsyncJob | Lost:
        """Begin an attempt by the rule of `AsyncJob.is_claimable`, if the message describes the job, without reading it first."""
        ...

    def swap_if_unchanged(self, old: AsyncJob, new: AsyncJob, unchanged: Sequence[str] = FENCE) -> AsyncJob | Lost:
        """Write the differences, if the fields in `unchanged` are stored as in `old`. Return the job as it is stored now.

        A write that a client can see raises the stored `seq` by one, whatever `seq` `old` has: it may have been read before a
        report. `unchanged` must have a field that such a write changes, so that a repeat of the write does not raise it again.

        It is also success when the values to write are stored already: by this write's own first try, or by another write
        with the same values.
        """
        ...

    def remove_if_unchanged(self, job: AsyncJob) -> None:
        """Remove the deleted job's record, unless another one has taken its place."""
        ...

    def get(self, key: JobKey) -> AsyncJob | None:
        """Return the job by a consistent read; it may have expired."""
        ...

    def list_by_owner(
        self, owner: str, *, limit: int, after: ListPosition | None = None, deliveries: bool = False
    ) -> tuple[Sequence[AsyncJob], ListPosition | None]:
        """Return up to `limit` jobs of the owner, newest first, and the next position. Jobs that cannot be read are left out.

        Deliveries of webhooks are a list of their own. Eventually consistent; some may be expired.
        """
        ...

    def due(self, shard: str, now: datetime) -> Iterator[DueEntry]:
        """Yield the entries of a partition of the due index that are due by now, oldest first. Eventually consistent."""
        ...

    def get_all(self, keys: Sequence[JobKey]) -> Mapping[JobKey, AsyncJob | Unreadable]:
        """Return those of up to 100 jobs that exist, by a consistent read; for one that cannot be read, the error."""
        ...

    def take_token_if_any(self, owner: str, rate: SubmitRate, now: datetime) -> tuple[bool, datetime]:
        """Take a token from the owner's bucket by the rule of `SubmitRate.draw`, and return the same values."""
        ...

    def take_wait_slot(self, owner: str, *, slots: int, now: datetime, until: datetime) -> int | None:
        """Take one of the owner's slots, 0 to `slots` - 1, until then. Returns None if all are taken."""
        ...

    def free_wait_slot(self, owner: str, slot: int, *, until: datetime) -> None:
        """Free the slot that was taken until then, unless another request has it by now."""
        ...

    def count_live(self, owner: str, *, at_most: int) -> int:
        """Count the owner's live jobs, no further than `at_most`. Eventually consistent."""
        ...

    def lock_owner(self, name: str) -> LockOwner | None:
        """Return the lock's owner by a consistent read; it may be over. None if there was no owner for a long time."""
        ...

    def lock_if_unchanged(self, name: str, lock_owner: LockOwner, *, seen: LockOwner | None, until: datetime) -> bool:
        """Write the new owner into the lock, if it still has the owner that was seen. Return whether it has the new one now.

        `until` is when the lock may expire: later than the end of any job that runs now.
        """
        ...

    def waiting(self, exclusive_key: str, now: datetime, *, at_most: int) -> Sequence[JobKey]:
        """Return jobs that wait for this lock and may begin by now, longest wait first. Eventually consistent."""
        ...


class Queue(Protocol):
    """A queue for each priority. Every method raises `Unavailable` when the queue does not answer."""

    def send(self, message: JobMessage, *, delay: timedelta = timedelta(0)) -> None:
        """Send the message to its queue, which delivers it after `delay`, 15 minutes at most."""
        ...

    def send_all(self, messages: Sequence[JobMessage]) -> Sequence[JobMessage]:
        """Send messages to their queues. Returns those that a queue refused."""
        ...

    def backlog(self, priority: Priority) -> int:
        """Return about how many messages waited for delivery some seconds ago, without those of delayed jobs.

        Raises `Unavailable` for every reason, since no caller may fail for lack of a count.
        """
        ...

    def return_after(self, receipt_handle: str, delay: timedelta, *, source: str) -> None:
        """Return a message to the queue with the ARN `source`, which delivers it again after `delay`."""
        ...


class ResultWriter(Protocol):
    """A result that is being written. `close` returns it; `discard` leaves nothing behind."""

    def write(self, data: bytes, /) -> int:
        """Append the bytes."""
        ...

    def close(self) -> Result:
        """End the result and return it; may be called again.

        Raises `Fatal` (`RESULT_NOT_SERIALIZABLE`) for a JSON result that fits into the record and is not valid JSON.
        """
        ...

    def discard(self) -> None:
        """Delete the result; does nothing after `close`."""
        ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the result, or discard it if the `with` block raised."""
        if exception[0] is None:
            self.close()
        else:
            self.discard()


class UploadLink(NamedTuple):
    """A URL to PUT an object to, and the headers that the request must have."""

    url: str
    headers: Mapping[str, str]


class StoredUpload(NamedTuple):
    """An object that was uploaded: the key that a job's input may name, its size in bytes, and when it was complete."""

    key: str
    size: int
    uploaded_at: datetime


class Objects(Protocol):
    """Storage of inputs and results. Every method raises `Unavailable` when the bucket does not answer."""

    def put_input(self, job: AsyncJob, data: bytes) -> str:
        """Store the job's input; returns its location."""
        ...

    def get_input(self, job: AsyncJob) -> bytes:
        """Return the large input of the job. Raises `InputMissing`, also when the record names another job's object."""
        ...

    def open_upload(self, owner: str, key: str) -> BinaryIO:
        """Open an object of the owner's own inputs area as a stream. Raises `InputMissing`."""
        ...

    def upload_link(self, owner: str, key: str, *, content_type: str, size: int) -> UploadLink:
        """Return a URL that allows its holder to upload this object once, of exactly that type and size, for the owner.

        An upload that no job keeps is deleted a day later.
        """
        ...

    def put_upload(self, owner: str, key: str, data: bytes, *, content_type: str) -> None:
        """Store an upload of the owner's that came with a request, unless there is one with this key already.

        An upload that no job keeps is deleted a day later.
        """
        ...

    def keep_uploads(self, job: AsyncJob, keys: Sequence[str]) -> None:
        """Keep the owner's uploads for this job, and no longer for an earlier one. A missing upload is not an error."""
        ...

    def delete_upload(self, owner: str, key: str) -> None:
        """Delete the owner's upload; a missing one is not an error."""
        ...

    def uploads(self, owner: str) -> Iterator[StoredUpload]:
        """Yield the uploads of the owner, and of nobody else, in the order of their keys."""
        ...

    def open_file(self, owner: str, name: str) -> BinaryIO:
        """Open a file that a job of the owner has saved, as a stream. Raises `InputMissing`."""
        ...

    def save_file(self, owner: str, name: str, data: BinaryIO) -> None:
        """Store all that `data` holds as the owner's file, in place of an earlier one.

        A reader gets the earlier file or this one, and never a part: if this fails, the earlier one stays.
        """
        ...

    def open_result(self, job: AsyncJob, content_type: str = JSON) -> ResultWriter:
        """Begin the result of the job's present attempt."""
        ...

    def open_artifact(self, job: AsyncJob, number: int, *, name: str, content_type: str) -> ResultWriter:
        """Begin an artifact of the job's present attempt: a file of this name, stored in the bucket at any size."""
        ...

    def artifact_link(self, job: AsyncJob, number: int) -> str:
        """Return a URL that gives its holder the artifact of the job's present attempt for `LINK_LIFETIME`. It is a secret."""
        ...

    def get_result(self, job: AsyncJob, *, at_most: int) -> bytes | None:
        """Return the job's stored result; None for one that is larger than `at_most` bytes, or no JSON, or missing.

        Raises `Unreadable` when the record names another job's object.
        """
        ...

    def delete_all(self, job: AsyncJob, uploads: Sequence[str] = ()) -> None:
        """Delete the job's input, those of the uploads that are kept for this job, and all that its attempts have stored.

        Missing objects are not an error.
        """
        ...

    def link(self, job: AsyncJob) -> str:
        """Return a URL that gives its holder the job's stored result for `LINK_LIFETIME`. It is a secret: never store or log it.

        Raises `Unreadable` when the record names another job's object.
        """
        ...


@dataclass(frozen=True, slots=True)
class BusEvent:
    """An event for a bus: `type` is what its rules select by, `detail` a JSON object."""

    type: str
    at: datetime
    detail: str


class EventBus(Protocol):
    """A bus of events. `EventBridgeBus` is the real adapter; the tests have a fake, and one suite runs over both."""

    def publish(self, events: Sequence[BusEvent]) -> Sequence[BusEvent]:
        """Publish the events. Returns those that the bus refused.

        Raises `Unavailable` when the bus does not answer; some of the events may be published then.
        """
        ...


class History(Protocol):
    """Storage of durations by their names, such as `AsyncJob.durations_name`: a job type's, and one for each class of sizes.

    `DynamoHistory` is the real adapter; the tests have a fake, and one suite runs over both.

    Every method raises `Unavailable` when the table does not answer.
    """

    def get(self, durations_name: str) -> Durations:
        """Return how long jobs of this name took; empty when none has ended. Eventually consistent."""
        ...

    def add(
        self, durations_name: str, durations: Durations, now: datetime, hours: Mapping[str, tuple[int, int]] | None = None
    ) -> None:
        """Add jobs that have ended; the oldest fade. A simultaneous addition loses nothing.

        `hours` says how many completed and failed, by the hour: `2026-11-26T16`.
        """
        ...


class Tickets(Protocol):
    """Storage of tickets, by their hashes. `DynamoTickets` is the real adapter; the tests have a fake, and one suite runs over both.

    Every method raises `Unavailable` when the table does not answer.
    """

    def put(self, ticket_hash: str, ticket: Ticket) -> None:
        """Store a new ticket until it expires."""
        ...

    def get(self, ticket_hash: str) -> Ticket | None:
        """Return the ticket by a consistent read; it may have expired."""
        ...

    def take(self, ticket_hash: str) -> Ticket | None:
        """Remove a ticket that opens a connection, and return it; it may have expired. Of several takers, one gets it."""
        ...


class Watchers(Protocol):
    """Storage of connections and of what they watch. `DynamoWatchers` is the real adapter; the tests have a fake.

    Every method raises `Unavailable` when the table does not answer.
    """

    def open(self, connection: Connection) -> None:
        """Store a new connection."""
        ...

    def connection(self, connection_id: str) -> Connection | None:
        """Return the connection by a consistent read; it may have ended. None for one that was closed."""
        ...

    def close(self, connection_id: str) -> None:
        """Remove the connection and its watches."""
        ...

    def watch(self, connection: Connection, topic: Topic, now: datetime) -> bool:
        """Let the connection watch the topic until it ends. Returns False if the topic has its most watchers already.

        After this, every `of` for the topic has the connection.
        """
        ...

    def unwatch(self, connection: Connection, topic: Topic) -> None:
        """End one watch of the connection."""
        ...

    def of(self, topics: Collection[Topic], now: datetime) -> Mapping[Topic, Collection[str]]:
        """Return the connections that watch each of these topics, by a consistent read. Topics without any are left out."""
        ...

    def forget(self, connection_id: str, topic: Topic) -> None:
        """End a watch of a closed connection."""
        ...


class Connections(Protocol):
    """The open connections of the WebSocket API."""

    def post(self, connection_id: str, text: str) -> Posted:
        """Send a message. Never raises: a message that cannot be sent is dropped."""
        ...


class Webhooks(Protocol):
    """Storage of webhooks. `DynamoWebhooks` is the real adapter; the tests have a fake, and one suite runs over both.

    Every method raises `Unavailable` when the table does not answer.
    """

    def of(self, owner: str) -> OwnerWebhooks:
        """Return the owner's webhooks by a consistent read."""
        ...

    def of_all(self, owners: Sequence[str]) -> Mapping[str, OwnerWebhooks]:
        """Return the webhooks of those owners that have any, by a consistent read."""
        ...

    def swap_if_unchanged(self, old: OwnerWebhooks, new: OwnerWebhooks, now: datetime) -> bool:
        """Write the owner's new webhooks, if the old ones are stored. Return whether the new ones are stored now."""
        ...


class EventLog(Protocol):
    """Storage of jobs' events. `DynamoEventLog` is the real adapter; the tests have a fake, and one suite runs over both.

    The events are those of one record: another one of the same id has its own. Every method raises `Unavailable` when the table
    does not answer.
    """

    def append(self, job: AsyncJob, events: Sequence[Event]) -> None:
        """Store events of the job, in their order. To store one again changes nothing. They expire with the job, not before."""
        ...

    def read(self, job: AsyncJob, *, first: int, last: int) -> Sequence[Event]:
        """Return the stored events with numbers from `first` to `last`, in order, by a consistent read. Some may be missing."""
        ...

    def delete(self, job: AsyncJob) -> None:
        """Delete all events of the job; missing ones are not an error."""
        ...

"""What the library needs of the world outside: a store, queues, objects and a history. `aws` has the adapters.

The tests' fakes implement the same protocols, and one suite (`tests/adapters`) runs over both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import BinaryIO, Protocol, Self

from asyncjobs.core.durations import Durations
from asyncjobs.core.job import FENCE, AsyncJob, JobKey, LockOwner, Priority, Result
from asyncjobs.core.message import JobMessage
from asyncjobs.core.placement import JSON
from asyncjobs.core.rate import SubmitRate


@dataclass(frozen=True, slots=True)
class Lost:
    """Another write came first. `current` is what stands there now; None if nothing does."""

    current: AsyncJob | None


@dataclass(frozen=True, slots=True)
class ListPosition:
    """A place in an owner's list of jobs: right behind this job."""

    created_at: datetime
    async_job_id: str


class Store(Protocol):
    """Where jobs are kept. `DynamoStore` is the real one, the tests' fake the other; one suite runs over both.

    Every method raises `Unavailable` when the table does not answer.
    """

    def add_if_absent(self, job: AsyncJob, now: datetime) -> AsyncJob | None:
        """Create the job, unless a record of that name exists that has not expired: then that one is returned."""
        ...

    def reserve_dedupe_key(
        self, owner: str, name: str, async_job_id: str, *, now: datetime, until: datetime, instead_of: str | None = None
    ) -> str:
        """Have the owner's name stand for this job until then, if it stands for no other, or for the one to be replaced.

        Returns the id of the job that it stands for now. There may be no such job yet.
        """
        ...

    def claim_if_claimable(
        self, key: JobKey, *, generation: str, by: str, now: datetime, lease_until: datetime
    ) -> AsyncJob | Lost:
        """Begin an attempt, by the rule of `AsyncJob.is_claimable`, without having read the job."""
        ...

    def swap_if_unchanged(self, old: AsyncJob, new: AsyncJob, unchanged: Sequence[str] = FENCE) -> Lost | None:
        """Write what is new, if the fields in `unchanged` still stand as in `old`. None is success.

        It is success, too, when what it was to write stands there already: this write's own first try, or somebody else's who
        meant the very same.
        """
        ...

    def remove_if_unchanged(self, job: AsyncJob) -> None:
        """Remove the forgotten job's record, unless another one has taken its place."""
        ...

    def get(self, key: JobKey) -> AsyncJob | None:
        """The job as it stands now (a consistent read); it may have expired."""
        ...

    def list_by_owner(
        self, owner: str, *, limit: int, after: ListPosition | None = None
    ) -> tuple[Sequence[AsyncJob], ListPosition | None]:
        """Up to `limit` jobs of the owner, newest first, and where to go on. Eventually consistent; some may be expired."""
        ...

    def due(self, now: datetime) -> Iterator[JobKey]:
        """The unfinished jobs that are due by now, oldest first in each shard. Eventually consistent."""
        ...

    def take_token_if_any(self, owner: str, rate: SubmitRate, now: datetime) -> tuple[bool, datetime]:
        """Take a token from the owner's bucket by the rule of `SubmitRate.draw`, which says what is returned, too."""
        ...

    def count_live(self, owner: str, *, at_most: int) -> int:
        """How many of the owner's jobs count as live; counts no further than `at_most`. Eventually consistent."""
        ...

    def lock_owner(self, name: str) -> LockOwner | None:
        """Whom the lock names now (a consistent read): it may be over. None if nobody has ever held it, or not for long."""
        ...

    def lock_if_unchanged(self, name: str, holder: LockOwner, *, seen: LockOwner | None, until: datetime) -> bool:
        """Have the lock name this holder, if it still names the one that was seen, or nobody. Whether it names this one now.

        `until` is when the lock may be forgotten: later than any job that runs today can last.
        """
        ...

    def waiting(self, exclusive_key: str, now: datetime, *, at_most: int) -> Sequence[JobKey]:
        """The jobs that wait for this lock and might begin by now, those that have waited longest first. Eventually consistent."""
        ...


class Queue(Protocol):
    """Where messages go, each by its priority. Every method raises `Unavailable` when the queue does not answer."""

    def send(self, message: JobMessage, *, delay: timedelta = timedelta(0)) -> None:
        """Put the message into its queue; it is delivered after `delay`, 15 minutes at most."""
        ...

    def send_all(self, messages: Sequence[JobMessage]) -> Sequence[JobMessage]:
        """Put them into their queues. Returns those that a queue refused."""
        ...

    def backlog(self, priority: Priority) -> int:
        """About how many messages wait to be delivered, as of some seconds ago; those of delayed jobs do not wait yet."""
        ...

    def return_after(self, receipt_handle: str, delay: timedelta, *, source: str) -> None:
        """Have a message delivered again after `delay` that was received from the queue whose ARN is `source`."""
        ...


class ResultWriter(Protocol):
    """A result in the making. `close` ends it and tells where it is; `discard` leaves nothing behind."""

    def write(self, data: bytes, /) -> int:
        """Append the bytes."""
        ...

    def close(self) -> Result:
        """End it; may be called again.

        Raises `Fatal` (`RESULT_NOT_SERIALIZABLE`) for what claims to be JSON, is small enough for the record, and is no JSON.
        """
        ...

    def discard(self) -> None:
        """Give it up; does nothing to what is closed."""
        ...

    def __enter__(self) -> Self: ...
    def __exit__(self, *exception: object) -> None: ...


class Objects(Protocol):
    """Where inputs and results lie. Every method raises `Unavailable` when the bucket does not answer."""

    def put_input(self, job: AsyncJob, data: bytes) -> str:
        """Keep the job's input; returns its location."""
        ...

    def get_input(self, location: str) -> bytes:
        """The input kept there. Raises `InputMissing`."""
        ...

    def open_upload(self, owner: str, key: str) -> BinaryIO:
        """An object of the owner's own inputs area, as a stream. Raises `InputMissing`."""
        ...

    def upload_link(self, owner: str, key: str, *, content_type: str, size: int) -> str:
        """A URL by which whoever has it may put this object into the owner's inputs area, of just that type and size."""
        ...

    def open_result(self, job: AsyncJob, content_type: str = JSON) -> ResultWriter:
        """Begin the result of the job's present attempt."""
        ...

    def delete_all(self, job: AsyncJob) -> None:
        """Delete the job's input, and what its attempts left of results; what is not there is no error."""
        ...

    def link(self, location: str) -> str:
        """A URL that gives whoever has it the object, for `LINK_LIFETIME`. A secret: never store or log it."""
        ...


class History(Protocol):
    """Where durations are kept. `DynamoHistory` is the real one, the tests' fake the other; one suite runs over both.

    Every method raises `Unavailable` when the table does not answer.
    """

    def get(self, job_type: str) -> Durations:
        """How long jobs of this type took; empty when none has ended. Eventually consistent."""
        ...

    def add(self, job_type: str, durations: Durations, now: datetime) -> None:
        """Add jobs that have ended; the oldest fade. Nothing is lost to another who adds at the same time."""
        ...

"""Simulated Lambda processes: each has adapters whose every call may fail, be lost, or be the last of the process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import BinaryIO, Protocol, TypeVar

from asyncjobs.core.errors import Unavailable, Unreadable
from asyncjobs.core.job import FENCE, AsyncJob, JobKey, LockOwner, Priority, Result
from asyncjobs.core.message import JobMessage
from asyncjobs.core.placement import JSON
from asyncjobs.core.ports import DueEntry, ListPosition, Lost, Queue, Store, UploadLink
from asyncjobs.core.rate import SubmitRate
from tests.support.fakes import FakeObjects, FakeResultWriter

T = TypeVar("T")


class Killed(BaseException):
    """The process is killed. No code of it may catch this."""


class Fault(Enum):
    """A fault of a call. Twice: the answer was lost and the SDK tried again."""

    FAILS = auto()
    TWICE = auto()
    LOST = auto()
    KILLED_BEFORE = auto()
    KILLED_AFTER = auto()


class Fate(Protocol):
    """The source of faults."""

    def fault(self) -> Fault | None:
        """Return the fault of the next call."""
        ...

    def meanwhile(self) -> None:
        """Let others act between two steps of this process."""
        ...


class Process:
    """A process that makes calls until it is killed; then every further call raises again."""

    def __init__(self, fate: Fate) -> None:
        self._fate = fate
        self._is_dead = False

    def die(self) -> None:
        self._is_dead = True
        self.live()

    def live(self) -> None:
        if self._is_dead:
            raise Killed

    def call(self, function: Callable[[], T]) -> T:
        self.live()
        self._fate.meanwhile()
        fault = self._fate.fault()
        if fault is Fault.FAILS:
            raise Unavailable("AWS is down.")
        if fault is Fault.KILLED_BEFORE:
            self.die()
        returned = function()
        self._fate.meanwhile()
        if fault is Fault.LOST:
            raise Unavailable("AWS did not answer.")
        if fault is Fault.KILLED_AFTER:
            self.die()
        return function() if fault is Fault.TWICE else returned


class ProcessStore:
    """The `Store` of a process."""

    def __init__(self, inner: Store, process: Process) -> None:
        self._inner, self._call = inner, process.call

    def add_if_absent(self, job: AsyncJob, now: datetime) -> AsyncJob | None:
        return self._call(lambda: self._inner.add_if_absent(job, now))

    def reserve_dedupe_key(
        self, owner: str, name: str, async_job_id: str, *, now: datetime, until: datetime, instead_of: str | None = None
    ) -> str:
        return self._call(
            lambda: self._inner.reserve_dedupe_key(owner, name, async_job_id, now=now, until=until, instead_of=instead_of)
        )

    def claim_if_claimable(self, message: JobMessage, *, by: str, now: datetime, lease_until: datetime) -> AsyncJob | Lost:
        return self._call(lambda: self._inner.claim_if_claimable(message, by=by, now=now, lease_until=lease_until))

    def swap_if_unchanged(self, old: AsyncJob, new: AsyncJob, unchanged: Sequence[str] = FENCE) -> AsyncJob | Lost:
        return self._call(lambda: self._inner.swap_if_unchanged(old, new, unchanged))

    def remove_if_unchanged(self, job: AsyncJob) -> None:
        self._call(lambda: self._inner.remove_if_unchanged(job))

    def get(self, key: JobKey) -> AsyncJob | None:
        return self._call(lambda: self._inner.get(key))

    def list_by_owner(
        self, owner: str, *, limit: int, after: ListPosition | None = None, deliveries: bool = False
    ) -> tuple[Sequence[AsyncJob], ListPosition | None]:
        return self._call(lambda: self._inner.list_by_owner(owner, limit=limit, after=after, deliveries=deliveries))

    def due(self, shard: str, now: datetime) -> Iterator[DueEntry]:
        yield from self._call(lambda: list(self._inner.due(shard, now)))

    def get_all(self, keys: Sequence[JobKey]) -> Mapping[JobKey, AsyncJob | Unreadable]:
        return self._call(lambda: self._inner.get_all(keys))

    def take_token_if_any(self, owner: str, rate: SubmitRate, now: datetime) -> tuple[bool, datetime]:
        return self._call(lambda: self._inner.take_token_if_any(owner, rate, now))

    def count_live(self, owner: str, *, at_most: int) -> int:
        return self._call(lambda: self._inner.count_live(owner, at_most=at_most))

    def lock_owner(self, name: str) -> LockOwner | None:
        return self._call(lambda: self._inner.lock_owner(name))

    def lock_if_unchanged(self, name: str, lock_owner: LockOwner, *, seen: LockOwner | None, until: datetime) -> bool:
        return self._call(lambda: self._inner.lock_if_unchanged(name, lock_owner, seen=seen, until=until))

    def take_wait_slot(self, owner: str, *, slots: int, now: datetime, until: datetime) -> int | None:
        return self._call(lambda: self._inner.take_wait_slot(owner, slots=slots, now=now, until=until))

    def free_wait_slot(self, owner: str, slot: int, *, until: datetime) -> None:
        self._call(lambda: self._inner.free_wait_slot(owner, slot, until=until))

    def waiting(self, exclusive_key: str, now: datetime, *, at_most: int) -> Sequence[JobKey]:
        return self._call(lambda: self._inner.waiting(exclusive_key, now, at_most=at_most))


class ProcessQueue:
    """The `Queue` of a process."""

    def __init__(self, inner: Queue, process: Process) -> None:
        self._inner, self._call = inner, process.call

    def send(self, message: JobMessage, *, delay: timedelta = timedelta(0)) -> None:
        self._call(lambda: self._inner.send(message, delay=delay))

    def send_all(self, messages: Sequence[JobMessage]) -> Sequence[JobMessage]:
        return self._call(lambda: self._inner.send_all(messages)) if messages else []

    def backlog(self, priority: Priority) -> int:
        return self._call(lambda: self._inner.backlog(priority))

    def return_after(self, receipt_handle: str, delay: timedelta, *, source: str) -> None:
        self._call(lambda: self._inner.return_after(receipt_handle, delay, source=source))


class ProcessObjects:
    """The `Objects` of a process."""

    def __init__(self, inner: FakeObjects, process: Process) -> None:
        self._inner, self._process = inner, process

    def put_input(self, job: AsyncJob, data: bytes) -> str:
        return self._process.call(lambda: self._inner.put_input(job, data))

    def get_input(self, job: AsyncJob) -> bytes:
        return self._process.call(lambda: self._inner.get_input(job))

    def open_upload(self, owner: str, key: str) -> BinaryIO:
        return self._process.call(lambda: self._inner.open_upload(owner, key))

    def upload_link(self, owner: str, key: str, *, content_type: str, size: int) -> UploadLink:
        return self._inner.upload_link(owner, key, content_type=content_type, size=size)

    def keep_uploads(self, job: AsyncJob, keys: Sequence[str]) -> None:
        self._process.call(lambda: self._inner.keep_uploads(job, keys))

    def delete_upload(self, owner: str, key: str) -> None:
        self._process.call(lambda: self._inner.delete_upload(owner, key))

    def open_result(self, job: AsyncJob, content_type: str = JSON) -> FakeResultWriter:
        return _Writer(self._inner.open_result(job, content_type), self._process)

    def delete_all(self, job: AsyncJob, uploads: Sequence[str] = ()) -> None:
        self._process.call(lambda: self._inner.delete_all(job, uploads))

    def link(self, job: AsyncJob) -> str:
        return self._inner.link(job)


class _Writer(FakeResultWriter):
    """A writer that calls AWS when it is closed, unless the result is inline."""

    def __init__(self, like: FakeResultWriter, process: Process) -> None:
        super().__init__(like._objects, like._location, like._content_type, like._inline_limit)
        self._process = process

    def close(self) -> Result:
        is_inline = len(self._buffer) <= self._inline_limit
        return super().close() if is_inline or self._result is not None else self._process.call(super().close)

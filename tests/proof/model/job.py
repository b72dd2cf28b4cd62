"""A job's item in the model, its transitions, and the one way to write it: `core/job.py` and the store without clocks.

The item has only fields that a condition or an invariant compares. A time is not *when* but *which one*: a lease is the number
of heartbeats that its attempt has sent, a due time is the present one or an earlier one. Wherever the code compares a time with
a clock, the model explores both outcomes: so every drift of every clock is covered.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from asyncjobs.core.job import FINISHED as FINISHED_STATUSES
from asyncjobs.core.job import Status

# Plain text: to hash the members of an enum would take most of the time.
PENDING = Status.PENDING.value
IN_PROGRESS = Status.IN_PROGRESS.value
COMPLETED = Status.COMPLETED.value
FAILED = Status.FAILED.value
CANCELLED = Status.CANCELLED.value
FINISHED = frozenset(status.value for status in FINISHED_STATUSES)

NOBODY = -1
GONE = -2
"""The claimant is an invocation that has ended and whose place another one may have."""

NO_LEASE = -1
NOT_DUE = -1
DUE, EARLIER_DUE, NEW_DUE = 0, 1, 2
"""The present due time; an earlier one; one about to be written. No due time ever returns."""

Location = tuple[int, int]
"""The location of a result: its generation and its attempt."""

NUMBERS = 4
"""The numbers of visible writes are counted modulo this, since each is compared only with the one before: fewer states."""
WRONG_NUMBER = "I16 a change that a client can see has not the next number, or a number stands for no change"


class Item(NamedTuple):
    """The present job. The fields have the names that the product's guards compare."""

    generation: int
    status: str
    attempt: int
    claimed_by: int
    lease_until: int
    """The number of the lease. Each heartbeat writes the next one with its progress: so this is also the progress."""
    due_at: int
    result: Location | None
    seq: int = 1
    """The number of the last write that a client can see."""

    @property
    def is_finished(self) -> bool:
        return self.status in FINISHED


def submitted(generation: int) -> Item:
    return Item(generation, PENDING, 0, NOBODY, NO_LEASE, NEW_DUE, None)


def claimed(item: Item, by: int) -> Item:
    """Claim the job. `due_at` stays: where the code moves it, guards that compare it already fail by the rest of the fence."""
    return item._replace(status=IN_PROGRESS, attempt=item.attempt + 1, claimed_by=by, lease_until=0)


def submitted_and_claimed(generation: int, by: int) -> Item:
    return claimed(submitted(generation), by)


def numbered(item: Item) -> Item:
    """Give the write the next number."""
    return item._replace(seq=(item.seq + 1) % NUMBERS)


def is_news(old: Item, new: Item) -> bool:
    """Return whether a client can see the change. The lease stands for the progress."""
    return old[1:3] != new[1:3] or old.lease_until != new.lease_until or old.result != new.result


def reported(item: Item, lease: int) -> Item:
    return item._replace(lease_until=lease)


def completed(item: Item, result: Location) -> Item:
    return _ended(item, COMPLETED)._replace(result=result)


def failed(item: Item) -> Item:
    return _ended(item, FAILED)


def released(item: Item) -> Item:
    return item._replace(status=PENDING, claimed_by=NOBODY, lease_until=NO_LEASE, due_at=NEW_DUE)


def cancelled(item: Item) -> Item:
    return _ended(item, CANCELLED)


def rescheduled(item: Item) -> Item:
    return item._replace(due_at=NEW_DUE)


def retried(generation: int) -> Item:
    """Return the job after the owner's retry: a new generation with nothing of the old one but its number."""
    return submitted(generation)


def _ended(item: Item, status: str) -> Item:
    return item._replace(status=status, lease_until=NO_LEASE, due_at=NOT_DUE)


def swap_if_unchanged(current: Item | None, old: Item, new: Item, unchanged: Collection[str]) -> Item | None:
    """Return the item after the write; None if it is refused. As the store does, write only fields that differ from `old`."""
    if current is None:
        return None
    # Written out: this is the model's innermost loop.
    if (
        (current.generation != old.generation and "generation" in unchanged)
        or (current.status != old.status and "status" in unchanged)
        or (current.attempt != old.attempt and "attempt" in unchanged)
        or (current.claimed_by != old.claimed_by and "claimed_by" in unchanged)
        or (current.lease_until != old.lease_until and "lease_until" in unchanged)
        or (current.due_at != old.due_at and "due_at" in unchanged)
    ):
        return None
    written = Item._make([here if was == will else will for here, was, will in zip(current, old, new, strict=True)])
    written = written._replace(seq=current.seq)
    return numbered(written) if is_news(old, new) else written


def is_written(current: Item | None, old: Item, new: Item, unchanged: Collection[str]) -> bool:
    """Return whether a refused write finds its own first try, whose answer was lost."""
    if current is None:
        return False
    fields = list(zip(Item._fields, current, old, new, strict=True))[:-1]  # the number is not written, but raised
    return all(here == will for name, here, was, will in fields if was != will or name in unchanged)

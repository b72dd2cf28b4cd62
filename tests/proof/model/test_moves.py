"""The model's transitions change the compared fields in the same way as `AsyncJob` does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from asyncjobs.core.job import FENCE, FENCE_AND_DUE, FENCE_AND_LEASE, WORKER_LOST, AsyncJob, Result
from tests.proof.model import job
from tests.proof.model.job import DUE, NEW_DUE, NO_LEASE, NOBODY, NOT_DUE, Item
from tests.support.factories import NOW, new_job, running_job

WORKER = "worker-1"
LEASE = timedelta(seconds=75)
LATER = NOW + timedelta(seconds=8)

WAITING = new_job()
RUNNING = running_job(by=WORKER, lease=LEASE)
RELEASED = RUNNING.released(now=LATER, error=WORKER_LOST, after=timedelta(0))


def as_item(found: AsyncJob, *, due_before: datetime | None) -> Item:
    """Return the job as an item of the model, after a move from a job with that due time."""
    due_at = NOT_DUE if found.due_at is None else DUE if found.due_at == due_before else NEW_DUE
    return Item(
        generation=1,
        status=found.status.value,
        attempt=found.attempt,
        claimed_by=NOBODY if found.claimed_by is None else 0,
        lease_until=_which_lease(found.lease_until),
        due_at=due_at,
        result=None if found.result is None else (1, found.attempt),
    )


def _which_lease(lease_until: datetime | None) -> int:
    if lease_until is None:
        return NO_LEASE
    return 1 if lease_until > LATER + LEASE else 0


@pytest.mark.parametrize(
    ("before", "after", "move"),
    [
        (WAITING, WAITING.claimed(by=WORKER, now=NOW, lease_until=NOW + LEASE), lambda item: job.claimed(item, 0)),
        (RELEASED, RELEASED.claimed(by=WORKER, now=LATER, lease_until=LATER + LEASE), lambda item: job.claimed(item, 0)),
        (
            RUNNING,
            RUNNING.reported(now=LATER, progress=1, message=None, lease_until=LATER + LEASE + timedelta(seconds=1)),
            lambda item: job.reported(item, 1),
        ),
        (
            RUNNING,
            RUNNING.completed(now=LATER, result=Result(location="results/it/gen/1")),
            lambda item: job.completed(item, (1, 1)),
        ),
        (RUNNING, RUNNING.failed(now=LATER, error=WORKER_LOST), job.failed),
        (RUNNING, RELEASED, job.released),
        (WAITING, WAITING.cancelled(now=LATER), job.cancelled),
        (RUNNING, RUNNING.cancelled(now=LATER), job.cancelled),
        (WAITING, WAITING.rescheduled(LATER), job.rescheduled),
        (RUNNING, RUNNING.rescheduled(LATER), job.rescheduled),
        (
            RUNNING,
            replace(RUNNING, attempt=3).ended_by_time(NOW + 2 * LEASE),
            lambda item: job.failed(item)._replace(attempt=3),
        ),
        (WAITING, WAITING.ended_by_time(WAITING.deadline_at), job.failed),
    ],
    ids=[
        "claimed",
        "claimed after a release",
        "reported",
        "completed",
        "failed",
        "released",
        "cancelled while it waits",
        "cancelled while it runs",
        "postponed while it waits",
        "postponed while it runs",
        "given up",
        "ended by its deadline",
    ],
)
def test_model_move_changes_the_same_fields_as_the_products(
    before: AsyncJob, after: AsyncJob, move: Callable[[Item], Item]
) -> None:
    assert move(as_item(before, due_before=before.due_at)) == as_item(after, due_before=before.due_at)


def test_new_job_is_the_models_first_item() -> None:
    assert job.submitted(1) == as_item(WAITING, due_before=None)


@pytest.mark.parametrize("guard", [FENCE, FENCE_AND_LEASE, FENCE_AND_DUE])
def test_every_field_of_a_guard_is_in_the_model(guard: tuple[str, ...]) -> None:
    assert set(guard) <= set(Item._fields)


def test_swap_keeps_other_fields() -> None:
    # As in the store, a heartbeat between a cancel's read and its write is not undone.
    seen = job.claimed(job.submitted(1), 0)
    beaten = job.reported(seen, 1)
    swapped = job.swap_if_unchanged(beaten, seen, job.rescheduled(seen), FENCE)
    assert swapped == job.rescheduled(beaten)


@pytest.mark.parametrize("field", FENCE)
def test_swap_is_refused_if_a_guarded_field_has_changed(field: str) -> None:
    seen = job.claimed(job.submitted(1), 0)
    changed = Item._make("other" if name == field else value for name, value in zip(Item._fields, seen, strict=True))
    assert job.swap_if_unchanged(changed, seen, job.failed(seen), FENCE) is None


def test_refused_swap_recognizes_its_own_first_try_after_a_heartbeat() -> None:
    seen = job.claimed(job.submitted(1), 0)
    beaten = job.reported(seen, 1)
    moved = job.swap_if_unchanged(beaten, seen, job.rescheduled(seen), FENCE_AND_DUE)
    assert moved is not None
    assert job.is_written(moved, seen, job.rescheduled(seen), FENCE_AND_DUE)


def test_refused_swap_does_not_recognize_another_write() -> None:
    seen = job.claimed(job.submitted(1), 0)
    assert not job.is_written(job.cancelled(seen), seen, job.failed(seen), FENCE)

# ruff: noqa: ARG001 - a replacement has the arguments of its method
"""A short soak in process, and its sensitivity: it fails without any one of the protocol's safeguards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from unittest.mock import patch

import pytest

from asyncjobs.core.errors import Busy, SubmitRateExceeded, TooManyLiveJobs
from asyncjobs.core.job import FENCE, AsyncJob
from asyncjobs.core.message import JobMessage
from asyncjobs.core.ports import Lost
from asyncjobs.limits.admission import Admission
from asyncjobs.limits.locks import Locks
from asyncjobs.worker.sweeper import Sweep, Sweeper
from tests.proof.soak import in_process
from tests.proof.soak.tally import Numbers
from tests.proof.soak.watched import WatchedStore
from tests.support.factories import running_job

SEED = 20261121


def soak(count: int = 800, *, seed: int = SEED) -> Numbers:
    return in_process.run(seed=seed, count=count, fault_rate=0.05)


@pytest.mark.slow
def test_no_job_is_lost_under_any_fault() -> None:
    said: list[str] = []
    numbers = in_process.run(seed=SEED, count=5_000, fault_rate=0.05, say=said.append)
    assert numbers.are_as_promised, f"{numbers}\n{numbers.broken[:10]}"
    assert numbers.jobs == 5_000
    assert numbers.duplicates > 0  # otherwise no important process was killed
    rejected = [f"rejected_{limit.__name__}" for limit in (Busy, SubmitRateExceeded, TooManyLiveJobs)]
    for happened in ("cancelled", "deleted", "reported", "retried", *rejected):
        assert f"{happened} " in said[0]


@pytest.mark.slow
def test_seed_reproduces_its_run() -> None:
    assert soak() == soak()


def _swap_without_fence(self: WatchedStore, old: AsyncJob, new: AsyncJob, unchanged: Sequence[str] = FENCE) -> AsyncJob:
    self.jobs[old.key] = new
    return new


def _claim_without_lease(
    self: WatchedStore, message: JobMessage, *, by: str, now: datetime, lease_until: datetime
) -> AsyncJob | Lost:
    key = message.key
    current = self.jobs.get(key)
    if current is None or current.is_finished or current.attempt >= current.max_attempts:
        return Lost(current)
    self.jobs[key] = current if current.claimed_by else current.claimed(by=by, now=now, lease_until=lease_until)
    return self.jobs[key]


def _add_again(self: WatchedStore, job: AsyncJob, now: datetime) -> AsyncJob | None:
    self.jobs[job.key] = job
    return None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("store_method", "replacement", "count"),
    [
        ("swap_if_unchanged", _swap_without_fence, 3_000),
        ("claim_if_claimable", _claim_without_lease, 800),
        ("add_if_absent", _add_again, 800),
    ],
)
def test_soak_detects_a_store_without_its_conditions(store_method: str, replacement: Callable[..., object], count: int) -> None:
    # One seed may have no two writers that meet. The promise must break within a few of them.
    with patch.object(WatchedStore, store_method, replacement):
        numbers = next((found for seed in range(SEED, SEED + 6) if (found := soak(count, seed=seed)).broken), None)
    assert numbers is not None
    assert not numbers.are_as_promised


@pytest.mark.slow
def test_soak_detects_a_lock_without_exclusion() -> None:
    with patch.object(Locks, "take", lambda _self, _key, _lock_owner: None):
        numbers = soak()
    assert any("not alone" in fault for fault in numbers.broken)


@pytest.mark.slow
def test_soak_detects_a_limit_that_counts_nothing() -> None:
    with (
        patch.object(Admission, "admit", lambda _self, job: (job.counted(), None)),
        patch.object(in_process, "_MAX_LIVE", 3),  # so that it is exceeded soon
    ):
        numbers = soak()
    assert any("unfinished jobs" in fault for fault in numbers.broken)


def test_soak_detects_the_removal_of_an_unfinished_job() -> None:
    store = WatchedStore()
    job = running_job()
    store.jobs[job.key] = job
    store.remove_if_unchanged(job)
    assert store.watched.broken == [f"{job.async_job_id}: I5: removed while IN_PROGRESS"]


@pytest.mark.slow
def test_soak_detects_missing_sweeps() -> None:
    with (
        patch.object(Sweeper, "sweep", lambda _self, _remaining: Sweep()),
        patch.object(in_process, "_QUIET_ROUNDS", 50),
    ):
        numbers = soak(200)
    assert numbers.stuck
    assert numbers.lost

"""The machine with what there is besides submits, cancels and retries: quick jobs, deletions, locks,
jobs whose input names them."""

from __future__ import annotations

from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from tests.stateful.machine import PLANS, WHICH, Machine, Plan
from tests.stateful.world import FEATURES

TROUPES: list[tuple[str, ...]] = [
    ("play.quick",),
    ("play.quick", "play.quick_large", "play.quick_raises", "play.quick_waits"),
    ("play.quick_large", "play.quick_raises", "play.quick_fails"),
    ("play.alone", "play.alone_waits"),
    ("play.alone_joins", "play.alone_waits", "play.alone_retries"),
    ("play.alone", "play.alone_joins"),
    ("play.pair", "play.pair_raises"),
    ("play.once", "play.once_raises"),
]
"""The kinds of jobs that a run is about."""


class Features(Machine):
    """The same world, with other jobs in it."""

    job_types: ClassVar[tuple[str, ...]] = FEATURES

    @initialize(passes_reads=st.sampled_from([True] * 5 + [False]), troupe=st.sampled_from(TROUPES), jobs=st.integers(0, 2))
    def begin(self, *, passes_reads: bool, troupe: tuple[str, ...], jobs: int) -> None:
        """Some jobs are there already; a run is about few kinds of them, so that it gets deep."""
        self._begin(passes_reads=passes_reads, troupe=troupe, jobs=jobs)

    @precondition(lambda self: self.world.has_jobs)
    @rule(which=WHICH, plan=PLANS)
    def delete(self, *, which: int, plan: Plan) -> None:
        """A client deletes a job, which has ended more often than not."""
        jobs = sorted(self.world.jobs(), key=lambda job: not job.is_finished)
        key = jobs[which % len(jobs)].key
        self.world.scheduler.go_on(self.world.delete(key.owner, key.async_job_id), plan.decisions)

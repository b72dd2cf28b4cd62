"""The machine with what there is besides submits, cancels and retries: quick jobs, deletions, locks,
jobs whose input names them, tracked jobs."""

from __future__ import annotations

from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from asyncjobs.tracking.reports import Report
from tests.proof.stateful.machine import PLANS, WHICH, Machine, Plan
from tests.proof.stateful.world import FEATURES

TROUPES: list[tuple[str, ...]] = [
    ("play.quick",),
    ("play.quick", "play.quick_large", "play.quick_raises", "play.quick_waits"),
    ("play.quick_large", "play.quick_raises", "play.quick_fails"),
    ("play.alone", "play.alone_waits"),
    ("play.alone_joins", "play.alone_waits", "play.alone_retries"),
    ("play.alone", "play.alone_joins"),
    ("play.pair", "play.pair_raises"),
    ("play.once", "play.once_raises"),
    ("play.elsewhere",),
]
"""The kinds of jobs that a run is about."""
REPORTS = st.sampled_from(
    [Report.of({"progress": percent}) for percent in (20, 60, 40, 90)] * 2
    + [
        Report.of({"progress": 70, "message": "seventy"}),
        Report.of({"status": "COMPLETED", "result": {"pages": 9}}),
        Report.of({"status": "COMPLETED", "resultLocation": "https://example.com/9"}),
        Report.of({"status": "FAILED", "error": {"message": "It is in vain."}}),
    ]
)


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

    @precondition(lambda self: any(job.is_tracked for job in self.world.jobs()))
    @rule(which=WHICH, report=REPORTS, plan=PLANS)
    def report(self, *, which: int, report: Report, plan: Plan) -> None:
        """The owner of a tracked job reports of it."""
        keys = [job.key for job in self.world.jobs() if job.is_tracked]
        self.world.scheduler.go_on(self.world.report(keys[which % len(keys)], report), plan.decisions)

    @precondition(lambda self: self.world.tokens())
    @rule(which=WHICH, report=REPORTS, plan=PLANS)
    def report_by_token(self, *, which: int, report: Report, plan: Plan) -> None:
        """A worker reports of the job that its token was made for, should that still be there."""
        tokens = self.world.tokens()
        key, token = tokens[-1 - which % len(tokens)]
        self.world.scheduler.go_on(self.world.report(key, report, token), plan.decisions)

"""The machine with additional features: quick jobs, deletions, locks, deduplication, tracked jobs, limits."""

from __future__ import annotations

from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from asyncjobs.tracking.reports import Report
from tests.proof.stateful.machine import PLANS, WHICH, Machine, Plan
from tests.proof.stateful.world import FEATURES

TYPES_OF_A_RUN: list[tuple[str, ...]] = [
    ("play.quick",),
    ("play.quick", "play.quick_large", "play.quick_raises", "play.quick_waits"),
    ("play.quick_large", "play.quick_raises", "play.quick_fails"),
    ("play.alone", "play.alone_waits"),
    ("play.alone_joins", "play.alone_waits", "play.alone_retries"),
    ("play.alone", "play.alone_joins"),
    ("play.alone_works", "play.alone_waits"),
    ("play.pair", "play.pair_raises"),
    ("play.mine", "play.mine_alone"),
    ("play.same", "play.same_alone"),
    ("play.once", "play.once_raises"),
    ("play.elsewhere",),
]
"""The job types of a run."""
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
    """The machine with other jobs."""

    job_types: ClassVar[tuple[str, ...]] = FEATURES

    @initialize(
        passes_reads=st.sampled_from([True] * 5 + [False]),
        types=st.sampled_from(TYPES_OF_A_RUN),
        jobs=st.integers(0, 2),
        limited=st.sampled_from([False, False, True]),
    )
    def begin(self, *, passes_reads: bool, types: tuple[str, ...], jobs: int, limited: bool = False) -> None:
        """Start with some jobs, perhaps under limits; a run has few job types, so that it gets deep."""
        self.world.is_limited = limited
        self._begin(passes_reads=passes_reads, types=types, jobs=jobs)

    @precondition(lambda self: self.world.has_jobs)
    @rule(which=WHICH, plan=PLANS)
    def delete(self, *, which: int, plan: Plan) -> None:
        """Delete a job, usually an ended one, as a client."""
        jobs = sorted(self.world.jobs(), key=lambda job: not job.is_finished)
        key = jobs[which % len(jobs)].key
        self.world.scheduler.go_on(self.world.delete(key.owner, key.async_job_id), plan.decisions)

    @precondition(lambda self: any(job.is_tracked for job in self.world.jobs()))
    @rule(which=WHICH, report=REPORTS, plan=PLANS)
    def report(self, *, which: int, report: Report, plan: Plan) -> None:
        """Report a tracked job as its owner."""
        keys = [job.key for job in self.world.jobs() if job.is_tracked]
        self.world.scheduler.go_on(self.world.report(keys[which % len(keys)], report), plan.decisions)

    @precondition(lambda self: any(job.is_tracked for job in self.world.jobs()))
    @rule(which=WHICH, plan=PLANS)
    def reissue(self, *, which: int, plan: Plan) -> None:
        """Request a new worker token for a tracked job, as its owner."""
        keys = [job.key for job in self.world.jobs() if job.is_tracked]
        self.world.scheduler.go_on(self.world.reissue(keys[which % len(keys)]), plan.decisions)

    @precondition(lambda self: self.world.tokens())
    @rule(which=WHICH, report=REPORTS, plan=PLANS)
    def report_by_token(self, *, which: int, report: Report, plan: Plan) -> None:
        """Report with a worker token, present or replaced, if its job still exists."""
        tokens = self.world.tokens()
        key, token = tokens[-1 - which % len(tokens)]
        self.world.scheduler.go_on(self.world.report(key, report, token), plan.decisions)

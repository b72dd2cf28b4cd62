"""The same for the features: each with one of its safeguards taken out."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from asyncjobs.attempt import Outcome, Stopped
from asyncjobs.errors import Unavailable
from asyncjobs.executor import Executor
from asyncjobs.heartbeat import Heartbeat
from asyncjobs.lifecycle import AsyncJob, Status
from asyncjobs.service import Commands
from asyncjobs.store import DynamoStore
from tests.stateful.ablations import Ablation, caught
from tests.stateful.features import Features
from tests.stateful.world import Parts

# ── Quick jobs ─────────────────────────────────────────────────────────────────────────────────────


class PutsWithoutClaim(DynamoStore):
    """The first worker runs what its put did not claim."""

    def add_if_absent(self, job: AsyncJob, now: datetime) -> AsyncJob | None:
        unclaimed = replace(job, status=Status.PENDING, attempt=0, claimed_by=None, lease_until=None, started_at=None)
        return super().add_if_absent(unclaimed, now)


_send = Commands._send


def _send_only_what_was_never_begun(self: Commands, job: AsyncJob) -> None:
    if not job.attempt:
        _send(self, job)


def _record_as_if_nothing_could_fail(
    self: Executor, _claim: AsyncJob, heartbeat: Heartbeat, outcome: Outcome
) -> AsyncJob | None:
    if isinstance(outcome, Stopped):
        return None
    held, ended = heartbeat.job, self._ended(heartbeat.newest(), outcome)
    with suppress(Unavailable):
        self._swap_persistently(held, ended)
    return ended


FEATURE_ABLATIONS = {
    "quick jobs put without a claim": Ablation(
        machine=Features, parts=Parts(store=PutsWithoutClaim), caught_as=caught("I7"), job_types=("play.quick",)
    ),
    "quick jobs handed over without a message": Ablation(
        machine=Features,
        parts=Parts(patches=((Commands, "_send", _send_only_what_was_never_begun),)),
        caught_as=caught("F30"),
        job_types=("play.quick", "play.quick_raises"),
    ),
    "quick jobs answered whether or not their end was recorded": Ablation(
        machine=Features,
        parts=Parts(patches=((Executor, "_record", _record_as_if_nothing_could_fail),)),
        caught_as=caught("told"),
        job_types=("play.quick",),
    ),
}

"""The stateful test: I1 to I12 after each step; L1, L2, L4 and the sums at the end of each run."""

from __future__ import annotations

import pytest

from tests.proof.stateful.features import Features
from tests.proof.stateful.machine import Machine, machine_with
from tests.proof.stateful.profile import prove

SIGHTS = {
    Machine: {
        "an attempt of a dead worker taken over",
        "a late attempt fenced",
        "a heartbeat",
        "a release",
        "a key used again after its record expired",
        "a request repeated",
        "a key reused for another request",
        "a sweep that sent",
        "a job ended by WORKER_LOST",
        "a job ended by DEADLINE_EXCEEDED",
        "a job ended by UNKNOWN_JOB_TYPE",
        "a running job cancelled",
        "a job retried",
        "a waiting job cancelled",
        "a message in the dead-letter queue",
        "a result in the bucket",
        "a message of another priority",
    },
    Features: {
        "a job deleted",
        "a job begun under a lock",
        "a job that waits for a lock",
        "a waiting job woken",
        "a submit refused for a lock",
        "a running job joined",
        "a job rolled back",
        "a report by the owner",
        "a report by token",
        "a report after the deadline",
        "a report refused, since the job had ended",
        "a report by a replaced token refused",
        "a worker's token replaced",
        "a tracked job retried",
        "an input submitted again",
        "an input given a second job",
        "a quick job begun",
        "a quick job answered when it had ended",
        "a quick job handed over",
        "an attempt of a dead submit taken over",
        "a late attempt fenced",
        "a heartbeat",
        "a request repeated",
        "a running job cancelled",
        "a job retried",
        "a job rejected for its owner's unfinished jobs",
        "a job rejected for its owner's rate",
        "a message of another priority",
    },
}
"""The events that a run must contain to prove something."""


@pytest.mark.parametrize("kind", SIGHTS)
def test_no_job_is_lost_and_none_ends_twice(kind: type[Machine]) -> None:
    prove(machine_with(kind), sights=SIGHTS[kind])

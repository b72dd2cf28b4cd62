"""The settings in which the protocol must hold, and the mistakes that must be caught."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

from tests.proof.model import lock, tracked, watch
from tests.proof.model.explore import Finding, Model, explore
from tests.proof.model.lock import Lock
from tests.proof.model.protocol import Protocol
from tests.proof.model.state import Flaw, Setting
from tests.proof.model.tracked import Tracked
from tests.proof.model.watch import Watch


@dataclass(frozen=True, slots=True)
class Variant:
    """A model, and the promise that it must be caught breaking; empty if every promise must hold."""

    title: str
    model: Model[Any]
    breaks: str = ""

    def is_as_expected(self, finding: Finding) -> bool:
        """Return whether every promise holds, or exactly the expected one is broken."""
        return finding.problem.startswith(self.breaks) if self.breaks else not finding.problem


def quiet(**changes: Any) -> Protocol:
    """Return the protocol without faults and with one submit, except for the given settings."""
    return Protocol(Setting(**{"submits": 1, "cancels": 0, "crashes": 0, "lost_answers": 0, **changes}))


def flawed(flaw: Flaw, breaks: str, **changes: Any) -> Variant:
    """Return the protocol with a mistake, in the smallest setting that shows it."""
    return Variant(flaw.value, quiet(flaw=flaw, **changes), breaks)


def blind(title: str, *fields: str, breaks: str, **changes: Any) -> Variant:
    """Return the protocol with guards that do not compare these fields."""
    return Variant(title, quiet(not_compared=frozenset(fields), **changes), breaks)


def unlocked(flaw: lock.Flaw, breaks: str = "two jobs of one lock", **changes: Any) -> Variant:
    """Return the lock with a mistake."""
    few = {"deliveries": (0, 1), "crashes": 0, "faults": 0, "cancels": 0, "retries": 0}
    return Variant(flaw.value, Lock(lock.Setting(flaw=flaw, **{**few, **changes})), breaks)


def outside(flaw: tracked.Flaw, breaks: str, **changes: Any) -> Variant:
    """Return the tracked job with a mistake."""
    return Variant(flaw.value, Tracked(tracked.Setting(flaw=flaw, **changes)), breaks)


def watched(flaw: watch.Flaw, breaks: str = "L1") -> Variant:
    """Return the watcher of a job with a mistake."""
    return Variant(flaw.value, Watch(watch.Setting(flaw=flaw)), breaks)


BUILT = (
    Variant("two submits, a cancel, two crashes, two lost answers", Protocol(Setting(crashes=2, lost_answers=2))),
    Variant("two simultaneous submits, a cancel, a crash, a lost answer", Protocol(Setting(callers=2))),
    Variant(
        "three workers, three attempts, two crashes, a lost answer", quiet(workers=3, max_attempts=3, crashes=2, lost_answers=1)
    ),
    Variant("heartbeats, a crash, a lost answer", quiet(heartbeats=2, crashes=1, lost_answers=1)),
    Variant("two simultaneous sweepers, a crash", quiet(sweepers=2, crashes=1)),
    Variant("a deadline, heartbeats, a cancel, a crash", quiet(has_deadline=True, heartbeats=1, cancels=1, crashes=1)),
    Variant("expiry, a submit after it, a cancel", quiet(expires=True, submits=2, cancels=1, messages=1)),
    Variant("a write that arrives late, a crash", quiet(late_writes=1, crashes=1)),
    Variant("heartbeats, of which one arrives late", quiet(heartbeats=2, late_writes=1, max_attempts=1)),
    Variant("a tracked job, late and lost reports, expiry", Tracked(tracked.Setting(retries=0, reissues=0))),
    Variant("a tracked job, late and lost reports, the owner's retry", Tracked(tracked.Setting(submits=1, reissues=0))),
    Variant(
        "a tracked job, late and lost reports, the owner's retry and new token",
        Tracked(tracked.Setting(reports=2, submits=1, cancels=0)),
    ),
    Variant(
        "a tracked job, new tokens, of which one is written twice",
        Tracked(tracked.Setting(reports=2, submits=1, cancels=0, retries=0, reissues=2)),
    ),
    Variant("immediate submit, twice, a cancel, a crash, a lost answer", Protocol(Setting(runs_immediately=True))),
    Variant("the owner's retry, a cancel", quiet(user_retries=1, cancels=1)),
    Variant("clocks that agree, no crash, a cancel, two lost answers", quiet(clocks_differ=False, lost_answers=2, cancels=1)),
    Variant("the lock, waited for, a cancel, a retry, a crash", Lock(lock.Setting(deliveries=(0, 1), faults=0))),
    Variant(
        "the lock, waited for, a late or lost write", Lock(lock.Setting(deliveries=(0, 0, 1), crashes=0, cancels=0, retries=0))
    ),
    Variant(
        "the lock, else a refusal, a crash",
        Lock(lock.Setting(deliveries=(0, 1), rejects=True, faults=0, cancels=0, retries=0)),
    ),
    Variant("a new watcher, three changes, another connection that is closed, a crash", Watch(watch.Setting())),
)
"""The behavior of the product."""

SPARE = (
    blind("swaps that do not compare `attempt`", "attempt", breaks="", crashes=1, lost_answers=1),
    blind("swaps that do not compare `claimedBy`", "claimed_by", breaks="", crashes=1, lost_answers=1),
)
"""Redundant comparisons of the product: either may be missing, but not both."""

MISTAKES = (
    flawed(Flaw.COMPLETE_UNFENCED, "I1", cancels=1, clocks_differ=False),
    Variant("no sweeper", quiet(sweepers=0), "L1"),
    flawed(Flaw.ONE_OBJECT, "I2"),
    flawed(Flaw.BYTES_AFTER_POINTER, "I2"),
    flawed(Flaw.CANCEL_UNCONDITIONAL, "I1", cancels=1),
    flawed(Flaw.RUN_WITHOUT_CLAIM, "I7"),
    flawed(Flaw.LOST_CLAIM_UNRECOGNIZED, "F27", lost_answers=2, clocks_differ=False),
    flawed(Flaw.DEAD_LETTER_FAILS, "F21"),
    flawed(Flaw.ATTEMPT_AT_RELEASE, "I7", not_checked=frozenset({"I3", "I16"})),
    flawed(Flaw.ATTEMPT_NOT_COUNTED, "L1 the steps may form a cycle", workers=1, clocks_differ=False),
    flawed(Flaw.CLAIM_IGNORES_GEN, "F12", expires=True, submits=2, cancels=1),
    blind("swaps that do not compare `gen`", "generation", breaks="I8", expires=True, submits=2, cancels=1),
    blind("swaps that do not compare `status`", "status", breaks="I1", cancels=1),
    blind("swaps that compare neither `attempt` nor `claimedBy`", "attempt", "claimed_by", breaks="I8"),
    blind("sweeper that gives up without comparing the lease", "lease_until", breaks="I8", heartbeats=1, max_attempts=1),
    blind("sweeper that sends without comparing the due time", "due_at", breaks="F51", sweepers=2),
    flawed(Flaw.SENT_LEAVES_INDEX, "L1", not_checked=frozenset({"I11"})),
    flawed(Flaw.INDEXED_LATER, "L1", not_checked=frozenset({"I11"})),
    flawed(Flaw.SUBMIT_REPLACES, "I4", submits=2),
    flawed(Flaw.EXPIRES_UNFINISHED, "I5", expires=True),
    flawed(Flaw.HEARTBEAT_UPSERTS, "I8", heartbeats=1),
    flawed(Flaw.HEARTBEAT_OVERTAKES, "I10", heartbeats=2, late_writes=1),
    flawed(Flaw.IMMEDIATE_WITHOUT_LEASE, "L1", runs_immediately=True, crashes=1),
    flawed(Flaw.RETRY_KEEPS_GEN, "I7", user_retries=1, cancels=1, not_checked=frozenset({"I1"})),
    flawed(Flaw.RETRY_KEEPS_EXPIRY, "I5", user_retries=1, cancels=1, expires=True),
    flawed(Flaw.CLAIM_UNNUMBERED, "I16"),
    flawed(Flaw.NUMBERED_AGAIN, "I16", lost_answers=1),
    outside(tracked.Flaw.ENDED_IS_OPEN, "I1"),
    outside(tracked.Flaw.PROGRESS_NOT_COMPARED, "I10", checks_numbers=False),
    outside(tracked.Flaw.NOTHING_COMPARED, "I1", reissues=0),
    outside(tracked.Flaw.TOKEN_READ, "I8"),
    outside(tracked.Flaw.TOKEN_NOT_COMPARED, "I8"),
    outside(tracked.Flaw.REISSUE_NOT_COMPARED, "I8", reissues=2),
    outside(tracked.Flaw.RETRY_KEEPS_TOKEN, "I8"),
    unlocked(lock.Flaw.TAKEN_BY_TIME),
    unlocked(lock.Flaw.BEFORE_THE_RECORD_GONE, rejects=True),
    unlocked(lock.Flaw.BEFORE_THE_RECORD_HELD, "L4", rejects=True, crashes=1),
    unlocked(lock.Flaw.CLAIM_DOES_NOT_ASK, rejects=True),
    unlocked(lock.Flaw.OWNER_NOT_COMPARED),
    unlocked(lock.Flaw.OWNER_WITHOUT_GEN, cancels=1, retries=1),
    unlocked(lock.Flaw.FREED_UNSEEN, cancels=1, retries=1),
    watched(watch.Flaw.READS_FIRST),
    watched(watch.Flaw.FILTER_LAST),
    watched(watch.Flaw.ASKS_BEFORE_THE_CHANGE),
    watched(watch.Flaw.FORGETS_ANOTHER),
    watched(watch.Flaw.PUSHES_FIRST, "W1"),
)
"""Mistakes that the protocol does not make. The trace of each shows the reason."""

LARGER = (
    Variant("two simultaneous sweepers, a cancel, a crash, a lost answer", Protocol(Setting(submits=1, sweepers=2))),
    Variant("heartbeats, a cancel, a crash, a lost answer", Protocol(Setting(submits=1, heartbeats=2))),
    Variant("expiry, a submit after it, a cancel, a lost answer", quiet(expires=True, submits=2, cancels=1, lost_answers=1)),
    Variant("expiry, the owner's retry, a cancel", quiet(expires=True, submits=2, user_retries=1, cancels=1, messages=1)),
    Variant("the owner's retry, a cancel, a crash, a lost answer", Protocol(Setting(submits=1, user_retries=1))),
    Variant("a write that arrives late, a cancel, a crash, a lost answer", Protocol(Setting(submits=1, late_writes=1))),
    Variant("a tracked job with everything", Tracked(tracked.Setting())),
    Variant(
        "the lock, else a refusal, a late or lost write",
        Lock(lock.Setting(deliveries=(0, 1), rejects=True, cancels=0, retries=0)),
    ),
)
"""Larger combinations, which take minutes and are not part of the tests."""


def explore_all(variants: Sequence[Variant]) -> Sequence[Finding]:
    """Explore all variants in parallel. Each exploration is deterministic."""
    # Spawned, not forked: other tests may have started threads.
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(explore, [variant.model for variant in variants]))

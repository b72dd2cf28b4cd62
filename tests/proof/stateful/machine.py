"""The state machine: actions of clients, queues, clocks and operators, and faults, in any order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, TypeVar, cast

from hypothesis import strategies as st
from hypothesis.stateful import RULE_MARKER, RuleBasedStateMachine, initialize, invariant, precondition, rule

from asyncjobs.core.errors import JobNotFound
from asyncjobs.core.job import HEARTBEAT, RETRYABLE, AsyncJob, Priority, Status
from tests.proof.stateful.audit import Audit
from tests.proof.stateful.ledger import Numbers, Violation, violated
from tests.proof.stateful.scheduler import Decision, Invocation
from tests.proof.stateful.world import JOB_TYPES, OWNERS, QUEUE_URLS, Parts, Request, World

KINDS = st.integers(0, len(JOB_TYPES) - 1)
TYPES_OF_A_RUN: list[tuple[str, ...]] = [
    (),
    ("play.works", "play.works_once", "play.tells"),
    ("play.large", "play.streams", "play.works"),
    ("play.raises", "play.retries", "play.works"),
    ("play.returns",),
]
"""The job types of a run. Empty means all."""
WHICH = st.sampled_from([0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7])
"""An index, modulo the number of items. The first ones find more."""


@dataclass(frozen=True)
class Plan:
    """The number of yield points that pass, and the decision at the next one; None pauses there."""

    calls: int
    then: Decision | None = None

    @property
    def decisions(self) -> list[Decision]:
        passed = [Decision.PROCEED] * self.calls
        return passed if self.then is None else [*passed, self.then]


_OFTEN = (None,) * 6 + (Decision.LOSE_ANSWER,) * 3 + (Decision.KILL,) * 2
_SELDOM = (Decision.FAIL, Decision.THROTTLE, Decision.PARTLY, Decision.RING)
PLANS = st.sampled_from([Plan(calls, then) for calls in range(6) for then in (*_OFTEN, *_SELDOM)])
SHORT_PLANS = st.sampled_from([Plan(calls, then) for calls in range(2) for then in (*_OFTEN, *_SELDOM)])
REQUESTS = st.sampled_from(
    [
        {"owner": owner, "key": key, "is_large": is_large, "delay": delay, "priority": priority}
        for key in (None, "k1", "k2")
        for owner in OWNERS
        for is_large, delay, priority in (
            (False, 0, None),
            (False, 0, Priority.HIGH),
            (False, 0, Priority.LOW),
            (True, 0, None),
            (False, 45, None),
        )
    ]
)
SKEWS = st.sampled_from([0, 0, 0, -8, 8, -600, 600])
"""Seconds by which a host's clock is wrong: within a lease's margin, and far beyond it."""
DURATIONS = st.sampled_from([0.001, 1, 1, 8, 8, 8, 25, 25, 25, 61, 61, 61, 76, 76, 301, 5 * 86400])


class Machine(RuleBasedStateMachine):
    """Each rule is one possible action. The audit checks after each."""

    parts: ClassVar[Parts | None] = None
    job_types: ClassVar[tuple[str, ...]] = JOB_TYPES
    runs: ClassVar[int] = 0
    steps_taken: ClassVar[int] = 0
    total: ClassVar[Numbers] = Numbers()
    sights: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        type(self).runs += 1
        self.world = World(self.parts)
        self.audit = Audit(self.world)
        self.requests: list[Request] = []
        self.types: Sequence[str] = self.job_types
        self.is_broken = False

    @initialize(
        passes_reads=st.sampled_from([True] * 5 + [False]), types=st.sampled_from(TYPES_OF_A_RUN), jobs=st.integers(0, 2)
    )
    def begin(self, *, passes_reads: bool, types: tuple[str, ...], jobs: int) -> None:
        """Start with some jobs; a run has few job types, so that it gets deep."""
        self._begin(passes_reads=passes_reads, types=types, jobs=jobs)

    def _begin(self, *, passes_reads: bool, types: tuple[str, ...], jobs: int) -> None:
        self.world.passes_reads = passes_reads
        self.types = [name for name in self.job_types if not types or name in types] or self.job_types
        for kind in range(jobs):
            self._submit(self._request({"owner": OWNERS[0], "key": None}, kind), Plan(6))

    # ── Clients ────────────────────────────────────────────────────────────────────────────────────

    @rule(asked=REQUESTS, kind=KINDS, plan=PLANS)
    def submit(self, *, asked: dict[str, Any], kind: int, plan: Plan) -> None:
        """Submit a job as a client."""
        self._submit(self._request(asked, kind), plan)

    @precondition(lambda self: self.requests)
    @rule(which=WHICH, plan=PLANS)
    def submit_again(self, *, which: int, plan: Plan) -> None:
        """Repeat a submit of a client, with its key if it has one."""
        self._submit(self.requests[which % len(self.requests)], plan)

    @precondition(lambda self: self.world.has_jobs)
    @rule(which=WHICH, plan=PLANS)
    def cancel(self, *, which: int, plan: Plan) -> None:
        """Cancel a job as a client."""
        jobs = sorted(self.world.jobs(), key=lambda job: job.status is not Status.IN_PROGRESS)
        key = jobs[which % len(jobs)].key
        self.world.scheduler.go_on(self.world.cancel(key.owner, key.async_job_id), plan.decisions)

    @precondition(lambda self: any(job.status in RETRYABLE for job in self.world.jobs()))
    @rule(which=WHICH, plan=PLANS)
    def retry(self, *, which: int, plan: Plan) -> None:
        """Retry a failed or cancelled job as a client."""
        keys = [job.key for job in self.world.jobs() if job.status in RETRYABLE]
        key = keys[which % len(keys)]
        self.world.scheduler.go_on(self.world.retry(key.owner, key.async_job_id), plan.decisions)

    @precondition(lambda self: self.world.has_jobs)
    @rule(owner=st.sampled_from(OWNERS), which=WHICH)
    def look(self, *, owner: str, which: int) -> None:
        """Check I9: a client sees all its own jobs and no others."""
        jobs = self.world.jobs()
        with self._judging():
            self._look_at(jobs[which % len(jobs)], owner)
            listed = {job.key for job in self.world.list_all(owner)}
            own = {job.key for job in jobs if job.owner == owner and job.record_expires_at > self.world.now}
            if listed != own:
                violated("I9" if listed - own else "I5", f"{owner}'s list has {listed ^ own} in excess or missing.")

    # ── The queue and the schedule ─────────────────────────────────────────────────────────────────

    @precondition(lambda self: self.world.queue.visible())
    @rule(size=st.integers(1, 3), skew=SKEWS, plan=PLANS)
    def deliver(self, *, size: int, skew: int, plan: Plan) -> None:
        """Deliver visible messages."""
        invocation = self.world.deliver(size, skew=timedelta(seconds=skew))
        if invocation is not None:
            self.world.scheduler.go_on(invocation, plan.decisions)

    @precondition(lambda self: self.world.queue.sent)
    @rule(which=WHICH, plan=PLANS)
    def deliver_again(self, *, which: int, plan: Plan) -> None:
        """Deliver a message a second time: while the first delivery runs, or long after."""
        messages = self.world.messages()
        self.world.scheduler.go_on(self.world.deliver_again(messages[which % len(messages)].message_id), plan.decisions)

    @rule(skew=SKEWS, plan=SHORT_PLANS)
    def sweep(self, *, skew: int, plan: Plan) -> None:
        """Start a sweep, perhaps while another one runs."""
        invocation = self.world.sweep(skew=timedelta(seconds=skew))
        if invocation is not None:
            self.world.scheduler.go_on(invocation, plan.decisions)

    # ── Running invocations ────────────────────────────────────────────────────────────────────────

    @precondition(lambda self: self.world.live())
    @rule(which=WHICH, plan=PLANS)
    def go_on(self, *, which: int, plan: Plan) -> None:
        """Continue one invocation for some steps."""
        self.world.scheduler.go_on(self._one_of_the_live(which), plan.decisions)

    @precondition(lambda self: self.world.live())
    @rule(which=WHICH)
    def finish(self, *, which: int) -> None:
        """Continue one invocation to its end."""
        self.world.scheduler.finish(self._one_of_the_live(which))

    @precondition(lambda self: self.world.pulses())
    @rule(which=WHICH, plan=SHORT_PLANS)
    def beat(self, *, which: int, plan: Plan) -> None:
        """Send a heartbeat."""
        pulses = self.world.pulses()
        self.world.scheduler.go_on(self.world.beat(pulses[which % len(pulses)]), plan.decisions)

    @precondition(lambda self: self.world.pulses())
    @rule(which=WHICH, beats=st.integers(1, 8))
    def live_on(self, *, which: int, beats: int) -> None:
        """Let an attempt run for a while with its heartbeats."""
        for _ in range(beats):
            self.world.advance(HEARTBEAT)
            pulses = self.world.pulses()
            if pulses:
                self.world.scheduler.finish(self.world.beat(pulses[which % len(pulses)]))

    @precondition(lambda self: self.world.pulses())
    @rule(skew=SKEWS)
    def sweep_while_they_beat(self, *, skew: int) -> None:
        """Send all heartbeats between the reads and the writes of a sweep."""
        sweep = self.world.sweep(skew=timedelta(seconds=skew))
        for pulse in self.world.pulses():
            self.world.scheduler.finish(self.world.beat(pulse))
        if sweep is not None:
            self.world.scheduler.finish(sweep)

    @precondition(lambda self: self.world.at_work())
    @rule(which=WHICH, dies=st.booleans())
    def outlast(self, *, which: int, dies: bool) -> None:
        """Kill or pause an invocation until the leases have ended."""
        workers = self.world.at_work()
        if dies:
            self.world.scheduler.kill(workers[which % len(workers)])
        leases = [job.lease_until - self.world.now for job in self.world.jobs() if job.lease_until is not None]
        self.world.advance(max([timedelta(0), *leases]) + timedelta(milliseconds=1))

    @precondition(lambda self: len(self.world.live()) > 1)
    @rule(which=WHICH)
    def overtake(self, *, which: int) -> None:
        """Pause one invocation while all others continue to their ends."""
        states = self._one_of_the_live(which).process
        for invocation in self.world.live():
            if invocation.process is not states:
                self.world.scheduler.finish(invocation)

    # ── Time and operators ─────────────────────────────────────────────────────────────────────────

    @rule(seconds=DURATIONS)
    def advance(self, *, seconds: float) -> None:
        """Advance the clock."""
        self.world.advance(timedelta(seconds=seconds))

    @precondition(lambda self: self.world.instants())
    @rule(which=WHICH)
    def advance_past(self, *, which: int) -> None:
        """Advance the clock to just after the end of a lease, a delay, a deadline or a record."""
        instants = self.world.instants()
        self.world.advance(instants[which % len(instants)] + timedelta(milliseconds=1) - self.world.now)

    @rule(kind=KINDS, forgets=st.booleans())
    def deploy(self, *, kind: int, forgets: bool) -> None:
        """Deploy a release without one job type, or with all. Running invocations keep their code."""
        if self.world.at_work():
            return
        self.world.job_types.update(self.world.all_job_types)
        if forgets:
            del self.world.job_types[self.types[kind % len(self.types)]]

    @rule(mishap=st.sampled_from(["throttle", "lose", "purge", "redrive", "garbage", "input", "expire"]), which=WHICH)
    def suffer(self, *, mishap: str, which: int) -> None:
        """Cause a mishap of the queue or an operator."""
        queue = self.world.queue
        match mishap:
            case "throttle":
                # F17: messages are received, but the invocation is throttled.
                self.world.mapping.poll(1 + which)
            case "lose":
                for message_id in list(queue.messages)[which : which + 1]:
                    queue.lose(message_id)
            case "purge":
                queue.purge()
            case "garbage":
                # F19: a malformed message among the others.
                queue.send_message(QueueUrl=QUEUE_URLS[Priority.STANDARD], MessageBody="no job message")
            case "input":
                # F41: an input vanishes from the bucket.
                for location in [key for key in self.world.bucket.objects if key.startswith("inputs/")][which : which + 1]:
                    del self.world.bucket.objects[location]
            case "redrive":
                queue.redrive_from(self.world.dead_letters)
            case _:
                # DynamoDB's time to live deletes expired records.
                self.world.expire_records()

    @precondition(lambda self: self.world.parts.bury is not None and self.world.dead_letters.messages)
    @rule()
    def bury(self) -> None:
        """Fail the jobs of dead letters, in an ablation only."""
        self.world.bury()

    # ── Checks ─────────────────────────────────────────────────────────────────────────────────────

    @invariant()
    def nothing_is_broken(self) -> None:
        """Check I1 to I12 and the answers."""
        type(self).steps_taken += 1
        self.judge()

    def judge(self) -> None:
        """Check all events since the last check."""
        with self._judging():
            self.audit.check()

    def teardown(self) -> None:
        """Check L1, L2, L4 and the sums, unless a violation was found before."""
        try:
            if not self.is_broken:
                since = self.world.settle()
                self.audit.check()
                self.world.drain()
                self.total.add(self.audit.check_end(since))
                self.sights.update(self.audit.sights)
        finally:
            self.world.close()

    # ── Steps ──────────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def _judging(self) -> Iterator[None]:
        """Record a violation: settling afterward would hide it behind others."""
        try:
            yield
        except Violation:
            self.is_broken = True
            raise

    def _look_at(self, job: AsyncJob, owner: str) -> None:
        is_visible = job.owner == owner and job.record_expires_at > self.world.now
        try:
            seen = self.world.look(owner, job.async_job_id)
        except JobNotFound:
            if is_visible:
                violated("I5", f"{job.key} is not found.")
        else:
            if not is_visible or seen != job:
                violated("I9", f"{owner} sees {seen.key}, expiring at {seen.record_expires_at}.")

    def _request(self, asked: dict[str, Any], kind: int) -> Request:
        name = self.types[kind % len(self.types)]
        job_type = self.world.all_job_types[name]
        if job_type.tracked:
            return Request(**{**asked, "is_large": False, "priority": None}, job_type=name, number=0)
        # Jobs that are compared by their input have the same one.
        is_same = job_type.dedupe or (job_type.exclusive is not None and job_type.exclusive.scope == "INPUT")
        return Request(**asked, job_type=name, number=0 if is_same else len(self.requests))

    def _submit(self, request: Request, plan: Plan) -> None:
        self.requests.append(request)
        self.world.scheduler.go_on(self.world.submit(request), plan.decisions)

    def _one_of_the_live(self, which: int) -> Invocation:
        live = self.world.live()
        return live[-1 - which % len(live)]


M = TypeVar("M", bound=RuleBasedStateMachine)


def machine_with(base: type[M], *, only: Sequence[str] = (), **attributes: Any) -> type[M]:
    """Return the machine with these attributes, and with `submit` and only these rules, if any are named."""
    names = {name for name in dir(base) if hasattr(getattr(base, name), RULE_MARKER)}
    if not names.issuperset(only):
        raise AssertionError(f"There are no rules {set(only) - names}.")
    absent = dict.fromkeys(names - {"submit", *only}) if only else {}
    own = {"total": Numbers(), "sights": Counter(), "runs": 0, "steps_taken": 0}
    return cast(type[M], type(base.__name__, (base,), {**own, **absent, **attributes}))

"""The machine of the stream: jobs change, batches arrive, watchers and webhooks come and go, and calls fail, in any order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from asyncjobs.core.webhook import ENDS, EVENTS
from tests.proof.stateful.ledger import Numbers, Violation
from tests.proof.stateful.machine import PLANS, WHICH, Plan
from tests.proof.stateful.stream.audit import StreamAudit
from tests.proof.stateful.stream.world import SHARDS, StreamParts, StreamWorld, Watch
from tests.proof.stateful.world import OWNERS

OWNER = st.sampled_from(OWNERS)
SHARD = st.integers(0, SHARDS - 1)
SIZES = st.sampled_from([1, 2, 3, 6])
MOVES = st.sampled_from(
    ["next"] * 4 + ["report"] * 3 + ["tell", "beat", "release", "fail", "end", "cancel", "retry", "retry", "leave"]
)
KEYS = st.sampled_from([None, "k1", "k1", "k2"])
DURATIONS = st.sampled_from([0.1, 0.6, 0.6, 5, 11, 61, 61, 200, 301, 1000])
_MOST_JOBS = 5
_MOST_CONNECTIONS = 4


class StreamMachine(RuleBasedStateMachine):
    """Each rule is one possible action. The audit checks after each."""

    parts: ClassVar[StreamParts | None] = None
    runs: ClassVar[int] = 0
    steps_taken: ClassVar[int] = 0
    total: ClassVar[Numbers] = Numbers()
    sights: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        type(self).runs += 1
        self.world = StreamWorld(self.parts)
        self.audit = StreamAudit(self.world)
        self.is_broken = False

    @initialize(
        passes_reads=st.sampled_from([True, False]),
        webhook=st.booleans(),
        jobs=st.integers(1, 2),
        watched=st.integers(0, 2),
        lost=st.booleans(),
    )
    def begin(self, *, passes_reads: bool, webhook: bool, jobs: int, watched: int, lost: bool) -> None:
        """Start with some jobs, perhaps with watchers, of which one may be lost, and perhaps with a webhook for all events."""
        self.world.passes_reads = passes_reads
        if webhook:
            self.world.subscribe(OWNERS[0], EVENTS)
        for _ in range(jobs):
            self.world.submit(OWNERS[0], None)
        for _ in range(watched):
            connection = self.world.connect(OWNERS[0], for_all=True)
            for job in (*self.world.jobs(), None):
                self.world.scheduler.finish(self.world.watch(connection, job, 0))
        if lost and watched:
            self.world.cut(next(iter(self.world.open)), is_told=False)

    # ── Jobs ───────────────────────────────────────────────────────────────────────────────────────

    @precondition(lambda self: len(self.world.jobs()) < _MOST_JOBS)
    @rule(owner=OWNER, key=KEYS, kind=st.sampled_from(["plain", "plain", "quick", "tracked"]))
    def submit(self, *, owner: str, key: str | None, kind: str) -> None:
        """Put a job."""
        self.world.submit(owner, key, is_quick=kind == "quick", is_tracked=kind == "tracked")

    @precondition(lambda self: self.world.jobs())
    @rule(which=WHICH, moves=st.lists(MOVES, min_size=1, max_size=3))
    def change(self, *, which: int, moves: list[str]) -> None:
        """Let a job make some moves."""
        self._change(which, moves)

    def _change(self, which: int, moves: list[str]) -> None:
        jobs = self.world.jobs()
        key = jobs[which % len(jobs)].key
        for move in moves:
            job = next((job for job in self.world.jobs() if job.key == key), None)
            if job is not None:
                self.world.change(job, move)

    @precondition(lambda self: self.world.running())
    @rule(which=WHICH, count=st.integers(1, 3), plan=PLANS)
    def send(self, *, which: int, count: int, plan: Plan) -> None:
        """Let the code of a job send events."""
        running = self.world.running()
        self.world.scheduler.go_on(self.world.send(running[which % len(running)], count), plan.decisions)

    @precondition(lambda self: any(job.is_finished for job in self.world.jobs()))
    @rule(which=WHICH)
    def replace(self, *, which: int) -> None:
        """Delete a job that has ended, and submit another one with the same key."""
        ended = [job for job in self.world.jobs() if job.is_finished]
        job = ended[which % len(ended)]
        self.world.change(job, "next")
        for key in ("k1", "k2"):
            self.world.submit(job.owner, key)

    # ── The stream ─────────────────────────────────────────────────────────────────────────────────

    @rule(shard=SHARD, size=SIZES, plan=PLANS)
    def deliver(self, *, shard: int, size: int, plan: Plan) -> None:
        """Deliver changes of a shard."""
        invocation = self.world.deliver(shard, size)
        if invocation is not None:
            self.world.scheduler.go_on(invocation, plan.decisions)

    @rule(moves=st.lists(MOVES, max_size=2), which=WHICH, size=SIZES, plan=PLANS, ends=st.booleans())
    def change_and_deliver(self, *, moves: list[str], which: int, size: int, plan: Plan, ends: bool) -> None:
        """Let a job make some moves, and deliver changes of each shard, perhaps to the end."""
        if self.world.jobs() and moves:
            self._change(which, moves)
        for shard in range(SHARDS):
            invocation = self.world.deliver(shard, size)
            if invocation is not None:
                self.world.scheduler.go_on(invocation, plan.decisions)
            if invocation is not None and ends:
                self.world.scheduler.finish(invocation)

    @rule(shard=SHARD, by=st.integers(1, 4))
    def go_back(self, *, shard: int, by: int) -> None:
        """Deliver changes again."""
        self.world.mapping.go_back(shard, by)

    @precondition(lambda self: self.world.live())
    @rule(which=WHICH, plan=PLANS)
    def go_on(self, *, which: int, plan: Plan) -> None:
        """Continue one invocation for some steps."""
        live = self.world.live()
        self.world.scheduler.go_on(live[-1 - which % len(live)], plan.decisions)

    @precondition(lambda self: self.world.live())
    @rule(which=WHICH)
    def finish(self, *, which: int) -> None:
        """Continue one invocation to its end."""
        live = self.world.live()
        self.world.scheduler.finish(live[-1 - which % len(live)])

    # ── Watchers and webhooks ──────────────────────────────────────────────────────────────────────

    @precondition(lambda self: len(self.world.open) < _MOST_CONNECTIONS)
    @rule(owner=OWNER, for_all=st.booleans())
    def connect(self, *, owner: str, for_all: bool) -> None:
        """Open a connection."""
        self.world.connect(owner, for_all=for_all)

    @precondition(lambda self: self.world.idle())
    @rule(connection=WHICH, which=WHICH, after=st.sampled_from([0, 0, 1, 3]), plan=PLANS)
    def watch(self, *, connection: int, which: int, after: int, plan: Plan) -> None:
        """Watch a job, or all jobs of the connection's owner."""
        found = self.world.idle()
        chosen = found[-1 - connection % len(found)]
        own = [job for job in self.world.jobs() if job.owner == chosen.owner]
        job = None if not own or which == 7 else own[which % len(own)]
        if job is None and chosen.jobs is not None:
            return
        invocation = self.world.watch(chosen, job, min(after, job.seq) if job else 0)
        self.world.scheduler.go_on(invocation, plan.decisions)

    @precondition(lambda self: self._active())
    @rule(which=WHICH, plan=PLANS)
    def unwatch(self, *, which: int, plan: Plan) -> None:
        """End a watch."""
        active = self._active()
        self.world.scheduler.go_on(self.world.unwatch(active[which % len(active)]), plan.decisions)

    @precondition(lambda self: self.world.open)
    @rule(which=WHICH, is_told=st.booleans(), plan=PLANS)
    def cut(self, *, which: int, is_told: bool, plan: Plan) -> None:
        """Close a connection."""
        found = list(self.world.open)
        invocation = self.world.cut(found[which % len(found)], is_told=is_told)
        if invocation is not None:
            self.world.scheduler.go_on(invocation, plan.decisions)

    @precondition(lambda self: len(self.world.notes.webhooks) < 4)
    @rule(owner=OWNER, events=st.sampled_from([EVENTS, ENDS, ("job.started",)]))
    def subscribe(self, *, owner: str, events: tuple[str, ...]) -> None:
        """Create a webhook."""
        self.world.subscribe(owner, events)

    @precondition(lambda self: any(each.until is None for each in self.world.notes.webhooks))
    @rule()
    def unsubscribe(self) -> None:
        """Delete the webhook that exists for longest."""
        self.world.unsubscribe(next(each for each in self.world.notes.webhooks if each.until is None))

    # ── Reads and time ─────────────────────────────────────────────────────────────────────────────

    @precondition(lambda self: self.world.jobs())
    @rule(which=WHICH, after=st.sampled_from([None, 0, 1, 2, 3, 9]))
    def read(self, *, which: int, after: int | None) -> None:
        """Read the events of a job."""
        jobs = self.world.jobs()
        with self._judging():
            self.audit.check()
            self.audit.judge_page(self.world.read(jobs[which % len(jobs)], after), after)

    @rule(seconds=DURATIONS)
    def advance(self, *, seconds: float) -> None:
        """Advance the clock."""
        self.world.advance(timedelta(seconds=seconds))

    @rule()
    def expire(self) -> None:
        """Delete what has expired, as DynamoDB's time to live does."""
        self.world.expire()

    # ── Checks ─────────────────────────────────────────────────────────────────────────────────────

    @invariant()
    def nothing_is_broken(self) -> None:
        """Check each write, push and answer."""
        type(self).steps_taken += 1
        with self._judging():
            self.audit.check()

    def teardown(self) -> None:
        """Check that nothing was missed, unless a violation was found before."""
        try:
            if not self.is_broken:
                self.world.settle()
                self.total.add(self.audit.check_end())
                self.sights.update(self.audit.sights)
        finally:
            self.world.close()

    @contextmanager
    def _judging(self) -> Iterator[None]:
        """Record a violation: settling afterward would hide it behind others."""
        try:
            yield
        except Violation:
            self.is_broken = True
            raise

    def _active(self) -> list[Watch]:
        idle = self.world.idle()
        return [watch for watch in self.world.notes.watches if watch.is_active and watch.connection in idle]

"""The model's state, its settings, and how its item is written.

One job id over several generations. Every actor that may change it is part of the state, with its last read of the item.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from asyncjobs.core.job import FENCE
from tests.proof.model.explore import Step
from tests.proof.model.job import DUE, EARLIER_DUE, GONE, NEW_DUE, Item, Location, is_written, numbered, swap_if_unchanged


class Flaw(Enum):
    """A mistake that the protocol does not make. Each must be caught."""

    NONE = "the design"
    COMPLETE_UNFENCED = "no fence on the completing write"
    CANCEL_UNCONDITIONAL = "unconditional cancel"
    RUN_WITHOUT_CLAIM = "second delivery runs without a claim"
    CLAIM_IGNORES_GEN = "claim that does not compare `gen`"
    LOST_CLAIM_UNRECOGNIZED = "own lost claim not recognized"
    ATTEMPT_AT_RELEASE = "attempt counted at the release instead of at the claim"
    ATTEMPT_NOT_COUNTED = "attempts not counted"
    ONE_OBJECT = "one S3 key for all attempts"
    BYTES_AFTER_POINTER = "result's bytes written after the record that names them"
    HEARTBEAT_UPSERTS = "heartbeat without a condition"
    HEARTBEAT_OVERTAKES = "heartbeat that does not compare the last one"
    DEAD_LETTER_FAILS = "dead-letter consumer fails the job"
    SUBMIT_REPLACES = "submit that puts without a condition"
    INDEXED_LATER = "submit that indexes the job with a second write"
    SENT_LEAVES_INDEX = "sweeper that takes the job from the index when it sends it"
    EXPIRES_UNFINISHED = "record that may expire before its job has ended"
    IMMEDIATE_WITHOUT_LEASE = "immediate submit that takes no lease"
    RETRY_KEEPS_GEN = "user retry that keeps `gen`"
    CLAIM_UNNUMBERED = "claim that does not raise the number"
    NUMBERED_AGAIN = "number raised by each try of a write"
    RETRY_KEEPS_EXPIRY = "user retry that keeps the deadline and the expiry of the generation before"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The actors, the number of faults of each kind, and the mistake."""

    workers: int = 2
    max_attempts: int = 2
    messages: int = 2
    """The number of messages that the queue holds at a time."""
    sweepers: int = 1
    submits: int = 2
    """The number of calls of the client, all with the same idempotency key."""
    callers: int = 1
    """The number of these calls at the same time."""
    runs_immediately: bool = False
    cancels: int = 1
    user_retries: int = 0
    heartbeats: int = 0
    """The number that an attempt sends."""
    crashes: int = 1
    lost_answers: int = 1
    late_writes: int = 0
    clocks_differ: bool = True
    """Whether a lease may be read as ended while its claimant is alive."""
    has_deadline: bool = False
    expires: bool = False
    flaw: Flaw = Flaw.NONE
    not_compared: frozenset[str] = frozenset()
    """Fields that no guard compares."""
    not_checked: frozenset[str] = frozenset()
    """Invariants that the mistake itself breaks. They are not checked, to find its consequences."""

    def guard(self, *fields: str) -> tuple[str, ...]:
        """Return the fields that a swap compares."""
        return tuple(field for field in fields if field not in self.not_compared) if self.not_compared else fields


# The states of an actor.
IDLE = "idle"
SUBMITTING, SUBMITTING_AGAIN, INDEXING = "submitting", "submitting again", "indexing"
CLAIMING, CLAIMING_AGAIN = "claiming", "claiming again"
RUNNING, WRITTEN, RECORDING, WRITING_LATE = "running", "result written", "recording", "writing late"
SWAPPING = "swapping"


class Worker(NamedTuple):
    """An invocation of the worker, or of the submit function that runs the job itself."""

    at: str = IDLE
    generation: int = 0
    """The generation that its message names; 0 for none."""
    held: Item | None = None
    """The job as the worker last wrote it."""
    heartbeats_sent: int = 0
    """The number of its heartbeats, successful or not."""
    meant: Item | None = None
    """The item that its unanswered write should leave."""


class Call(NamedTuple):
    """A submit of the client."""

    at: str = IDLE
    generation: int = 0


class Change(NamedTuple):
    """A cancel, a user's retry or a sweep of this job between its read and its write."""

    at: str = IDLE
    seen: Item | None = None
    meant: Item | None = None
    purpose: str = ""


class LateSwap(NamedTuple):
    """A write that its sender gave up and that may still arrive."""

    sender: str
    old: Item
    new: Item
    unchanged: tuple[str, ...]


class LateClaim(NamedTuple):
    """A claim that its sender gave up and that may still arrive."""

    sender: str
    generation: int
    by: int


class State(NamedTuple):
    """The whole state at one time."""

    item: Item | None
    queue: tuple[int, ...]
    """The generations that its messages name, in order."""
    workers: tuple[Worker, ...]
    calls: tuple[Call, ...]
    cancel: Change
    retry: Change
    sweeps: tuple[Change, ...]
    objects: frozenset[tuple[Location, Location, int]]
    """The location of each object, and its writer: attempt and invocation."""
    late: LateSwap | LateClaim | None
    gens: int
    is_expired: bool
    is_past_deadline: bool
    submits_left: int
    cancels_left: int
    user_retries_left: int
    crashes_left: int
    lost_answers_left: int
    late_writes_left: int


def start(setting: Setting) -> State:
    """Return the state before the first step."""
    return State(
        item=None,
        queue=(),
        workers=(Worker(),) * setting.workers,
        calls=(Call(),) * setting.callers,
        cancel=Change(),
        retry=Change(),
        sweeps=(Change(),) * setting.sweepers,
        objects=frozenset(),
        late=None,
        gens=0,
        is_expired=False,
        is_past_deadline=False,
        submits_left=setting.submits,
        cancels_left=setting.cancels,
        user_retries_left=setting.user_retries,
        crashes_left=setting.crashes,
        lost_answers_left=setting.lost_answers,
        late_writes_left=setting.late_writes,
    )


# ── Writing the item ───────────────────────────────────────────────────────────────────────────────


def wrote(state: State, item: Item) -> State:
    """Write the item. A new due time turns the one that sweepers have read into an earlier one."""
    before = state.item
    if item.due_at == NEW_DUE:
        item = item._replace(due_at=DUE)
        state = _with_earlier_due_times(state)
    if before is None or before.generation != item.generation:
        return state._replace(item=item, is_expired=False, is_past_deadline=False)
    return state._replace(item=item)


def swap(
    state: State,
    sender: str,
    move: str,
    *,
    old: Item,
    new: Item,
    unchanged: tuple[str, ...] = FENCE,
    then: Callable[[State], State],
    again: Callable[[State, Item], State],
    refused: Callable[[State], Iterator[Step[State]]],
    wrong: str = "",
    flaw: Flaw = Flaw.NONE,
) -> Iterator[Step[State]]:
    """Yield the possible outcomes of a conditional write. The SDK repeats it without an answer.

    `then` continues after success, `again` makes the sender repeat the write, `refused` follows a write that came first.
    """
    left = swap_if_unchanged(state.item, old, new, unchanged)
    if left is None:
        if state.item is not None and is_written(state.item, old, new, unchanged):
            found = state._replace(item=numbered(state.item)) if flaw is Flaw.NUMBERED_AGAIN else state
            yield Step(f"{sender} {move} again, and finds it done", then(found))
        else:
            yield from refused(state)
        return
    written = wrote(state, left)
    yield Step(f"{sender} {move}", then(written), wrong=wrong)
    if state.lost_answers_left:
        meant = new._replace(due_at=DUE) if new.due_at == NEW_DUE else new
        lost = written._replace(lost_answers_left=state.lost_answers_left - 1)
        yield Step(f"{sender} {move}, and gets no answer", again(lost, meant), is_fault=True, wrong=wrong)
    if state.late_writes_left and state.late is None:
        late = state._replace(late_writes_left=state.late_writes_left - 1, late=LateSwap(sender, old, new, unchanged))
        yield Step(f"{sender} {move}, but that write is delayed", again(late, new), is_fault=True)


def arrive(state: State) -> Iterator[Step[State]]:
    """Yield the arrival of the delayed write."""
    late = state.late
    if isinstance(late, LateSwap):
        left = swap_if_unchanged(state.item, late.old, late.new, late.unchanged)
        label = f"the delayed write of {late.sender} arrives"
        after = state._replace(late=None)
        if left is None:
            yield Step(f"{label} and is refused", after, is_fault=True)
        else:
            moves_due = left.due_at == NEW_DUE
            after = wrote(after, left)
            yield Step(label, _with_meant_due_time(after) if moves_due else after, is_fault=True)


def _with_earlier_due_times(state: State) -> State:
    late = state.late
    if isinstance(late, LateSwap):
        state = state._replace(late=late._replace(old=late.old._replace(due_at=EARLIER_DUE)))
    return state._replace(
        workers=tuple(worker._replace(meant=_earlier(worker.meant)) if worker.meant else worker for worker in state.workers),
        retry=state.retry._replace(meant=_earlier(state.retry.meant)) if state.retry.meant else state.retry,
        sweeps=tuple(
            sweep._replace(seen=_earlier(sweep.seen), meant=_earlier(sweep.meant)) if sweep.seen else sweep
            for sweep in state.sweeps
        ),
    )


def _earlier(item: Item | None) -> Item | None:
    return item._replace(due_at=EARLIER_DUE) if item is not None and item.due_at == DUE else item


def _with_meant_due_time(state: State) -> State:
    """Give a sender that still waits for the answer of this write the due time that it meant."""
    return state._replace(
        workers=tuple(worker._replace(meant=_present(worker.meant)) for worker in state.workers),
        sweeps=tuple(sweep._replace(meant=_present(sweep.meant)) for sweep in state.sweeps),
        retry=state.retry._replace(meant=_present(state.retry.meant)),
    )


def _present(item: Item | None) -> Item | None:
    return item._replace(due_at=DUE) if item is not None and item.due_at == NEW_DUE else item


# ── The queue and the workers ──────────────────────────────────────────────────────────────────────


def sent(state: State, generation: int, *, messages: int) -> State:
    """Add a message to the queue. A full queue loses it, which must be harmless."""
    if not generation or len(state.queue) >= messages:
        return state
    return state._replace(queue=tuple(sorted((*state.queue, generation))))


def taken(state: State, generation: int) -> State:
    """Remove a message from the queue."""
    at = state.queue.index(generation)
    return state._replace(queue=state.queue[:at] + state.queue[at + 1 :])


def first_idle(state: State) -> int | None:
    """Return the worker that starts next. Idle workers are equal, so one is enough."""
    return next((i for i, worker in enumerate(state.workers) if worker.at == IDLE), None)


def with_worker(state: State, i: int, worker: Worker) -> State:
    workers = state.workers
    return state._replace(workers=(*workers[:i], worker, *workers[i + 1 :]))


def freed(state: State, i: int) -> State:
    """End the invocation."""
    state = with_worker(state, i, Worker())
    if isinstance(state.late, LateClaim) and state.late.by == i:
        state = state._replace(late=state.late._replace(by=GONE))
    return state._replace(objects=_objects_of_use(state)) if state.objects else state


def _objects_of_use(state: State) -> frozenset[tuple[Location, Location, int]]:
    """Return the objects that a record names or may still name. The others make no difference."""
    named = {state.item.result if state.item else None}
    named |= {worker.meant.result for worker in state.workers if worker.meant is not None}
    named |= {(worker.held.generation, worker.held.attempt) for worker in state.workers if worker.held is not None}
    named |= {state.late.new.result} if isinstance(state.late, LateSwap) else set()
    return frozenset(found for found in state.objects if found[0] in named or found[0] == (0, 0))

"""The sweeper (`worker/sweeper.py`): it reads, decides, writes once, and then sends."""

from __future__ import annotations

from collections.abc import Iterator

from asyncjobs.core.job import FENCE, FENCE_AND_DUE, FENCE_AND_LEASE
from tests.proof.model import job
from tests.proof.model.explore import Step
from tests.proof.model.job import NO_LEASE, NOT_DUE, PENDING, Item
from tests.proof.model.state import IDLE, SWAPPING, Change, Flaw, Setting, State, sent, swap
from tests.proof.model.worker import claimant_is_alive

Steps = Iterator[Step[State]]

# The decision of a sweep.
SEND = "send"
WATCH = "watch"
GIVE_UP = "give up"
END_LATE = "end late"

_MOVES = {
    SEND: "moves its due time and sends the message",
    WATCH: "moves its due time",
    GIVE_UP: "ends it, its last attempt being lost",
    END_LATE: "ends it, its deadline being over",
}
_GUARDS = {SEND: FENCE_AND_DUE, WATCH: FENCE_AND_DUE, GIVE_UP: FENCE_AND_LEASE, END_LATE: FENCE}


def sweeper_steps(setting: Setting, state: State) -> Steps:
    """Yield the steps of the sweeps. Idle ones are equal: the first one starts."""
    has_begun = False
    for i, sweep in enumerate(state.sweeps):
        if sweep.at == IDLE:
            if not has_begun:
                yield from _reads(setting, state, i)
            has_begun = True
            continue
        if sweep.seen is not None:
            yield from _writes(setting, state, i, sweep, sweep.seen)
        yield Step(f"s{i} dies", _over(state, i), is_fault=True)


def _reads(setting: Setting, state: State, i: int) -> Steps:
    item = state.item
    if item is None or item.due_at == NOT_DUE:
        return

    def decides(purpose: str, *, is_fault: bool) -> Step[State]:
        return Step(f"s{i} reads it, to {purpose}", _with_sweep(state, i, Change(SWAPPING, item, None, purpose)), is_fault)

    if state.is_past_deadline:
        yield decides(END_LATE, is_fault=False)
        return
    lives = claimant_is_alive(state)
    if setting.sweepers > 1:
        # With a single sweeper no other one moves a due time.
        yield decides(WATCH, is_fault=True)
    if item.status != PENDING and (item.lease_until == NO_LEASE or (lives and not setting.clocks_differ)):
        return
    if item.status != PENDING and item.attempt >= setting.max_attempts:
        yield decides(GIVE_UP, is_fault=lives)
    elif len(state.queue) < setting.messages:
        yield decides(SEND, is_fault=lives)


def _writes(setting: Setting, state: State, i: int, sweep: Change, seen: Item) -> Steps:
    purpose = sweep.purpose

    def then(after: State) -> State:
        # One step. A crash between the write and the send looks as if the queue lost the message.
        return sent(_over(after, i), seen.generation, messages=setting.messages) if purpose == SEND else _over(after, i)

    yield from swap(
        state,
        f"s{i}",
        _MOVES[purpose],
        old=seen,
        new=sweep.meant or _after(setting, seen, purpose),
        unchanged=setting.guard(*_GUARDS[purpose]),
        then=then,
        again=lambda after, meant: _with_sweep(after, i, sweep._replace(meant=meant)),
        refused=lambda after: iter([Step(f"s{i} finds that it has changed", _over(after, i))]),
        wrong=_wrong(setting, state, seen, purpose),
    )


def _after(setting: Setting, seen: Item, purpose: str) -> Item:
    if purpose in {GIVE_UP, END_LATE}:
        return job.failed(seen)
    if purpose == SEND and setting.flaw is Flaw.SENT_LEAVES_INDEX:
        return seen._replace(due_at=NOT_DUE)
    return job.rescheduled(seen)


def _wrong(setting: Setting, state: State, seen: Item, purpose: str) -> str:
    """Return the violation if this sweep's write succeeds now."""
    item = state.item
    if item is None:
        return ""
    if item.generation != seen.generation:
        return f"I8 a sweep that has read generation {seen.generation} writes generation {item.generation}"
    if purpose == GIVE_UP and item.lease_until != seen.lease_until:
        return "I8 a job is given up whose worker has sent a heartbeat since it was taken for lost"
    if purpose == GIVE_UP and not setting.crashes and not setting.clocks_differ:
        return "F27 a job is given up though no worker was lost"
    if purpose == SEND and item.due_at != seen.due_at:
        return "F51 two sweepers send it for one due time"
    return ""


def _with_sweep(state: State, i: int, sweep: Change) -> State:
    return state._replace(sweeps=(*state.sweeps[:i], sweep, *state.sweeps[i + 1 :]))


def _over(state: State, i: int) -> State:
    return _with_sweep(state, i, Change())

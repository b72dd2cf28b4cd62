"""The requests of a job's owner (`service/`): submit, which may run the job itself; cancel; retry."""

from __future__ import annotations

from collections.abc import Iterator

from asyncjobs.core.job import FENCE
from tests.proof.model import job
from tests.proof.model.explore import Step
from tests.proof.model.job import CANCELLED, FAILED, PENDING, Item
from tests.proof.model.state import (
    IDLE,
    INDEXING,
    RUNNING,
    SUBMITTING,
    SUBMITTING_AGAIN,
    SWAPPING,
    Call,
    Change,
    Flaw,
    Setting,
    State,
    Worker,
    first_idle,
    freed,
    sent,
    swap,
    with_worker,
    wrote,
)

Steps = Iterator[Step[State]]


def client_steps(setting: Setting, state: State) -> Steps:
    """Yield the steps of the client and of the functions that it calls."""
    yield from _begins(setting, state)
    for i, call in enumerate(state.calls):
        if call.at != IDLE:
            yield from _submits(setting, state, i, call)
            yield Step("the submit dies", _with_call(state, i, Call()), is_fault=True)
    for i, worker in enumerate(state.workers):
        if worker.at == SUBMITTING_AGAIN:
            yield from _submits_immediately(setting, state, i)
    yield from _cancels(setting, state)
    yield from _retries(setting, state)


# ── Submit ─────────────────────────────────────────────────────────────────────────────────────────


def _begins(setting: Setting, state: State) -> Steps:
    """Yield the call and its put as one step, since a call without a put is invisible to others."""
    if not state.submits_left:
        return
    begun = state._replace(submits_left=state.submits_left - 1)
    if setting.runs_immediately:
        i = first_idle(state)
        if i is not None:
            steps = _submits_immediately(setting, with_worker(begun, i, Worker(SUBMITTING)), i)
            yield from (step._replace(is_fault=True) for step in steps)
        return
    i = next((i for i, call in enumerate(state.calls) if call.at == IDLE), None)
    if i is not None:
        steps = _puts(setting, _with_call(begun, i, Call(SUBMITTING)), i)
        yield from (step._replace(is_fault=True) for step in steps)


def _submits(setting: Setting, state: State, i: int, call: Call) -> Steps:
    if call.at == SUBMITTING_AGAIN:
        yield from _puts(setting, state, i)
    elif state.item is not None:
        indexed = wrote(state, state.item._replace(due_at=job.NEW_DUE))
        yield from _sends(setting, indexed, i, call.generation, "the submit indexes the job")


def _puts(setting: Setting, state: State, i: int) -> Steps:
    item, call = state.item, state.calls[i]
    if item is None or state.is_expired or setting.flaw is Flaw.SUBMIT_REPLACES:
        put = job.submitted(state.gens + 1)
        if setting.flaw is Flaw.INDEXED_LATER:
            unindexed = wrote(state, put._replace(due_at=job.NOT_DUE))._replace(gens=put.generation)
            yield Step("the submit puts the job", _with_call(unindexed, i, Call(INDEXING, put.generation)))
            return
        written = wrote(state, put)._replace(gens=put.generation)
        yield from _sends(setting, written, i, put.generation, "the submit puts the job")
        if state.lost_answers_left:
            lost = written._replace(lost_answers_left=state.lost_answers_left - 1)
            label = "the submit puts the job, and gets no answer"
            yield Step(label, _with_call(lost, i, Call(SUBMITTING_AGAIN, put.generation)), is_fault=True)
    elif call.generation == item.generation:
        yield from _sends(setting, state, i, item.generation, "the submit puts the job again, and finds it done")
    elif item.status == PENDING:
        yield from _sends(setting, state, i, item.generation, "the submit finds the job waiting")
    else:
        yield Step("the submit finds the job", _with_call(state, i, Call()))


def _sends(setting: Setting, state: State, i: int, generation: int, before: str) -> Steps:
    """Yield the write and the send as one step: an unsent message looks like one that waits in the queue."""
    done = _with_call(state, i, Call())
    yield Step(f"{before} and sends the message", sent(done, generation, messages=setting.messages))
    yield Step(f"{before} and dies before it sends the message", done, is_fault=True)


def _submits_immediately(setting: Setting, state: State, i: int) -> Steps:
    """Create and claim the job with one put; a submit that finds the job does not run it."""
    item, worker = state.item, state.workers[i]
    if item is None or state.is_expired:
        put = job.submitted_and_claimed(state.gens + 1, i)
        if setting.flaw is Flaw.IMMEDIATE_WITHOUT_LEASE:
            put = put._replace(lease_until=job.NO_LEASE)
        written = wrote(state, put)._replace(gens=put.generation)
        held = written.item
        yield Step(f"w{i} puts the job as its own", with_worker(written, i, Worker(RUNNING, held=held)))
        if state.lost_answers_left:
            lost = with_worker(written, i, Worker(SUBMITTING_AGAIN, put.generation))
            lost = lost._replace(lost_answers_left=state.lost_answers_left - 1)
            yield Step(f"w{i} puts the job as its own, and gets no answer", lost, is_fault=True)
    elif worker.generation == item.generation and item.claimed_by == i and not item.is_finished:
        label = f"w{i} puts the job again, and finds it done"
        yield Step(label, with_worker(state, i, Worker(RUNNING, held=item)))
    elif item.status == PENDING:
        yield Step(f"w{i} finds the job waiting", sent(freed(state, i), item.generation, messages=setting.messages))
    else:
        yield Step(f"w{i} finds the job", freed(state, i))


def _with_call(state: State, i: int, call: Call) -> State:
    return state._replace(calls=(*state.calls[:i], call, *state.calls[i + 1 :]))


# ── Cancel ─────────────────────────────────────────────────────────────────────────────────────────


def _cancels(setting: Setting, state: State) -> Steps:
    """Read and swap in a loop until the job is cancelled or cannot be."""
    cancel = state.cancel
    if cancel.at == IDLE:
        if state.cancels_left and _can_be_cancelled(state):
            begun = state._replace(cancels_left=state.cancels_left - 1)
            yield Step("the cancel reads the job", _reads_to_cancel(begun), is_fault=True)
        return
    if cancel.seen is None:
        return
    seen = cancel.seen
    yield from swap(
        state,
        "the cancel",
        "ends it",
        old=seen,
        new=job.cancelled(seen),
        # The product also compares the report, for its answer.
        unchanged=() if setting.flaw is Flaw.CANCEL_UNCONDITIONAL else setting.guard(*FENCE),
        then=_cancel_is_over,
        again=lambda after, meant: after._replace(cancel=cancel._replace(meant=meant)),
        refused=_reads_again_to_cancel,
        wrong=_meant_for_another(state, seen, "cancel"),
    )
    yield Step("the cancel dies", _cancel_is_over(state), is_fault=True)


def _reads_again_to_cancel(state: State) -> Steps:
    if _can_be_cancelled(state):
        yield Step("the cancel lost a race and tries again", _reads_to_cancel(state))
    else:
        yield Step("the cancel finds that it has ended", _cancel_is_over(state))


def _can_be_cancelled(state: State) -> bool:
    return state.item is not None and not state.item.is_finished and not state.is_expired


def _reads_to_cancel(state: State) -> State:
    return state._replace(cancel=Change(SWAPPING, state.item))


def _cancel_is_over(state: State) -> State:
    return state._replace(cancel=Change())


# ── Retry ──────────────────────────────────────────────────────────────────────────────────────────


def _retries(setting: Setting, state: State) -> Steps:
    """Retry from FAILED or CANCELLED only: a new generation with all its attempts."""
    retry = state.retry
    if retry.at == IDLE:
        if state.user_retries_left and _can_be_retried(state):
            yield Step("the retry reads the job", _reads_to_retry(setting, state), is_fault=True)
    elif retry.seen is not None and retry.meant is not None:
        generation = retry.meant.generation
        yield from swap(
            state,
            "the retry",
            "makes it wait again and sends the message",
            old=retry.seen,
            new=retry.meant,
            unchanged=setting.guard(*FENCE),
            # One step, as for the submit. A crash in between looks as if the queue lost the message.
            then=lambda after: sent(after._replace(retry=Change()), generation, messages=setting.messages),
            again=lambda after, meant: after._replace(retry=retry._replace(meant=meant)),
            refused=lambda after: iter([Step("the retry finds that another came first", after._replace(retry=Change()))]),
            wrong=_meant_for_another(state, retry.seen, "retry"),
        )
        yield Step("the retry dies", state._replace(retry=Change()), is_fault=True)


def _can_be_retried(state: State) -> bool:
    return state.item is not None and state.item.status in {FAILED, CANCELLED} and not state.is_expired


def _reads_to_retry(setting: Setting, state: State) -> State:
    seen = state.item
    if seen is None:
        return state
    generation = seen.generation if setting.flaw is Flaw.RETRY_KEEPS_GEN else state.gens + 1
    return state._replace(
        user_retries_left=state.user_retries_left - 1, gens=generation, retry=Change(SWAPPING, seen, job.retried(generation))
    )


def _meant_for_another(state: State, seen: Item, who: str) -> str:
    if state.item is not None and state.item.generation != seen.generation:
        return f"I8 a {who} that has read generation {seen.generation} writes generation {state.item.generation}"
    return ""

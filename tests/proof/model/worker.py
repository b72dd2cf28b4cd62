"""An invocation of the worker: `worker/executor.py`, `attempt.py` and `heartbeat.py`."""

from __future__ import annotations

from collections.abc import Iterator

from asyncjobs.core.job import FENCE, FENCE_AND_LEASE
from tests.proof.model import job
from tests.proof.model.explore import Step
from tests.proof.model.job import IN_PROGRESS, NO_LEASE, PENDING, Item, Location
from tests.proof.model.state import (
    CLAIMING,
    CLAIMING_AGAIN,
    IDLE,
    RECORDING,
    RUNNING,
    SUBMITTING_AGAIN,
    WRITING_LATE,
    WRITTEN,
    Flaw,
    LateClaim,
    Setting,
    State,
    Worker,
    first_idle,
    freed,
    sent,
    swap,
    taken,
    with_worker,
    wrote,
)

Steps = Iterator[Step[State]]


def claimant_is_alive(state: State) -> bool:
    """Return whether the claimant still works on the job."""
    item = state.item
    if item is None or item.claimed_by < 0:
        return False
    worker = state.workers[item.claimed_by]
    if worker.at == SUBMITTING_AGAIN:
        return worker.generation == item.generation
    if worker.at == CLAIMING_AGAIN:
        return is_own_claim(worker, item, item.claimed_by)
    return worker.held is not None and (worker.held.generation, worker.held.attempt) == (item.generation, item.attempt)


def is_own_claim(worker: Worker, item: Item, i: int) -> bool:
    """Return whether the item holds the worker's own unanswered claim.

    The attempt distinguishes it from a claim of an earlier invocation in the same place. The product's claimants are unique.
    """
    meant = worker.meant
    return meant is not None and item.claimed_by == i and item.generation == meant.generation and item.attempt >= meant.attempt


def worker_steps(setting: Setting, state: State) -> Steps:
    """Yield the steps of the workers."""
    idle = first_idle(state)
    if idle is not None:
        yield from _receives(setting, state, idle)
    for i, worker in enumerate(state.workers):
        if worker.at == IDLE:
            continue
        if worker.at == CLAIMING_AGAIN:
            for step in _claims_or_not(setting, state, i):
                yield step._replace(label=f"w{i} repeats its claim: {step.label}")
        elif worker.at == RUNNING:
            yield from _heartbeats(setting, state, i)
            yield from _returns(setting, state, i)
            yield from _raises(setting, state, i)
        elif worker.at == WRITTEN:
            yield from _heartbeats(setting, state, i)
            yield from _completes(setting, state, i)
        elif worker.at == RECORDING and worker.meant is not None:
            yield from _records(setting, state, i, worker.meant)
        elif worker.at == WRITING_LATE and worker.held is not None:
            yield Step(f"w{i} writes its bytes", freed(_with_bytes(setting, state, i, worker.held), i))
        yield from _dies(setting, state, i)


# ── Claim ──────────────────────────────────────────────────────────────────────────────────────────


def _receives(setting: Setting, state: State, i: int) -> Steps:
    """Yield receive and claim as one step: before its claim, a received message looks like one that waits."""
    for generation in sorted(set(state.queue)):
        worker, message = Worker(CLAIMING, generation), f"w{i} receives generation {generation}"
        received = with_worker(taken(state, generation), i, worker)
        copied = with_worker(state, i, worker)
        for step in _claims_or_not(setting, received, i):
            yield Step(f"{message}: {step.label}", step.state, step.is_fault)
        for step in _claims_or_not(setting, copied, i):
            yield Step(f"{message}, as will another: {step.label}", step.state, is_fault=True)


def _claims_or_not(setting: Setting, state: State, i: int) -> Steps:
    worker, item = state.workers[i], state.item
    if item is None or not _is_claimable(setting, state, item, worker.generation):
        yield Step("there is nothing to claim", freed(state, i))
    elif item.status == PENDING:
        yield from _claims(setting, state, i, item)
        back = sent(freed(state, i), worker.generation, messages=setting.messages)
        yield Step("it is too early, and the message returns", back, is_fault=True)
    elif is_own_claim(worker, item, i) and setting.flaw is not Flaw.LOST_CLAIM_UNRECOGNIZED:
        yield Step("it claims again, and finds it done", _running(state, i, item))
    else:
        yield from _takes_over_or_not(setting, state, i, item)


def _is_claimable(setting: Setting, state: State, item: Item, generation: int) -> bool:
    fits = item.generation == generation or setting.flaw is Flaw.CLAIM_IGNORES_GEN
    return fits and not (item.is_finished or state.is_expired or state.is_past_deadline)


def _takes_over_or_not(setting: Setting, state: State, i: int, item: Item) -> Steps:
    lives = claimant_is_alive(state)
    may_look_over = item.lease_until != NO_LEASE and (setting.clocks_differ or not lives)
    if item.attempt < setting.max_attempts and may_look_over:
        yield from _claims(setting, state, i, item, is_fault=lives)
    looks_alive = not lives and item.attempt < setting.max_attempts
    if setting.flaw is Flaw.RUN_WITHOUT_CLAIM:
        yield Step("it runs it without a claim", _running(state, i, item))
    yield Step("it is in progress", freed(state, i), is_fault=looks_alive)


def _claims(setting: Setting, state: State, i: int, item: Item, *, is_fault: bool = False) -> Steps:
    claimed = job.claimed(item, i)
    if setting.flaw in {Flaw.ATTEMPT_AT_RELEASE, Flaw.ATTEMPT_NOT_COUNTED}:
        claimed = claimed._replace(attempt=item.attempt)
    if setting.flaw is not Flaw.CLAIM_UNNUMBERED:
        claimed = job.numbered(claimed)
    written = wrote(state, claimed)
    takes = "its lease is over, it is claimed" if item.status == IN_PROGRESS else "it is claimed"
    yield Step(takes, _running(written, i, claimed), is_fault=is_fault)
    again = state.workers[i]._replace(at=CLAIMING_AGAIN, meant=claimed)
    if state.lost_answers_left:
        lost = written._replace(lost_answers_left=state.lost_answers_left - 1)
        yield Step(f"{takes}, and gets no answer", with_worker(lost, i, again), is_fault=True)
    if state.late_writes_left and state.late is None:
        late = state._replace(late_writes_left=state.late_writes_left - 1, late=LateClaim(f"w{i}", again.generation, i))
        yield Step(f"{takes}, but that write is held up", with_worker(late, i, again), is_fault=True)


def _running(state: State, i: int, item: Item) -> State:
    return with_worker(state, i, state.workers[i]._replace(at=RUNNING, held=item, meant=None))


def claim_arrives(setting: Setting, state: State) -> Steps:
    """Yield the arrival of a delayed claim. It has the time of its start: by it no lease and no delay has ended."""
    late, item = state.late, state.item
    if not isinstance(late, LateClaim):
        return
    after, label = state._replace(late=None), f"the held up claim of {late.sender} arrives"
    if item is None or item.status != PENDING or not _is_claimable(setting, state, item, late.generation):
        yield Step(f"{label} and is refused", after, is_fault=True)
    else:
        yield Step(label, wrote(after, job.numbered(job.claimed(item, late.by))), is_fault=True)


# ── Run ────────────────────────────────────────────────────────────────────────────────────────────


def _heartbeats(setting: Setting, state: State, i: int) -> Steps:
    worker = state.workers[i]
    if worker.held is None or worker.heartbeats_sent >= setting.heartbeats:
        return
    heartbeats_sent = worker._replace(heartbeats_sent=worker.heartbeats_sent + 1)
    reported = job.reported(worker.held, heartbeats_sent.heartbeats_sent)
    if setting.flaw is Flaw.HEARTBEAT_UPSERTS:
        over = reported if state.item is None else state.item._replace(lease_until=heartbeats_sent.heartbeats_sent)
        over = job.numbered(over)
        yield Step(f"w{i} sends a heartbeat", with_worker(wrote(state, over), i, heartbeats_sent), wrong=_not_held(state, i))
        return
    yield Step(f"w{i} cannot send a heartbeat", with_worker(state, i, heartbeats_sent), is_fault=True)
    # The product compares `updated_at` (FENCE_AND_REPORT): here the lease is the number of the last report.
    compared = FENCE if setting.flaw is Flaw.HEARTBEAT_OVERTAKES else FENCE_AND_LEASE
    yield from swap(
        state,
        f"w{i}",
        "sends a heartbeat",
        old=worker.held,
        new=reported,
        unchanged=setting.guard(*compared),
        then=lambda after: with_worker(after, i, heartbeats_sent._replace(held=reported)),
        # It is not repeated: the next one has more. Until then the attempt does not know that the write succeeded.
        again=lambda after, _: with_worker(after, i, heartbeats_sent),
        refused=lambda after: _heartbeat_refused(after, i),
        wrong=_not_held(state, i),
    )


def _heartbeat_refused(state: State, i: int) -> Steps:
    item, worker = state.item, state.workers[i]
    if item is not None and _not_held(state, i) == "":
        # The item holds an earlier heartbeat of its own, whose answer was lost.
        yield Step(f"w{i} finds an earlier heartbeat of its own", with_worker(state, i, worker._replace(held=item)))
    else:
        yield Step(f"w{i}'s heartbeat is refused: it stops", freed(state, i))


def _returns(setting: Setting, state: State, i: int) -> Steps:
    worker = state.workers[i]
    if worker.held is None:
        return
    if setting.flaw is Flaw.BYTES_AFTER_POINTER:
        yield from _completes(setting, state, i)
    else:
        written = with_worker(_with_bytes(setting, state, i, worker.held), i, worker._replace(at=WRITTEN))
        yield Step(f"w{i} writes its bytes", written)


def _raises(setting: Setting, state: State, i: int) -> Steps:
    held = state.workers[i].held
    if held is None:
        return
    if held.attempt < setting.max_attempts:
        released = job.released(held)
        if setting.flaw is Flaw.ATTEMPT_AT_RELEASE:
            released = released._replace(attempt=held.attempt + 1)
        yield from _records(setting, state, i, released)
    yield from _records(setting, state, i, job.failed(held))


def _with_bytes(setting: Setting, state: State, i: int, held: Item) -> State:
    at = _location(setting, held)
    others = {found for found in state.objects if found[0] != at}
    return state._replace(objects=frozenset({*others, (at, (held.generation, held.attempt), i)}))


def _location(setting: Setting, held: Item) -> Location:
    return (0, 0) if setting.flaw is Flaw.ONE_OBJECT else (held.generation, held.attempt)


# ── Record ─────────────────────────────────────────────────────────────────────────────────────────


def _completes(setting: Setting, state: State, i: int) -> Steps:
    held = state.workers[i].held
    if held is not None:
        yield from _records(setting, state, i, job.completed(held, _location(setting, held)))


def _records(setting: Setting, state: State, i: int, ended: Item) -> Steps:
    """Record the outcome of the attempt. Its message returns after a release; it is deleted after an end or a refusal."""
    worker = state.workers[i]
    held = worker.held
    if held is None:
        return
    is_unfenced = setting.flaw is Flaw.COMPLETE_UNFENCED and ended.result is not None

    def then(after: State) -> State:
        if setting.flaw is Flaw.BYTES_AFTER_POINTER and ended.result is not None:
            return with_worker(after, i, worker._replace(at=WRITING_LATE))
        after = freed(after, i)
        return after if ended.is_finished else sent(after, ended.generation, messages=setting.messages)

    yield from swap(
        state,
        f"w{i}",
        _MOVES[ended.status],
        old=held,
        new=ended,
        unchanged=() if is_unfenced else setting.guard(*FENCE),
        then=then,
        again=lambda after, meant: with_worker(after, i, worker._replace(at=RECORDING, meant=meant)),
        refused=lambda after: iter([Step(f"w{i} {_MOVES[ended.status]}, but another attempt owns it", freed(after, i))]),
        wrong=_not_held(state, i),
        flaw=setting.flaw,
    )


_MOVES = {job.COMPLETED: "completes it", job.FAILED: "fails it", job.PENDING: "releases it"}


def _dies(setting: Setting, state: State, i: int) -> Steps:
    """Yield the worker's crash. Its message returns; that the queue loses it is another step."""
    if state.crashes_left:
        dead = freed(state, i)._replace(crashes_left=state.crashes_left - 1)
        yield Step(f"w{i} dies", sent(dead, state.workers[i].generation, messages=setting.messages), is_fault=True)


def _not_held(state: State, i: int) -> str:
    """Return the violation if this worker's write succeeds now."""
    item, held = state.item, state.workers[i].held
    if item is None or held is None:
        return "I8 a record comes into being by a heartbeat"
    if item.is_finished:
        return f"I1 what was {item.status} is written over by attempt {held.attempt}"
    if (item.generation, item.status, item.attempt, item.claimed_by) != (held.generation, IN_PROGRESS, held.attempt, i):
        return f"I8 attempt {held.attempt} of generation {held.generation} writes, and holds it no longer"
    return ""

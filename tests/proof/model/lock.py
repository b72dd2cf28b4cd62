"""The lock of exclusive jobs: two jobs that must not be in progress at the same time, and the item that names the lock owner.

The lock names its owner, a job and its generation. It is taken from an owner only after that owner was *read* as ended, and only
if the lock still names it. No clock decides. One lock is for one job at a time; a limit of more has as many locks.

Two rules make that sufficient. A job's record exists before a lock names it, so that an owner without a record has ended and is
never one that is still to come. And every claim takes the lock, whatever the submit did.

A submit that finds the lock held before its put stores nothing and is not part of this model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, TypeVar

from tests.proof.model.explore import Step
from tests.proof.model.job import CANCELLED, COMPLETED, FAILED, FINISHED, IN_PROGRESS, PENDING

Steps = Iterator["Step[State]"]
LockOwner = tuple[int, int]
"""A job and its generation."""

MAX_ATTEMPTS = 2

# The states of a submit or worker that needs the lock.
IDLE = "idle"
ASKING = "asking"
CHECKING = "checking the lock owner"
TAKING = "taking"
HAVING = "having"
RUNNING = "running"
FREEING = "freeing"
WITHDRAWING = "withdrawing"


class Flaw(Enum):
    """A mistake that the design does not make."""

    NONE = "the design"
    TAKEN_BY_TIME = "lock taken over by time instead of by reading its owner"
    BEFORE_THE_RECORD_GONE = "lock taken before the job's record is put; an owner without a record counts as ended"
    BEFORE_THE_RECORD_HELD = "lock taken before the job's record is put; an owner without a record counts as alive"
    CLAIM_DOES_NOT_ASK = "claim that trusts the submit to have taken the lock"
    OWNER_NOT_COMPARED = "lock taken over without comparing the owner that was read"
    OWNER_WITHOUT_GEN = "lock that names the job without its `gen`"
    FREED_UNSEEN = "lock deleted at the end without comparing the owner"

    @property
    def locks_first(self) -> bool:
        """Return whether the submit takes the lock before its put."""
        return self in {Flaw.BEFORE_THE_RECORD_GONE, Flaw.BEFORE_THE_RECORD_HELD}


class Job(NamedTuple):
    """One of the two jobs."""

    generation: int
    status: str = PENDING
    attempt: int = 0


class Taker(NamedTuple):
    """A submit, or a delivery to a worker, of one generation of its job."""

    at: str = IDLE
    generation: int = 0
    seen: LockOwner | None = None
    attempt: int = 0


class State(NamedTuple):
    """Two jobs, their lock, the submits and workers that need it, and the remaining steps."""

    jobs: tuple[Job | None, ...]
    gens: tuple[int, ...]
    lock: LockOwner | None
    takers: tuple[Taker, ...]
    """The submit of each job, then the workers."""
    late: tuple[LockOwner | None, LockOwner] | None
    """A delayed write of the lock: the owner that it compares, and the one that it writes."""
    submits_left: tuple[int, ...]
    crashes_left: int
    faults_left: int
    """The number of answers that may be lost and writes that may be delayed."""
    cancels_left: int
    retries_left: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The number of possible steps of each kind."""

    deliveries: tuple[int, ...] = (0, 0, 1)
    """The job that each worker receives."""
    submits: tuple[int, ...] = (1, 1)
    rejects: bool = False
    """Whether a submit without the lock withdraws its job; otherwise the job waits for the lock."""
    crashes: int = 1
    faults: int = 1
    cancels: int = 1
    retries: int = 1
    flaw: Flaw = Flaw.NONE


class Lock:
    """A model to explore: see `explore.Model`."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._flaw = setting.flaw
        self._jobs = (0, 1, *setting.deliveries)
        """The job of each taker."""
        self.start = State(
            jobs=(None, None),
            gens=(0, 0),
            lock=None,
            takers=(Taker(),) * len(self._jobs),
            late=None,
            submits_left=setting.submits,
            crashes_left=setting.crashes,
            faults_left=setting.faults,
            cancels_left=setting.cancels,
            retries_left=setting.retries,
        )

    def steps(self, state: State) -> Steps:
        """Yield all possible next steps."""
        for job in _NAMES:
            yield from self._job_steps(state, job)
        begun = set()
        for i, taker in enumerate(state.takers):
            if taker.at != IDLE:
                yield from self._goes_on(state, i, taker)
                if state.crashes_left:
                    yield Step(
                        f"{self._name(i)} dies", _left(state, i)._replace(crashes_left=state.crashes_left - 1), is_fault=True
                    )
            elif i in _NAMES:
                yield from self._submits(state, i)
            elif self._jobs[i] not in begun:
                begun.add(self._jobs[i])  # idle workers of the same job are alike
                yield from self._receives(state, i)
        if state.late is not None:
            seen, lock_owner = state.late
            arrived = state._replace(late=None, lock=lock_owner if state.lock == seen else state.lock)
            yield Step("the delayed write of the lock arrives", arrived, is_fault=True)

    def may_rest(self, state: State) -> bool:
        """Return whether each accepted job has ended."""
        return all(job is None or job.status in FINISHED for job in state.jobs)

    def wrong_change(self, before: State, after: State) -> str:
        """Return nothing: every violation is visible in the state."""
        return ""

    def wrong(self, state: State) -> str:
        """Return the promise that the state breaks."""
        if all(job is not None and job.status == IN_PROGRESS for job in state.jobs):
            return "two jobs of one lock are in progress"
        if self._flaw is Flaw.BEFORE_THE_RECORD_HELD and self._is_held_forever(state):
            return "L4 the lock owner has no record, and no job may take the lock"
        return ""

    def _is_held_forever(self, state: State) -> bool:
        if state.lock is None or state.jobs[state.lock[0]] is not None:
            return False
        submit = state.takers[state.lock[0]]
        return submit.at == IDLE or submit.generation != state.lock[1]

    def _name(self, i: int) -> str:
        return f"{_NAMES[i]}'s submit" if i in _NAMES else f"w{i - 1} ({_NAMES[self._jobs[i]]})"

    # ── Submit and deliver ─────────────────────────────────────────────────────────────────────────

    def _submits(self, state: State, i: int) -> Steps:
        """Put the record, then take the lock; or only put the record if the job may wait for the lock."""
        if state.jobs[i] is not None or not state.submits_left[i]:
            return
        generation = state.gens[i] + 1
        begun = state._replace(
            gens=_with(state.gens, i, generation), submits_left=_with(state.submits_left, i, state.submits_left[i] - 1)
        )
        if self._flaw.locks_first:
            yield Step(f"{_NAMES[i]} is submitted", _moved(begun, i, Taker(ASKING, generation)), is_fault=True)
            return
        put = begun._replace(jobs=_with(state.jobs, i, Job(generation)))
        following = _moved(put, i, Taker(ASKING, generation)) if self._setting.rejects else put
        yield Step(f"{_NAMES[i]} is submitted and put", following, is_fault=True)

    def _receives(self, state: State, i: int) -> Steps:
        """Receive a message: one of an ended generation is harmless, one of this generation comes as long as it is needed."""
        job = self._jobs[i]
        item = state.jobs[job]
        for generation in range(1, state.gens[job] + 1):
            is_wanted = item is not None and item.generation == generation and self._is_claimable(state, job, item)
            label = f"{self._name(i)} receives generation {generation}"
            if self._flaw.locks_first or self._flaw is Flaw.CLAIM_DOES_NOT_ASK:
                yield Step(label, _moved(state, i, Taker(HAVING, generation)), is_fault=not is_wanted)
            else:
                following = self._asks(state, i, Taker(generation=generation))
                yield Step(f"{label}: {following.label}", following.state, is_fault=not is_wanted)

    def _is_claimable(self, state: State, job: int, item: Job) -> bool:
        return item.status == PENDING or (
            item.status == IN_PROGRESS and item.attempt < MAX_ATTEMPTS and not self._worker_is_alive(state, job, item)
        )

    def _worker_is_alive(self, state: State, job: int, item: Job) -> bool:
        return any(
            taker.at == RUNNING and (self._jobs[i], taker.generation, taker.attempt) == (job, item.generation, item.attempt)
            for i, taker in enumerate(state.takers)
        )

    # ── Take the lock ──────────────────────────────────────────────────────────────────────────────

    def _goes_on(self, state: State, i: int, taker: Taker) -> Steps:
        if taker.at == ASKING:
            yield self._asks(state, i, taker)
        elif taker.at == CHECKING:
            yield from self._checks(state, i, taker)
        elif taker.at == TAKING:
            yield from self._takes(state, i, taker)
        elif taker.at == WITHDRAWING:
            yield from self._withdraws(state, i, taker)
        elif taker.at == HAVING:
            yield from self._answers(state, i, taker) if i in _NAMES else self._claims(state, i, taker)
        elif taker.at == RUNNING:
            yield from self._ends(state, i, taker)
        elif taker.at == FREEING:
            yield Step(f"{self._name(i)} deletes the lock", _left(state, i)._replace(lock=None))

    def _asks(self, state: State, i: int, taker: Taker) -> Step[State]:
        lock_owner = self._lock_owner(i, taker)
        if state.lock == lock_owner:
            return Step(f"{self._name(i)} has the lock", _moved(state, i, taker._replace(at=HAVING)))
        if state.lock is None:
            return Step(f"{self._name(i)} finds no lock", _moved(state, i, taker._replace(at=TAKING, seen=None)))
        at = TAKING if self._flaw is Flaw.TAKEN_BY_TIME else CHECKING
        holds = f"{self._name(i)} finds that {_NAMES[state.lock[0]]} has the lock"
        # By time the lock may be taken from any owner: the clock is not the owner's.
        return Step(holds, _moved(state, i, taker._replace(at=at, seen=state.lock)))

    def _lock_owner(self, i: int, taker: Taker) -> LockOwner:
        return (self._jobs[i], 0 if self._flaw is Flaw.OWNER_WITHOUT_GEN else taker.generation)

    def _checks(self, state: State, i: int, taker: Taker) -> Steps:
        """Read the lock owner. An ended generation stays ended: the outcome of the read remains true."""
        if taker.seen is None:
            return
        if self._has_ended(state, taker.seen):
            yield Step(f"{self._name(i)} reads that the lock owner has ended", _moved(state, i, taker._replace(at=TAKING)))
        elif i not in _NAMES:
            item = state.jobs[self._jobs[i]]
            waits = item is not None and (item.generation, item.status) == (taker.generation, PENDING)
            yield Step(f"{self._name(i)} leaves the job to a later message", _left(state, i), is_fault=waits)
        elif self._flaw.locks_first:
            yield Step(f"{self._name(i)} is refused", _left(state, i))
        else:
            yield Step(f"{self._name(i)} reads that the lock owner is alive", _moved(state, i, taker._replace(at=WITHDRAWING)))

    def _has_ended(self, state: State, lock_owner: LockOwner) -> bool:
        item = state.jobs[lock_owner[0]]
        if item is None:
            return self._flaw is not Flaw.BEFORE_THE_RECORD_HELD
        return item.status in FINISHED or item.generation != (lock_owner[1] or item.generation)

    def _takes(self, state: State, i: int, taker: Taker) -> Steps:
        lock_owner, name = self._lock_owner(i, taker), self._name(i)
        has = taker._replace(at=HAVING, seen=None)
        if state.lock == taker.seen or self._flaw is Flaw.OWNER_NOT_COMPARED:
            taken = state._replace(lock=lock_owner)
            yield Step(f"{name} takes the lock", _moved(taken, i, has))
            if state.faults_left:
                fewer = state.faults_left - 1
                lost = _moved(taken, i, taker)._replace(faults_left=fewer)
                yield Step(f"{name} takes the lock, and gets no answer", lost, is_fault=True)
                late = state._replace(late=(taker.seen, lock_owner), faults_left=fewer)
                yield Step(f"{name} takes the lock, but that write is delayed", late, is_fault=True)
        elif state.lock == lock_owner:
            yield Step(f"{name} takes the lock again, and finds it done", _moved(state, i, has))
        else:
            yield Step(f"{name} finds another lock owner", _moved(state, i, taker._replace(at=ASKING, seen=None)))

    def _answers(self, state: State, i: int, taker: Taker) -> Steps:
        done = _left(state, i)
        if self._flaw.locks_first:
            yield Step(f"{self._name(i)} puts the job", done._replace(jobs=_with(state.jobs, i, Job(taker.generation))))
        else:
            yield Step(f"{self._name(i)} answers", done)

    def _withdraws(self, state: State, i: int, taker: Taker) -> Steps:
        if state.jobs[i] == Job(taker.generation):
            yield Step(f"{self._name(i)} withdraws the job", _ended(_left(state, i), i, CANCELLED))
        else:
            yield Step(f"{self._name(i)} finds the job begun", _left(state, i))

    # ── Run ────────────────────────────────────────────────────────────────────────────────────────

    def _claims(self, state: State, i: int, taker: Taker) -> Steps:
        job = self._jobs[i]
        item = state.jobs[job]
        is_to_be_had = item is not None and item.generation == taker.generation and item.status not in FINISHED
        if item is not None and is_to_be_had and item.attempt < MAX_ATTEMPTS:
            claimed = Job(item.generation, IN_PROGRESS, item.attempt + 1)
            runs = Taker(RUNNING, taker.generation, attempt=claimed.attempt)
            after = _moved(state._replace(jobs=_with(state.jobs, job, claimed)), i, runs)
            is_early = item.status == IN_PROGRESS and self._worker_is_alive(state, job, item)
            yield Step(f"{self._name(i)} claims the job", after, is_fault=is_early)
            if not is_early:
                return
        yield Step(f"{self._name(i)} finds nothing to claim", _left(state, i))

    def _ends(self, state: State, i: int, taker: Taker) -> Steps:
        job, name = self._jobs[i], self._name(i)
        if state.jobs[job] != Job(taker.generation, IN_PROGRESS, taker.attempt):
            yield Step(f"{name} finds that another attempt owns the job", _left(state, i))
            return
        frees = self._flaw is Flaw.FREED_UNSEEN
        done = _moved(state, i, Taker(FREEING)) if frees else _left(state, i)
        yield Step(f"{name} completes the job", _ended(done, job, COMPLETED))
        if taker.attempt < MAX_ATTEMPTS:
            released = _with(state.jobs, job, Job(taker.generation, PENDING, taker.attempt))
            yield Step(f"{name} releases the job", _left(state, i)._replace(jobs=released))
        else:
            yield Step(f"{name} fails the job", _ended(done, job, FAILED))

    def _job_steps(self, state: State, job: int) -> Steps:
        """Yield the steps of the job's owner, the sweeper and time."""
        item, name = state.jobs[job], _NAMES[job]
        if item is None:
            return
        if item.status in FINISHED:
            yield Step(
                f"{name}'s record expires and is deleted", state._replace(jobs=_with(state.jobs, job, None)), is_fault=True
            )
            if item.status != COMPLETED and state.retries_left:
                again = Job(state.gens[job] + 1)
                retried = state._replace(jobs=_with(state.jobs, job, again), gens=_with(state.gens, job, again.generation))
                yield Step(f"{name} is retried", retried._replace(retries_left=state.retries_left - 1), is_fault=True)
            return
        if state.cancels_left:
            cancelled = _ended(state, job, CANCELLED)._replace(cancels_left=state.cancels_left - 1)
            yield Step(f"{name} is cancelled", cancelled, is_fault=True)
        if item.status == IN_PROGRESS and item.attempt >= MAX_ATTEMPTS:
            lives = self._worker_is_alive(state, job, item)
            yield Step(f"the sweeper gives {name} up", _ended(state, job, FAILED), is_fault=lives)


_NAMES = {0: "A", 1: "B"}


T = TypeVar("T")


def _with(values: tuple[T, ...], i: int, value: T) -> tuple[T, ...]:
    return (*values[:i], value, *values[i + 1 :])


def _moved(state: State, i: int, taker: Taker) -> State:
    return state._replace(takers=_with(state.takers, i, taker))


def _left(state: State, i: int) -> State:
    return _moved(state, i, Taker())


def _ended(state: State, job: int, status: str) -> State:
    item = state.jobs[job]
    return state if item is None else state._replace(jobs=_with(state.jobs, job, item._replace(status=status)))

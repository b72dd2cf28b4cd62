"""The whole protocol for one job id: the actors, the steps of time and queue, and the invariants."""

from __future__ import annotations

from collections.abc import Iterator

from tests.proof.model import job
from tests.proof.model.client import client_steps
from tests.proof.model.explore import Step
from tests.proof.model.job import (
    CANCELLED,
    COMPLETED,
    FAILED,
    IN_PROGRESS,
    NOT_DUE,
    NUMBERS,
    PENDING,
    WRONG_NUMBER,
    Item,
    is_news,
)
from tests.proof.model.state import Flaw, Setting, State, arrive, start, taken, wrote
from tests.proof.model.sweeper import sweeper_steps
from tests.proof.model.worker import claim_arrives, worker_steps

Steps = Iterator[Step[State]]


class Protocol:
    """A model to explore: see `explore.Model`."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self.start = start(setting)

    def steps(self, state: State) -> Steps:
        """Yield all possible next steps."""
        yield from client_steps(self._setting, state)
        yield from worker_steps(self._setting, state)
        yield from sweeper_steps(self._setting, state)
        yield from _queue_steps(self._setting, state)
        yield from _time_steps(self._setting, state)
        if state.late is not None:
            yield from arrive(state)
            yield from claim_arrives(self._setting, state)

    def may_rest(self, state: State) -> bool:
        """Return whether there is no job or it has ended."""
        return state.item is None or state.item.is_finished

    def wrong_change(self, before: State, after: State) -> str:
        """Return the invariant that the change of the item breaks."""
        if before.item is None or before.item == after.item:
            return ""
        return self._first_checked(_wrong_changes(before, before.item, after.item))

    def wrong(self, state: State) -> str:
        """Return the invariant that the state breaks."""
        return "" if state.item is None else self._first_checked(self._wrongs(state, state.item))

    def _wrongs(self, state: State, item: Item) -> Iterator[str]:
        if item.is_finished is not (item.due_at == NOT_DUE):
            yield "I11 the job is finished, but due" if item.is_finished else "I11 it is unfinished, and not in the due index"
        if item.attempt > self._setting.max_attempts:
            yield "I12 more attempts than may be"
        if state.is_expired and not item.is_finished:
            yield "I5 the record of an unfinished job expires"
        if item.status == COMPLETED:
            yield from _wrong_result(state, item)
        yield from _wrong_claimants(state)

    def _first_checked(self, wrongs: Iterator[str]) -> str:
        return next((wrong for wrong in wrongs if wrong.split()[0] not in self._setting.not_checked), "")


def _queue_steps(setting: Setting, state: State) -> Steps:
    for generation in sorted(set(state.queue)):
        lost = taken(state, generation)
        item = state.item
        if setting.flaw is Flaw.DEAD_LETTER_FAILS and item is not None and not item.is_finished:
            wrong = "F21 a job fails that has attempts left" if item.attempt < setting.max_attempts else ""
            yield Step(
                "the message goes to the dead-letter queue",
                wrote(lost, job.numbered(job.failed(item))),
                is_fault=True,
                wrong=wrong,
            )
        else:
            yield Step(f"the queue loses a message of generation {generation}", lost, is_fault=True)


def _time_steps(setting: Setting, state: State) -> Steps:
    item = state.item
    if item is None:
        return
    if setting.has_deadline and not item.is_finished and not state.is_past_deadline:
        yield Step("the deadline passes", state._replace(is_past_deadline=True), is_fault=True)
    was_retried = setting.flaw is Flaw.RETRY_KEEPS_EXPIRY and item.generation > 1
    may_expire = item.is_finished or setting.flaw is Flaw.EXPIRES_UNFINISHED or was_retried
    if setting.expires and may_expire and not state.is_expired:
        yield Step("the record expires", state._replace(is_expired=True), is_fault=True)
    if state.is_expired:
        yield Step("the expired record is deleted", state._replace(item=None), is_fault=True)


def _wrong_changes(before: State, old: Item, new: Item | None) -> Iterator[str]:
    if new is None:
        if not before.is_expired:
            yield "I5 an accepted job has disappeared"
    elif new.generation != old.generation:
        if not (before.is_expired or _is_retried(old, new)):
            yield "I4 a submit replaces a job that is there"
    elif old.is_finished:
        yield f"I1 {old.status} becomes {new.status}" if old.status != new.status else "I6 it ends for a second time"
    elif new.attempt != old.attempt:
        if new.attempt != old.attempt + 1 or new.status != IN_PROGRESS:
            yield "I3 the attempt changes other than by one more in a claim"
    elif new.status == old.status == IN_PROGRESS and new.lease_until < old.lease_until:
        yield "I10 lease and progress go back"
    if new is not None and not before.is_expired and new.seq != (old.seq + is_news(old, new)) % NUMBERS:
        yield WRONG_NUMBER


def _is_retried(old: Item, new: Item) -> bool:
    return old.status in {FAILED, CANCELLED} and new.status == PENDING and new.attempt == 0


def _wrong_result(state: State, item: Item) -> Iterator[str]:
    whose = next(((attempt, by) for at, attempt, by in state.objects if at == item.result), None)
    if whose is None:
        yield "I2 COMPLETED, and there are no bytes"
    elif whose != ((item.generation, item.attempt), item.claimed_by):
        yield f"I2 COMPLETED by attempt {item.attempt}, with the bytes of another: of attempt {whose[0][1]}"


def _wrong_claimants(state: State) -> Iterator[str]:
    claimants = [worker for worker in state.workers if worker.held is not None]
    if len({worker.held and (worker.held.generation, worker.held.attempt) for worker in claimants}) < len(claimants):
        yield "I7 two invocations run the same attempt"
    for worker in claimants:
        if worker.held is not None and worker.generation not in {0, worker.held.generation}:
            yield "F12 a message of one generation starts another"

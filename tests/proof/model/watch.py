"""A watcher and the stream: no watcher that stays misses the last change of its job.

A job is its number of changes. The watcher extends the filter, puts its entry, and reads the job; the stream's function
hands over a change, writes the log, reads the filter, and then the entries. Each of these is one step, in any order with the others'.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from tests.proof.model.explore import Step

Steps = Iterator["Step[State]"]


class Flaw(Enum):
    """A mistake that the design does not make."""

    NONE = "the design"
    READS_FIRST = "watcher that reads the job before it puts its entry"
    FILTER_LAST = "watcher that extends the filter after its entry and its read"
    ASKS_BEFORE_THE_CHANGE = "function that reads the watchers before the change, and keeps what it has read"
    FORGETS_ANOTHER = "function that forgets the watchers of a topic when one connection is closed"
    PUSHES_FIRST = "function that pushes before the log has the change"


class Batch(NamedTuple):
    """A change that the function handles."""

    seq: int
    step: int = 0
    is_possible: bool = False
    """What the filter says."""
    entries: tuple[bool, bool] = (False, False)
    """Whether the watcher, and another connection, which is closed, have an entry."""


class State(NamedTuple):
    """The job, the log, the watcher, the other connection, and the function."""

    seq: int = 1
    log: int = 0
    handled: int = 1
    """The changes up to this one were delivered and handled."""
    batch: Batch | None = None
    kept: tuple[bool, bool] | None = None
    """For a function that keeps what it has read."""
    steps_done: int = 0
    """Of the watcher."""
    is_in_filter: bool = False
    entries: tuple[bool, bool] = (False, True)
    seen: int = 0
    """The newest state that the watcher has."""
    read: int = 0
    again_left: int = 1


FILTER, ENTRY, READ = "extends the filter", "puts its entry", "reads the job"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The number of possible steps of each kind."""

    changes: int = 3
    flaw: Flaw = Flaw.NONE


class Watch:
    """A model to explore: see `explore.Model`."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._flaw = setting.flaw
        self._order = {
            Flaw.READS_FIRST: (FILTER, READ, ENTRY),
            Flaw.FILTER_LAST: (ENTRY, READ, FILTER),
        }.get(setting.flaw, (FILTER, ENTRY, READ))
        self.start = State()

    def steps(self, state: State) -> Steps:
        """Yield all possible next steps."""
        if state.seq <= self._setting.changes:
            yield Step("the job changes", state._replace(seq=state.seq + 1), is_fault=True)
        if state.steps_done < len(self._order):
            yield self._watcher_step(state)
        yield from self._function_steps(state)

    def wrong_change(self, before: State, after: State) -> str:
        """Return the promise that the change breaks: none. A client drops each state that it has, by its number."""
        return ""

    def wrong(self, state: State) -> str:
        """Return the promise that the state breaks."""
        if state.seen > max(state.log, state.read):
            return "W1 a pushed change is not in the log"
        return ""

    def may_rest(self, state: State) -> bool:
        """Return whether the watcher, who stays, has the last state."""
        return state.seen == state.seq

    def _watcher_step(self, state: State) -> Step[State]:
        what = self._order[state.steps_done]
        after = state._replace(steps_done=state.steps_done + 1)
        if what == FILTER:
            after = after._replace(is_in_filter=True)
        elif what == ENTRY:
            after = after._replace(entries=(True, after.entries[1]))
        else:
            after = after._replace(seen=max(state.seen, state.seq), read=state.seq)
        return Step(f"the watcher {what}", after)

    def _function_steps(self, state: State) -> Steps:
        batch = state.batch
        if batch is None:
            if state.handled < state.seq:
                # Lambda may hand over several changes together.
                for seq in range(state.handled + 1, state.seq + 1):
                    yield Step(f"the stream delivers change {seq}", state._replace(batch=Batch(seq)))
            return
        if state.again_left:
            died = state._replace(batch=None, again_left=state.again_left - 1)
            yield Step("the function dies", died, is_fault=True)
        yield self._function_step(state, batch)

    def _function_step(self, state: State, batch: Batch) -> Step[State]:
        logged = state._replace(log=max(state.log, batch.seq))
        order = ("log", "filter", "entries", "push")
        if self._flaw is Flaw.PUSHES_FIRST:
            order = ("filter", "entries", "push", "log")
        what = order[batch.step]
        onward = batch._replace(step=batch.step + 1)
        if what == "log":
            after = logged._replace(batch=onward)
        elif what == "filter":
            # The other connection's topic is in the filter.
            after = state._replace(batch=onward._replace(is_possible=state.is_in_filter))
        elif what == "entries":
            entries, kept = state.entries, state.kept
            if self._flaw is Flaw.ASKS_BEFORE_THE_CHANGE:
                entries = kept = kept or entries
            after = state._replace(batch=onward._replace(entries=entries), kept=kept)
        else:
            after = self._pushed(state._replace(batch=onward), batch)
        if onward.step == len(order):
            after = after._replace(batch=None, handled=max(state.handled, batch.seq))
        return Step(f"the function: {what}", after)

    def _pushed(self, state: State, batch: Batch) -> State:
        if not batch.is_possible:
            return state
        watches, is_other_there = batch.entries
        if watches:
            state = state._replace(seen=max(state.seen, batch.seq))
        if is_other_there:
            mine = state.entries[0] and self._flaw is not Flaw.FORGETS_ANOTHER
            state = state._replace(entries=(mine, False))
        return state

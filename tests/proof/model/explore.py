"""Visits every state of a model, and tells the shortest way to what must not be. Knows nothing of jobs.

Safety: no reachable state, and no step, is wrong. Liveness: once faults and clients have stopped, whatever the order of
the steps that remain, they come to an end, and the end is one where the model may rest. That is more than "an end can be
reached": no schedule goes round in circles, and none runs into a dead end.
"""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

S = TypeVar("S")


class Step(NamedTuple, Generic[S]):
    """What may happen next. `wrong` says which promise the step itself breaks."""

    label: str
    state: S
    is_fault: bool = False
    """Whether somebody or something outside must do it: a client, a fault, an unlucky clock. Liveness does without."""
    wrong: str = ""


class Model(Protocol[S]):
    """What can be explored. States must be hashable, and finitely many."""

    @property
    def start(self) -> S:
        """The first state."""
        ...

    def steps(self, state: S) -> Iterable[Step[S]]:
        """All that may happen next, always in the same order."""
        ...

    def wrong_change(self, before: S, after: S) -> str:
        """Which promise is broken by going from the one to the other; empty if none is."""
        ...

    def wrong(self, state: S) -> str:
        """Which promise is broken in the state; empty if none is."""
        ...

    def may_rest(self, state: S) -> bool:
        """Whether it is well if nothing happens any more."""
        ...


@dataclass(frozen=True, slots=True)
class Finding:
    """What was explored, and the first thing found wrong with it."""

    states: int
    problem: str = ""
    trace: tuple[str, ...] = ()


def explore(model: Model[S]) -> Finding:
    """Every state, breadth first: so the first problem that is met has the shortest trace."""
    with _no_collector():
        return _Exploration(model).run()


class _Exploration(Generic[S]):
    def __init__(self, model: Model[S]) -> None:
        self._model = model
        self._states = [model.start]
        self._numbers = {model.start: 0}
        self._reached: list[tuple[int, str]] = [(0, "")]
        self._onward: list[list[int]] = []
        """For each state, where it goes by itself."""

    def run(self) -> Finding:
        for number, state in enumerate(self._states):
            onward = []
            for step in self._model.steps(state):
                following = self._numbers.setdefault(step.state, len(self._states))
                is_new = following == len(self._states)
                if is_new:
                    self._states.append(step.state)
                    self._reached.append((number, step.label))
                wrong = step.wrong or self._model.wrong_change(state, step.state) or (is_new and self._model.wrong(step.state))
                if wrong:
                    return self._finding(wrong, (*self._trace(number), step.label))
                if not step.is_fault:
                    onward.append(following)
            self._onward.append(onward)
        return self._stuck() or self._circling() or self._finding()

    def _stuck(self) -> Finding | None:
        for number, state in enumerate(self._states):
            if not self._onward[number] and not self._model.may_rest(state):
                return self._finding("L1 nothing will ever happen to the job", self._trace(number))
        return None

    def _circling(self) -> Finding | None:
        """Take away, again and again, the states from which every way comes to an end. What is left goes in circles."""
        backward: list[list[int]] = [[] for _ in self._states]
        for number, onward in enumerate(self._onward):
            for following in onward:
                backward[following].append(number)
        ways_left = [len(onward) for onward in self._onward]
        ending = deque(number for number, ways in enumerate(ways_left) if not ways)
        while ending:
            for number in backward[ending.popleft()]:
                ways_left[number] -= 1
                if not ways_left[number]:
                    ending.append(number)
        for number, ways in enumerate(ways_left):
            if ways:
                return self._finding("L1 it may go on in circles", (*self._trace(number), *self._circle(number, ways_left)))
        return None

    def _circle(self, number: int, ways_left: Sequence[int]) -> Iterator[str]:
        been: set[int] = set()
        while number not in been:
            been.add(number)
            for step in self._model.steps(self._states[number]):
                following = self._numbers[step.state]
                if not step.is_fault and ways_left[following]:
                    yield f"({step.label})"
                    number = following
                    break

    def _trace(self, number: int) -> tuple[str, ...]:
        labels = []
        while number:
            number, label = self._reached[number]
            labels.append(label)
        return tuple(reversed(labels))

    def _finding(self, problem: str = "", trace: tuple[str, ...] = ()) -> Finding:
        return Finding(len(self._states), problem, trace)


@contextmanager
def _no_collector() -> Iterator[None]:
    """States never form cycles, and looking for some among millions of tuples would take longer than all the rest."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()

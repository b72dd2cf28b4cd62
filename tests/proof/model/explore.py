"""Visit every state of a model and return the shortest trace to a violation. It is independent of jobs.

Safety: no reachable state and no step is wrong. Liveness: without faults and clients, the remaining steps end in any order, in
a state where the model may rest. That is more than "an end is reachable": no schedule has a cycle, and none a dead end.
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
    """A possible next step. `wrong` names the promise that the step itself breaks."""

    label: str
    state: S
    is_fault: bool = False
    """Whether the step comes from outside: a client, a fault, a wrong clock. Liveness must not need it."""
    wrong: str = ""


class Model(Protocol[S]):
    """A model with a finite number of hashable states."""

    @property
    def start(self) -> S:
        """Return the first state."""
        ...

    def steps(self, state: S) -> Iterable[Step[S]]:
        """Return all possible next steps, always in the same order."""
        ...

    def wrong_change(self, before: S, after: S) -> str:
        """Return the promise that the change from one state to the other breaks; empty if none."""
        ...

    def wrong(self, state: S) -> str:
        """Return the promise that the state breaks; empty if none."""
        ...

    def may_rest(self, state: S) -> bool:
        """Return whether the state is a valid end."""
        ...


@dataclass(frozen=True, slots=True)
class Finding:
    """The number of explored states and the first violation."""

    states: int
    problem: str = ""
    trace: tuple[str, ...] = ()


def explore(model: Model[S]) -> Finding:
    """Explore every state, breadth first, so that the first violation has the shortest trace."""
    with _no_collector():
        return _Exploration(model).run()


class _Exploration(Generic[S]):
    def __init__(self, model: Model[S]) -> None:
        self._model = model
        self._states = [model.start]
        self._numbers = {model.start: 0}
        self._reached: list[tuple[int, str]] = [(0, "")]
        self._onward: list[list[int]] = []
        """The next states of each state without faults."""

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
        return self._stuck() or self._states_with_a_cycle() or self._finding()

    def _stuck(self) -> Finding | None:
        for number, state in enumerate(self._states):
            if not self._onward[number] and not self._model.may_rest(state):
                return self._finding("L1 nothing will ever happen to the job", self._trace(number))
        return None

    def _states_with_a_cycle(self) -> Finding | None:
        """Remove states from which every path ends, until none is left to remove. The remaining states have a cycle."""
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
                return self._finding("L1 the steps may form a cycle", (*self._trace(number), *self._cycle(number, ways_left)))
        return None

    def _cycle(self, number: int, ways_left: Sequence[int]) -> Iterator[str]:
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
    """Disable the garbage collector: states form no reference cycles, and a search among millions of tuples is slow."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()

"""The explorer finds the known violations of small models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pytest

from tests.proof.model.explore import Finding, Step, explore


class Walk:
    """A model as a map from each number to the next ones. A negative number is reached only by a fault; 13 is wrong."""

    def __init__(self, onward: Mapping[int, Sequence[int]], rests: Sequence[int] = ()) -> None:
        self.start = 0
        self._onward = onward
        self._rests = rests

    def steps(self, state: int) -> Iterator[Step[int]]:
        for number in self._onward.get(state, ()):
            yield Step(f"to {abs(number)}", abs(number), is_fault=number < 0)

    def wrong_change(self, before: int, after: int) -> str:
        return "a leap" if after > before + 10 else ""

    def wrong(self, state: int) -> str:
        return "bad luck" if state == 13 else ""

    def may_rest(self, state: int) -> bool:
        return state in self._rests


def test_correct_model_is_explored_completely() -> None:
    assert explore(Walk({0: [1, 2], 1: [3], 2: [3]}, rests=[3])) == Finding(4)


def test_shortest_trace_to_a_wrong_state_is_found() -> None:
    long_and_short = {0: [5, 4], 5: [6], 6: [7], 7: [13], 4: [13]}
    assert explore(Walk(long_and_short)) == Finding(5, "bad luck", ("to 4", "to 13"))


def test_wrong_step_between_correct_states_is_found() -> None:
    assert explore(Walk({0: [9], 9: [20], 1: [20]})).problem == "a leap"


@pytest.mark.parametrize("onward", [{0: [1]}, {0: [1], 1: [-2]}], ids=["nothing follows", "only a fault follows"])
def test_state_without_a_next_step_is_stuck(onward: Mapping[int, Sequence[int]]) -> None:
    finding = explore(Walk(onward, rests=[2]))
    assert (finding.problem, finding.trace) == ("L1 nothing will ever happen to the job", ("to 1",))


def test_cycle_with_an_exit_is_found() -> None:
    finding = explore(Walk({0: [1], 1: [2], 2: [1, 3]}, rests=[3]))
    assert finding.problem == "L1 the steps may form a cycle"
    assert finding.trace == ("(to 1)", "(to 2)", "(to 1)")


def test_cycle_that_needs_faults_is_allowed() -> None:
    assert explore(Walk({0: [1], 1: [2, -1]}, rests=[2])).problem == ""


def test_exploration_is_deterministic() -> None:
    model = Walk({0: [1, 2], 1: [13], 2: [13]})
    assert explore(model) == explore(model)

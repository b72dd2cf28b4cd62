"""The length and the seed of a run of the machine, from the environment."""

from __future__ import annotations

import logging
import os
import random
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.internal.conjecture.engine import ConjectureRunner
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

EXAMPLES = int(os.environ.get("ASYNCJOBS_STATEFUL_EXAMPLES", "300"))
DIRECTED_EXAMPLES = max(1, EXAMPLES // 30)
"""The length of the product's run of each machine that is directed at an ablation: all of its rules are also in the long runs."""
SEED = os.environ.get("ASYNCJOBS_STATEFUL_SEED")
"""A number, `random`, or nothing for the same run every time."""
STEPS = 60
_AT_ONCE = 1000
"""The number of runs that Hypothesis makes in one go: it remembers each of them."""


def run(
    machine: type[RuleBasedStateMachine],
    *,
    examples: int,
    seed_with: int | None = None,
    phases: tuple[Phase, ...] = (Phase.generate, Phase.shrink),
) -> None:
    """Run the machine, and raise the violation that it finds."""
    if seed_with is not None:
        seed(seed_with)(machine)
    chosen_settings = settings(
        max_examples=examples,
        stateful_step_count=STEPS,
        derandomize=seed_with is None,
        database=None,
        deadline=None,
        phases=phases,
        suppress_health_check=list(HealthCheck),
    )
    # Hypothesis follows each run by five that differ in one step. That helps to find equal inputs; here it reduces 300 runs
    # to 50, and there is no setting for it.
    with _no_log(), patch.object(ConjectureRunner, "generate_mutations_from", lambda _self, _data: None):
        run_state_machine_as_test(machine, settings=chosen_settings)


def prove(machine: Any, *, sights: Collection[str]) -> None:
    """Run the machine for as long as was chosen, print what it did, and check that it saw these events."""
    chosen = _seed()
    say(f"{machine.__name__}: examples {EXAMPLES}, seed {'of the test itself' if chosen is None else chosen}")
    began = time.perf_counter()
    for first in range(0, EXAMPLES, _AT_ONCE):
        seed_with = chosen if first == 0 else (chosen or 0) + first
        run(machine, examples=min(_AT_ONCE, EXAMPLES - first), seed_with=seed_with)
    say(f"{machine.runs} runs, {machine.steps_taken} steps, {time.perf_counter() - began:.0f} s; {machine.total}")
    for sight, times in machine.sights.most_common():
        say(f"{times:8} {sight}")
    if EXAMPLES >= 300:
        assert machine.sights.keys() >= sights


def say(line: str) -> None:
    """Print a line immediately."""
    print(line, flush=True)  # noqa: T201 - the figures are what a soak is run for


@contextmanager
def _no_log() -> Iterator[None]:
    """Write no log: pytest formats and keeps each line, with the exception in it and the whole world behind that."""
    logging.disable()
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _seed() -> int | None:
    """Return the seed; None for the same run every time."""
    if SEED is None:
        return None
    return random.SystemRandom().getrandbits(32) if SEED == "random" else int(SEED)

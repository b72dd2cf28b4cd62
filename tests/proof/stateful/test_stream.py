"""The stream under faults: nobody who stays misses an end, and each event has one number, one content and one delivery."""

from __future__ import annotations

import pytest
from hypothesis import Phase

from tests.proof.stateful.ledger import Violation
from tests.proof.stateful.machine import machine_with
from tests.proof.stateful.profile import DIRECTED_EXAMPLES, prove, run, say
from tests.proof.stateful.stream.ablations import STREAM_ABLATIONS
from tests.proof.stateful.stream.machine import StreamMachine
from tests.proof.stateful.test_ablations import ENOUGH

SIGHTS = {
    "a job deleted",
    "a delivery",
    "a push",
    "a push that its connection had",
    "a last state learned",
    "a connection to which a message was dropped",
    "a batch handled in part",
    "a snapshot in place of events",
    "a custom event",
}
"""The events that a run must contain to prove something."""


def test_no_watcher_misses_an_end_and_no_event_has_two_contents() -> None:
    prove(machine_with(StreamMachine), sights=SIGHTS)


@pytest.mark.parametrize("rules", sorted({ablation.rules for ablation in STREAM_ABLATIONS.values() if ablation.rules}))
def test_product_passes_the_directed_machine_of_the_stream(rules: tuple[str, ...]) -> None:
    run(machine_with(StreamMachine, only=rules), examples=DIRECTED_EXAMPLES, phases=(Phase.generate,))


@pytest.mark.parametrize("name", STREAM_ABLATIONS)
def test_machine_of_the_stream_detects_the_ablation(name: str) -> None:
    ablation = STREAM_ABLATIONS[name]
    machine = machine_with(StreamMachine, parts=ablation.parts, only=ablation.rules)
    with pytest.raises(Violation) as caught:
        run(machine, examples=ENOUGH, phases=(Phase.generate,))
    say(f"{name:55} {caught.value.rule:8} {machine.runs:4}")
    assert caught.value.rule in ablation.caught_as, caught.value

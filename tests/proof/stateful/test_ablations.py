"""The machine detects each removed safeguard, and finds nothing in the product."""

from __future__ import annotations

import pytest
from hypothesis import Phase

from tests.proof.stateful.ablations import ABLATIONS
from tests.proof.stateful.feature_ablations import FEATURE_ABLATIONS
from tests.proof.stateful.ledger import Violation
from tests.proof.stateful.machine import Machine, machine_with
from tests.proof.stateful.profile import DIRECTED_EXAMPLES, run

ENOUGH = 600
"""The number of examples within which each is detected; most need a dozen."""
ALL = {**ABLATIONS, **FEATURE_ABLATIONS}
DIRECTED = list(
    dict.fromkeys((ablation.machine, ablation.job_types, ablation.rules) for ablation in ALL.values() if ablation.rules)
)


@pytest.mark.parametrize("name", ALL)
def test_machine_detects_the_ablation(name: str) -> None:
    ablation = ALL[name]
    machine = machine_with(ablation.machine, parts=ablation.parts, job_types=ablation.job_types, only=ablation.rules)
    with pytest.raises(Violation) as caught:
        run(machine, examples=ENOUGH, phases=(Phase.generate,))
    print(f"{name:45} {caught.value.rule:8} {machine.runs:4}")  # noqa: T201 - for the table in docs/reliability.md
    assert caught.value.rule in ablation.caught_as, caught.value


@pytest.mark.parametrize(("kind", "job_types", "rules"), DIRECTED)
def test_product_passes_the_directed_machine(kind: type[Machine], job_types: tuple[str, ...], rules: tuple[str, ...]) -> None:
    run(machine_with(kind, job_types=job_types, only=rules), examples=DIRECTED_EXAMPLES, phases=(Phase.generate,))

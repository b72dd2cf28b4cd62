"""A short soak on the deployed stack. `python -m tests.proof.soak` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.proof.soak import deployed
from tests.proof.soak.disorder import Plan

FAULTS = ("kills", "outages", "restarts")


@pytest.mark.e2e
@pytest.mark.slow
def test_no_job_is_lost_on_the_deployed_stack(tmp_path: Path) -> None:
    said: list[str] = []
    numbers = deployed.run(
        tmp_path,
        seed=20261121,
        seconds=30,
        count=10_000,  # more than there is time for
        clients=3,
        plan=Plan(kill_every=3, outage_every=15, restart_every=25),
        until=FAULTS,
        say=said.append,
    )
    assert numbers.are_as_promised, f"{numbers}\n{numbers.broken[:10]}\n{said}"
    assert numbers.jobs > 0
    assert numbers.faults > 0
    (happened,) = (line for line in said if line.startswith("happened: "))
    assert all(f"{name} " in happened for name in FAULTS), said

"""A short soak with watchers whose connections are cut, and a receiver that fails half of the time."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.proof.soak import deployed
from tests.proof.soak.deployed import Audience
from tests.proof.soak.disorder import Plan


@pytest.mark.e2e
@pytest.mark.slow
def test_no_end_is_missed_by_a_watcher_or_a_receiver(tmp_path: Path) -> None:
    said: list[str] = []
    numbers = deployed.run(
        tmp_path,
        seed=20261126,
        seconds=20,
        count=10_000,  # more than there is time for
        clients=1,
        plan=Plan(fault_rate=0, kill_every=0, outage_every=0, restart_every=0),
        audience=Audience(watchers=20, cut_every=4, has_receiver=True),
        until=("cuts", "pushes"),
        say=said.append,
    )
    assert numbers.are_as_promised, f"{numbers}\n{numbers.broken[:10]}\n{said}"
    assert (numbers.ends_missed, numbers.deliveries_missed) == (0, 0)
    assert numbers.jobs > 0
    assert _number("cuts", said) > 0
    assert _number("watchers", said) > 0
    assert _number("pushes", said) > 0, said
    tries, failures = _number("ends in", said), _number("the receiver failed", said)
    assert 0.25 < failures / tries < 0.75


def _number(name: str, said: list[str]) -> int:
    """Return the number after this text."""
    found = re.search(rf"{name} (\d+)", "\n".join(said))
    assert found is not None, said
    return int(found[1])

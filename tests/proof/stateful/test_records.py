"""What the machines read once is what the table has at each later look."""

from __future__ import annotations

import pytest
from hypothesis import Phase
from hypothesis.stateful import RuleBasedStateMachine

from asyncjobs.aws.items import from_item, to_item
from asyncjobs.core.job import AsyncJob
from tests.proof.stateful.features import Features
from tests.proof.stateful.machine import Machine, machine_with
from tests.proof.stateful.memory.expressions import Item
from tests.proof.stateful.profile import run
from tests.proof.stateful.records import Records
from tests.proof.stateful.stream.machine import StreamMachine
from tests.support.factories import new_job


def test_item_is_read_once() -> None:
    records, item = Records(), to_item(new_job())
    assert records.job(item) is records.job(item)
    assert records.job(dict(item)) is not records.job(item)


@pytest.mark.slow
@pytest.mark.parametrize("machine", [Machine, Features, StreamMachine])
def test_no_item_changes_after_it_was_read(machine: type[RuleBasedStateMachine], monkeypatch: pytest.MonkeyPatch) -> None:
    read, looks = Records.job, 0

    def compared(records: Records, item: Item) -> AsyncJob:
        nonlocal looks
        looks += 1
        job = read(records, item)
        assert job == from_item(item)
        return job

    monkeypatch.setattr(Records, "job", compared)
    run(machine_with(machine), examples=10, phases=(Phase.generate,))
    assert looks > 100

"""The sums of the soak: each counts what its name says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.proof.soak.client import read_logs
from tests.proof.soak.jobs import Kind, Task
from tests.proof.soak.tally import Ending, Ledger, Numbers, result_of, tally

TASK = Task(kind=Kind.RETURNS, number=1)
RIGHT = Ending("COMPLETED", 1, result_of(TASK), None)


def numbers(ending: Ending | None = RIGHT, *, task: Task = TASK, **changes: Any) -> Numbers:
    """Return the numbers of a soak with one job, which succeeds unless a test changes it."""
    ledger = Ledger(accepted={"a"}, asked={"a": task}, cancels=changes.pop("cancels", set()))
    facts: dict[str, Any] = {"finals": {"a": 1}, "starts": [("a.1", 1)], "faults": 0, **changes}
    return tally(ledger, {} if ending is None else {"a": ending}, **facts)


def test_successful_soak_is_as_promised() -> None:
    assert numbers().are_as_promised
    assert str(numbers()).startswith("jobs 1, lost 0, unexpected 0, stuck 0, wrong 0, double-final 0, ghosts 0, duplicates 0")


@pytest.mark.parametrize(
    ("which", "found"),
    [
        ("lost", numbers(None)),
        ("stuck", numbers(Ending("PENDING", 0, None, None))),
        ("wrong", numbers(Ending("COMPLETED", 1, b'"other"', None))),
        ("wrong", numbers(Ending("COMPLETED", 1, None, None))),
        ("wrong", numbers(Ending("FAILED", 1, None, "WORKER_LOST"))),
        ("wrong", numbers(Ending("CANCELLED", 0, None, None))),
        ("wrong", numbers(task=Task(kind=Kind.GIVES_UP, number=1))),
        ("double_final", numbers(finals={"a": 2})),
        ("ghosts", numbers(starts=[])),
        ("ends_missed", numbers(ends_missed=1)),
        ("deliveries_missed", numbers(deliveries_missed=1)),
        ("unexpected", tally(Ledger(), {"b": RIGHT}, finals={}, starts=[("b.1", 1)], faults=0)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_broken_promise_is_counted(which: str, found: Numbers) -> None:
    assert getattr(found, which) == 1
    assert not found.are_as_promised


def test_second_start_is_a_duplicate_and_allowed_once_per_fault() -> None:
    twice: dict[str, Any] = {"starts": [("a.1", 1), ("a.1", 2)], "ending": Ending("COMPLETED", 2, result_of(TASK), None)}
    assert numbers(**twice, faults=1).duplicates == 1
    assert numbers(**twice, faults=1).are_as_promised
    assert not numbers(**twice, faults=0).are_as_promised


def test_start_after_a_retry_of_the_job_is_not_a_duplicate() -> None:
    task = Task(kind=Kind.RETRIES, number=1)
    found = numbers(Ending("COMPLETED", 2, result_of(task), None), task=task, starts=[("a.1", 1), ("a.1", 2)])
    assert found.duplicates == 0
    assert found.are_as_promised


def test_attempt_that_started_twice_breaks_the_protocol() -> None:
    assert not numbers(starts=[("a.1", 1), ("a.1", 1)], faults=5).are_as_promised


def test_more_starts_than_attempts_break_the_protocol() -> None:
    assert not numbers(starts=[("a.1", 1), ("a.1", 2)], faults=5).are_as_promised


def test_cancelled_job_is_allowed_after_a_requested_cancel() -> None:
    assert numbers(Ending("CANCELLED", 0, None, None), cancels={"a"}, starts=[]).are_as_promised


def test_deleted_job_is_not_lost() -> None:
    ledger = Ledger(accepted={"a"}, asked={"a": TASK}, deletions={"a"})
    assert tally(ledger, {}, finals={}, starts=[], faults=0).lost == 0


def test_deletion_counts_unless_it_was_refused(tmp_path: Path) -> None:
    log = tmp_path / "client.log"
    lines = [{"delete": "a"}, {"kept": "a"}, {"delete": "b"}, {"delete": "c"}, {"delete": "c"}, {"kept": "c"}]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read_logs([log]).deletions == {"b", "c"}

"""The soak's watchers: what counts as a missed end."""

from __future__ import annotations

from tests.proof.soak.watchers import Watch, missed


def test_watcher_with_another_end_or_none_has_missed_it() -> None:
    watches = [Watch("a", end="COMPLETED"), Watch("b", seen=2, end="FAILED"), Watch("c"), Watch("deleted", end="GONE")]
    assert missed(watches, {"a": "COMPLETED", "b": "CANCELLED", "c": "COMPLETED", "not watched": "FAILED"}) == [
        "b is not watched, has number 2 and FAILED; it is CANCELLED",
        "c is not watched, has number 0 and no end; it is COMPLETED",
    ]


def test_each_watcher_of_a_job_must_learn_its_end() -> None:
    assert len(missed([Watch("a", end="FAILED"), Watch("a", is_watched=True)], {"a": "FAILED"})) == 1

"""Records of the table's stream: jobs before and after a write, and whatever else is in the table."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from asyncjobs.aws.dynamodb_history import history_key
from asyncjobs.aws.items import bucket_key, lock_key, to_dedupe_item, wait_slots_key
from asyncjobs.aws.stream_records import jobs_of
from tests.support.factories import JOB_ID, NOW, new_job, new_tracked_job, running_job
from tests.support.stream import record_of
from tests.unit.conftest import Lines


def test_write_has_the_job_before_and_after_it() -> None:
    before, after = new_job(), running_job()
    assert jobs_of(record_of(before, after)) == (before, after)


def test_created_job_had_no_state_before() -> None:
    assert jobs_of(record_of(None, new_job(request_hash=b"\x00\xff"))) is not None
    job = new_tracked_job(token_hash=bytes(range(32)))
    assert jobs_of(record_of(None, job)) == (None, job)


def test_deleted_or_expired_job_is_no_change() -> None:
    record = record_of(new_job(), new_job())
    del record["dynamodb"]["NewImage"]
    assert jobs_of(record) is None


@pytest.mark.parametrize(
    "key",
    [
        history_key("text.search"),
        bucket_key("alice"),
        lock_key("name"),
        wait_slots_key("alice"),
        {"pk": to_dedupe_item("alice", "name", JOB_ID, NOW)["pk"]},
    ],
)
def test_item_of_another_kind_is_no_change(key: dict[str, Any], lines: Lines) -> None:
    record = {"dynamodb": {"Keys": key, "NewImage": {**key, "revision": {"N": "1"}}, "SequenceNumber": "1"}}
    assert jobs_of(record) is None
    assert lines.events == []


@pytest.mark.parametrize("image", ["OldImage", "NewImage"])
@pytest.mark.parametrize(
    "changes",
    [{"status": {"S": "PAUSED"}}, {"attempt": {"N": "one"}}, {"requestHash": {"B": "no Base64"}}, {"requestHash": {"B": 1}}],
)
def test_job_of_a_newer_release_is_left_out_and_logged(changes: dict[str, Any], image: str, lines: Lines) -> None:
    record = record_of(new_job(), running_job())
    record["dynamodb"][image] |= changes
    assert jobs_of(record) is None
    assert lines.events == [{"message": "CHANGE_SKIPPED", "asyncJobId": JOB_ID, "errorType": "Unreadable"}]


def test_attribute_of_a_newer_release_is_ignored() -> None:
    job = replace(new_job(), message="hello")
    record = record_of(None, job)
    record["dynamodb"]["NewImage"] |= {"color": {"S": "red"}, "shape": {"B": "AA=="}}
    assert jobs_of(record) == (None, job)

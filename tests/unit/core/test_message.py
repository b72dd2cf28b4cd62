"""The message that names a job to the worker. tests/adapters has the queue."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncjobs.core.errors import MalformedMessage
from asyncjobs.core.job import JobKey, Priority
from asyncjobs.core.message import JobMessage
from asyncjobs.jobtypes.decorator import Exclusive
from asyncjobs.limits.locks import Locks
from tests.support.events import sample
from tests.support.factories import new_job
from tests.support.owners import NOT_OWNERS, OWNERS

FIELDS: dict[str, Any] = {"version": 1, "owner": "alice", "asyncJobId": "id", "gen": "g", "jobType": "sample.returns"}


def lock_of(owner: str) -> str:
    return Locks.exclusive_key(Exclusive("cache", scope="INPUT", limit=10), owner, b"{}")


def test_message_names_the_job_its_generation_and_its_type() -> None:
    job = new_job()
    assert JobMessage.of(job) == JobMessage(job.key, job.generation, job.job_type)


def test_message_holds_nothing_large_or_secret() -> None:
    job = new_job(input='"canary"', message="canary", metadata='"canary"')
    assert "canary" not in JobMessage.of(job).to_body()


@settings(max_examples=50)
@given(
    st.builds(
        JobMessage,
        st.builds(JobKey, OWNERS, st.uuids().map(str)),
        st.uuids().map(lambda generation: generation.hex),
        st.from_regex(r"[a-z][a-z0-9_]{0,20}(\.[a-z][a-z0-9_]{0,20})?", fullmatch=True),
        st.none() | st.builds(lock_of, OWNERS),
    )
)
def test_every_message_round_trips(message: JobMessage) -> None:
    assert JobMessage.parse(message.to_body()) == message


def test_sample_event_is_a_message_of_this_version() -> None:
    record = sample("worker-sqs")["Records"][0]
    assert JobMessage.parse(record["body"]).job_type == "text.search"
    assert hashlib.md5(record["body"].encode(), usedforsecurity=False).hexdigest() == record["md5OfBody"]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "no json",
        "null",
        "7",
        '"text"',
        "[]",
        "{}",
        "[" * 100_000,
        "9" * 5000,
        *(json.dumps({name: value for name, value in FIELDS.items() if name != missing}) for missing in FIELDS),
        *(json.dumps({**FIELDS, name: 7}) for name in FIELDS),
        *(json.dumps({**FIELDS, name: ""}) for name in FIELDS),
        *(json.dumps({**FIELDS, name: None}) for name in FIELDS),
    ],
    ids=lambda body: body[:40],
)
def test_malformed_body_is_rejected(body: str) -> None:
    with pytest.raises(MalformedMessage):
        JobMessage.parse(body)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("version", version) for version in (True, 1.0, "1", 2)),
        *(("owner", owner) for owner in NOT_OWNERS),
        *((name, value) for name in ("asyncJobId", "gen") for value in ("a b", "a\n", "a\u001b[2J", "ü", "a#b", "x" * 65)),
        *(("jobType", value) for value in ("Sample", "sample.returns\n", "9", "\u009b2J", "x" * 101)),
    ],
)
def test_part_that_no_job_has_is_malformed(name: str, value: Any) -> None:
    with pytest.raises(MalformedMessage):
        JobMessage.parse(json.dumps({**FIELDS, name: value}))


def test_body_that_is_longer_than_any_message_is_malformed() -> None:
    assert JobMessage.parse(json.dumps({**FIELDS, "filler": "x" * 7000}))
    with pytest.raises(MalformedMessage):
        JobMessage.parse(json.dumps({**FIELDS, "filler": "x" * 9000}))


@pytest.mark.parametrize(
    "change",
    [
        {"owner": "bob"},
        {"async_job_id": "another"},
        {"generation": "another"},
        {"job_type": "another"},
        {"exclusive_key": "1#cache"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_message_describes_its_own_job_only(change: dict[str, Any]) -> None:
    job = new_job()
    message = JobMessage.of(job)
    assert message.describes(job)
    assert message.describes(replace(job, priority=Priority.LOW, attempt=2))
    assert not message.describes(replace(job, **change))


def test_unknown_fields_are_ignored() -> None:
    assert JobMessage.parse(json.dumps({**FIELDS, "colour": 3})).generation == "g"


@settings(max_examples=50)
@given(st.text() | (st.none() | st.integers() | st.text() | st.lists(st.integers())).map(json.dumps))
def test_any_body_is_parsed_or_malformed(body: str) -> None:
    with pytest.raises(MalformedMessage):
        JobMessage.parse(body)


def test_error_does_not_quote_the_body() -> None:
    with pytest.raises(MalformedMessage) as raised:
        JobMessage.parse('{"version": 1, "owner": "canary"}')
    assert "canary" not in str(raised.value)


def test_exclusive_key_is_only_in_messages_of_exclusive_jobs() -> None:
    job = new_job()
    assert JobMessage.parse(json.dumps(FIELDS)).exclusive_key is None
    assert json.loads(JobMessage.of(job).to_body()).keys() == FIELDS.keys()
    message = JobMessage.of(job.exclusively("1#cache"))
    assert (message.exclusive_key, JobMessage.parse(message.to_body())) == ("1#cache", message)


@pytest.mark.parametrize("priority", Priority)
def test_priority_is_not_in_the_body(priority: Priority) -> None:
    message = JobMessage.of(new_job(priority=priority))
    assert message.priority is priority
    assert json.loads(message.to_body()).keys() == FIELDS.keys()


@settings(max_examples=50)
@given(st.text(min_size=1), st.text(min_size=1))
def test_group_is_one_per_owner_and_does_not_reveal_the_owner(owner: str, other: str) -> None:
    groups = {name: JobMessage(JobKey(name, "id"), "g", "sample.returns").group for name in (owner, other)}
    assert len(set(groups.values())) == len(groups)
    assert groups[owner] == JobMessage(JobKey(owner, "another"), "h", "sample.raises", priority=Priority.LOW).group
    # SQS accepts up to 128 letters and digits.
    assert len(groups[owner]) == 64
    assert set(groups[owner]) <= set("0123456789abcdef")


@pytest.mark.parametrize(
    "value",
    [
        *("", 7, [], {}, "#", "x#y", "1#", "1", "-1#cache", "0#cache", "11#cache", "2000#cache", "01#cache", "1#Cache"),
        *("1#cache\n", "1#cache#", "1#cache#alice#", "1#cache#alice#0", f"1#cache##{'0' * 64}", f"1#{'x' * 101}"),
        f"1#cache#{'x' * 256}",
        f"1#cache#alice#{'0' * 64}#x",
    ],
)
def test_text_that_names_no_lock_is_malformed(value: Any) -> None:
    with pytest.raises(MalformedMessage):
        JobMessage.parse(json.dumps({**FIELDS, "exclusiveKey": value}))

"""The message that names a job to the worker. tests/adapters has the queue."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncjobs.core.errors import MalformedMessage
from asyncjobs.core.job import JobKey, Priority
from asyncjobs.core.message import JobMessage
from tests.support.events import sample
from tests.support.factories import new_job

FIELDS: dict[str, Any] = {"version": 1, "owner": "alice", "asyncJobId": "id", "gen": "g", "jobType": "sample.returns"}


def test_message_names_the_job_its_generation_and_its_type() -> None:
    job = new_job()
    assert JobMessage.of(job) == JobMessage(job.key, job.generation, job.job_type)


def test_message_holds_nothing_large_or_secret() -> None:
    job = new_job(input='"canary"', message="canary", metadata='"canary"')
    assert "canary" not in JobMessage.of(job).to_body()


@settings(max_examples=50)
@given(
    st.builds(JobMessage, st.builds(JobKey, st.text(min_size=1), st.text(min_size=1)), st.text(min_size=1), st.text(min_size=1))
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


@pytest.mark.parametrize("value", ["", 7, [], {}])
def test_exclusive_key_that_is_not_text_is_malformed(value: Any) -> None:
    with pytest.raises(MalformedMessage):
        JobMessage.parse(json.dumps({**FIELDS, "exclusiveKey": value}))

"""Topics as text."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from asyncjobs.core.watch import Topic
from tests.support.factories import JOB_ID, NOW, new_job

OWNERS = st.text("a#J/O.", min_size=1, max_size=4)
TOPICS = st.one_of(
    OWNERS.map(Topic),
    st.tuples(OWNERS, st.just(JOB_ID), st.sampled_from([NOW, NOW + timedelta(milliseconds=1)])).map(Topic._make),
)


@given(TOPICS)
def test_topic_is_read_as_it_was_written(topic: Topic) -> None:
    assert Topic.parse(topic.text) == topic


@given(TOPICS, TOPICS)
def test_no_two_topics_have_the_same_text(one: Topic, other: Topic) -> None:
    assert (one.text == other.text) == (one == other)


def test_topic_of_a_job_ends_with_it() -> None:
    successor = new_job(now=NOW + timedelta(seconds=1))
    assert Topic.of_job(successor) != Topic.of_job(new_job()) == Topic("alice", JOB_ID, NOW)

"""What a ticket opens, and what of its text is stored."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncjobs.core.errors import InvalidTicket
from asyncjobs.core.ticket import Ticket, new_ticket_text, ticket_hash
from tests.support.factories import JOB_ID, NOW, new_job

OTHER = "00000000-0000-4000-8000-000000000001"


def test_ticket_opens_its_jobs_only() -> None:
    ticket = Ticket("alice", {JOB_ID: NOW}, NOW)
    assert ticket.opens(new_job())
    assert not ticket.opens(new_job(async_job_id=OTHER))
    assert not ticket.opens(new_job(owner="bob"))


def test_ticket_of_an_owner_opens_all_jobs_of_that_owner() -> None:
    ticket = Ticket("alice", None, NOW)
    assert ticket.opens(new_job())
    assert ticket.opens(new_job(async_job_id=OTHER))
    assert not ticket.opens(new_job(owner="bob"))


def test_ticket_of_a_deleted_job_does_not_open_its_successor_of_the_same_id() -> None:
    ticket, job = Ticket("alice", {JOB_ID: NOW}, NOW), new_job()
    later = new_job(now=NOW + timedelta(seconds=1))
    assert (later.key, ticket.opens(later)) == (job.key, False)


def test_retried_job_stays_open() -> None:
    failed = new_job().cancelled(now=NOW)
    retried = failed.retried(
        max_attempts=3, timeout=timedelta(minutes=1), deadline=timedelta(days=1), now=NOW + timedelta(seconds=9)
    )
    assert Ticket("alice", {JOB_ID: NOW}, NOW).opens(retried)


def test_each_ticket_has_another_text_and_another_hash() -> None:
    texts = {new_ticket_text() for _ in range(50)}
    assert len({ticket_hash(text) for text in texts}) == 50


def test_hash_does_not_contain_the_text() -> None:
    text = new_ticket_text()
    assert len(ticket_hash(text)) == 32
    assert ticket_hash(text) not in text


@given(st.text(max_size=60) | st.just(new_ticket_text() + "x") | st.just(new_ticket_text()[:-1]))
def test_text_of_another_form_is_rejected(text: str) -> None:
    with pytest.raises(InvalidTicket):
        ticket_hash(text)

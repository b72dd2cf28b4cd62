"""Issuing and opening tickets."""

from __future__ import annotations

from datetime import timedelta

import pytest

from asyncjobs.core.errors import InvalidTicket, JobNotFound, Unavailable
from asyncjobs.core.ticket import MAX_TICKET, new_ticket_text
from asyncjobs.push.tickets import TicketIssuer, opened
from tests.support.factories import JOB_ID, NOW, new_job
from tests.support.fakes import FakeClock, FakeStore, FakeTickets

UNKNOWN = "00000000-0000-4000-8000-000000000001"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
def tickets() -> FakeTickets:
    return FakeTickets()


@pytest.fixture
def issuer(tickets: FakeTickets, clock: FakeClock) -> TicketIssuer:
    jobs = [new_job(), new_job(async_job_id=UNKNOWN, owner="bob")]
    return TicketIssuer(store=FakeStore({job.key: job for job in jobs}), tickets=tickets, clock=clock)


def test_issued_ticket_opens_its_job_until_it_expires(issuer: TicketIssuer, tickets: FakeTickets) -> None:
    text = issuer.issue("alice", [JOB_ID], timedelta(seconds=60)).text
    found = opened(text, tickets=tickets, now=NOW + timedelta(seconds=59.9))
    assert (found.owner, found.opens(new_job()), found.expires_at) == ("alice", True, NOW + timedelta(seconds=60))
    with pytest.raises(InvalidTicket):
        opened(text, tickets=tickets, now=NOW + timedelta(seconds=60))


def test_ticket_lives_no_longer_than_the_limit(issuer: TicketIssuer) -> None:
    assert issuer.issue("alice", None, timedelta(days=1)).ticket.expires_at == NOW + MAX_TICKET


def test_text_of_a_ticket_is_not_stored(issuer: TicketIssuer, tickets: FakeTickets) -> None:
    issued = issuer.issue("alice", [JOB_ID])
    assert issued.text.removeprefix("ajt_") not in repr(tickets.stored)


@pytest.mark.parametrize("async_job_id", [UNKNOWN, "00000000-0000-4000-8000-000000000009"], ids=["another's", "unknown"])
def test_ticket_for_a_job_that_is_not_the_owners_is_refused(
    issuer: TicketIssuer, tickets: FakeTickets, async_job_id: str
) -> None:
    with pytest.raises(JobNotFound):
        issuer.issue("alice", [JOB_ID, async_job_id])
    assert tickets.stored == {}


def test_ticket_for_an_expired_job_is_refused(issuer: TicketIssuer, clock: FakeClock) -> None:
    clock.now = new_job().record_expires_at
    with pytest.raises(JobNotFound):
        issuer.issue("alice", [JOB_ID])


def test_unknown_ticket_is_refused(tickets: FakeTickets) -> None:
    with pytest.raises(InvalidTicket):
        opened(new_ticket_text(), tickets=tickets, now=NOW)


def test_text_of_another_form_is_refused_without_a_read(tickets: FakeTickets) -> None:
    tickets.is_down = True
    for text in ("", "ajt_", "ajw_" + new_ticket_text()[4:], "x" * 3000):
        with pytest.raises(InvalidTicket):
            opened(text, tickets=tickets, now=NOW)
    with pytest.raises(Unavailable):
        opened(new_ticket_text(), tickets=tickets, now=NOW)

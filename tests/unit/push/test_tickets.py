"""Issuing and opening tickets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import pytest

from asyncjobs.core.errors import InvalidTicket, JobNotFound, SubmitRateExceeded, Unavailable, Unreadable
from asyncjobs.core.job import AsyncJob, JobKey
from asyncjobs.core.rate import SubmitRate
from asyncjobs.core.ticket import MAX_TICKET, new_ticket_text
from asyncjobs.limits.admission import Admission
from asyncjobs.push.tickets import TicketIssuer, opened
from tests.support.factories import JOB_ID, NOW, new_job
from tests.support.fakes import FakeClock, FakeQueue, FakeStore, FakeTickets

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


def test_jobs_of_a_ticket_are_one_read(tickets: FakeTickets, clock: FakeClock) -> None:
    reads: list[Sequence[JobKey]] = []

    class Store(FakeStore):
        def get_all(self, keys: Sequence[JobKey]) -> Mapping[JobKey, AsyncJob | Unreadable]:
            reads.append(keys)
            return super().get_all(keys)

        def get(self, key: JobKey) -> AsyncJob | None:
            raise AssertionError(f"{key} is read alone")

    jobs = [new_job(), new_job(async_job_id=UNKNOWN)]
    store = Store({job.key: job for job in jobs})
    found = TicketIssuer(store=store, tickets=tickets, clock=clock).issue("alice", [JOB_ID, UNKNOWN]).ticket
    assert found.jobs == {JOB_ID: NOW, UNKNOWN: NOW}
    assert reads == [[job.key for job in jobs]]


def test_ticket_for_a_job_that_cannot_be_read_is_refused_as_its_read_is(tickets: FakeTickets, clock: FakeClock) -> None:
    class Store(FakeStore):
        def get_all(self, keys: Sequence[JobKey]) -> Mapping[JobKey, AsyncJob | Unreadable]:
            return {key: Unreadable("of a newer release") for key in keys}

    with pytest.raises(Unreadable):
        TicketIssuer(store=Store(), tickets=tickets, clock=clock).issue("alice", [JOB_ID])
    assert tickets.stored == {}


def test_ticket_counts_under_the_submit_rate(tickets: FakeTickets, clock: FakeClock) -> None:
    store = FakeStore({new_job().key: new_job()})
    admission = Admission(store=store, queue=FakeQueue(), clock=clock, rate=SubmitRate(per_minute=1, burst=1))
    issuer = TicketIssuer(store=store, tickets=tickets, clock=clock, admission=admission)
    issuer.issue("alice", [JOB_ID])
    with pytest.raises(SubmitRateExceeded):
        issuer.issue("alice", None)
    assert len(tickets.stored) == 1


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

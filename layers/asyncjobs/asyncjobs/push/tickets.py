"""Issue and check tickets, by which a browser reads jobs without its user's access token.

The table stores a hash of each ticket. So there is no signing key to keep, share or rotate, a reader of the table, its
stream or a backup cannot use a ticket, and a ticket's text shows neither its owner nor its jobs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from asyncjobs.core.clock import Clock
from asyncjobs.core.errors import InvalidTicket, Unreadable
from asyncjobs.core.job import JobKey, present_job
from asyncjobs.core.ports import Store, Tickets
from asyncjobs.core.ticket import MAX_TICKET, Ticket, new_ticket_text, ticket_hash
from asyncjobs.core.watch import CONNECT_WITHIN

if TYPE_CHECKING:
    from asyncjobs.limits.admission import Admission


class IssuedTicket(NamedTuple):
    """A new ticket and its text, which only the answer that issues it has."""

    ticket: Ticket
    text: str


class TicketIssuer:
    """Issues tickets for jobs of their owner. Each counts under the owner's submit rate, since it is stored."""

    def __init__(self, *, store: Store, tickets: Tickets, clock: Clock, admission: Admission | None = None) -> None:
        self._store = store
        self._tickets = tickets
        self._clock = clock
        self._admission = admission

    def issue(
        self,
        owner: str,
        async_job_ids: Iterable[str] | None,
        lifetime: timedelta = MAX_TICKET,
        *,
        for_a_connection: bool = False,
    ) -> IssuedTicket:
        """Issue a ticket for these jobs, or for all of the owner's.

        It reads them until its lifetime is over; or it opens one connection within a minute, which then ends at that time.
        Raises `JobNotFound` for any job that is not the owner's, `SubmitRateExceeded`, `Unavailable`.
        """
        if self._admission is not None:
            self._admission.take_token(owner)
        now = self._clock()
        jobs = None if async_job_ids is None else self._created(owner, async_job_ids, now)
        ends_at = now + min(lifetime, MAX_TICKET)
        ticket = Ticket(owner, jobs, expires_at=ends_at)
        if for_a_connection:
            ticket = Ticket(owner, jobs, expires_at=min(now + CONNECT_WITHIN, ends_at), connection_ends_at=ends_at)
        issued = IssuedTicket(ticket, new_ticket_text())
        self._tickets.put(ticket_hash(issued.text), issued.ticket)
        return issued

    def _created(self, owner: str, async_job_ids: Iterable[str], now: datetime) -> Mapping[str, datetime]:
        keys = [JobKey(owner, async_job_id) for async_job_id in async_job_ids]
        found = self._store.get_all(keys)
        created: dict[str, datetime] = {}
        for key in keys:
            job = found.get(key)
            if isinstance(job, Unreadable):
                raise job
            created[key.async_job_id] = present_job(job, now).created_at
        return created


def opened(text: str, *, tickets: Tickets, now: datetime) -> Ticket:
    """Return the ticket that reads. Raises `InvalidTicket`, without a read for a text that is not a ticket's."""
    ticket = tickets.get(ticket_hash(text))
    if ticket is None or ticket.expires_at <= now or ticket.connection_ends_at is not None:
        raise InvalidTicket
    return ticket

"""The operations that a ticket opens: those that read its jobs. No gateway verifies a ticket, so each of them does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from asyncjobs.core.clock import Clock
from asyncjobs.core.errors import JobNotFound
from asyncjobs.core.ports import Tickets
from asyncjobs.core.ticket import Ticket
from asyncjobs.http.answers import Answer
from asyncjobs.http.api import Handlers
from asyncjobs.http.event_routes import EventRoutes
from asyncjobs.http.job_answers import PastDurations, none_known
from asyncjobs.http.operations import Operation, Success, handlers_by_route, operations_of
from asyncjobs.http.query_routes import QueryRoutes
from asyncjobs.http.query_string import Query, text_of
from asyncjobs.http.request import Request
from asyncjobs.push.tickets import opened
from asyncjobs.service.event_feed import EventFeed
from asyncjobs.service.queries import Queries

if TYPE_CHECKING:
    from asyncjobs.core.ports import EventLog

_PARAMETER = "ticket"


class TicketRequest(Request):
    """A request with a ticket in place of an access token. The links in its answer lead to operations that the ticket opens."""

    def __init__(self, request: Request, ticket: Ticket) -> None:
        super().__init__(request.event)
        self._ticket = ticket

    @property
    def owner(self) -> str:
        """Return the owner of the ticket's jobs."""
        return self._ticket.owner

    @property
    def base(self) -> str:
        """Return the base path of these operations, as `Request.base` returns the API's."""
        return super().base.removesuffix("../")

    @property
    def query(self) -> Query:
        """Return the parameters of the query, without the ticket."""
        return {name: values for name, values in super().query.items() if name != _PARAMETER}


def ticket_query_handlers(
    queries: Queries, tickets: Tickets, log: EventLog | None, *, clock: Clock, durations_of: PastDurations = none_known
) -> Handlers:
    """Return the handlers of the operations that a ticket opens."""
    return handlers_by_route(TicketQueryRoutes(queries, tickets, log, clock, durations_of), TICKET_QUERIES)


def _answers_of(operation: Operation) -> Mapping[int, Success]:
    """Return the operation's answers, without links to operations that need an access token."""
    return {status: success._replace(links=()) for status, success in operation.answers.items()}


_LIST_JOBS, _GET_JOB, _GET_RESULT = QueryRoutes.list_jobs, QueryRoutes.get_job, QueryRoutes.get_job_result
_LIST_EVENTS = EventRoutes.list_job_events


class TicketQueryRoutes:
    """The operations that a ticket opens."""

    def __init__(
        self, queries: Queries, tickets: Tickets, log: EventLog | None, clock: Clock, durations_of: PastDurations
    ) -> None:
        self._queries = queries
        self._tickets = tickets
        self._log = log
        self._clock = clock
        self._durations_of = durations_of

    @Operation(
        "GET /tickets/jobs",
        parameters=_LIST_JOBS.parameters,
        answers=_answers_of(_LIST_JOBS),
        errors=("INVALID_TICKET", "JOB_NOT_FOUND", *_LIST_JOBS.errors),
        security="ticket",
    )
    def list_ticket_jobs(self, request: Request) -> Answer:
        """List all jobs with a ticket of `scope` owner, newest first. A ticket for single jobs has no list."""
        ticket = self._ticket(request)
        if ticket.jobs is not None:
            raise JobNotFound
        return self._answer(_LIST_JOBS, request, ticket)

    @Operation(
        "GET /tickets/jobs/{asyncJobId}",
        parameters=_GET_JOB.parameters,
        answers=_answers_of(_GET_JOB),
        errors=("INVALID_TICKET", "JOB_NOT_FOUND", *_GET_JOB.errors),
        security="ticket",
    )
    def get_ticket_job(self, request: Request) -> Answer:
        """Get a job with a ticket."""
        return self._answer(_GET_JOB, request, self._ticket(request))

    @Operation(
        "GET /tickets/jobs/{asyncJobId}/result",
        answers=_answers_of(_GET_RESULT),
        errors=("INVALID_TICKET", "JOB_NOT_FOUND", "INVALID_REQUEST", *_GET_RESULT.errors),
        security="ticket",
    )
    def get_ticket_job_result(self, request: Request) -> Answer:
        """Get a job's result with a ticket."""
        return self._answer(_GET_RESULT, request, self._ticket(request))

    @Operation(
        "GET /tickets/jobs/{asyncJobId}/events",
        parameters=_LIST_EVENTS.parameters,
        answers=_answers_of(_LIST_EVENTS),
        errors=("INVALID_TICKET", "JOB_NOT_FOUND", *_LIST_EVENTS.errors),
        security="ticket",
    )
    def list_ticket_job_events(self, request: Request) -> Answer:
        """List a job's events with a ticket, or wait for the next one: a browser's `EventSource` has the ticket in its URL."""
        ticket = self._ticket(request)
        feed = EventFeed(self._queries.only(ticket.opens), self._log)
        return _LIST_EVENTS.handle(EventRoutes(feed, self._clock, self._durations_of), TicketRequest(request, ticket))

    def _ticket(self, request: Request) -> Ticket:
        return opened(_ticket_text(request), tickets=self._tickets, now=self._clock())

    def _answer(self, operation: Operation, request: Request, ticket: Ticket) -> Answer:
        """Answer as the operation does, if the ticket opens the job."""
        routes = QueryRoutes(self._queries.only(ticket.opens), self._clock, self._durations_of)
        return operation.handle(routes, TicketRequest(request, ticket))


TICKET_QUERIES = operations_of(TicketQueryRoutes)


def _ticket_text(request: Request) -> str:
    """Return the ticket of the query or the header: a browser's links and its `EventSource` send no header of a page."""
    in_query = request.query.get(_PARAMETER)
    return request.bearer or "" if in_query is None else ",".join(map(text_of, in_query))

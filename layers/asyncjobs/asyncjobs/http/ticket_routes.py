"""The operation that issues tickets."""

from __future__ import annotations

from datetime import timedelta

from asyncjobs.core.clock import rfc3339
from asyncjobs.core.errors import InputProblem
from asyncjobs.core.ticket import MAX_TICKET, MAX_TICKET_JOBS
from asyncjobs.http.answers import Answer, answer
from asyncjobs.http.api import Handlers
from asyncjobs.http.bodies import checked
from asyncjobs.http.operations import Operation, Success, handlers_by_route, operations_of
from asyncjobs.http.problems import invalid_request
from asyncjobs.http.request import Request, id_of
from asyncjobs.http.schemas import STRING, TIME, URI, UUID, Schema, answer_object, described
from asyncjobs.jobtypes.json_schema import nulls_left_out
from asyncjobs.push.tickets import TicketIssuer

_LONGEST = MAX_TICKET // timedelta(seconds=1)

TICKET_REQUEST = Schema(
    "TicketRequest",
    nulls_left_out(
        {
            "type": "object",
            "description": "What the ticket opens: `jobs`, or with `scope` all of your jobs.",
            "additionalProperties": False,
            "properties": {
                "jobs": {"type": "array", "items": UUID, "minItems": 1, "maxItems": MAX_TICKET_JOBS},
                "scope": {"enum": ["owner"]},
                "use": described(
                    "`read` (the default): reads the jobs. `connect`: opens one connection of the WebSocket API within a minute, "
                    "which lives for `ttlSeconds` from now.",
                    {"enum": ["read", "connect"]},
                ),
                "ttlSeconds": {"type": "integer", "minimum": 1, "maximum": _LONGEST, "default": _LONGEST},
            },
        }
    ),
)
TICKET = Schema(
    "Ticket",
    answer_object(
        "A ticket.",
        {
            "ticket": described("A secret: everybody who has it can read these jobs.", STRING),
            "expiresAt": described("Until when it can be used.", TIME),
            "url": described("The URL to connect to, with the ticket, for `use` connect.", URI),
            "connectionEndsAt": described("When the connection will end, for `use` connect.", TIME),
        },
        optional=("url", "connectionEndsAt"),
    ),
)


def ticket_handlers(issuer: TicketIssuer, *, socket_url: str) -> Handlers:
    """Return the handler of the operation that issues tickets. The URL of the WebSocket API is empty if it is off."""
    return handlers_by_route(TicketRoutes(issuer, socket_url), TICKETS)


class TicketRoutes:
    """The operation that issues tickets."""

    def __init__(self, issuer: TicketIssuer, socket_url: str) -> None:
        self._issuer = issuer
        self._socket_url = socket_url

    @Operation(
        "POST /tickets",
        body=TICKET_REQUEST,
        example={"jobs": ["3f2b8c1e-4d5a-4b6c-8d7e-9f0a1b2c3d4e"], "ttlSeconds": 300},
        answers={201: Success("The ticket.", TICKET)},
        errors=("JOB_NOT_FOUND", "SUBMIT_RATE_EXCEEDED", "UNAVAILABLE"),
    )
    def create_ticket(self, request: Request) -> Answer:
        """Issue a ticket that opens some of your jobs, read-only, for up to 15 minutes.

        Give it to a browser, which needs no access token then. It opens `GET /tickets/jobs/{asyncJobId}` and the paths below
        it, with `scope` also `GET /tickets/jobs`, or with `use` connect a WebSocket, and nothing else. It ends early for a job that
        is deleted.
        """
        owner, wanted = request.owner, checked(TICKET_REQUEST, request.json())
        if ("jobs" in wanted) == ("scope" in wanted):
            raise invalid_request(InputProblem("/jobs", "is required, or `scope`, and not both"))
        jobs = [id_of(each) for each in wanted["jobs"]] if "jobs" in wanted else None
        connects = wanted.get("use") == "connect"
        if connects and not self._socket_url:
            raise invalid_request(
                InputProblem("/use", "cannot be `connect`: this deployment has no WebSocket API. Poll instead")
            )
        lifetime = timedelta(seconds=int(wanted.get("ttlSeconds", _LONGEST)))
        issued = self._issuer.issue(owner, jobs, lifetime, for_a_connection=connects)
        ticket = issued.ticket
        body = {"ticket": issued.text, "expiresAt": rfc3339(ticket.expires_at)}
        if ticket.connection_ends_at is not None:
            body["url"] = f"{self._socket_url}?ticket={issued.text}"
            body["connectionEndsAt"] = rfc3339(ticket.connection_ends_at)
        return answer(201, body)


TICKETS = operations_of(TicketRoutes)

"""The record of an operation: one place for its route, its handler and all that the OpenAPI document says of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from asyncjobs.http.problems import Problem
from asyncjobs.http.request import BASE_PATH, Request

if TYPE_CHECKING:
    from asyncjobs.http.answers import Answer
    from asyncjobs.http.schemas import Schema
    from asyncjobs.jobtypes.decorator import JobType

Handler = Callable[[Any, Any], "Answer"]
"""A method of a class of routes, and the request, of which some operations make one of their own kind.

Its name is the operationId in snake case, its docstring the summary and the description.
"""


# Neither record is a dataclass: defining one takes 0.3 ms of each cold start.
class Success(NamedTuple):
    """An answer that is not a problem."""

    description: str
    schema: str | Schema | None = None
    """The body's schema; None for an answer without a body."""
    always: tuple[str, ...] = ()
    """Headers of each such answer."""
    sometimes: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    """Operations on the answer's job that may follow."""
    headers: Mapping[str, Any] = {}
    """Headers that no other answer has in this form, with their descriptions."""
    others: Mapping[str, Any] = {}
    """Schemas of the body in media types other than JSON, of which a client gets one that it names in `Accept`."""


class Operation:
    """An operation of the API, and the decorator of the method that handles it.

    Schemas and parameters that several operations use are in `codegen.components`, and are named here.

    The document adds what follows from these: the parameters of the path, and the problems of every operation, of one with a
    body, with an owner, or with a job's id in its path.
    """

    def __init__(
        self,
        route: str,
        *,
        answers: Mapping[int, Success],
        parameters: tuple[str | dict[str, Any], ...] = (),
        body: str | Schema | None = None,
        example: Any = None,
        errors: tuple[str, ...] = (),
        waiting_errors: tuple[str, ...] = (),
        security: Literal["bearer", "workerToken", "ticket"] | None = "bearer",
        description: str = "",
        handler: Handler | None = None,
        job_type: JobType | None = None,
    ) -> None:
        self.route = route
        """The method, and the path below `/api/v1`."""
        self.answers = answers
        self.parameters = parameters
        """Parameters of the query and the header."""
        self.body = body
        """The request body's schema."""
        self.example = example
        """A request body."""
        self.errors = errors
        """Codes of problems that the operation has in addition."""
        self.waiting_errors = waiting_errors
        """Codes of problems that say how the job ended while its caller waited."""
        self.is_json = HTTPStatus.SEE_OTHER not in answers and any(success.schema for success in answers.values())
        """Whether every answer with a body is JSON: then a request that accepts none is rejected before it has any effect.

        An operation that may redirect to an object of another type checks that itself, when it has the answer.
        """
        self.other_types = frozenset(name for success in answers.values() for name in success.others)
        """Media types other than JSON, for clients that name them."""
        self.security = security
        """The token that the operation requires. The gateway verifies a `bearer` token, the function any other."""
        self.description = description
        """The description, if it is not the handler's docstring."""
        self.handler = handler
        self.job_type = job_type
        """The job type that declares the route; None for an operation that every deployment has."""

    def __call__(self, handler: Handler) -> Operation:
        """Return the record with its handler."""
        self.handler = handler
        return self

    def handle(self, routes: object, request: Request) -> Answer:
        """Answer the request by the operation's handler, a method of the class of `routes`."""
        if self.is_json and not request.accepts_json and not any(map(request.accepts, self.other_types)):
            raise Problem("NOT_ACCEPTABLE")
        if self.handler is None:
            raise LookupError(f"{self.route} has no handler.")
        return self.handler(routes, request)

    @property
    def route_key(self) -> str:
        """Return the route as API Gateway names it."""
        method, _, path = self.route.partition(" ")
        return f"{method} {BASE_PATH}{path}"

    @property
    def path_parameters(self) -> tuple[str, ...]:
        """Return the names of the parameters in the path."""
        return tuple(part[1:-1] for part in self.route.split("/") if part.startswith("{"))


def operations_of(routes: type) -> tuple[Operation, ...]:
    """Return the operations that a class of routes handles, in the order of its methods."""
    return tuple(value for value in vars(routes).values() if isinstance(value, Operation))


def handlers_by_route(routes: object, operations: Iterable[Operation]) -> dict[str, Callable[[Request], Answer]]:
    """Return the handler of each route as API Gateway names it."""
    return {each.route_key: partial(each.handle, routes) for each in operations}

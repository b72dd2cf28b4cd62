"""The entry point of the API's functions: from an event of API Gateway to its answer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from asyncjobs.http.answers import Answer, problem_answer
from asyncjobs.http.problems import Problem, to_problem
from asyncjobs.http.request import Request
from asyncjobs.log import log_event

Handlers = Mapping[str, Callable[[Request], Answer]]
"""The handler of each route."""

_SERVER_ERROR = 500


class Api:
    """Answers each request by the handler of its route. Every error is answered with a problem."""

    def __init__(self, handlers: Handlers, more: Iterable[Callable[[], Handlers]] = ()) -> None:
        """Make the API. Each of `more` returns further handlers: for routes whose modules few cold starts need."""
        self._handlers = handlers
        self._more = list(more)

    def handle(self, event: Mapping[str, Any]) -> Answer:
        """Answer an event of an HTTP API (payload format 2.0)."""
        return answered(Request(event), lambda request: self._handler(request.route)(request))

    def _handler(self, route: str) -> Callable[[Request], Answer]:
        while route not in self._handlers and self._more:
            self._handlers = {**self._handlers, **self._more.pop(0)()}
        return self._handlers[route]


def answered(request: Request, handle: Callable[[Request], Answer]) -> Answer:
    """Answer the request by `handle`, and every error with a problem: Lambda would log the text of one that it catches."""
    try:
        found = handle(request)
    except Exception as error:  # noqa: BLE001 - a bug, too, is answered with a problem
        found = problem_answer(logged_problem(request.route, error), request.request_id)
    return {**found, "body": ""} if request.is_head else found


def logged_problem(route: str, error: Exception) -> Problem:
    """Return the error's problem, and log it: the line has the request id that the client reads.

    A bug is logged with its traceback; its problem says nothing of it. Another problem of the server is a warning.
    """
    problem = to_problem(error)
    if problem is None:
        log_event("REQUEST_FAILED", route=route, exception=error)
        return Problem("INTERNAL_ERROR")
    level = logging.WARNING if problem.status >= _SERVER_ERROR else None
    log_event("PROBLEM_ANSWERED", level=level, route=route, errorCode=problem.code)
    return problem

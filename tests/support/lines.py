"""Collect the log lines of a function."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

from asyncjobs.aws.log_lines import lambda_logger
from tests.support.events import LambdaContext


class Written:
    """The log lines so far."""

    def __init__(self, invoke: Callable[..., Any], out: io.StringIO) -> None:
        self.invoke = invoke
        """Call a function in a new invocation, with or without a correlation id."""
        self._out = out

    @property
    def text(self) -> str:
        return self._out.getvalue()

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]

    def names(self) -> set[str]:
        return {line["message"] for line in self.lines()}


@contextmanager
def written_lines(level: str = "INFO", *, with_exception_text: bool = False) -> Iterator[Written]:
    """Configure the logger as a function of the stack `orders` does, and collect its lines."""
    with unconfigured_logger():
        out = io.StringIO()
        with redirect_stdout(out):
            logger = lambda_logger("orders", level, with_exception_text=with_exception_text)

        def invoke(handler: Callable[[], Any], *, correlation_id: str | None = None) -> Any:
            path = None if correlation_id is None else "id"

            @logger.inject_lambda_context(correlation_id_path=path)
            def handle(_event: dict[str, Any], _context: LambdaContext) -> Any:
                return handler()

            return handle({"id": correlation_id}, LambdaContext())

        yield Written(invoke, out)


@contextmanager
def unconfigured_logger() -> Iterator[None]:
    """Remove the configuration of the library's logger inside the `with` block: a process has only one."""
    logger = logging.getLogger("asyncjobs")
    before = vars(logger).copy()
    logger.handlers, logger.propagate = [], True
    for name in before.keys() - vars(logging.getLogger("unconfigured")).keys():  # Powertools' markers
        delattr(logger, name)
    try:
        yield
    finally:
        vars(logger).clear()
        vars(logger).update(before)
        logger.setLevel(before["level"])

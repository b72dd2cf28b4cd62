"""Tables of operations and error codes for the documentation, made of the same records as the OpenAPI document."""

from __future__ import annotations

from asyncjobs.codegen.openapi import OPERATIONS, summary_of
from asyncjobs.http.error_codes import ERRORS, ErrorCode
from asyncjobs.http.operations import Operation

_TOKENS = {"bearer": "the caller's", "workerToken": "the worker's", "ticket": "a ticket", None: "none"}


def with_tables(text: str) -> str:
    """Return the Markdown text with each table between `<!-- table: NAME -->` and `<!-- end of table -->` as it is now."""
    tables = {"operations": operations_table(), "errors": errors_table()}
    for name, table in tables.items():
        before, mark, rest = text.partition(f"<!-- table: {name} -->\n")
        if mark:
            _, end, after = rest.partition("\n<!-- end of table -->")
            text = f"{before}{mark}{table}{end}{after}"
    return text


def operations_table() -> str:
    """Return a row for each operation that every deployment has."""
    rows = map(_operation_row, OPERATIONS)
    return "\n".join(("| operation | what it does | token | answers |", "|---|---|---|---|", *rows))


def errors_table() -> str:
    """Return a row for each error code."""
    rows = map(_error_row, ERRORS.values())
    return "\n".join(("| status | code | title | what to do |", "|---|---|---|---|", *rows))


def _operation_row(operation: Operation) -> str:
    statuses = ", ".join(map(str, operation.answers))
    return f"| `{operation.route}` | {summary_of(operation)} | {_TOKENS[operation.security]} | {statuses} |"


def _error_row(error: ErrorCode) -> str:
    waiting = f" The status is {error.waiting_status} if the caller waited for the job." if error.waiting_status else ""
    return f"| {error.status} | `{error.code}` | {error.title} | {error.detail}{waiting} |"

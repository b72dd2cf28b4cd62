"""The documents' tables are those of the records."""

from __future__ import annotations

import re

from asyncjobs.codegen.openapi import OPERATIONS
from asyncjobs.codegen.tables import errors_table, operations_table, with_tables
from asyncjobs.http.command_routes import operations_of_job_type
from asyncjobs.http.error_codes import ERRORS
from asyncjobs.jobtypes.catalog import Catalog
from tests.template.source import ROOT

HTTP_API = (ROOT / "docs/http-api.md").read_text()


def test_committed_tables_are_current() -> None:
    assert with_tables(HTTP_API) == HTTP_API, "run `make catalog`"
    assert operations_table() in HTTP_API
    assert errors_table() in HTTP_API


def test_stale_table_is_replaced_and_the_text_around_it_kept() -> None:
    text = "Before.\n<!-- table: errors -->\nstale\n<!-- end of table -->\nAfter.\n"
    written = with_tables(text)
    assert written == f"Before.\n<!-- table: errors -->\n{errors_table()}\n<!-- end of table -->\nAfter.\n"
    assert with_tables(written) == written


def test_text_without_marks_is_kept() -> None:
    assert with_tables("| `GET /jobs` |\n") == "| `GET /jobs` |\n"


def test_tables_have_a_row_for_each_record() -> None:
    assert operations_table().count("\n") == len(OPERATIONS) + 1
    assert errors_table().count("\n") == len(ERRORS) + 1


def test_readme_names_only_routes_that_there_are() -> None:
    own = {operation.route for job_type in Catalog.read() for operation in operations_of_job_type(job_type)}
    routes = {operation.route.replace("{asyncJobId}", "{id}").replace("{webhookId}", "{id}") for operation in OPERATIONS}
    _, _, section = (ROOT / "README.md").read_text().partition("\n## The API\n")
    named = re.findall(r"`((?:GET|POST|PUT|PATCH|DELETE) /[^`?]*)", section.partition("\n## ")[0])
    # It shows those of some job types, and need not show each route: docs/http-api.md does.
    assert set(named) - own <= routes
    assert len(named) == len(set(named))

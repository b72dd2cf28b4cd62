"""The table of error codes: complete, in plain English, and used."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from http import HTTPStatus

import pytest

from asyncjobs.codegen.openapi import OPERATIONS, codes_of
from asyncjobs.http.error_codes import ERRORS, ErrorCode
from asyncjobs.http.socket_api import CODES
from tests.template.source import ROOT

TABLE = ROOT / "layers/asyncjobs/asyncjobs/http/error_codes.py"
LOG_EVENTS = {"PROBLEM_ANSWERED", "REQUEST_FAILED", "ISSUER_UNAVAILABLE"}
each_error = pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)


def codes_in(source: str) -> Iterator[str]:
    """Yield the strings that look like a code."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Constant(value=str(text)) if re.fullmatch("[A-Z][A-Z_]{3,}", text):
                yield text


def test_each_code_in_the_http_package_is_in_the_table() -> None:
    sources = [path.read_text() for path in TABLE.parent.glob("*.py") if path != TABLE]
    assert {code for source in sources for code in codes_in(source)} - LOG_EVENTS <= ERRORS.keys()


def test_each_code_is_answered_by_an_operation_or_a_socket() -> None:
    assert {code for operation in OPERATIONS for _, code in codes_of(operation)} | {*CODES} == ERRORS.keys()


def test_table_is_sorted_by_status() -> None:
    statuses = [error.status for error in ERRORS.values()]
    assert statuses == sorted(statuses)


@each_error
def test_status_is_that_of_an_error(error: ErrorCode) -> None:
    for status in (error.status, error.waiting_status or error.status):
        assert HTTPStatus(status) >= HTTPStatus.BAD_REQUEST


@each_error
def test_title_is_a_phrase_and_detail_a_sentence(error: ErrorCode) -> None:
    assert re.fullmatch(r"[A-Z][^.]*[^. ]", error.title)
    assert re.fullmatch(r"[A-Z`].*[.]", error.detail)


def test_no_two_codes_have_the_same_title_or_error() -> None:
    for values in ([error.title for error in ERRORS.values()], [e.raised_as for e in ERRORS.values() if e.raised_as]):
        assert len(set(values)) == len(values)

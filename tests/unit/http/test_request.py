"""The parts of a request are checked when they are read."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncjobs.http.problems import Problem
from asyncjobs.http.request import MAX_BODY, Request
from tests.support.events import as_owner, sample


def request(**changes: Any) -> Request:
    """Return the sample submit with these headers (in lower case; None removes one), body or flags."""
    event = sample("submit")
    for name, value in changes.pop("headers", {}).items():
        event["headers"].pop(name, None)
        if value is not None:
            event["headers"][name] = value
    return Request({**event, **changes})


def test_request_is_read_from_the_gateways_event() -> None:
    found = Request(sample("status"))
    assert found.route == "GET /api/v1/jobs/{asyncJobId}"
    assert found.request_id == "JKJaXmPLvHcESHA="
    assert found.path == {"asyncJobId": "3f2b8c1e-4d5a-4b6c-8d7e-9f0a1b2c3d4e"}
    assert found.query == {}


def test_header_names_are_read_in_any_case() -> None:
    assert request(headers={"idempotency-key": None, "Idempotency-KEY": "abc"}).idempotency_key == "abc"


def test_event_with_only_a_route_is_a_request() -> None:
    found = Request(
        {"routeKey": "GET /x", "requestContext": {"requestId": "1"}, "headers": None, "queryStringParameters": None}
    )
    assert (found.path, found.query, found.headers) == ({}, {}, {})


def test_repr_of_a_request_hides_its_event() -> None:
    event = {**sample("submit"), "headers": {"authorization": "Bearer canary"}, "body": '{"input": "canary"}'}
    assert "canary" not in repr(Request(event))


def test_owner_is_the_subject_of_the_verified_token() -> None:
    assert request().owner == "8f14e45f-ceea-467a-9575-1f2d3c4b5a69"


@pytest.mark.parametrize("subject", ["a", "auth0|42", "a b@c.example", "x" * 128])
def test_common_subjects_are_valid_owners(subject: str) -> None:
    assert Request(as_owner(sample("submit"), subject)).owner == subject


@pytest.mark.parametrize(
    "subject",
    [None, "", 7, ["alice"], {"sub": "alice"}, "x" * 129, "a#b", "a\nb", "a\x00", "\x7f", "ü", "\ud800", "日本"],
    ids=ascii,
)
def test_token_without_a_usable_subject_is_rejected(subject: Any) -> None:
    event = as_owner(sample("submit"), subject)
    with pytest.raises(Problem) as raised:
        _ = Request(event).owner
    assert (raised.value.status, raised.value.code) == (403, "OWNER_MISSING")


@pytest.mark.parametrize(
    "authorizer", [None, {}, {"jwt": None}, {"jwt": {}}, {"lambda": {"sub": "alice"}}, {"claims": {"sub": "a"}}]
)
def test_request_without_a_verified_token_has_no_owner(authorizer: Any) -> None:
    event = sample("submit")
    event["requestContext"]["authorizer"] = authorizer
    with pytest.raises(Problem) as raised:
        _ = Request(event).owner
    assert raised.value.status == 403


@pytest.mark.parametrize(
    ("header", "key"),
    [
        (None, None),
        ("abc", "abc"),
        ('"abc"', "abc"),
        ("8e03978e-40d5-43e8-bc93-6894a57f9324", "8e03978e-40d5-43e8-bc93-6894a57f9324"),
        ('"a b"', "a b"),
        (r'"a\"b\\c"', r'a"b\c'),
        (r"a\b", r"a\b"),
        ("x" * 255, "x" * 255),
        ('"' + "x" * 255 + '"', "x" * 255),
    ],
)
def test_key_is_a_quoted_string_or_a_bare_token(header: str | None, key: str | None) -> None:
    assert request(headers={"idempotency-key": header}).idempotency_key == key


@pytest.mark.parametrize(
    "header",
    [
        "",
        " ",
        '""',
        "x" * 256,
        '"' + "x" * 256 + '"',
        "a b",
        'a"b',
        '"abc',
        'abc"',
        '"a"b"',
        r'"a\b"',
        r'"a\"',
        '"a\tb"',
        "a\r\nset-cookie: x=1",
        '"a\r\nb"',
        "a\n",
        "ä",
        '"ä"',
        '"a"; p=1',
    ],
)
def test_invalid_key_is_rejected(header: str) -> None:
    with pytest.raises(Problem) as raised:
        _ = request(headers={"idempotency-key": header}).idempotency_key
    assert (raised.value.status, raised.value.code) == (400, "INVALID_REQUEST")


@settings(max_examples=50)
@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=255))
def test_every_quoted_printable_text_is_a_key(key: str) -> None:
    header = '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'
    assert request(headers={"idempotency-key": header}).idempotency_key == key


@settings(max_examples=50)
@given(st.text(max_size=300) | st.text('ab"\\ ', max_size=8))
def test_key_that_is_not_printable_ascii_is_rejected(header: str) -> None:
    try:
        key = request(headers={"idempotency-key": header}).idempotency_key
    except Problem as problem:
        assert problem.status == 400  # noqa: PT017 - either outcome is right
    else:
        assert key is not None
        assert 1 <= len(key) <= 255
        assert key.isascii()
        assert key.isprintable()


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        'application/json;charset="UTF-8"',
        " application/json ",
    ],
)
def test_utf_8_json_is_accepted(content_type: str) -> None:
    assert request(headers={"content-type": content_type}).json()["jobType"] == "text.search"


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "application/xml",
        "application/x-www-form-urlencoded",
        "application/json; charset=utf-16",
        "application/json, application/json",
        "application/jsonp",
        "text/plain; x=application/json",
    ],
)
def test_other_content_type_is_415(content_type: str | None) -> None:
    with pytest.raises(Problem) as raised:
        request(headers={"content-type": content_type}).json()
    assert (raised.value.status, raised.value.code) == (415, "UNSUPPORTED_MEDIA_TYPE")


def test_base64_body_is_decoded() -> None:
    body = base64.b64encode('{"a": "ü"}'.encode()).decode()
    assert request(body=body, isBase64Encoded=True).json() == {"a": "ü"}


@pytest.mark.parametrize("body", ["é", "e", "e30=!", "\ud800"], ids=ascii)
def test_invalid_base64_is_rejected(body: str) -> None:
    with pytest.raises(Problem) as raised:
        request(body=body, isBase64Encoded=True).json()
    assert (raised.value.status, raised.value.code) == (400, "INVALID_JSON")


@pytest.mark.parametrize("body", ["", None, "\ud800", '"\ud800"'], ids=ascii)
def test_missing_body_is_rejected(body: str | None) -> None:
    with pytest.raises(Problem) as raised:
        request(body=body).json()
    assert (raised.value.status, raised.value.code) == (400, "INVALID_JSON")


@pytest.mark.parametrize("encoded", [False, True], ids=["text", "base64"])
def test_body_may_have_256_kilobytes_and_no_byte_more(encoded: bool) -> None:
    def body(size: int) -> str:
        text = '"' + "x" * (size - 2) + '"'
        return base64.b64encode(text.encode()).decode() if encoded else text

    assert len(request(body=body(MAX_BODY), isBase64Encoded=encoded).json()) == MAX_BODY - 2
    with pytest.raises(Problem) as raised:
        request(body=body(MAX_BODY + 1), isBase64Encoded=encoded).json()
    assert (raised.value.status, raised.value.code) == (413, "REQUEST_TOO_LARGE")


def test_size_is_counted_in_bytes() -> None:
    with pytest.raises(Problem) as raised:
        request(body='"' + "ü" * (MAX_BODY // 2) + '"').json()
    assert raised.value.status == 413


@pytest.mark.parametrize(
    "accept",
    [
        None,
        "*/*",
        "application/*",
        "application/json",
        "APPLICATION/JSON",
        "text/html, application/json;q=0.5",
        "text/html,*/*;q=0.1",
    ],
)
def test_accept_that_includes_json_is_accepted(accept: str | None) -> None:
    request(headers={"accept": accept}).check_accept()


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "application/jsonp", "image/*"])
def test_accept_without_json_is_406(accept: str) -> None:
    with pytest.raises(Problem) as raised:
        request(headers={"accept": accept}).check_accept()
    assert (raised.value.status, raised.value.code) == (406, "NOT_ACCEPTABLE")

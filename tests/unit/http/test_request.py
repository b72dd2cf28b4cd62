"""The parts of a request are checked when they are read."""

from __future__ import annotations

import base64
import gzip
import tracemalloc
from collections.abc import Callable
from typing import Any
from urllib.parse import urljoin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncjobs.http.problems import Problem
from asyncjobs.http.request import MAX_BODY, Request
from tests.support import owners
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
    assert found.path_parameters == {"asyncJobId": "3f2b8c1e-4d5a-4b6c-8d7e-9f0a1b2c3d4e"}
    assert found.query == {}


def test_header_names_are_read_in_any_case() -> None:
    assert request(headers={"idempotency-key": None, "Idempotency-KEY": "abc"}).idempotency_key == "abc"


def test_event_with_only_a_route_is_a_request() -> None:
    found = Request({"routeKey": "GET /x", "requestContext": {"requestId": "1"}, "headers": None, "pathParameters": None})
    assert (found.path_parameters, found.query, found.headers) == ({}, {}, {})


def test_repr_of_a_request_hides_its_event() -> None:
    event = {**sample("submit"), "headers": {"authorization": "Bearer canary"}, "body": '{"input": "canary"}'}
    assert "canary" not in repr(Request(event))


def test_owner_is_the_subject_of_the_verified_token() -> None:
    assert request().owner == "8f14e45f-ceea-467a-9575-1f2d3c4b5a69"


@pytest.mark.parametrize("subject", ["a", *owners.ALL], ids=owners.label)
def test_subject_of_openid_connect_is_an_owner(subject: str) -> None:
    assert Request(as_owner(sample("submit"), subject)).owner == subject


@pytest.mark.parametrize(
    "subject",
    [None, 7, ["alice"], {"sub": "alice"}, *owners.NOT_OWNERS],
    ids=ascii,
)
def test_token_without_a_usable_subject_is_rejected(subject: Any) -> None:
    event = as_owner(sample("submit"), subject)
    with pytest.raises(Problem) as raised:
        _ = Request(event).owner
    assert (raised.value.status, raised.value.code) == (403, "OWNER_MISSING")


def test_cognito_id_token_is_rejected() -> None:
    event = sample("submit")
    event["requestContext"]["authorizer"]["jwt"]["claims"]["token_use"] = "id"
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


@pytest.mark.parametrize("spelling", [str.lower, str.upper, str.title])
def test_letters_of_an_id_mean_the_same_in_any_case(spelling: Callable[[str], str]) -> None:
    """RFC 9562 4."""
    event = sample("status")
    async_job_id = event["pathParameters"]["asyncJobId"]
    event["pathParameters"]["asyncJobId"] = spelling(async_job_id)
    assert Request(event).job_id == async_job_id


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
        "application/json;",
        "application/json; charset=utf8",
        "application/json;odata.metadata=none",
        "application/json; charset=utf-8; v=1",
        'application/json; profile="a;b, c"; charset=iso-8859-1',
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
        "application/json;CHARSET=UTF-32LE",
        "application/json, text/plain",
        "application/vnd.api+json",
        "; charset=utf-8",
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


@pytest.mark.parametrize("body", ["\ud800", '"\ud800"'], ids=ascii)
def test_unreadable_body_is_rejected(body: str) -> None:
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
        "",
        " , ",
        "application/problem+json",
        "application/json; charset=utf-8; q=0.001",
        'application/json;profile="a,b"',
        "text/html, *; q=.2",
        "application/json;q=1.0000",
        "application/json;version=2;q=0, */*",
        "text/*;q=0, application/json",
    ],
)
def test_accept_that_includes_json_is_accepted(accept: str | None) -> None:
    assert request(headers={"accept": accept}).accepts_json


@pytest.mark.parametrize(
    "accept",
    [
        "text/html",
        "application/xml",
        "application/jsonp",
        "image/*",
        "json",
        'text/html;x="application/json"',
        'text/html;x=",application/json"',
        "application/json;q=0, application/problem+json;q=0.0",
        "*/*;q=0",
        "application/*;q=0.000, */*",
    ],
)
def test_accept_without_json_is_not(accept: str) -> None:
    assert not request(headers={"accept": accept}).accepts_json


@pytest.mark.parametrize(
    ("accept_encoding", "is_accepted"),
    [
        (None, False),
        ("", False),
        ("gzip", True),
        ("br, GZIP;q=0.5", True),
        ("x-gzip", True),
        ("*", True),
        ("identity, *;q=0", False),
        ("gzip;q=0, *", False),
        ("deflate, br", False),
    ],
)
def test_gzip_is_accepted_where_the_client_names_it(accept_encoding: str | None, is_accepted: bool) -> None:
    assert request(headers={"accept-encoding": accept_encoding}).accepts_gzip is is_accepted


@pytest.mark.parametrize(
    ("prefer", "preference"),
    [
        ("respond-async, wait=5", (True, 5)),
        ("RESPOND-ASYNC;a=b, Wait = 5 ; c", (True, 5)),
        ('wait="5"', (False, 5)),
        ("wait=5, wait=9", (False, 5)),
        ('x="a, wait=7", wait=5', (False, 5)),
        ('x="a, respond-async"', (False, None)),
        (r'x="\", wait=7"', (False, None)),
        ("handling=lenient,,respond-async", (True, None)),
        ("wait=-1", (False, None)),
        ("wait=5s", (False, None)),
        ("wait", (False, None)),
        ("", (False, None)),
    ],
)
def test_preferences_are_read_by_rfc_7240(prefer: str, preference: tuple[bool, int | None]) -> None:
    assert request(headers={"prefer": prefer}).preference == preference


@pytest.mark.parametrize(
    ("header", "tags"),
    [
        (None, set()),
        ('"a"', {'"a"'}),
        ('W/"a" , "b"', {'"a"', '"b"'}),
        ('"a,b"', {'"a,b"'}),
        ("*", {"*"}),
        ('"a", *', {'"a"'}),
    ],
)
def test_entity_tags_are_read_as_a_list(header: str | None, tags: set[str]) -> None:
    assert request(headers={"if-none-match": header}).known_tags == tags


@pytest.mark.parametrize("route", ["POST /api/v1/jobs", "GET /api/v1/jobs/{asyncJobId}/result", "GET /api/v1/find/{a}/by/{b}"])
@pytest.mark.parametrize("end", ["", "/"])
@pytest.mark.parametrize(
    "before", ["https://a.example", "https://a.example/dev", "https://b.example/jobs/v2", "http://localhost:4566/_aws/x/y"]
)
def test_base_leads_to_the_api_from_behind_any_prefix(route: str, end: str, before: str) -> None:
    path = route.partition(" ")[2].format(asyncJobId="7", a="x", b="y") + end
    found = Request({**sample("submit"), "routeKey": route, "rawPath": path})
    assert urljoin(f"{before}{path}?wait=5", f"{found.base}jobs/8") == f"{before}/api/v1/jobs/8"


def test_head_is_the_route_of_get() -> None:
    found = Request({**sample("status"), "routeKey": "HEAD /api/v1/jobs/{asyncJobId}"})
    assert (found.route, found.is_head) == ("GET /api/v1/jobs/{asyncJobId}", True)
    assert not Request(sample("status")).is_head


@pytest.mark.parametrize(
    ("sent", "is_rejected"),
    [("\u00fc".encode("latin-1"), True), ("\ufffd".encode(), False), ("\u00fc \ufffd".encode(), False)],
    ids=["latin-1", "U+FFFD", "both"],
)
def test_text_that_the_gateway_has_replaced_is_rejected(sent: bytes, is_rejected: bool) -> None:
    data = b'"' + sent + b'"'
    headers = {"content-type": "application/json; charset=iso-8859-1", "content-length": str(len(data))}
    found = request(headers=headers, body=data.decode(errors="replace"))
    if is_rejected:
        with pytest.raises(Problem) as raised:
            found.json()
        assert (raised.value.code, "not UTF-8" in raised.value.detail) == ("INVALID_JSON", True)
    else:
        assert found.json() == sent.decode()


def compressed(data: bytes, coding: str = "gzip", **event: Any) -> Request:
    body = base64.b64encode(data).decode()
    return request(headers={"content-encoding": coding}, body=body, isBase64Encoded=True, **event)


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "x-gzip", "identity, gzip"])
def test_gzip_body_is_read(coding: str) -> None:
    assert compressed(gzip.compress('{"a": "\u00fc"}'.encode()), coding).json() == {"a": "\u00fc"}


@pytest.mark.parametrize("coding", ["identity", ""])
def test_identity_is_no_coding(coding: str) -> None:
    assert compressed(b"{}", coding).json() == {}


def test_body_that_the_gateway_has_expanded_is_read() -> None:
    assert request(headers={"content-encoding": "gzip"}, body='{"a": 1}').json() == {"a": 1}


@pytest.mark.parametrize(
    ("data", "coding"),
    [
        (b"{}", "br"),
        (b"{}", "deflate"),
        (b"{}", "zstd"),
        (gzip.compress(gzip.compress(b"{}")), "gzip, gzip"),
        (b"{}", "gzip"),
        (b"", "gzip, br"),
        (gzip.compress(b"{}")[:-1], "gzip"),
        (gzip.compress(b"{}")[:12], "gzip"),
        (gzip.compress(b"{}") + b"more", "gzip"),
        (gzip.compress(b"{") + gzip.compress(b"}"), "gzip"),
    ],
)
def test_other_codings_are_415_with_the_one_that_is_read(data: bytes, coding: str) -> None:
    with pytest.raises(Problem) as raised:
        compressed(data or b"{}", coding).json()
    assert (raised.value.status, raised.value.code) == (415, "UNSUPPORTED_CONTENT_ENCODING")
    assert raised.value.headers == {"accept-encoding": "gzip"}


def test_compressed_body_that_was_read_as_text_is_named() -> None:
    mangled = gzip.compress(b"{}").decode(errors="replace")
    with pytest.raises(Problem) as raised:
        request(headers={"content-encoding": "gzip"}, body=mangled).json()
    assert (raised.value.status, "gateway" in raised.value.detail) == (415, True)


def test_expanded_body_may_have_256_kilobytes_and_a_bomb_is_not_expanded() -> None:
    def body(size: int) -> bytes:
        return gzip.compress(b'"' + b"x" * (size - 2) + b'"')

    assert len(compressed(body(MAX_BODY)).json()) == MAX_BODY - 2
    for data in (body(MAX_BODY + 1), body(50_000_000)):
        assert len(data) < MAX_BODY
        tracemalloc.start()
        with pytest.raises(Problem) as raised:
            compressed(data).json()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert (raised.value.status, raised.value.code) == (413, "REQUEST_TOO_LARGE")
        assert peak < 3 * MAX_BODY


@pytest.mark.parametrize("event", [{"body": ""}, {"body": None}, {"body": "", "isBase64Encoded": True}], ids=str)
def test_empty_body_is_named_whatever_its_type(event: dict[str, Any]) -> None:
    with pytest.raises(Problem) as raised:
        request(headers={"content-type": None}, **event).json()
    assert (raised.value.code, "empty" in raised.value.detail) == ("INVALID_JSON", True)


@pytest.mark.parametrize("header", ["k,k", "k, k", '"k","k"', "a,b", "k,", "8e03978e,8e03978e"])
def test_key_that_was_sent_twice_is_named(header: str) -> None:
    """API Gateway joins repeated headers with a comma."""
    with pytest.raises(Problem) as raised:
        _ = request(headers={"idempotency-key": header}).idempotency_key
    (error,) = raised.value.extensions["errors"]
    assert "twice" in error["detail"]


def test_key_in_quotes_may_have_a_comma() -> None:
    assert request(headers={"idempotency-key": ' "k,k" '}).idempotency_key == "k,k"


@settings(max_examples=300)
@given(st.text('",;\\ =*/agq0.', max_size=40))
def test_any_list_in_a_header_is_read(field: str) -> None:
    found = request(headers={"accept": field, "accept-encoding": field, "prefer": field, "if-none-match": field})
    assert found.accepts_json in (True, False)
    assert found.accepts_gzip in (True, False)
    assert found.preference.wait_seconds in (None, 0)
    assert "" not in found.known_tags

"""Requests are checked before a route runs; answers carry the headers that make them safe."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncjobs.core.errors import InputProblem
from asyncjobs.http.request import MAX_BODY, MAX_DEPTH, Problem, Request, answer, invalid_request, parse_json, problem_answer
from tests.support.events import as_owner, sample


def request(**changes: Any) -> Request:
    """Return the sample submit with these headers (in lower case; None removes one), body or flags."""
    event = sample("submit")
    for name, value in changes.pop("headers", {}).items():
        event["headers"].pop(name, None)
        if value is not None:
            event["headers"][name] = value
    return Request.of({**event, **changes})


def rejection(data: bytes) -> Problem:
    """Return the problem that parsing the bytes raises."""
    with pytest.raises(Problem) as raised:
        parse_json(data)
    assert (raised.value.status, raised.value.code) == (400, "INVALID_JSON")
    return raised.value


# ── Requests ───────────────────────────────────────────────────────────────────────────────────────


def test_request_is_read_from_the_gateways_event() -> None:
    found = Request.of(sample("status"))
    assert found.route == "GET /api/v1/jobs/{asyncJobId}"
    assert found.request_id == "JKJaXmPLvHcESHA="
    assert found.path == {"asyncJobId": "3f2b8c1e-4d5a-4b6c-8d7e-9f0a1b2c3d4e"}
    assert found.query == {}


def test_header_names_are_read_in_any_case() -> None:
    assert request(headers={"idempotency-key": None, "Idempotency-KEY": "abc"}).idempotency_key == "abc"


def test_event_with_only_a_route_is_a_request() -> None:
    found = Request.of(
        {"routeKey": "GET /x", "requestContext": {"requestId": "1"}, "headers": None, "queryStringParameters": None}
    )
    assert (found.path, found.query, found.headers) == ({}, {}, {})


def test_repr_of_a_request_hides_its_event() -> None:
    assert "Bearer" not in repr(Request.of({**sample("submit"), "headers": {}}))


# ── Owner ──────────────────────────────────────────────────────────────────────────────────────────


def test_owner_is_the_subject_of_the_verified_token() -> None:
    assert request().owner == "8f14e45f-ceea-467a-9575-1f2d3c4b5a69"


@pytest.mark.parametrize("subject", ["a", "auth0|42", "a b@c.example", "x" * 128])
def test_common_subjects_are_valid_owners(subject: str) -> None:
    assert Request.of(as_owner(sample("submit"), subject)).owner == subject


@pytest.mark.parametrize(
    "subject",
    [None, "", 7, ["alice"], {"sub": "alice"}, "x" * 129, "a#b", "a\nb", "a\x00", "\x7f", "ü", "\ud800", "日本"],
    ids=ascii,
)
def test_token_without_a_usable_subject_is_rejected(subject: Any) -> None:
    event = as_owner(sample("submit"), subject)
    with pytest.raises(Problem) as raised:
        _ = Request.of(event).owner
    assert (raised.value.status, raised.value.code) == (403, "OWNER_MISSING")


@pytest.mark.parametrize(
    "authorizer", [None, {}, {"jwt": None}, {"jwt": {}}, {"lambda": {"sub": "alice"}}, {"claims": {"sub": "a"}}]
)
def test_request_without_a_verified_token_has_no_owner(authorizer: Any) -> None:
    event = sample("submit")
    event["requestContext"]["authorizer"] = authorizer
    with pytest.raises(Problem) as raised:
        _ = Request.of(event).owner
    assert raised.value.status == 403


# ── Idempotency key ────────────────────────────────────────────────────────────────────────────────


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


# ── Content type and accept ────────────────────────────────────────────────────────────────────────


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


# ── Body ───────────────────────────────────────────────────────────────────────────────────────────


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


# ── JSON ───────────────────────────────────────────────────────────────────────────────────────────


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**38) + 1, 10**38 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abü/~", max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=50)
@given(JSON, st.booleans())
def test_valid_json_is_read(value: Any, escaped: bool) -> None:
    assert parse_json(json.dumps(value, ensure_ascii=escaped).encode()) == value


@settings(max_examples=100)
@given(st.binary(max_size=40) | st.text('[]{}":,\\0123456789.eE+-NaInfityrueuls \t\n\ufeff', max_size=30).map(str.encode))
def test_any_bytes_are_parsed_or_rejected_as_a_problem(data: bytes) -> None:
    try:
        parse_json(data)
    except Problem as problem:
        assert problem.code == "INVALID_JSON"  # noqa: PT017 - either outcome is right


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (b"", "not JSON (line 1, column 1)"),
        (b'{"a": 1,}', "not JSON"),
        (b"{'a': 1}", "not JSON (line 1, column 2)"),
        (b"1 2", "not JSON (line 1, column 3)"),
        (b"\xef\xbb\xbf{}", "not JSON (line 1, column 1)"),
        (b"\xff", "not UTF-8"),
        (b'"\xed\xa0\x80"', "not UTF-8"),
        (b'"\xc0\x80"', "not UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "not UTF-8"),
        ("7".encode("utf-16-le"), "not JSON"),
        (b"NaN", "NaN is not JSON"),
        (b"[-Infinity]", "-Infinity is not JSON"),
        (b"1e400", "too large"),
        (b"-1e400", "too large"),
        (b"1" * 39, "more than 38 digits"),
        (b"-" + b"1" * 39, "more than 38 digits"),
        (b"1" * 5000, "more than 38 digits"),
        (b'{"a": 1, "a": 2}', "the same name twice"),
        (b'{"a": {"b": 1, "\\u0062": 2}}', "the same name twice"),
        (b"[" * 100_000, "nested deeper than 32"),
        (b'{"a":' * 100_000, "nested deeper than 32"),
    ],
    ids=lambda part: str(part)[:30],
)
def test_ambiguous_json_is_rejected(data: bytes, detail: str) -> None:
    assert detail in rejection(data).detail


@pytest.mark.parametrize("number", [b"9" * 38, b"-" + b"9" * 38, b"1e308", b"-0", b"0.1"])
def test_portable_numbers_are_accepted(number: bytes) -> None:
    assert parse_json(number) == json.loads(number)


@pytest.mark.parametrize("innermost", ["", "7", '"x"', "null"], ids=["empty", "number", "text", "null"])
def test_body_may_be_32_levels_deep_and_not_33(innermost: str) -> None:
    arrays = "[" * MAX_DEPTH + innermost + "]" * MAX_DEPTH
    assert parse_json(arrays.encode()) == json.loads(arrays)
    assert "nested deeper" in rejection(f"[{arrays}]".encode()).detail
    assert "nested deeper" in rejection(f'{{"a": {arrays}}}'.encode()).detail


@pytest.mark.parametrize(
    ("data", "where"),
    [
        (rb'"\u0000"', ""),
        (rb'{"a": [1, "x\u0000"]}', "/a/1"),
        (rb'{"a/b": {"c~d": "\ud800"}}', "/a~1b/c~0d"),
        (rb'["\udc00\ud800"]', "/0"),
        (rb'{"\u0000": 1}', ""),
        (rb'{"a": {"\udfff": 1}}', ""),
        (b"[" * 33 + b"]" * 33, "/0" * 32),
    ],
)
def test_text_that_cannot_be_stored_is_rejected_with_its_place(data: bytes, where: str) -> None:
    assert rejection(data).extensions["errors"][0]["pointer"] == where


def test_surrogate_pair_is_accepted() -> None:
    assert parse_json(rb'"\ud83d\ude00"') == "😀"


@pytest.mark.parametrize("data", [b'{"canary": nope}', b'{"a": 1, "a": "canary"}', rb'{"a": "canary\u0000"}', b"[canary"])
def test_problem_does_not_quote_the_body(data: bytes) -> None:
    problem = rejection(data)
    assert "canary" not in problem_answer(problem, "1")["body"]


# ── Answers ────────────────────────────────────────────────────────────────────────────────────────


def test_answer_is_json_with_the_security_headers() -> None:
    assert answer(200, {"a": "ü"}, headers={"retry-after": "2"}) == {
        "statusCode": 200,
        "headers": {
            "cache-control": "no-store",
            "content-type": "application/json",
            "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
            "strict-transport-security": "max-age=63072000",
            "x-content-type-options": "nosniff",
            "retry-after": "2",
        },
        "body": '{"a": "ü"}',
    }


def test_json_text_is_sent_unchanged() -> None:
    assert answer(200, text='{"a":1.10}')["body"] == '{"a":1.10}'


def test_problem_answer_follows_rfc_9457() -> None:
    problem = Problem(409, "JOB_FAILED", "The job failed", "There is no result.", headers={"retry-after": "2"}, asyncJobId="x")
    found = problem_answer(problem, "request-1")
    assert found["statusCode"] == 409
    assert found["headers"]["content-type"] == "application/problem+json"
    assert found["headers"]["retry-after"] == "2"
    assert found["headers"]["cache-control"] == "no-store"
    assert json.loads(found["body"]) == {
        "type": "urn:asyncjobs:problem:JOB_FAILED",
        "title": "The job failed",
        "status": 409,
        "code": "JOB_FAILED",
        "detail": "There is no result.",
        "requestId": "request-1",
        "asyncJobId": "x",
    }


def test_invalid_request_names_each_place() -> None:
    problem = invalid_request(InputProblem("/a", "is required"), InputProblem("/b", "is not a known field"))
    assert problem.extensions == {
        "errors": [{"pointer": "/a", "detail": "is required"}, {"pointer": "/b", "detail": "is not a known field"}]
    }

"""JSON that programs read differently is rejected with its place."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncjobs.core.job import Result
from asyncjobs.http.answers import problem_answer
from asyncjobs.http.problems import Problem
from asyncjobs.http.strict_json import MAX_DEPTH, parse_json
from tests.support.factories import JOB_ID, NOW, running_job
from tests.support.http_events import JOB, JOBS, REPORT, RESULT, SUBMIT
from tests.unit.http.in_memory_api import SEARCH, InMemoryApi


def rejection(data: bytes) -> Problem:
    """Return the problem that parsing the bytes raises."""
    with pytest.raises(Problem) as raised:
        parse_json(data)
    assert (raised.value.status, raised.value.code) == (400, "INVALID_JSON")
    return raised.value


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
        (b"\xef\xbb\xbf{}", "begins with a byte order mark"),
        (b"\xff", "not UTF-8"),
        (b'"\xed\xa0\x80"', "not UTF-8"),
        (b'"\xc0\x80"', "not UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "not UTF-8"),
        ("7".encode("utf-16-le"), "not JSON"),
        (b"NaN", "NaN is not JSON"),
        (b"[-Infinity]", "-Infinity is not JSON"),
        (b"1e400", "too large"),
        (b"-1e400", "too large"),
        (b"1e99999999999999999999", "too large"),
        (b"1e-400", "too small"),
        (b"0.000001e-999999999999999999", "too small"),
        (b"1." + b"3" * 38, "more than 38 digits"),
        (b"0.1000000000000000055511151231257827021181583404541015625", "more than 38 digits"),
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


@pytest.mark.parametrize("number", [b"9" * 38, b"-" + b"9" * 38, b"1e308", b"-0", b"0.1", b"0e999", b"0.0e-999", b"5e-324"])
def test_portable_numbers_are_accepted(number: bytes) -> None:
    assert parse_json(number) == json.loads(number)


@pytest.mark.parametrize(
    "number", ["12345678901234567.89", "-0.1234567890123456789012345678901234567", "1." + "0" * 50, "9007199254740993.0"]
)
def test_number_keeps_its_value(number: str) -> None:
    assert Decimal(parse_json(number.encode())) == Decimal(number)


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


# ── Numbers on their way through the API ─────────────────────────────────────────────────────────────

LONG, OTHER = "12345678901234567.89", "12345678901234567.12"


def submit(api: InMemoryApi, number: str, *, key: str | None = None, job_type: str = "api.takes_anything") -> Any:
    body = f'{{"jobType": "{job_type}", "input": {{"pages": {number}}}, "metadata": {{"amount": {number}}}}}'
    return api.call(SUBMIT, headers={"idempotency-key": key} if key else {}, body=body)


def test_number_arrives_as_it_was_sent(api: InMemoryApi) -> None:
    assert float(LONG) == float(OTHER), "a float would not tell them apart"
    answer = submit(api, LONG)
    (job,) = api.store.jobs.values()
    assert job.input == f'{{"pages":{LONG}}}'
    assert f'"metadata":{{"amount":{LONG}}}' in answer.text
    assert f'"metadata":{{"amount":{LONG}}}' in api.call(JOB, async_job_id=job.async_job_id).text
    assert f'"metadata":{{"amount":{LONG}}}' in api.call(JOBS).text


def test_another_number_under_the_same_key_is_another_request(api: InMemoryApi) -> None:
    assert submit(api, LONG, key="k").status == 202
    assert submit(api, f"{LONG}0", key="k").headers["idempotency-replayed"] == "true"
    assert submit(api, OTHER, key="k").body["code"] == "IDEMPOTENCY_KEY_REUSED"


@pytest.mark.parametrize(
    ("number", "stored"),
    [
        ("1e25", "1" + "0" * 25),
        ("1.0", "1"),
        ("9007199254740993", "9007199254740993"),
        ("9007199254740993.0", "9007199254740993"),
    ],
)
def test_integer_is_stored_with_all_its_digits(api: InMemoryApi, number: str, stored: str) -> None:
    assert submit(api, number, job_type="api.reads").status == 202
    (job,) = api.store.jobs.values()
    assert job.input == f'{{"pages":{stored}}}'


@pytest.mark.parametrize("number", ["1e38", "1e300", "1.5", "-1e38", f"{10**36}.5"])
def test_number_that_is_no_integer_of_38_digits_is_rejected(api: InMemoryApi, number: str) -> None:
    answer = submit(api, number, job_type="api.reads")
    assert (answer.status, set(answer.pointers)) == (400, {"/input/pages"})


@pytest.mark.parametrize(("text", "stored"), [(LONG, LONG), ("0.5", "0.5"), ("1e3", "1000")])
def test_number_in_a_query_keeps_its_value(api: InMemoryApi, text: str, stored: str) -> None:
    assert api.call(SEARCH, path={"subject": "x"}, query={"ratio": text}, body="").status == 202
    (job,) = api.store.jobs.values()
    assert job.input == f'{{"ratio":{stored},"subject":"x"}}'


def test_number_with_too_many_digits_in_a_query_is_rejected(api: InMemoryApi) -> None:
    answer = api.call(SEARCH, path={"subject": "x"}, query={"ratio": "1." + "3" * 37 + "3"}, body="")
    assert (answer.status, answer.pointers) == (400, ["/ratio"])


def test_number_of_a_result_is_shown_as_it_is(api: InMemoryApi) -> None:
    api.add_jobs(running_job().completed(now=NOW, result=Result(text=f'{{"amount":{LONG}}}')))
    for route in (JOB, RESULT):
        assert f'{{"amount":{LONG}}}' in api.call(route, async_job_id=JOB_ID).text


def test_number_of_a_reported_result_keeps_its_value(api: InMemoryApi, tracked: Any) -> None:
    headers = {"authorization": f"Bearer {tracked.body['workerToken']}"}
    body = f'{{"status": "COMPLETED", "result": {{"amount": {LONG}}}}}'
    answer = api.call(REPORT, async_job_id=tracked.body["asyncJobId"], headers=headers, body=body)
    assert json.loads(answer.text, parse_float=Decimal)["result"] == {"amount": Decimal(LONG)}

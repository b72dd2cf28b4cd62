"""Names of inputs and results in the bucket, and the check of streamed JSON. tests/adapters/test_objects.py has the limits."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

from asyncjobs.core.errors import Fatal
from asyncjobs.core.job import AsyncJob, Result
from asyncjobs.core.placement import (
    MAX_ARTIFACTS,
    MAX_FILE_NAME,
    MAX_OBJECT_NAME,
    artifact_location,
    artifact_reference,
    check_artifact,
    checked_json,
    file_location,
    inputs_area,
    is_file_name,
    is_upload_key,
    locations_of_attempts,
    result_location,
    with_links,
)
from tests.support.factories import JOB_ID, NOW, new_job, running_job
from tests.support.owners import LONGEST, label, two_owners


def test_each_attempt_of_each_generation_of_each_job_has_its_own_result() -> None:
    job = new_job()
    others = [job, replace(job, generation="another"), new_job(async_job_id="another")]
    assert len({result_location(other, attempt) for other in others for attempt in (1, 2)}) == 6


@settings(max_examples=200)
@given(two_owners())
def test_no_owners_area_is_part_of_anothers(owners: tuple[str, str]) -> None:
    one, other = map(inputs_area, owners)
    assert not one.startswith(other)
    assert not other.startswith(one)
    assert one.count("/") == other.count("/") == 2


@pytest.mark.parametrize(
    ("owner", "area"),
    [
        ("alice", "alice"),
        ("alice@example.org", "alice%40example.org"),
        ("a.b/../c", "a.b%2F..%2Fc"),
        ("..", "%2E%2E"),
        (".", "%2E"),
    ],
)
def test_area_is_one_folder_that_no_client_resolves(owner: str, area: str) -> None:
    assert inputs_area(owner) == f"inputs/{area}/"


@pytest.mark.parametrize("owner", LONGEST, ids=label)
def test_names_of_the_longest_owners_objects_fit_into_s3(owner: str) -> None:
    for name in (f"uploads/{JOB_ID}", f"{JOB_ID}/{'0' * 32}.json"):
        assert len((inputs_area(owner) + name).encode()) <= MAX_OBJECT_NAME
    assert len(file_location(owner, "x" * MAX_FILE_NAME).encode()) <= MAX_OBJECT_NAME


@pytest.mark.parametrize("name", ["index", "search/index.sqlite", "_a/B-1/c_2", "x" * MAX_FILE_NAME])
def test_name_of_a_file_is_parts_joined_by_slashes(name: str) -> None:
    assert is_file_name(name)


@pytest.mark.parametrize("name", ["", "/a", "a/", "a//b", "..", "../a", "a/../b", "a/.b", "a b", "ü", "a\n", "x" * 65])
def test_other_names_of_files_are_invalid(name: str) -> None:
    assert not is_file_name(name)


@pytest.mark.parametrize(
    ("key", "expected"),
    [(f"uploads/{JOB_ID}", True), (JOB_ID, False), (f"uploads/{JOB_ID}/x", False), ("uploads/../x", False), ("files/x", False)],
)
def test_key_of_an_upload_has_an_id(key: str, expected: bool) -> None:
    assert is_upload_key(key) is expected


@pytest.mark.parametrize("text", ['{"a": [1.50, "ü", 12345678901234567.89]}', " null\n", '"😀"'])
def test_valid_json_keeps_its_text(text: str) -> None:
    assert checked_json(text.encode()) == text


@pytest.mark.parametrize(
    "data", [b"", b"{", b"NaN", b"1e999", b'{"a": 1, "a": 2}', b"\xff", rb'"\ud800"', b"[" * 100_000 + b"]" * 100_000]
)
def test_invalid_json_fails_the_job(data: bytes) -> None:
    with pytest.raises(Fatal) as raised:
        checked_json(data)
    assert raised.value.code == "RESULT_NOT_SERIALIZABLE"


# ── Artifacts ──────────────────────────────────────────────────────────────────────────────────────


def test_objects_of_all_attempts_have_names_of_their_own() -> None:
    job = replace(new_job(), attempt=12)
    found = locations_of_attempts(job)
    assert len(set(found)) == len(found) == 12 * (1 + MAX_ARTIFACTS)
    assert {result_location(job, 12), artifact_location(job, 1, 2), artifact_location(job, 12, MAX_ARTIFACTS)} <= set(found)
    # S3 deletes a thousand objects by one request.
    assert len(found) <= 1000


def linked(result: Any) -> str | None:
    job = running_job(attempt=2).completed(
        now=NOW, result=result if isinstance(result, Result) else Result(text=json.dumps(result))
    )
    shown = with_links(job, lambda job, number: f"https://s3.example/{job.attempt}/{number}?a=1&b=2")
    assert replace(shown, result=job.result) == job
    return shown.result.text if shown.result else None


def test_each_reference_in_a_result_becomes_a_link() -> None:
    result = {"pdfUrl": artifact_reference(1), "all": [artifact_reference(1), {"b": artifact_reference(10)}]}
    one, ten = "https://s3.example/2/1?a=1&b=2", "https://s3.example/2/10?a=1&b=2"
    assert json.loads(linked(result) or "") == {"pdfUrl": one, "all": [one, {"b": ten}]}
    assert json.loads(linked(artifact_reference(2)) or "") == "https://s3.example/2/2?a=1&b=2"


@pytest.mark.parametrize(
    "result",
    [
        "asyncjobs:artifact:0",
        "asyncjobs:artifact:11",
        "asyncjobs:artifact:1 ",
        'x"asyncjobs:artifact:1',
        '"asyncjobs:artifact:1"',
        '\\"asyncjobs:artifact:1',
        {"asyncjobs:artifact:1": 1},
        {"a": {"asyncjobs:artifact:1": [None]}},
        None,
    ],
    ids=str,
)
def test_other_text_stays_as_it_is(result: Any) -> None:
    assert linked(result) == json.dumps(result)


@pytest.mark.parametrize("result", [Result(location="results/x/y/1"), Result(url="https://a.example/asyncjobs:artifact:1")])
def test_result_elsewhere_stays_as_it_is(result: Result) -> None:
    assert linked(result) is None


def test_job_without_a_result_stays_as_it_is() -> None:
    def no_link(_job: AsyncJob, _number: int) -> str:
        raise AssertionError

    job = new_job()
    assert with_links(job, no_link) == job


@pytest.mark.parametrize("name", ["a", "report 1.pdf", "a-b_c.tar.gz", "x" * 100])
def test_names_of_files_are_allowed(name: str) -> None:
    check_artifact(name, number=MAX_ARTIFACTS)


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "..", 'a"b', "a\nb", "\u00fc", "x" * 101])
def test_name_that_some_system_or_header_cannot_have_is_rejected(name: str) -> None:
    with pytest.raises(ValueError, match="not a name"):
        check_artifact(name, number=1)


def test_too_many_artifacts_are_rejected() -> None:
    with pytest.raises(ValueError, match="10 artifacts at most"):
        check_artifact("a", number=MAX_ARTIFACTS + 1)

"""Names of inputs and results in the bucket, and the check of streamed JSON. tests/adapters/test_objects.py has the limits."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings

from asyncjobs.core.errors import Fatal
from asyncjobs.core.placement import (
    MAX_FILE_NAME,
    MAX_OBJECT_NAME,
    checked_json,
    file_location,
    inputs_area,
    is_file_name,
    is_upload_key,
    result_location,
)
from tests.support.factories import JOB_ID, new_job
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

"""Names of results in the bucket, and the check of streamed JSON. tests/adapters/test_objects.py has the limits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from asyncjobs.core.errors import Fatal
from asyncjobs.core.placement import checked_json, result_location
from tests.support.factories import new_job


def test_each_attempt_of_each_generation_of_each_job_has_its_own_result() -> None:
    job = new_job()
    others = [job, replace(job, generation="another"), new_job(async_job_id="another")]
    assert len({result_location(other, attempt) for other in others for attempt in (1, 2)}) == 6


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

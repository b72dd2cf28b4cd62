"""When a request is repeated."""

from __future__ import annotations

import pytest

from asyncjobs_client.errors import ApiConnectionError
from asyncjobs_client.pauses import backoff


@pytest.mark.parametrize(("failures", "bound"), [(1, 0.5), (2, 1), (3, 2), (6, 16), (7, 20), (99, 20)])
def test_pause_is_a_random_part_of_a_bound_that_doubles(failures: int, bound: float) -> None:
    error = ApiConnectionError("no answer")
    assert [backoff(error, failures, iter([part]).__next__) for part in (0.0, 0.5, 1.0)] == [0, bound / 2, bound]

"""Every answer of the deployed API to a generated request is documented."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.deployed.openapi.fuzz import deployed, fuzz

EXAMPLES = 100
"""Per operation, beside those of the other phases: a minute on two idle cores. `make fuzz` has 10,000."""

SEEN = {
    *(f"submitJob {status}" for status in (200, 202, 400, 415, 422)),
    *(f"listJobs {status}" for status in (200, 400)),
    *(f"getJob {status}" for status in (200, 304, 400, 404)),
    *(f"getJobResult {status}" for status in (200, 303, 404, 409)),
    *(f"cancelJob {status}" for status in (200, 404, 409)),
    *(f"retryJob {status}" for status in (202, 404, 409)),
    *(f"deleteJob {status}" for status in (204, 404)),  # 409 while a job runs, which a fast machine never shows
    *(f"updateJob {status}" for status in (400, 404, 415)),
    *(f"createUpload {status}" for status in (201, 400, 415)),
    *(f"postSearch {status}" for status in (200, 400, 415, 422)),
    *(f"getSearch {status}" for status in (200, 400, 422)),
    *(f"{name} 200" for name in ("listJobTypes", "getHealth", "getOpenApi")),
}


@pytest.mark.slow
@pytest.mark.e2e
def test_no_answer_is_a_server_error_or_undocumented(tmp_path: Path) -> None:
    with deployed(tmp_path) as stack:
        fuzzed = fuzz(stack, examples=EXAMPLES, further=["--seed", "1"])
    assert fuzzed.exit_status == 0, fuzzed.failures
    assert fuzzed.too_few(EXAMPLES) == []
    # The test is worthless if every request is rejected early.
    assert fuzzed.answers.keys() >= SEEN
    assert not [name for name in fuzzed.answers if int(name.split()[1]) >= 500]

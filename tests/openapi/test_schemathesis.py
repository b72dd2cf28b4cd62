"""Whatever is asked of the deployed API, what it answers is in its OpenAPI document."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.openapi.fuzz import deployed, fuzz

EXAMPLES = 40
"""An operation and phase: some 1,000 requests, about a minute on two cores with the stack's start. 500 take several, since the emulator
waits 50 ms for the log of each call that logs nothing. `make fuzz` makes up 10,000."""

SEEN = {
    *(f"submitJob {status}" for status in (202, 400, 415, 422)),
    *(f"listJobs {status}" for status in (200, 400)),
    *(f"getJob {status}" for status in (200, 404)),
    *(f"getJobResult {status}" for status in (200, 303, 404, 409)),
    *(f"cancelJob {status}" for status in (200, 404, 409)),
    *(f"{name} 200" for name in ("listJobTypes", "getHealth", "getOpenApi")),
}


@pytest.mark.slow
@pytest.mark.e2e
def test_no_answer_is_a_server_error_or_undocumented(tmp_path: Path) -> None:
    with deployed(tmp_path) as stack:
        fuzzed = fuzz(stack, examples=EXAMPLES, further=["--seed", "1"])
    assert fuzzed.exit_status == 0, fuzzed.text
    # All that is documented is worth nothing if nobody gets past the door.
    assert fuzzed.answers.keys() >= SEEN
    assert not [name for name in fuzzed.answers if int(name.split()[1]) >= 500]

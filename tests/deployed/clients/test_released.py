"""The clients of the last release against this server."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.support.deployed import Api
from tests.support.released import EXPECTED, LANGUAGES, ran, recording

pytestmark = pytest.mark.slow

RECORD = "ASYNCJOBS_RECORD"
"""A folder for what this server answers: a release keeps it."""


@pytest.mark.parametrize("language", LANGUAGES)
def test_program_of_the_last_release_works_with_its_own_client(language: str, api: Api, tmp_path: Path) -> None:
    caller = api.caller(f"released-{language}")  # with no other jobs
    token = caller.http.headers["authorization"].removeprefix("Bearer ")
    with recording(api.outputs.api_url) as session:
        assert ran(language, session.base, token, is_released=True, folder=tmp_path) == EXPECTED
    assert session.problems == []
    if folder := os.environ.get(RECORD):
        Path(folder, f"{language}.json").write_text(json.dumps(session.answers, indent=1) + "\n")

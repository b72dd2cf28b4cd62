"""The clients of the last release against this server."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.deployed import Api
from tests.support.prefetch import collected
from tests.support.released import EXPECTED, LANGUAGES, ran, recording

pytestmark = pytest.mark.slow

RECORD = "ASYNCJOBS_RECORD"
"""A folder for what this server answers: a release keeps it."""


@pytest.fixture(scope="module")
def begun(
    request: pytest.FixtureRequest, api: Api, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[None]]]:
    """Begin the collected programs at the same time, since they mostly wait."""
    pool = ThreadPoolExecutor(2)
    languages = [each["language"] for each in collected(request)]
    yield {language: pool.submit(work, language, api, tmp_path_factory.mktemp("program")) for language in languages}
    pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("language", LANGUAGES)
def test_program_of_the_last_release_works_with_its_own_client(language: str, begun: dict[str, Future[None]]) -> None:
    begun[language].result(timeout=600)


def work(language: str, api: Api, folder: Path) -> None:
    """Run the program, which has to work, and keep what the server answered where the variable says."""
    caller = api.caller(f"released-{language}")  # with no other jobs
    token = caller.http.headers["authorization"].removeprefix("Bearer ")
    with recording(api.outputs.api_url) as session:
        assert ran(language, session.base, token, is_released=True, folder=folder) == EXPECTED
    assert session.problems == []
    if kept := os.environ.get(RECORD):
        Path(kept, f"{language}.json").write_text(json.dumps(session.answers, indent=1) + "\n")

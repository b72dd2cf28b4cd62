"""The present clients against the server of the last release, whose answers are recorded."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.prefetch import collected
from tests.support.released import EXPECTED, LANGUAGES, ran, replaying

pytestmark = pytest.mark.slow


Begun = dict[tuple[str, bool], Future[dict[str, Any]]]


@pytest.fixture(scope="module")
def begun(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Begun]:
    """Begin the collected programs at the same time, since they mostly wait."""
    pool = ThreadPoolExecutor(4)
    programs = [(each["language"], each["is_released"]) for each in collected(request)]
    yield {program: pool.submit(printed, *program, tmp_path_factory.mktemp("program")) for program in programs}
    pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("is_released", [True, False], ids=["released", "present"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_program_of_the_last_release_works_against_its_server(language: str, is_released: bool, begun: Begun) -> None:
    assert begun[language, is_released].result(timeout=600) == EXPECTED


def printed(language: str, is_released: bool, folder: Path) -> dict[str, Any]:
    """Run the program against the server of the last release, and return what it printed."""
    with replaying(language) as session:
        return ran(language, session.base, "token-1", is_released=is_released, folder=folder)

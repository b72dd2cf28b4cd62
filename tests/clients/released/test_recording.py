"""The present clients against the server of the last release, whose answers are recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.released import EXPECTED, LANGUAGES, ran, replaying

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("is_released", [True, False], ids=["released", "present"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_program_of_the_last_release_works_against_its_server(language: str, is_released: bool, tmp_path: Path) -> None:
    with replaying(language) as session:
        assert ran(language, session.base, "token-1", is_released=is_released, folder=tmp_path) == EXPECTED

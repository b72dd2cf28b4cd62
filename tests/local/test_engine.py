"""The engine runs the one version of the emulator that local/emulator_patches is made for."""

import re

import pytest

from local import engine
from local.process import PROJECT


def test_the_version_that_is_installed_is_the_one_the_engine_is_made_for() -> None:
    pinned = re.search(r"^ministack==(\S+)", (PROJECT / "requirements" / "engine.in").read_text(), re.MULTILINE)
    assert pinned
    assert pinned[1] == engine.EMULATOR_VERSION


def test_another_version_is_refused_with_a_sentence() -> None:
    with pytest.raises(SystemExit, match=r"is made for ministack .* and found 99\.0"):
        engine._refuse_other_versions("99.0")

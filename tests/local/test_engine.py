"""The engine runs the one version of the emulator that local/emulator_patches is made for."""

import re

import pytest

from local import engine
from local.process import PROJECT


def test_installed_version_is_the_supported_one() -> None:
    pinned = re.search(r"^ministack==(\S+)", (PROJECT / "requirements" / "engine.in").read_text(), re.MULTILINE)
    assert pinned
    assert pinned[1] == engine.EMULATOR_VERSION


def test_other_version_is_rejected_with_a_reason() -> None:
    with pytest.raises(SystemExit, match=r"is made for ministack .* and found 99\.0"):
        engine._refuse_other_versions("99.0")

"""The patches that save time change no answer, and the emulator as released still does the work again.

When `test_released` fails, the emulator no longer needs that patch: delete it in local/emulator_patches, with its test.
"""

import json
import os
import subprocess
from functools import cache
from typing import Any

import pytest

from local.process import PROJECT, REGION
from local.sam import Tools
from tests.local.same_answers import CONDITIONS, ITEMS, PATHS, ROUTES

pytestmark = pytest.mark.slow

_VALID = [True, True, False, False, False, False]
_CALLERS = ["root", "user/bob", "worker/it", "root", "root", "root"]


def test_routes_match_the_same_paths() -> None:
    matched = _printed("patched")["routes"]
    assert matched == _printed()["routes"]
    assert matched[ROUTES.index("/jobs/{id}/artifacts/{path+}") * len(PATHS) + 5] == {"id": "1", "path": "x/y"}


def test_each_token_is_verified_once_for_each_key() -> None:
    assert _printed("patched")["tokens"] == {"valid": _VALID, "with another key": False, "verifications": 5}


def test_released_verifies_a_token_again() -> None:
    assert _printed()["tokens"] == {"valid": _VALID, "with another key": False, "verifications": 7}


def test_caller_is_named_without_its_policies() -> None:
    found = _printed("patched")["callers"]
    assert ([name.rpartition(":")[2].removeprefix("assumed-role/") for name in found["names"]], found["readings"]) == (
        _CALLERS,
        0,
    )
    assert found["names"] == _printed()["callers"]["names"]


def test_released_reads_policies_for_the_name_of_a_caller() -> None:
    assert _printed()["callers"]["readings"] == 1


def test_each_condition_is_read_once() -> None:
    found = _printed("patched")["conditions"]
    assert (found["answers"], found["reads"]) == (_printed()["conditions"]["answers"], len(CONDITIONS))
    assert {answer for answer in found["answers"] if isinstance(answer, bool)} == {True, False}
    assert any("Syntax error" in str(answer) for answer in found["answers"])


def test_released_reads_a_condition_for_each_item() -> None:
    assert _printed()["conditions"]["reads"] == 2 * len(CONDITIONS) * len(ITEMS)


def test_template_is_transformed_the_same_without_copies_of_its_api() -> None:
    patched, released = _printed("patched"), _printed()
    assert patched["template"] == released["template"]
    assert (patched["copies"], released["copies"] > len(released["template"]["Resources"])) == (0, True)


@cache
def _printed(*options: str) -> Any:
    """Return what `same_answers.py` prints, inside the emulator."""
    command = [str(Tools().engine_python), "-m", "tests.local.same_answers", *options]
    keys = {"AWS_ACCESS_KEY_ID": "LOCAL", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": REGION}
    printed = subprocess.run(
        command, cwd=PROJECT, env={**os.environ, **keys, "AUTH": "true"}, check=True, capture_output=True, text=True
    )
    return json.loads(printed.stdout)

"""The tests' own view of this machine."""

import os
import subprocess
import sys

import pytest

from local.process import PROJECT
from tests.__main__ import GROUPS
from tests.support import processes


@pytest.mark.parametrize(("elapsed", "seconds"), [("00:07", 7), ("01:02", 62), ("03:01:02", 10_862), ("2-03:01:02", 183_662)])
def test_elapsed_time_is_read_in_each_form(elapsed: str, seconds: int) -> None:
    assert processes.seconds(elapsed) == seconds


def test_process_is_listed_with_its_parent_until_it_ends() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert processes.running()[child.pid].parent == os.getpid()
        child.kill()
        # Until this process waits for it, it is still listed.
        assert any(child.pid not in processes.running() for _ in range(100))


def test_every_test_is_in_one_group() -> None:
    for file in (*PROJECT.glob("tests/**/test_*.py"), *PROJECT.glob("examples/*/test_*.py")):
        folders = {str(parent.relative_to(PROJECT)) for parent in file.parents if PROJECT in parent.parents}
        groups = [group for group in GROUPS if folders & set(group.folders) and not folders & set(group.excluded())]
        assert len(groups) == 1, f"{file}: {groups}"

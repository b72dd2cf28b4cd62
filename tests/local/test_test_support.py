"""The tests' own view of this machine."""

import os
import subprocess
import sys

import pytest

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

"""An allocation that does not fit into the function's memory fails, and its process lives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from asyncjobs.worker import memory

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has the limit")


def run(program: str) -> str:
    """Run the program in a process of its own, since the limit stays, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", f"from asyncjobs.worker.memory import limit_memory\nimport threading, time\n{program}"],
        env={"PYTHONPATH": str(Path(memory.__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


ALLOCATES = """
def fits(megabytes):
    try:
        return len(bytearray(megabytes << 20)) > 0
    except MemoryError:
        return False
"""


def test_more_than_the_functions_memory_cannot_be_allocated() -> None:
    assert run(f"{ALLOCATES}\nlimit_memory(512)\nprint(fits(300), fits(512), fits(300))") == "True False True"


def test_memory_in_use_counts() -> None:
    assert run(f"{ALLOCATES}\nheld = bytearray(300 << 20)\nlimit_memory(512)\nprint(fits(50), fits(250))") == "True False"


def test_limit_follows_a_process_that_grows_and_shrinks() -> None:
    program = f"""{ALLOCATES}
held = bytearray(300 << 20)
limit_memory(512)
del held
limit_memory(512)
print(fits(300), fits(512))
"""
    assert run(program) == "True False"


def test_threads_use_no_memory_that_they_only_reserve() -> None:
    program = f"""{ALLOCATES}
limit_memory(512)
go = threading.Event()
def work():
    held = [bytes(1000) for _ in range(100)]
    go.wait()
threads = [threading.Thread(target=work) for _ in range(16)]
for thread in threads:
    thread.start()
print(fits(200))
go.set()
"""
    assert run(program) == "True"


def test_small_function_still_has_some_memory() -> None:
    assert run(f"{ALLOCATES}\nlimit_memory(1)\nprint(fits(16), fits(64))") == "True False"


def test_lower_limit_of_the_system_stays() -> None:
    program = f"""{ALLOCATES}
import resource
resource.setrlimit(resource.RLIMIT_DATA, (100 << 20, 100 << 20))
limit_memory(512)
print(fits(50), fits(200))
"""
    assert run(program) == "True False"

"""The tests' own view of this machine."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from local.process import PROJECT
from tests import __main__ as runner
from tests.__main__ import GROUPS, Group
from tests.support import processes
from tests.support.deployed import wait_until
from tests.support.pace import SLOWNESS, VARIABLE


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


FAILS = """
def test_fails():
    assert False
"""
FAILS_ONCE = """
from pathlib import Path

def test_passes():
    pass

def test_is_late():
    mark = Path(__file__).with_name("mark")
    was_there = mark.exists()
    mark.touch()
    assert was_there
"""
FAILS_AND_IS_SKIPPED_ALONE = FAILS_ONCE.replace("    mark =", "    import pytest\n    mark =").replace(
    "    assert was_there", "    assert was_there\n    pytest.skip()"
)
FAILS_SIX_TIMES_ONCE = FAILS_ONCE.replace(
    "def test_is_late()", "import pytest\n\n@pytest.mark.parametrize('number', range(6))\ndef test_is_late(number)"
).replace('"mark"', 'f"mark{number}"')


@pytest.mark.parametrize(
    ("tests", "has_second_try", "checks", "status"),
    [
        pytest.param(FAILS_ONCE, True, "true", 0, id="a test that passes alone"),
        pytest.param(FAILS_ONCE, False, "true", 1, id="any other test"),
        pytest.param(FAILS, True, "true", 1, id="a test that fails again"),
        pytest.param(FAILS_AND_IS_SKIPPED_ALONE, True, "true", 1, id="a test that is skipped alone"),
        pytest.param(FAILS_SIX_TIMES_ONCE, True, "true", 1, id="too many"),
        pytest.param(FAILS_ONCE + "1 / 0", True, "true", 1, id="a file that cannot be imported"),
        pytest.param(FAILS_ONCE, True, "false", 1, id="a failed check"),
    ],
)
def test_only_few_tests_that_wait_for_an_engine_are_tried_again(
    tests: str,
    has_second_try: bool,
    checks: str,
    status: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "test_it.py").write_text(tests)
    groups = (Group((str(tmp_path),), 0, has_second_try=has_second_try), Group((), 0))
    monkeypatch.setattr(runner, "GROUPS", groups)
    monkeypatch.setattr(runner, "CHECKS", (checks,))
    monkeypatch.setattr(runner, "PROJECT", tmp_path)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # three times as fast
    assert runner.main(["-c", os.devnull, "--rootdir", str(tmp_path)]) == status
    printed = capfd.readouterr().out
    assert ("Passed alone." in printed) == (status == 0 or checks == "false")
    assert ("Interrupted" in printed) == ("1 / 0" in tests), printed
    assert "= FAILURES =" in printed or "= ERRORS =" in printed, "what failed first is shown in any case"


WAITS = """
import time
from pathlib import Path
import pytest

HERE = Path(__file__).parent

@pytest.fixture
def engine():
    is_alone = (HERE / "was_beside_others").exists()
    (HERE / "was_beside_others").touch()
    if is_alone == {is_alone}:
        (HERE / "started").touch()
    yield is_alone
    if is_alone == {is_alone}:
        (HERE / "stopped").touch()

def test_waits(engine):
    assert engine == {is_alone}
    time.sleep(600)
"""


@pytest.mark.parametrize(
    ("signals", "is_alone"),
    [
        pytest.param([signal.SIGTERM], False, id="once"),
        pytest.param([signal.SIGTERM, signal.SIGTERM], False, id="twice"),
        pytest.param([signal.SIGTERM], True, id="in a second try"),
    ],
)
def test_terminated_run_ends_once_its_tests_have_stopped_their_engines(
    signals: list[signal.Signals], is_alone: bool, tmp_path: Path
) -> None:
    (tmp_path / "test_it.py").write_text(WAITS.format(is_alone=is_alone))
    program = f"""
import sys
from pathlib import Path
from tests import __main__ as runner
runner.GROUPS = (runner.Group(({str(tmp_path)!r},), 0, has_second_try=True), runner.Group((), 0))
runner.CHECKS = ("sleep", "{0 if is_alone else 600}")
runner.PROJECT = Path({str(tmp_path)!r})
sys.exit(runner.main(["-c", {os.devnull!r}, "--rootdir", {str(tmp_path)!r}]))
"""
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", VARIABLE: str(SLOWNESS)}
    with subprocess.Popen([sys.executable, "-c", program], cwd=PROJECT, env=env, stdout=subprocess.PIPE, text=True) as run:
        wait_until((tmp_path / "started").exists)
        for each in signals:
            run.send_signal(each)
        printed, _ = run.communicate(timeout=60 * SLOWNESS)
    assert run.returncode == 1, printed
    assert (tmp_path / "stopped").exists(), printed
    assert f"make check: {'passed' if is_alone else 'failed'}" in printed
    assert ("tried again alone" in printed) == is_alone

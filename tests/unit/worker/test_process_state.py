"""What a job changes in its process for the jobs after it is restored."""

from __future__ import annotations

import asyncio
import builtins
import contextvars
import datetime as dt
import decimal
import gc
import http.client
import io
import json
import locale
import logging
import os
import random
import resource
import signal
import socket
import ssl
import sys
import tempfile
import threading
import time
import types
import urllib.request
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from asyncjobs.log import LOGGER
from asyncjobs.worker import process_state
from asyncjobs.worker.kernel_timer import ENDS_PROCESS, INTERRUPTS
from asyncjobs.worker.process_state import PARTS, RARE_PARTS, ProcessState, call_apart


def close_the_loop() -> None:
    asyncio.run(asyncio.sleep(0))


def disable_existing_loggers() -> None:
    LOGGER.disabled = True


def move_the_clock() -> None:
    os.environ["TZ"] = "Asia/Tokyo"
    time.tzset()
    del os.environ["TZ"]


def show_calls_to_aws() -> None:
    logger = logging.getLogger("botocore")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(logging.StreamHandler())


class Finder:
    """Finds no module."""

    def find_spec(self, *_: object) -> None: ...


class Tee:
    """A stream as jobs write them: with what `print` needs."""

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None: ...


class ComparesWithNothing:
    def __eq__(self, other: object) -> bool:
        raise TypeError("not comparable")

    __hash__ = object.__hash__


CHANGES: dict[str, list[Callable[[], Any]]] = {
    "environment": [
        lambda: os.environ.update(OWNER="alice"),
        lambda: os.environ.pop("PATH"),
        lambda: os.environ.update(PATH="elsewhere"),
        lambda: setattr(os, "environ", dict(os.environ)),
    ],
    "standard streams": [
        lambda: setattr(sys, "stdout", io.StringIO()),
        lambda: setattr(sys, "stdout", Tee()),
        lambda: setattr(sys, "stderr", None),
        lambda: vars(sys)["stdout"].reconfigure(encoding="ascii", errors="strict"),
    ],
    "log events": [
        lambda: logging.disable(logging.CRITICAL),
        lambda: LOGGER.setLevel(logging.CRITICAL),
        lambda: LOGGER.addHandler(logging.NullHandler()),
        lambda: LOGGER.addFilter(lambda _record: False),
        disable_existing_loggers,
    ],
    "signal handlers": [
        lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
        lambda: signal.signal(INTERRUPTS, signal.SIG_IGN),
        lambda: signal.signal(ENDS_PROCESS, signal.SIG_IGN),
    ],
    "signal mask": [lambda: signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())],
    "event loop": [close_the_loop, lambda: asyncio.set_event_loop(None)],
    "working directory": [lambda: os.chdir("/")],
    "umask": [lambda: os.umask(0o777)],
    "hooks": [
        lambda: sys.setprofile(lambda *_: None),
        lambda: setattr(sys, "excepthook", print),
        lambda: setattr(threading, "excepthook", print),
        lambda: threading.settrace(lambda *_: None),
        lambda: threading.setprofile(lambda *_: None),
    ],
    "time zone": [move_the_clock],
    "module search path": [
        lambda: sys.path.insert(0, "/tmp"),
        sys.path.clear,
        lambda: setattr(sys, "path", [*sys.path, "/tmp"]),
        lambda: sys.meta_path.insert(0, Finder()),
    ],
    "root logger": [lambda: logging.basicConfig(level=logging.DEBUG, force=True), lambda: logging.root.setLevel(1)],
    "loggers": [show_calls_to_aws, lambda: logging.getLogger("a logger of a job").setLevel(1)],
    "warning filters": [lambda: warnings.simplefilter("ignore"), warnings.resetwarnings],
    "locale": [lambda: locale.setlocale(locale.LC_ALL, "C")],
    "socket timeout": [lambda: socket.setdefaulttimeout(0.001)],
    "interpreter": [
        lambda: sys.setrecursionlimit(500),
        lambda: sys.set_int_max_str_digits(0),
        gc.disable,
        lambda: gc.set_threshold(1),
        lambda: sys.setswitchinterval(10),
        lambda: threading.stack_size(1 << 20),
    ],
    "decimal defaults": [
        lambda: setattr(decimal.DefaultContext, "prec", 3),
        lambda: setattr(decimal.DefaultContext, "rounding", decimal.ROUND_UP),
    ],
    "functions": [
        lambda: setattr(ssl, "_create_default_https_context", ssl._create_unverified_context),
        lambda: setattr(socket, "socket", ssl.SSLSocket),
        lambda: setattr(builtins, "print", id),
        lambda: logging.captureWarnings(capture=True),
        lambda: logging.setLogRecordFactory(logging.makeLogRecord),
        lambda: setattr(json, "dumps", str),
        lambda: setattr(json.JSONEncoder, "default", str),
        lambda: setattr(time, "time", float),
        lambda: setattr(dt, "datetime", dt.date),
        lambda: setattr(uuid, "uuid4", lambda: uuid.UUID(int=1)),
    ],
    "variables of modules": [
        lambda: urllib.request.install_opener(urllib.request.build_opener()),
        lambda: setattr(http.client.HTTPConnection, "debuglevel", 1),
        lambda: setattr(tempfile, "tempdir", "/nowhere"),
    ],
}
CASES = [pytest.param(name, change, id=f"{name} {n}") for name, changes in CHANGES.items() for n, change in enumerate(changes)]


@pytest.fixture
def state() -> Iterator[ProcessState]:
    """Return the state, and restore everything in any case."""
    parts = [*PARTS, *RARE_PARTS]
    before = [part.read() for part in parts]
    yield ProcessState()
    for part, value in zip(parts, before, strict=True):
        if part.read() != value:
            part.restore(value)


@pytest.fixture
def compared(state: ProcessState, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Compare everything, and let no time pass from then on; return the time, which a test may change."""
    now = [1.0]
    monkeypatch.setattr(process_state, "_monotonic", lambda: now[0])
    with state:
        pass
    return now


def part(name: str) -> Any:
    return next(part for part in (*PARTS, *RARE_PARTS) if part.name == name).read()


def test_every_part_has_a_case() -> None:
    assert CHANGES.keys() == {part.name for part in PARTS}


@pytest.mark.parametrize(("name", "change"), CASES)
def test_change_is_restored(state: ProcessState, name: str, change: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    if name == "locale":
        locale.setlocale(locale.LC_ALL, "C.UTF-8")
    # An earlier test may have called `asyncio.run`.
    monkeypatch.setattr(asyncio.events, "_event_loop_policy", None)
    before = part(name)
    with state:
        change()
        assert part(name) != before
    assert (part(name), state.broken) == (before, [])
    with state:
        pass
    assert part(name) == before


def test_change_is_restored_when_the_job_raises(state: ProcessState) -> None:
    before = Path.cwd()

    def fail() -> None:
        with state:
            os.chdir("/")
            raise KeyError("x")

    with pytest.raises(KeyError):
        fail()
    assert Path.cwd() == before


def test_variable_that_the_runtime_sets_between_two_jobs_stays(state: ProcessState, monkeypatch: pytest.MonkeyPatch) -> None:
    with state:
        pass
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "of the next invocation")
    with state:
        pass
    assert os.environ["_X_AMZN_TRACE_ID"] == "of the next invocation"


@pytest.mark.parametrize(("module", "stays"), [("a_package_for_a_test", True), ("antigravity", False)])
def test_configuration_of_a_module_that_the_job_imports_stays(
    state: ProcessState, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, module: str, *, stays: bool
) -> None:
    before = Path.cwd()
    with state:
        monkeypatch.setitem(sys.modules, module, sys)  # as an import statement does
        monkeypatch.setenv("CONFIGURED", "by the module")
        os.chdir(tmp_path)
    assert ("CONFIGURED" in os.environ, Path.cwd()) == (stays, before)


def test_configuration_of_the_jobs_own_module_stays(state: ProcessState, monkeypatch: pytest.MonkeyPatch) -> None:
    with state:
        monkeypatch.setenv("CONFIGURED", "by the module")
        monkeypatch.setitem(sys.modules, "a_module_of_a_job", sys)
        state.note_imports()
        os.environ["OWNER"] = "alice"
    assert "CONFIGURED" in os.environ
    assert "OWNER" not in os.environ


def test_jobs_side_by_side_share_the_state_before_the_first(state: ProcessState, monkeypatch: pytest.MonkeyPatch) -> None:
    with state:
        monkeypatch.setenv("OWNER", "alice")
        with state:
            os.environ["OWNER"] = "bob"
        assert "OWNER" not in os.environ
    assert "OWNER" not in os.environ


def test_state_that_cannot_be_restored_is_broken(state: ProcessState, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    with state:
        stream.close()
    assert state.broken == ["standard streams"]


def test_context_variables_and_decimals_are_the_jobs_own() -> None:
    variable = contextvars.ContextVar("variable", default=0)
    precision = decimal.getcontext().prec

    def change() -> tuple[int, int]:
        found = variable.get(), decimal.getcontext().prec
        variable.set(7)
        decimal.getcontext().prec = 3
        return found

    assert call_apart(change) == call_apart(change) == (0, precision)
    assert (variable.get(), decimal.getcontext().prec) == (0, precision)


def test_signal_that_a_job_has_blocked_interrupts_the_next_one(state: ProcessState) -> None:
    interrupted: list[int] = []
    previous = signal.signal(INTERRUPTS, lambda number, _frame: interrupted.append(number))
    with state:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    signal.pthread_kill(threading.get_ident(), INTERRUPTS)
    time.sleep(0)
    signal.signal(INTERRUPTS, previous)
    assert interrupted == [INTERRUPTS]


@pytest.mark.parametrize(("timer", "number"), [("ITIMER_PROF", "SIGPROF"), ("ITIMER_VIRTUAL", "SIGVTALRM")])
def test_timer_that_a_job_has_left_does_not_end_the_process(state: ProcessState, timer: str, number: str) -> None:
    with state:
        signal.signal(getattr(signal, number), lambda *_: None)
        signal.setitimer(getattr(signal, timer), 0.01, 0.01)
    assert signal.getitimer(getattr(signal, timer)) == (0, 0)


@pytest.mark.parametrize(
    "change",
    [
        lambda handler: handler.setLevel(logging.CRITICAL),
        lambda handler: handler.setFormatter(logging.Formatter("%(message)s")),
        lambda handler: handler.addFilter(lambda _record: False),
        lambda handler: handler.setStream(io.StringIO()),
    ],
    ids=["level", "format", "filter", "stream"],
)
def test_handler_of_the_log_events_is_restored(
    state: ProcessState, monkeypatch: pytest.MonkeyPatch, change: Callable[[Any], None]
) -> None:
    handler = logging.StreamHandler(io.StringIO())
    monkeypatch.setattr(LOGGER, "handlers", [handler])
    before = handler.level, handler.formatter, handler.filters.copy(), handler.stream
    with state:
        change(handler)
        assert (handler.level, handler.formatter, handler.filters, handler.stream) != before
    assert (handler.level, handler.formatter, handler.filters, handler.stream) == before


def test_logger_that_a_job_makes_costs_later_jobs_no_restoring(state: ProcessState, monkeypatch: pytest.MonkeyPatch) -> None:
    with state:
        logging.getLogger("another logger of a job")
    monkeypatch.setattr(ProcessState, "_restore", pytest.fail)
    with state:
        logging.getLogger("one more logger of a job")


def test_object_that_cannot_be_compared_is_replaced(state: ProcessState) -> None:
    before = sys.excepthook
    with state:
        sys.excepthook = ComparesWithNothing()  # type: ignore[assignment]  # as a job may
    assert (sys.excepthook, state.broken) == (before, [])


def test_part_that_cannot_be_read_is_restored(state: ProcessState) -> None:
    before = sys.stdin
    with state:
        del sys.stdin
    assert (sys.stdin, state.broken) == (before, [])


def test_alarm_that_a_job_has_left_is_cancelled(state: ProcessState) -> None:
    with state:
        signal.alarm(60)
    assert signal.alarm(0) == 0


# ── Compared only when the last time is some milliseconds ago ──────────────────────────────────────


@pytest.mark.parametrize("limit", [resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE])
def test_limit_that_a_job_has_lowered_is_restored(state: ProcessState, limit: int) -> None:
    before = part("resource limits")
    with state:
        resource.setrlimit(limit, (5, resource.getrlimit(limit)[1]))
    assert (part("resource limits"), state.broken) == (before, [])


def test_limit_that_was_not_compared_in_time_is_restored_before_the_next_job(
    state: ProcessState, compared: list[float]
) -> None:
    before = part("resource limits")
    with state:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    compared[0] += 0.25
    with state:
        assert part("resource limits") == before


def test_limit_that_cannot_be_set_back_replaces_the_process(state: ProcessState, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise ValueError("not allowed to raise maximum limit")

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with state:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
        monkeypatch.setattr(
            resource, "setrlimit", refused
        )  # as the kernel does when a process has lowered its own limit for good
    monkeypatch.undo()
    assert state.broken == ["resource limits"]


def test_priority_that_a_job_has_lowered_is_restored(state: ProcessState) -> None:
    before = part("priority")
    with state:
        os.nice(1)
    assert part("priority") == before or state.broken == ["priority"]


@pytest.mark.parametrize("descriptor", [1, 2])
def test_process_whose_output_a_job_has_redirected_is_replaced(state: ProcessState, descriptor: int) -> None:
    kept = os.dup(descriptor)
    try:
        with state, Path(os.devnull).open("w") as nothing:
            os.dup2(nothing.fileno(), descriptor)
        assert state.broken == ["files of the standard streams"]
    finally:
        os.dup2(kept, descriptor)
        os.close(kept)


@pytest.mark.parametrize("fault", ["patched", "deleted"])
def test_function_that_a_job_has_replaced_is_set_back(state: ProcessState, fault: str) -> None:
    before = uuid.uuid1
    with state:
        if fault == "patched":
            uuid.uuid1 = uuid.uuid3  # type: ignore[assignment]
        else:
            del uuid.uuid1
    assert (uuid.uuid1, state.broken) == (before, [])


def test_function_that_a_package_replaces_when_it_is_imported_stays(
    state: ProcessState, monkeypatch: pytest.MonkeyPatch
) -> None:
    with state:
        monkeypatch.setitem(sys.modules, "a_package_for_a_test", types.ModuleType("a_package_for_a_test"))
        monkeypatch.setattr(json, "dumps", print)
        monkeypatch.setattr(uuid, "uuid1", print)
    with state:
        pass
    assert vars(json)["dumps"] is vars(uuid)["uuid1"] is print


def test_all_code_is_compared_a_few_times_a_second(
    state: ProcessState, compared: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = uuid.uuid1
    with state:
        monkeypatch.setattr(uuid, "uuid1", print)
    assert vars(uuid)["uuid1"] is print
    compared[0] += 0.25
    with state:
        assert uuid.uuid1 is before


@pytest.mark.usefixtures("compared")
@pytest.mark.parametrize("imported", ["between the jobs", "by the next job"])
def test_function_that_a_quick_job_has_left_is_not_noted_with_an_import(
    state: ProcessState, imported: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = uuid.uuid1
    with state:
        monkeypatch.setattr(uuid, "uuid1", print)
    module = "a_module_of_a_test"
    if imported == "between the jobs":
        monkeypatch.setitem(sys.modules, module, types.ModuleType(module))
    with state:
        if imported == "by the next job":
            state.prepare_import()
            monkeypatch.setitem(sys.modules, module, types.ModuleType(module))
            state.note_imports()
        assert uuid.uuid1 is before


@pytest.mark.usefixtures("compared")
def test_code_is_not_compared_for_the_first_use_of_a_temporary_folder(
    state: ProcessState, monkeypatch: pytest.MonkeyPatch
) -> None:
    with state:
        monkeypatch.setattr(uuid, "uuid1", print)
        monkeypatch.setattr(tempfile, "tempdir", "/tmp/of-a-job")
    assert (tempfile.tempdir == "/tmp/of-a-job", vars(uuid)["uuid1"]) == (False, print)


def test_random_numbers_of_a_job_are_its_own_while_others_of_the_batch_end(state: ProcessState) -> None:
    with state:
        random.seed(42)
        with state:
            pass
        assert random.random() == random.Random(42).random()


@pytest.mark.usefixtures("compared")
def test_code_is_compared_when_a_function_that_is_replaced_often_has_changed(
    state: ProcessState, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = uuid.uuid1
    with state:
        monkeypatch.setattr(json, "dumps", print)
        monkeypatch.setattr(uuid, "uuid1", print)  # as a library that replaces a clock does it, everywhere
    assert uuid.uuid1 is before


def test_next_job_does_not_know_the_random_numbers_to_come(state: ProcessState) -> None:
    with state:
        random.seed(1)
        expected = [random.random() for _ in range(3)]
        random.seed(1)
    assert [random.random() for _ in range(3)] != expected

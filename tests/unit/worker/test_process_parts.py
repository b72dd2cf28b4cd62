"""Each part of the process that a job may change is restored."""

from __future__ import annotations

import asyncio
import builtins
import datetime as dt
import decimal
import gc
import http.client
import io
import json
import locale
import logging
import os
import resource
import signal
import socket
import ssl
import sys
import tempfile
import threading
import time
import urllib.request
import uuid
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asyncjobs.log import LOGGER
from asyncjobs.worker.kernel_timer import ENDS_PROCESS, INTERRUPTS
from asyncjobs.worker.process_parts import PARTS
from asyncjobs.worker.process_state import ProcessState
from tests.unit.worker.conftest import part


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


def test_alarm_that_a_job_has_left_is_cancelled(state: ProcessState) -> None:
    with state:
        signal.alarm(60)
    assert signal.alarm(0) == 0


@pytest.mark.parametrize("limit", [resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE])
def test_limit_that_a_job_has_lowered_is_restored(state: ProcessState, limit: int) -> None:
    before = part("resource limits")
    with state:
        resource.setrlimit(limit, (5, resource.getrlimit(limit)[1]))
    assert (part("resource limits"), state.broken) == (before, [])


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

"""The parts of a process that a job may change for the jobs after it: how each is read, and how it is set.

`process_state` notes and restores them. docs/jobs.md has the whole list, with what is left to the author of a job.
"""

from __future__ import annotations

import decimal
import gc
import locale
import logging
import os
import resource
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import getitem
from typing import Any

from asyncjobs.log import LOGGER
from asyncjobs.worker.kernel_timer import ENDS_PROCESS, INTERRUPTS, show_traceback_at_the_end


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the state: how to read it and how to set it. Setting it raises when that is not possible any more."""

    name: str
    read: Callable[[], Any]
    restore: Callable[[Any], object]
    belongs_to_modules: bool = False
    """Whether a module may set it when it is imported, for as long as the process lives."""
    changes_by_itself: bool = False
    """Whether not only jobs and their modules change it. Then it is also read before each job."""
    is_code: bool = False
    """Whether a change of it says that more functions may be replaced, such as those that record the job's end."""
    is_set_always: bool = False
    """Whether it is set after each job without being read: that takes as long, a system call, and finds out nothing more."""


_SIGNALS = (
    *(
        int(getattr(signal, name))
        for name in (
            "SIGALRM",
            "SIGCHLD",
            "SIGHUP",
            "SIGINT",
            "SIGPIPE",
            "SIGPROF",
            "SIGTERM",
            "SIGUSR1",
            "SIGUSR2",
            "SIGVTALRM",
        )
    ),
    INTERRUPTS,
    ENDS_PROCESS,
)
_signal: Any = sys.modules["_signal"]
"""The module below `signal`. The latter turns each number and handler into a member of an enum, which takes 15 times as long."""


_locale: Any = sys.modules["_locale"]
_environ, _environb = os.environ, os.environb


def _environment() -> tuple[bool, dict[bytes, bytes]]:
    # Its public views decode each variable, which takes as long as all other parts together.
    return os.environ is _environ, _environ._data.copy()  # type: ignore[attr-defined]  # noqa: SLF001


def _set_environment(before: tuple[bool, dict[bytes, bytes]]) -> None:
    os.environ = _environ  # noqa: B003 - the object itself, which a job has replaced
    _, variables = before
    for name in _environb.keys() - variables.keys():
        del _environb[name]
    for name, value in variables.items():
        if _environb.get(name) != value:
            _environb[name] = value


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _mask() -> set[int]:
    """Return the signals that are blocked."""
    blocked: set[int] = _signal.pthread_sigmask(signal.SIG_BLOCK, ())
    return blocked


def _set_mask(before: set[int]) -> None:
    """Block these signals, and cancel timers that a job has left: their signals end a process that does not handle them."""
    for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
        _signal.setitimer(timer, 0)
    _signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _streams() -> tuple[Any, ...]:
    output, errors = sys.stdout, sys.stderr
    return sys.stdin, output, errors, _manner(output), _manner(errors)


def _manner(stream: Any) -> tuple[Any, ...]:
    # A job's own stream may have no more than what `print` needs.
    return getattr(stream, "closed", stream is None), getattr(stream, "encoding", None), getattr(stream, "errors", None)


def _set_streams(before: tuple[Any, ...]) -> None:
    sys.stdin, sys.stdout, sys.stderr = before[:3]
    for stream, (_, encoding, errors) in zip(before[1:3], before[3:], strict=True):
        if (encoding, errors) != _manner(stream)[1:]:
            stream.reconfigure(encoding=encoding, errors=errors)
    if _streams() != before:
        raise ValueError("A standard stream is closed.")


def _events() -> tuple[Any, ...]:
    # Each event is also its metric, so the library's lines must go on.
    return *_logger(LOGGER), logging.root.manager.disable, [_handler(handler) for handler in LOGGER.handlers]


def _set_events(before: tuple[Any, ...]) -> None:
    *logger, disabled, handlers = before
    _set_logger(LOGGER, logger)
    for handler, (level, formatter, filters, stream) in zip(LOGGER.handlers, handlers, strict=True):
        handler.setLevel(level)
        handler.setFormatter(formatter)
        handler.filters[:] = filters
        if stream is not None:
            handler.stream = stream  # type: ignore[attr-defined]  # of each handler that has one
    logging.disable(disabled)


def _handler(handler: logging.Handler) -> tuple[Any, ...]:
    return handler.level, handler.formatter, tuple(handler.filters), getattr(handler, "stream", None)


def _logger(logger: logging.Logger) -> tuple[Any, ...]:
    return logger.level, logger.disabled, logger.propagate, tuple(logger.handlers), tuple(logger.filters)


def _set_logger(logger: logging.Logger, before: Sequence[Any]) -> None:
    level, logger.disabled, logger.propagate, handlers, filters = before
    logger.setLevel(level)
    logger.handlers[:] = handlers
    logger.filters[:] = filters


def _root_logger() -> tuple[Any, ...]:
    return _logger(logging.root)


def _set_root_logger(before: tuple[Any, ...]) -> None:
    _set_logger(logging.root, before)


class _Loggers:
    """All other loggers. They are looked at when there are more of them, or a level was set: that clears a cache of each.

    A handler alone, without a level, changes little: the root logger's level is another part.
    """

    _MARK = object()
    _NEW = (logging.NOTSET, False, True, (), ())

    def __init__(self) -> None:
        self._last: dict[str, tuple[Any, ...]] = {}
        self._count = -1

    def read(self) -> dict[str, tuple[Any, ...]]:
        cache: dict[Any, Any] = logging.root._cache  # type: ignore[attr-defined]  # noqa: SLF001 - nothing else shows it so quickly
        loggers = logging.root.manager.loggerDict
        if self._MARK not in cache or len(loggers) != self._count:
            found = {name: _logger(each) for name, each in loggers.items() if isinstance(each, logging.Logger)}
            self._last = {name: now for name, now in found.items() if now != self._NEW and name != LOGGER.name}
            self._count = len(loggers)
            cache[self._MARK] = True
        return self._last

    def restore(self, before: dict[str, tuple[Any, ...]]) -> None:
        for name in {*self.read(), *before}:
            _set_logger(logging.getLogger(name), before.get(name, self._NEW))


def _warnings() -> tuple[Any, ...]:
    return tuple(warnings.filters)


def _set_warnings(before: tuple[Any, ...]) -> None:
    warnings.filters[:] = before  # type: ignore[index]  # a list, which is typed as a sequence
    with warnings.catch_warnings():
        """It forgets what the filters were."""


def _path() -> tuple[Any, ...]:
    return sys.path, tuple(sys.path), sys.meta_path, tuple(sys.meta_path)


def _set_path(before: tuple[Any, ...]) -> None:
    sys.path, entries, sys.meta_path, finders = before
    sys.path[:] = entries
    sys.meta_path[:] = finders


def _interpreter() -> tuple[Any, ...]:
    return (
        sys.getrecursionlimit(),
        sys.get_int_max_str_digits(),
        gc.isenabled(),
        gc.get_threshold(),
        sys.getswitchinterval(),
        threading.stack_size(),
    )


def _set_interpreter(before: tuple[Any, ...]) -> None:
    recursion, digits, is_collecting, thresholds, interval, stack = before
    sys.setrecursionlimit(recursion)
    sys.set_int_max_str_digits(digits)
    (gc.enable if is_collecting else gc.disable)()
    gc.set_threshold(*thresholds)
    sys.setswitchinterval(interval)
    threading.stack_size(stack)


def _hooks() -> tuple[Any, ...]:
    return (
        sys.gettrace(),
        sys.getprofile(),
        threading.gettrace(),
        threading.getprofile(),
        sys.excepthook,
        sys.unraisablehook,
        threading.excepthook,
    )


def _set_hooks(before: tuple[Any, ...]) -> None:
    sys.settrace(before[0])
    sys.setprofile(before[1])
    threading.settrace(before[2])
    threading.setprofile(before[3])
    sys.excepthook, sys.unraisablehook, threading.excepthook = before[4:]


def _handlers() -> tuple[Any, ...]:
    return tuple(map(_signal.getsignal, _SIGNALS))


def _set_handlers(before: tuple[Any, ...]) -> None:
    for number, handler in zip(_SIGNALS, before, strict=True):
        if handler is not None:  # not set by Python
            signal.signal(number, handler)
    if hasattr(signal, "SIGRTMAX"):
        show_traceback_at_the_end()


# `limit_memory` sets that of the data.
_LIMITS = (resource.RLIMIT_NOFILE, resource.RLIMIT_CPU, resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC, resource.RLIMIT_AS)


def _limits() -> tuple[Any, ...]:
    return tuple(map(resource.getrlimit, _LIMITS))


def _set_limits(before: tuple[Any, ...]) -> None:
    for limit, values in zip(_LIMITS, before, strict=True):
        resource.setrlimit(limit, values)


def _stream_files() -> list[tuple[int, int]]:
    """Return which files output and errors are: `os.dup2` and `os.close` change that under `sys.stdout`."""
    return [(found.st_dev, found.st_ino) for found in map(os.fstat, (1, 2))]


def _cannot_restore(_before: object) -> None:
    raise OSError("The file that it was is closed.")


def _event_loop() -> tuple[Any, ...]:
    events = sys.modules.get("asyncio.events")
    policy = None if events is None else getattr(events, "_event_loop_policy", None)
    state = getattr(policy, "_local", None)
    return policy, getattr(state, "_loop", None), getattr(state, "_set_called", False)


def _set_event_loop(before: tuple[Any, ...]) -> None:
    """Set the loop that `get_event_loop` returns outside of a running one. No public function goes back to "not set"."""
    events: Any = sys.modules["asyncio.events"]
    policy, loop, was_set = before
    if policy is None:
        events._event_loop_policy = None  # noqa: SLF001
    else:
        policy._local._loop, policy._local._set_called = loop, was_set  # noqa: SLF001


def _set_locale(before: str) -> None:
    locale.setlocale(locale.LC_ALL, before)


def _time_zone() -> tuple[Any, ...]:
    return time.tzname, time.timezone, time.altzone


def _set_time_zone(_before: tuple[Any, ...]) -> None:
    # The environment is restored before.
    time.tzset()


def _decimals() -> tuple[Any, ...]:
    """Return what a new decimal context is made of."""
    default = decimal.DefaultContext
    return default.prec, default.rounding, default.Emin, default.Emax, default.capitals, default.clamp


def _set_decimals(before: tuple[Any, ...]) -> None:
    default = decimal.DefaultContext
    default.prec, default.rounding, default.Emin, default.Emax, default.capitals, default.clamp = before


class _Globals:
    """Names that programs replace for the whole process, and that weaken or redirect what others do.

    They are compared after each job, before its end is recorded. `LoadedCode` has all other functions.
    """

    def __init__(self, *names: tuple[str, str]) -> None:
        self._all = names
        self._modules = 0
        self._owners: list[Any] = []
        self._names: list[str] = []
        self._members: list[Mapping[str, Any]] = []

    def read(self) -> tuple[Any, ...]:
        if len(sys.modules) != self._modules:
            self._find()
        return self._owners, self._names, list(map(getitem, self._members, self._names))

    def restore(self, before: tuple[Any, ...]) -> None:
        for owner, name, value in zip(*before, strict=True):
            setattr(owner, name, value)

    def _find(self) -> None:
        found = [(sys.modules[module], *path.rpartition(".")) for module, path in self._all if module in sys.modules]
        self._owners = [getattr(module, of) if of else module for module, of, _, _ in found]
        self._names = [name for *_, name in found]
        self._members = [vars(owner) for owner in self._owners]
        self._modules = len(sys.modules)


_loggers = _Loggers()
_functions = _Globals(
    ("asyncjobs.core.clock", "datetime"),
    ("botocore.client", "BaseClient._make_api_call"),
    ("botocore.httpsession", "URLLib3Session.send"),
    ("builtins", "open"),
    ("builtins", "print"),
    ("builtins", "__import__"),
    ("datetime", "date"),
    ("datetime", "datetime"),
    ("json", "dumps"),
    ("json", "loads"),
    ("json.decoder", "JSONDecoder.decode"),
    ("json.encoder", "JSONEncoder.__init__"),
    ("json.encoder", "JSONEncoder.default"),
    ("json.encoder", "JSONEncoder.encode"),
    ("json.encoder", "JSONEncoder.iterencode"),
    ("logging", "_logRecordFactory"),
    ("logging", "_loggerClass"),
    ("socket", "create_connection"),
    ("socket", "getaddrinfo"),
    ("socket", "socket"),
    ("ssl", "_create_default_https_context"),
    ("time", "monotonic"),
    ("time", "sleep"),
    ("time", "time"),
    ("uuid", "uuid4"),
    ("warnings", "showwarning"),
)
_variables = _Globals(
    ("http.client", "HTTPConnection.debuglevel"),
    ("logging", "raiseExceptions"),
    ("tempfile", "tempdir"),
    ("urllib.request", "_opener"),
)

PARTS = (
    Part("working directory", os.getcwd, os.chdir),
    Part("locale", partial(_locale.setlocale, locale.LC_ALL), _set_locale, belongs_to_modules=True),
    Part("signal handlers", _handlers, _set_handlers),
    Part("standard streams", _streams, _set_streams),
    Part("log events", _events, _set_events),
    Part("event loop", _event_loop, _set_event_loop, changes_by_itself=True),
    Part("hooks", _hooks, _set_hooks),
    # The runtime sets a variable for each invocation.
    Part("environment", _environment, _set_environment, belongs_to_modules=True, changes_by_itself=True),
    Part("time zone", _time_zone, _set_time_zone, belongs_to_modules=True),
    Part("module search path", _path, _set_path, belongs_to_modules=True),
    Part("root logger", _root_logger, _set_root_logger, belongs_to_modules=True),
    Part("loggers", _loggers.read, _loggers.restore, belongs_to_modules=True),
    Part("warning filters", _warnings, _set_warnings, belongs_to_modules=True),
    Part("socket timeout", socket.getdefaulttimeout, socket.setdefaulttimeout, belongs_to_modules=True),
    # A test tool raises the recursion limit around each call of the handler.
    Part("interpreter", _interpreter, _set_interpreter, belongs_to_modules=True, changes_by_itself=True),
    Part("decimal defaults", _decimals, _set_decimals, belongs_to_modules=True),
    Part("functions", _functions.read, _functions.restore, belongs_to_modules=True, is_code=True),
    Part("variables of modules", _variables.read, _variables.restore, belongs_to_modules=True),
    Part("umask", _umask, os.umask, is_set_always=True),
    Part("signal mask", _mask, _set_mask, is_set_always=True),
)
"""Parts that are restored after each job. Those that are set always come last."""
RARE_PARTS = (
    Part("resource limits", _limits, _set_limits),
    Part("priority", partial(os.getpriority, os.PRIO_PROCESS, 0), partial(os.setpriority, os.PRIO_PROCESS, 0)),
    Part("files of the standard streams", _stream_files, _cannot_restore),
)
"""Parts that few jobs change."""

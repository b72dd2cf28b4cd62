"""What a job may change in its process for the jobs after it: noted before the job's code runs, and restored after it.

docs/jobs.md has the whole list, with what is left to the author of a job. Most of it takes some microseconds after each job.
The rest takes some milliseconds, and is compared after a job only when the last time is `_COMPARES_ALL_EVERY` ago: so it takes
one or two percent of the time, however short the jobs are.
"""

from __future__ import annotations

import decimal
import gc
import itertools
import locale
import logging
import os
import random
import resource
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from operator import getitem
from typing import Any, Self, TypeVar

from asyncjobs.log import LOGGER
from asyncjobs.worker.kernel_timer import ENDS_PROCESS, INTERRUPTS, show_traceback_at_the_end
from asyncjobs.worker.loaded_code import LoadedCode

T = TypeVar("T")

_COMPARES_ALL_EVERY = 0.25
"""Seconds."""
# As they are before any job could replace them.
_monotonic, _new_seed = time.monotonic, random.seed


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


class ProcessState:
    """The state of this process before the present jobs, restored after each: use it in a `with` around a job's code.

    Jobs that run side by side share the process, so the state is noted before the first of them.
    """

    def __init__(self) -> None:
        self.broken: list[str] = []
        """The parts for which the process must be replaced: they could not be restored."""
        self._jobs = 0
        self._before: list[Any] = []
        """The values of the parts that are read."""
        self._set_always: list[tuple[Callable[[Any], object], Any]] = []
        self._modules = 0
        self._is_copy = False
        self._code = LoadedCode()
        self._rare_before: list[Any] = []
        self._compared_all = 0.0
        self._is_behind = False
        """Whether a job has ended since everything was compared: the next one must not begin with what it left."""

    def __enter__(self) -> Self:
        self._jobs += 1
        if self._jobs == 1:
            if self._is_behind and (self._compares_all() or len(sys.modules) != self._modules):
                self._restore_rest(has_imported=False)
                _new_seed()
            self._note()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._is_copy:
            # Two processes would record the job's end, and answer the runtime.
            os._exit(0)
        self._jobs -= 1
        try:
            for set_part, before in self._set_always:
                set_part(before)
        except Exception:  # noqa: BLE001 - whatever a job has done to it
            self.replace_process("what a system call sets")
        now = _values(_READS)
        has_replaced_code = not _are_equal(now, self._before) and self._restore(now)
        self._is_behind = True
        if has_replaced_code or self._compares_all():
            self._restore_rest(has_imported=self._has_imported())
            if not self._jobs:
                _new_seed()

    def prepare_import(self) -> None:
        """Restore what the last job left, before a module is imported: the state then is noted with the module's changes."""
        if self._jobs == 1 and self._is_behind:
            self._restore_rest(has_imported=False)

    def note_imports(self) -> None:
        """Note the state again if modules were imported meanwhile, such as the job's own: what they have set stays."""
        if self._jobs == 1 and len(sys.modules) != self._modules:
            self._note()

    def note_fork(self) -> None:
        """Note that this process is a copy, which a job has made and which must not leave the job's code."""
        self._is_copy = self._jobs > 0

    def replace_process(self, part: str) -> None:
        """Note that no later job may run in this process, because of this part."""
        if part not in self.broken:
            self.broken.append(part)

    def _note(self) -> None:
        if len(sys.modules) != self._modules:
            self._before, self._modules = _values(_READS), len(sys.modules)
            self._set_always = [(part.restore, part.read()) for part in PARTS[_READ:]]
            self._code.note()
            self._rare_before = [_value(part.read) for part in RARE_PARTS]
        else:
            for index, part in _CHANGING:
                self._before[index] = _value(part.read)

    def _compares_all(self) -> bool:
        return _monotonic() >= self._compared_all + _COMPARES_ALL_EVERY

    def _restore_rest(self, *, has_imported: bool) -> None:
        """Compare and restore what takes too long to be compared after each job. What a job's imports have set stays."""
        for part, before in zip(RARE_PARTS, self._rare_before, strict=True):
            if not _are_equal(_value(part.read), before):
                self._set(part, before)
        try:
            if self._code.has_changed():
                (self._code.note if has_imported else self._code.restore)()
        except Exception:  # noqa: BLE001 - whatever a job has done to it
            self.replace_process("code of the standard library")
        self._compared_all, self._is_behind = _monotonic(), False

    def _restore(self, found: list[Any]) -> bool:
        """Restore what differs. Return whether it is code, so that there may be more of it."""
        has_imported: bool | None = None
        has_replaced_code = False
        for index, (part, before, now) in enumerate(zip(PARTS, self._before, found, strict=False)):
            if _are_equal(now, before):
                continue
            has_replaced_code |= part.is_code
            if part.belongs_to_modules:
                if has_imported is None:
                    has_imported = self._has_imported()
                if has_imported:
                    self._before[index] = now
                    continue
            self._set(part, before)
        return has_replaced_code

    def _set(self, part: Part, before: Any) -> None:
        try:
            part.restore(before)
        except Exception:  # noqa: BLE001 - whatever a job has done to it
            self.replace_process(part.name)

    def _has_imported(self) -> bool:
        """Return whether a module was imported for the first time: its configuration stays, since its code never runs again.

        The standard library's modules configure nothing.
        """
        new = itertools.islice(reversed(sys.modules), max(len(sys.modules) - self._modules, 0))
        return any(name.partition(".")[0] not in sys.stdlib_module_names for name in new)


_UNREADABLE = object()
"""The value of a part that a job has replaced by something that cannot be read. It is no other part's value."""


def _values(reads: Sequence[Callable[[], Any]]) -> list[Any]:
    try:
        return [read() for read in reads]
    except Exception:  # noqa: BLE001 - the attempt has an outcome to record, whatever the job has done to its process
        return [_value(read) for read in reads]


def _value(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except Exception:  # noqa: BLE001 - see above
        return _UNREADABLE


def _are_equal(one: object, other: object) -> bool:
    try:
        return bool(one == other)
    except Exception:  # noqa: BLE001 - a job's own objects compare as they like
        return False


# ── Parts ──────────────────────────────────────────────────────────────────────────────────────────

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
_READ = sum(not part.is_set_always for part in PARTS)
"""The number of the parts that are read after each job, which come first."""
RARE_PARTS = (
    Part("resource limits", _limits, _set_limits),
    Part("priority", partial(os.getpriority, os.PRIO_PROCESS, 0), partial(os.setpriority, os.PRIO_PROCESS, 0)),
    Part("files of the standard streams", _stream_files, _cannot_restore),
)
"""Parts that few jobs change."""
_READS = tuple(part.read for part in PARTS[:_READ])
_CHANGING = tuple((index, part) for index, part in enumerate(PARTS) if part.changes_by_itself)

STATE = ProcessState()
"""The state of this process."""
os.register_at_fork(after_in_child=STATE.note_fork)


def call_apart(function: Callable[[], T]) -> T:
    """Call the function with context variables and a decimal context of its own."""
    return copy_context().run(_with_decimals, function)


def _with_decimals(function: Callable[[], T]) -> T:
    fresh_decimals()
    return function()


def fresh_decimals() -> None:
    """Use a new decimal context: the present one may be shared with the next job, which would inherit its precision."""
    decimal.setcontext(decimal.Context())

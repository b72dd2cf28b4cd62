"""What a job may change in its process for the jobs after it: noted before the job's code runs, and restored after it.

docs/jobs.md has the whole list, with what is left to the author of a job. A look at everything takes some microseconds.
"""

from __future__ import annotations

import gc
import itertools
import locale
import logging
import os
import signal
import socket
import sys
import warnings
from collections.abc import Callable, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import Any, Self, TypeVar

from asyncjobs.log import LOGGER

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the state: how to read it and how to set it. Setting it raises when that is not possible any more."""

    name: str
    read: Callable[[], Any]
    restore: Callable[[Any], None]
    belongs_to_modules: bool = False
    """Whether a module may set it when it is imported, for as long as the process lives."""
    is_fixed: bool = False
    """Whether nothing but jobs and their modules changes it. It is not read before each job then: that takes a system call."""


class ProcessState:
    """The state of this process before the present jobs, restored after each: use it in a `with` around a job's code.

    Jobs that run side by side share the process, so the state is noted before the first of them.
    """

    def __init__(self) -> None:
        self.broken: list[str] = []
        """The parts that could not be restored: the process must be replaced."""
        self._jobs = 0
        self._before: list[Any] = []
        self._modules = 0

    def __enter__(self) -> Self:
        self._jobs += 1
        if self._jobs == 1:
            self._note()
        return self

    def __exit__(self, *exception: object) -> None:
        self._jobs -= 1
        now = _values(_READS)
        if not _are_equal(now, self._before):
            self._restore(now)

    def note_imports(self) -> None:
        """Note the state again if modules were imported meanwhile, such as the job's own: what they have set stays."""
        if self._jobs == 1 and len(sys.modules) != self._modules:
            self._note()

    def _note(self) -> None:
        if len(sys.modules) != self._modules:
            self._before, self._modules = _values(_READS), len(sys.modules)
        else:
            self._before[_FIXED:] = _values(_VARYING_READS)

    def _restore(self, found: list[Any]) -> None:
        has_imported: bool | None = None
        for index, (part, before, now) in enumerate(zip(PARTS, self._before, found, strict=True)):
            if _are_equal(now, before):
                continue
            if part.belongs_to_modules:
                if has_imported is None:
                    has_imported = self._has_imported()
                if has_imported:
                    self._before[index] = now
                    continue
            try:
                part.restore(before)
            except Exception:  # noqa: BLE001 - whatever a job has done to it: the process is replaced
                self.broken.append(part.name)

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

_SIGNALS = tuple(
    int(getattr(signal, name))
    for name in ("SIGALRM", "SIGCHLD", "SIGHUP", "SIGINT", "SIGPIPE", "SIGPROF", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGVTALRM")
)
_signal: Any = sys.modules["_signal"]
"""The module below `signal`. The latter turns each number and handler into a member of an enum, which takes 15 times as long."""


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


def _directory() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109 - a path object takes as long as the call
    except FileNotFoundError:
        return None


def _set_directory(before: str | None) -> None:
    if before is not None:
        os.chdir(before)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _streams() -> tuple[Any, ...]:
    output, errors = sys.stdout, sys.stderr
    return sys.stdin, output, errors, _is_closed(output), _is_closed(errors)


def _is_closed(stream: Any) -> bool:
    # A job's own stream may have no more than what `print` needs.
    return stream is None or bool(getattr(stream, "closed", False))


def _set_streams(before: tuple[Any, ...]) -> None:
    sys.stdin, sys.stdout, sys.stderr = before[:3]
    if _streams() != before:
        raise ValueError("A standard stream is closed.")


def _events() -> tuple[Any, ...]:
    # Each event is also its metric, so the library's lines must go on.
    return LOGGER.level, LOGGER.disabled, LOGGER.propagate, tuple(LOGGER.handlers), logging.root.manager.disable


def _set_events(before: tuple[Any, ...]) -> None:
    level, LOGGER.disabled, LOGGER.propagate, handlers, disabled = before
    LOGGER.setLevel(level)
    LOGGER.handlers[:] = handlers
    logging.disable(disabled)


def _root_logger() -> tuple[Any, ...]:
    return logging.root.level, tuple(logging.root.handlers)


def _set_root_logger(before: tuple[Any, ...]) -> None:
    logging.root.setLevel(before[0])
    logging.root.handlers[:] = before[1]


def _warnings() -> tuple[Any, ...]:
    return tuple(warnings.filters)


def _set_warnings(before: tuple[Any, ...]) -> None:
    warnings.filters[:] = before  # type: ignore[index]  # a list, which is typed as a sequence
    with warnings.catch_warnings():
        """It forgets what the filters were."""


def _path() -> tuple[list[str], tuple[str, ...]]:
    return sys.path, tuple(sys.path)


def _set_path(before: tuple[list[str], tuple[str, ...]]) -> None:
    sys.path, entries = before
    sys.path[:] = entries


def _interpreter() -> tuple[Any, ...]:
    return sys.getrecursionlimit(), sys.get_int_max_str_digits(), gc.isenabled()


def _set_interpreter(before: tuple[Any, ...]) -> None:
    recursion, digits, is_collecting = before
    sys.setrecursionlimit(recursion)
    sys.set_int_max_str_digits(digits)
    (gc.enable if is_collecting else gc.disable)()


def _hooks() -> tuple[Any, ...]:
    return sys.gettrace(), sys.getprofile(), sys.excepthook, sys.unraisablehook


def _set_hooks(before: tuple[Any, ...]) -> None:
    sys.settrace(before[0])
    sys.setprofile(before[1])
    sys.excepthook, sys.unraisablehook = before[2:]


def _handlers() -> tuple[Any, ...]:
    return tuple(map(_signal.getsignal, _SIGNALS))


def _set_handlers(before: tuple[Any, ...]) -> None:
    # Their signals end a process that does not handle them.
    for timer in (signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
        signal.setitimer(timer, 0)
    for number, handler in zip(_SIGNALS, before, strict=True):
        if handler is not None:  # not set by Python
            signal.signal(number, handler)


def _mask() -> set[int]:
    """Return the signals that are blocked, and cancel an alarm that a job has left."""
    signal.alarm(0)
    blocked: set[int] = _signal.pthread_sigmask(signal.SIG_BLOCK, ())
    return blocked


def _set_mask(before: set[int]) -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


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


def _set_umask(before: int) -> None:
    os.umask(before)


PARTS = (
    Part("working directory", _directory, _set_directory, is_fixed=True),
    Part("umask", _umask, _set_umask, is_fixed=True),
    Part("signal mask", _mask, _set_mask, is_fixed=True),
    Part("locale", partial(locale.setlocale, locale.LC_ALL), _set_locale, belongs_to_modules=True, is_fixed=True),
    Part("signal handlers", _handlers, _set_handlers),
    Part("standard streams", _streams, _set_streams),
    Part("log events", _events, _set_events),
    Part("event loop", _event_loop, _set_event_loop),
    Part("hooks", _hooks, _set_hooks),
    Part("environment", _environment, _set_environment, belongs_to_modules=True),
    Part("module search path", _path, _set_path, belongs_to_modules=True),
    Part("root logger", _root_logger, _set_root_logger, belongs_to_modules=True),
    Part("warning filters", _warnings, _set_warnings, belongs_to_modules=True),
    Part("socket timeout", socket.getdefaulttimeout, socket.setdefaulttimeout, belongs_to_modules=True),
    Part("interpreter", _interpreter, _set_interpreter, belongs_to_modules=True),
)
_FIXED = sum(part.is_fixed for part in PARTS)
"""The number of the fixed parts, which come first."""
_READS = tuple(part.read for part in PARTS)
_VARYING_READS = _READS[_FIXED:]

STATE = ProcessState()
"""The state of this process."""


def call_apart(function: Callable[[], T]) -> T:
    """Call the function with context variables and a decimal context of its own."""
    return copy_context().run(_with_decimals, function)


def _with_decimals(function: Callable[[], T]) -> T:
    fresh_decimals()
    return function()


def fresh_decimals() -> None:
    """Use a new decimal context: the present one may be shared with the next job, which would inherit its precision."""
    decimal = sys.modules.get("decimal")
    if decimal is not None:
        decimal.setcontext(decimal.Context())

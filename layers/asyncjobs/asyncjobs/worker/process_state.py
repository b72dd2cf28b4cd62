"""What a job may change in its process for the jobs after it: noted before the job's code runs, and restored after it.

`process_parts` has its parts, and `loaded_code` the functions of modules. Most of it takes some microseconds after each job.
The rest takes some milliseconds, and is compared after a job only when the last time is `_COMPARES_ALL_EVERY` ago: so it takes
one or two percent of the time, however short the jobs are.
"""

from __future__ import annotations

import decimal
import itertools
import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import Any, Self, TypeVar

from asyncjobs.worker.loaded_code import LoadedCode
from asyncjobs.worker.process_parts import PARTS, RARE_PARTS, Part

T = TypeVar("T")

_COMPARES_ALL_EVERY = 0.25
"""Seconds."""
# As they are before any job could replace them.
_monotonic, _new_seed = time.monotonic, random.seed

_READ = sum(not part.is_set_always for part in PARTS)
"""The number of the parts that are read after each job, which come first."""
_READS = tuple(part.read for part in PARTS[:_READ])
_CHANGING = tuple((index, part) for index, part in enumerate(PARTS) if part.changes_by_itself)


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
                self._restore_rare(has_imported=False)
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
            self._restore_rare(has_imported=self._has_imported())
            if not self._jobs:
                _new_seed()

    def prepare_import(self) -> None:
        """Restore what the last job left, before a module is imported: the state then is noted with the module's changes."""
        if self._jobs == 1 and self._is_behind:
            self._restore_rare(has_imported=False)

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

    def _restore_rare(self, *, has_imported: bool) -> None:
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

"""The functions and classes of loaded modules: a job that replaces one, such as `json.dumps`, replaces it for its own time.

The worker uses the same modules between two jobs, and other owners' jobs use them after it. Only modules of the standard
library, of this library and of what it calls AWS with are watched: a job's own packages are its author's.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

_PACKAGES = sys.stdlib_module_names | {"asyncjobs", "aws_lambda_powertools", "awslambdaric", "boto3", "botocore", "urllib3"}
_IMMUTABLE, _HEAP = 1 << 8, 1 << 9
"""Flags of a type (`Py_TPFLAGS_...`). Python code can change only those of the heap that are not immutable."""


class LoadedCode:
    """What the modules and their classes have, as it was noted.

    To note or to compare it takes about a millisecond, and several when it is in no cache.
    """

    def __init__(self) -> None:
        self._modules: dict[str, ModuleType] = {}
        self._owners: list[ModuleType | type] = []
        self._members: list[Mapping[str, Any]] = []
        self._names: list[tuple[str, ...]] = []
        self._noted: list[tuple[Any, ...]] = []

    def note(self) -> None:
        """Note everything as it is now, also in modules that were loaded since the last time."""
        # Another thread may import meanwhile.
        for name in list(sys.modules):
            module = None if name in self._modules else sys.modules.get(name)
            if name.partition(".")[0] in _PACKAGES and isinstance(module, ModuleType):
                self._watch(module)
                self._modules[name] = module
        self._names = list(map(tuple, self._members))
        self._noted = self._read()

    def has_changed(self) -> bool:
        """Return whether anything is not as it was noted."""
        return self._read() != self._noted or any(sys.modules.get(name) is not each for name, each in self._modules.items())

    def restore(self) -> None:
        """Set what is code as it was noted, and note the rest: modules also keep their state in variables."""
        sys.modules.update(self._modules)
        for owner, members, names, noted in zip(self._owners, self._members, self._names, self._noted, strict=True):
            if tuple(members.values()) != noted:
                _restore(owner, members, dict(zip(names, noted, strict=True)))
        self.note()

    def _read(self) -> list[tuple[Any, ...]]:
        return [tuple(members.values()) for members in self._members]

    def _watch(self, module: ModuleType) -> None:
        classes = [
            value for value in list(vars(module).values()) if isinstance(value, type) and value.__module__ == module.__name__
        ]
        owners: list[ModuleType | type] = [
            module,
            *(each for each in classes if each.__flags__ & (_HEAP | _IMMUTABLE) == _HEAP),
        ]
        self._owners += owners
        self._members += map(vars, owners)


def _restore(owner: ModuleType | type, members: Mapping[str, Any], noted: Mapping[str, Any]) -> None:
    for name, value in noted.items():
        if _is_code(value) and members.get(name) is not value:
            setattr(owner, name, value)
    if isinstance(owner, type):
        # A method that hides the inherited one.
        for name in members.keys() - noted.keys():
            if _is_code(members[name]):
                delattr(owner, name)


def _is_code(value: object) -> bool:
    """Return whether the value is a function, a class, a property or the like."""
    return callable(value) or hasattr(type(value), "__get__")

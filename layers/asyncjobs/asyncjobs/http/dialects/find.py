"""Find a dialect by its name: one that comes with the library, or one of the jobs layer."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping

from asyncjobs.core.errors import InvalidDialect
from asyncjobs.http.dialects.dialect import Dialect
from asyncjobs.jobtypes.catalog import JOBS_PACKAGE

BUILT_IN = frozenset({"daemon", "entity", "executor", "polling", "tracking"})


def find_dialects(names: Iterable[str]) -> Mapping[str, Dialect]:
    """Return the dialects by their names. Raises `InvalidDialect`."""
    return {name: _find(name) for name in names}


def _find(name: str) -> Dialect:
    place = f"asyncjobs.http.dialects.{name}" if name in BUILT_IN else f"{JOBS_PACKAGE}.dialects.{name}"
    try:
        module = importlib.import_module(place)
    except ModuleNotFoundError as error:
        if not place.startswith(error.name or "-"):
            # The module is there, and misses another one.
            raise
        raise InvalidDialect(
            f"There is no dialect {name!r}: use {', '.join(sorted(BUILT_IN))}, or write layers/jobs/jobs/dialects/{name}.py."
        ) from error
    dialect = getattr(module, "DIALECT", None)
    if not isinstance(dialect, Dialect):
        raise InvalidDialect(f"The module {place} assigns no `Dialect` to `DIALECT`.")
    return dialect

"""The catalog: every job type, in a JSON file beside the jobs, so that they can be read without importing the jobs.

The submit function must answer in milliseconds and reads this file; only the worker imports a job's module, and only the
one it runs. `asyncjobs.codegen` writes it from the decorators, and the documents of the API beside it.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

from asyncjobs.core.errors import StaleCatalog, UnknownJobType
from asyncjobs.core.job import Priority, RetentionFrom
from asyncjobs.jobtypes.built_in import BUILT_IN
from asyncjobs.jobtypes.decorator import DEFAULT_RETENTION, Exclusive, JobType

JOBS_PACKAGE = "jobs"
_FILE = "catalog.json"
OPENAPI, ASYNCAPI = "openapi.json", "asyncapi.json"
"""The files with the documents of the API and of its WebSocket."""
REMEDY = "run `make catalog` and build the jobs layer again"
_DURATIONS = ("expected", "timeout", "retention", "deadline", "dedupe")


class Catalog:
    """All job types, by name."""

    def __init__(self, job_types: Mapping[str, JobType]) -> None:
        self._job_types = job_types

    @classmethod
    def read(cls, path: Path | None = None, *, default_retention: timedelta = DEFAULT_RETENTION) -> Catalog:
        """Read the catalog of the jobs package, which may be anywhere on the path. Raises `StaleCatalog` when there is none.

        `default_retention` is that of the deployment, for types without their own.
        """
        path = path or catalog_path()
        try:
            entries = json.loads(path.read_bytes())
        except FileNotFoundError as error:
            raise StaleCatalog(f"The jobs package has no {_FILE}: {REMEDY}.") from error
        return cls({name: _from_entry(name, entry, default_retention) for name, entry in entries.items()})

    def __getitem__(self, name: str) -> JobType:
        """Return the job type. Raises `UnknownJobType`."""
        try:
            return self._job_types[name]
        except KeyError:
            raise UnknownJobType(name) from None

    def of_stored(self, name: str) -> JobType:
        """Return the type of a stored job, which may be a built-in one. Raises `UnknownJobType`."""
        return BUILT_IN.get(name) or self[name]

    def __iter__(self) -> Iterator[JobType]:
        return iter(self._job_types.values())


def catalog_path() -> Path:
    """Return the catalog's path. Finds the jobs package without running any of it."""
    spec = importlib.util.find_spec(JOBS_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise StaleCatalog(f"There is no package {JOBS_PACKAGE!r} on the path: the jobs layer is missing.")
    return Path(spec.submodule_search_locations[0]) / _FILE


def document_path(file: str) -> Path:
    """Return the path of a document of the API: beside the catalog."""
    return catalog_path().with_name(file)


def document_text(file: str) -> str:
    """Read a document of the API. Raises `StaleCatalog` when there is none."""
    try:
        return document_path(file).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise StaleCatalog(f"The jobs package has no {file}: {REMEDY}.") from error


def to_json(catalog: Catalog) -> str:
    """Return the catalog's file: the same text for the same decorators."""
    return json.dumps({job_type.name: _to_entry(job_type) for job_type in catalog}, indent=1) + "\n"


def _to_entry(job_type: JobType) -> dict[str, Any]:
    entry = {field: getattr(job_type, field) for field in JobType.__dataclass_fields__ if field != "name"}
    entry["exclusive"] = job_type.exclusive and asdict(job_type.exclusive)
    return {field: value.total_seconds() if isinstance(value, timedelta) else value for field, value in entry.items()}


def _from_entry(name: str, entry: Mapping[str, Any], default_retention: timedelta = DEFAULT_RETENTION) -> JobType:
    durations = {field: timedelta(seconds=entry[field]) for field in _DURATIONS}
    if entry["has_default_retention"]:
        durations["retention"] = default_retention
        # An expired job cannot be returned for the same input.
        durations["dedupe"] = min(durations["dedupe"], default_retention)
    routes = {field: tuple(entry[field]) for field in ("routes", "synchronous_routes")}
    others = {
        "retention_from": RetentionFrom(entry["retention_from"]),
        "priority": Priority(entry["priority"]),
        "exclusive": entry["exclusive"] and Exclusive(**entry["exclusive"]),
    }
    return JobType(name=name, **{**entry, **durations, **routes, **others})

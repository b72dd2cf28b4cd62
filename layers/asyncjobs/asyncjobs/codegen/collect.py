"""Collect the job types that the modules of the jobs package declare."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator
from dataclasses import replace
from types import ModuleType

from asyncjobs.codegen.openapi import OPERATIONS
from asyncjobs.core.errors import InvalidJob
from asyncjobs.jobtypes import catalog
from asyncjobs.jobtypes.built_in import BUILT_IN
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.jobtypes.decorator import GENERIC, JobType, declared_in, definition_of, tracked_job
from asyncjobs.jobtypes.pydantic_schema import describe

_PATHS = frozenset(operation.route.partition(" ")[2] for operation in OPERATIONS)
_AREAS = frozenset(path.split("/")[1] for path in _PATHS if path.count("/") > 1)
"""The first parts of the paths that have further parts: all below them is the API's own, also what it does not have yet."""


def collect() -> Catalog:
    """Make the catalog from the decorators: imports every module of the jobs package. Raises `InvalidJob`.

    The type `generic` is always in it; a module may declare one of its own in its place.
    """
    generic = tracked_job(GENERIC, description="Any work that is done elsewhere.")
    job_types = {GENERIC: generic}
    places: dict[str, str] = {}
    package = importlib.import_module(catalog.JOBS_PACKAGE)
    for module_info in sorted(pkgutil.iter_modules(package.__path__), key=lambda info: info.name):
        module = importlib.import_module(f"{catalog.JOBS_PACKAGE}.{module_info.name}")
        _check_names(module)
        for name, value in _values(module):
            job_type = _declared(name, value, module)
            if job_type is None:
                continue
            if job_type.name in BUILT_IN:
                raise InvalidJob(f"{job_type.name!r} is a type of the library itself: choose another name.")
            place = places.setdefault(job_type.name, module.__name__)
            if job_types.setdefault(job_type.name, job_type) not in (job_type, generic):
                raise InvalidJob(f"{job_type.name!r} is declared twice: in {place} and in {module.__name__}.")
            job_types[job_type.name] = job_type
    _check_routes(job_types.values())
    _check_locks(job_types.values())
    return Catalog(dict(sorted(job_types.items())))


def _values(module: ModuleType) -> Iterator[tuple[str, object]]:
    """Yield each value of the module once, under the first of its names."""
    seen = set[int]()
    for name, value in vars(module).items():
        if id(value) not in seen:
            seen.add(id(value))
            yield name, value


def _declared(name: str, value: object, module: ModuleType) -> JobType | None:
    """Return the job type that the module declares under this name; None for anything else."""
    if isinstance(value, JobType):
        return value
    definition = definition_of(value)
    if definition is None or definition.job_type.module != module.__name__:
        return None
    job_type = describe(definition)
    # The worker finds the job by a name of its module, which may not be the function's own.
    return job_type if vars(module).get(job_type.function) is value else replace(job_type, function=name)


def _check_names(module: ModuleType) -> None:
    """Raise `InvalidJob` for a job that the worker could not call, since no name of its module leads to it."""
    named = {definition.job_type.name for value in vars(module).values() if (definition := definition_of(value)) is not None}
    for definition in declared_in(module.__name__):
        if definition.job_type.name not in named:
            raise InvalidJob(
                f"{definition.job_type.name}: nothing in {module.__name__} leads to this job. If a decorator is above @job, use "
                "functools.wraps in it, or write it below @job; give each job a function and a name of its own."
            )


def _check_routes(job_types: Iterable[JobType]) -> None:
    taken: dict[str, str] = {}
    for job_type in job_types:
        for route in (*job_type.routes, *job_type.synchronous_routes):
            if _is_of_the_api(route.partition(" ")[2]):
                raise InvalidJob(f"{job_type.name}: {route!r} is taken by the API itself.")
            if route in taken:
                raise InvalidJob(f"{route!r} is declared twice: by {taken[route]!r} and by {job_type.name!r}.")
            taken[route] = job_type.name


def _is_of_the_api(path: str) -> bool:
    area, *rest = path.removeprefix("/").split("/")
    if area == "jobs" and rest:
        # A route such as `/jobs/search` is allowed, since other job APIs have it. A path with a job's id is the API's own.
        return rest[0].startswith("{")
    return area in _AREAS or path in _PATHS


def _check_locks(job_types: Iterable[JobType]) -> None:
    declared: dict[str, JobType] = {}
    for job_type in job_types:
        if job_type.exclusive is None:
            continue
        lock, first = job_type.exclusive, declared.setdefault(job_type.exclusive.name, job_type)
        if first.exclusive is not None and (first.exclusive.scope, first.exclusive.limit) != (lock.scope, lock.limit):
            raise InvalidJob(
                f"{first.name!r} and {job_type.name!r} share the lock {lock.name!r}: give it one scope and one limit."
            )

"""Collect the job types that the modules of the jobs package declare."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable

from asyncjobs.core.errors import InvalidJob
from asyncjobs.jobtypes import catalog
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.jobtypes.decorator import GENERIC, JobType, definition_of, tracked_job


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
        for value in vars(module).values():
            job_type = _declared(value, module.__name__)
            if job_type is None:
                continue
            place = places.setdefault(job_type.name, module.__name__)
            if job_types.setdefault(job_type.name, job_type) not in (job_type, generic):
                raise InvalidJob(f"{job_type.name!r} is declared twice: in {place} and in {module.__name__}.")
            job_types[job_type.name] = job_type
    _check_routes(job_types.values())
    _check_locks(job_types.values())
    return Catalog(dict(sorted(job_types.items())))


def _declared(value: object, module: str) -> JobType | None:
    """Return the job type that this value of a module declares; None for anything else."""
    if isinstance(value, JobType):
        return value
    definition = definition_of(value)
    return definition.describe() if definition is not None and definition.function.__module__ == module else None


def _check_routes(job_types: Iterable[JobType]) -> None:
    taken: dict[str, str] = {}
    for job_type in job_types:
        for route in (*job_type.routes, *job_type.synchronous_routes):
            if route in taken:
                raise InvalidJob(f"{route!r} is declared twice: by {taken[route]!r} and by {job_type.name!r}.")
            taken[route] = job_type.name


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

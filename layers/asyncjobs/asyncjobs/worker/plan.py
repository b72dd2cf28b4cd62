"""How attempts at the jobs of one type run: looked up once for an attempt, and passed along."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from asyncjobs.core.errors import UnknownJobType
from asyncjobs.core.exact_json import read_json
from asyncjobs.core.job import SHORT_TIMEOUT, is_short, lease_length
from asyncjobs.jobtypes import json_schema
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.jobtypes.decorator import JobDefinition, JobType, load

BuiltIn = Mapping[str, Callable[[], JobDefinition]]
"""The library's own jobs by their types. They are made by the function that runs them, since they need its adapters."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What an attempt needs of its job type."""

    name: str
    job_type: JobType | None
    """None for an unknown type: a newer release accepted the job."""
    timeout: timedelta
    built_in: Callable[[], JobDefinition] | None = None

    @classmethod
    def of(cls, name: str, catalog: Catalog, built_in: BuiltIn | None = None) -> Self:
        """Look the type up.

        An unknown type gets a plan as well, so that its jobs are claimed and their attempts come to an end.
        """
        try:
            job_type = catalog.of_stored(name)
        except UnknownJobType:
            return cls(name, None, SHORT_TIMEOUT)
        return cls(name, job_type, job_type.timeout, (built_in or {}).get(name))

    @property
    def is_async(self) -> bool:
        """Whether the job is a coroutine function."""
        return self.job_type is not None and self.job_type.is_async

    @property
    def lease(self) -> timedelta:
        """How long a claim holds the job."""
        return lease_length(self.timeout)

    @property
    def renews_lease(self) -> bool:
        """Whether the attempt is longer than its lease, and sends heartbeats."""
        return not is_short(self.timeout)

    @property
    def retries_timeouts(self) -> bool:
        """Whether another attempt may follow one that took too long."""
        return self.job_type is None or self.job_type.retry_timeouts

    def allows_input(self, text: str | bytes) -> bool:
        """Return whether a submit would accept this input now."""
        value = read_json(text if isinstance(text, str) else text.decode())
        return self.job_type is not None and json_schema.allows(self.job_type.input_schema, value)

    @property
    def is_loaded(self) -> bool:
        """Whether the job's module has been imported."""
        return self.job_type is None or self.built_in is not None or self.job_type.module in sys.modules

    def load(self) -> JobDefinition:
        """Import the job. Raises `UnknownJobType`, and whatever its module raises."""
        if self.job_type is None:
            raise UnknownJobType(self.name)
        if self.built_in is not None:
            return self.built_in()
        return load(self.job_type)

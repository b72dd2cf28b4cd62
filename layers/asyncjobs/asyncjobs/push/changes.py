"""The changes of jobs in the table's stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from asyncjobs.core.events import Event, event_body, event_of
from asyncjobs.core.exact_json import read_json
from asyncjobs.core.job import AsyncJob

Record = Mapping[str, Any]
JobsOf = Callable[[Record], tuple[AsyncJob | None, AsyncJob] | None]
"""Reads a record: the job before and after a change; None for any other record. `aws.stream_records` has it."""


@dataclass(frozen=True, slots=True)
class Change:
    """One write to a job. The changes of a job arrive in the order of its writes; a change may arrive more than once."""

    sequence_number: str
    """The place in the stream, from which Lambda delivers again."""
    old: AsyncJob | None
    """The job before the write; None if the write created it."""
    new: AsyncJob
    event: Event | None
    """What a client can see of the write; None for a write that no client sees, such as a heartbeat.

    None as well for a delivery, or it would cause deliveries without end.
    """

    @classmethod
    def of(cls, sequence_number: str, old: AsyncJob | None, new: AsyncJob) -> Change:
        """Return the change of a write."""
        return cls(sequence_number, old, new, None if new.is_delivery else event_of(old, new))

    @property
    def is_end(self) -> bool:
        """Whether the job ended by this write."""
        return self.new.is_finished and (self.old is None or not self.old.is_finished)


def changes_in(records: Iterable[Record], jobs_of: JobsOf) -> Iterator[Change]:
    """Yield the changes of jobs among the records."""
    for record in records:
        if (jobs := jobs_of(record)) is not None:
            yield Change.of(record["dynamodb"]["SequenceNumber"], *jobs)


def body_with_job(event: Event, job: AsyncJob) -> dict[str, Any]:
    """Return the event with its job, for those who do not know the job: a webhook or a bus.

    It has neither the input nor the result: `link`, relative to the API's base URL, leads to the job for its owner.
    """
    return {
        "asyncJobId": job.async_job_id,
        "jobType": job.job_type,
        **event_body(event),
        "metadata": None if job.metadata is None else read_json(job.metadata),
        "link": f"jobs/{job.async_job_id}",
    }

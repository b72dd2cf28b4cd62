# ruff: noqa: ARG001 - a job has both arguments
"""A job with every outcome, in addition to the project's own. It is copied into the jobs layer of the fuzzed stack."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from asyncjobs import Fatal, JobContext, job


class Ending(BaseModel):
    """How the job ends, and a number of bytes; a result above 8 KB is stored in the bucket."""

    model_config = ConfigDict(extra="forbid", strict=True)

    size: int = Field(ge=0, le=20_000)
    fails: bool = False


# One job type, since the coverage phase submits every variant of a request once for each.
@job("fuzz.ends", expected_seconds=1)
def ends(input: Ending, context: JobContext) -> str:
    """Fail without a retry, or return a text of the given size."""
    if input.fails:
        raise Fatal("As requested.", code="AS_REQUESTED")
    return "x" * input.size

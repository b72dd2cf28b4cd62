# ruff: noqa: ARG001 - a job has both arguments
"""Jobs with every outcome, in addition to the project's own. They are copied into the jobs layer of the fuzzed stack."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from asyncjobs import Fatal, JobContext, job


class Text(BaseModel):
    """A text."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(default="", max_length=100)


class Size(BaseModel):
    """A number of bytes; a result above 8 KB is stored in the bucket."""

    model_config = ConfigDict(extra="forbid", strict=True)

    size: int = Field(ge=0, le=20_000)


@job("fuzz.returns", expected_seconds=1)
def returns(input: Text, context: JobContext) -> Text:
    """Return the input."""
    return input


@job("fuzz.fails", expected_seconds=1)
def fails(input: Text, context: JobContext) -> None:
    """Fail without a retry."""
    raise Fatal("As requested.", code="AS_REQUESTED")


@job("fuzz.returns_much", expected_seconds=1)
def returns_much(input: Size, context: JobContext) -> str:
    """Return a text of the given size."""
    return "x" * input.size

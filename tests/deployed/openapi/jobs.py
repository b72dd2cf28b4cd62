# ruff: noqa: ARG001 - a job takes both its arguments
"""Jobs of every way to end, which the fuzzed stack has besides the project's own: copied into its jobs layer."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from asyncjobs import Fatal, JobContext, job


class Text(BaseModel):
    """A text."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(default="", max_length=100)


class Size(BaseModel):
    """How many bytes; from some 8 KB on, a result lies in the bucket."""

    model_config = ConfigDict(extra="forbid", strict=True)

    size: int = Field(ge=0, le=20_000)


@job("fuzz.returns", expected_seconds=1)
def returns(input: Text, context: JobContext) -> Text:
    """Return the input."""
    return input


@job("fuzz.fails", expected_seconds=1)
def fails(input: Text, context: JobContext) -> None:
    """Fail at once."""
    raise Fatal("As asked.", code="AS_ASKED")


@job("fuzz.returns_much", expected_seconds=1)
def returns_much(input: Size, context: JobContext) -> str:
    """Return as many bytes as asked for."""
    return "x" * input.size

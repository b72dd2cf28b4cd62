# ruff: noqa: ARG001 - a job has both arguments
"""Jobs for tests of the HTTP contract, in addition to the sample jobs. They are copied into the deployed jobs layer, their routes into its template."""

from __future__ import annotations

import time
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from asyncjobs import Exclusive, Fatal, JobContext, job


class Search(BaseModel):
    """A search with a field of each type that a parameter can have. `size` is that of the result."""

    model_config = ConfigDict(extra="forbid", strict=True)

    subject: str
    limit: int | None = Field(default=None, le=100)
    ratio: float = 0.5
    exact: bool = False
    tags: list[str] = []
    size: int = Field(default=0, le=20_000)
    turn: Literal["returns", "gives up"] = "returns"

    def model_post_init(self, _context: object) -> None:
        """Reject a negative ratio, which the schema allows."""
        if self.ratio < 0:
            raise ValueError("the ratio must not be negative")


class Found(BaseModel):
    """The search, and a text of the requested size."""

    asked: Search
    text: str


@job(
    "contract.searches",
    expected_seconds=0.1,
    timeout_seconds=30,
    route="POST /jobs/search/subject/{subject}",
    synchronous_route="GET /jobs/search/subject/{subject}",
)
def searches(input: Search, context: JobContext) -> Found:
    """Return the search."""
    if input.turn == "gives up":
        raise Fatal("This will never work: change the input.", code="HOPELESS")
    return Found(asked=input, text="x" * input.size)


class Depth(BaseModel):
    """A depth, and the seconds that the job takes."""

    model_config = ConfigDict(extra="forbid", strict=True)

    depth: int = Field(ge=0, le=9)
    seconds: int = Field(default=0, ge=0, le=60)


@job(
    "contract.refreshes",
    timeout_seconds=60,
    exclusive=Exclusive("contract.cache", scope="OWNER"),
    route="POST /jobs/cache/refresh/{depth}",
    synchronous_route="GET /jobs/cache/refresh/{depth}",
)
def refreshes(input: Depth, context: JobContext) -> int:
    """Work; one job of an owner runs at a time, and a second submit is rejected."""
    _work(input.seconds, context)
    return input.depth


class Seconds(BaseModel):
    """A duration."""

    model_config = ConfigDict(extra="forbid", strict=True)

    seconds: int = Field(ge=0, le=60)


@job("contract.works_alone", timeout_seconds=300, exclusive=Exclusive("contract.alone"))
def works_alone(input: Seconds, context: JobContext) -> None:
    """Work; one job of all owners runs at a time, and a second submit is rejected."""
    _work(input.seconds, context)


@job("contract.works_alone_too", timeout_seconds=300, exclusive=Exclusive("contract.alone"))
def works_alone_too(input: Seconds, context: JobContext) -> None:
    """Work under the same lock as `contract.works_alone`."""
    _work(input.seconds, context)


def _work(seconds: int, context: JobContext) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        context.check()
        time.sleep(0.1)


class Numbered(BaseModel):
    """A number, and how the job ends."""

    model_config = ConfigDict(extra="forbid", strict=True)

    number: float = 0
    turn: Literal["returns", "gives up"] = "returns"


@job("contract.once", expected_seconds=0.1, timeout_seconds=30, dedupe_seconds=600)
def once(input: Numbered, context: JobContext) -> str:
    """Return the effect key, which is unique to the job."""
    if input.turn == "gives up":
        raise Fatal("This will never work: change the input.", code="HOPELESS")
    return context.effect_key


@job("contract.once_for_a_second", expected_seconds=0.1, timeout_seconds=30, dedupe_seconds=1)
def once_for_a_second(input: Numbered, context: JobContext) -> str:
    """Return the effect key; the same input is the same job for a second."""
    return context.effect_key


@job("contract.kept_from_creation", expected_seconds=0.1, timeout_seconds=30, retention_seconds=3600, retention_from="CREATION")
def kept_from_creation(input: Numbered, context: JobContext) -> None:
    """Return nothing."""

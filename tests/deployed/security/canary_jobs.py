"""Jobs that meet a secret, and end in every way there is."""

# ruff: noqa: ARG001 - a job takes a context, whether it needs one or not
from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from asyncjobs import Fatal, JobContext, Retry, job


class Secret(BaseModel):
    """What was sent."""

    secret: str


class Picky(BaseModel):
    """Refuses what its schema allows, in pydantic's words: they quote the value."""

    secret: str

    def model_post_init(self, _context: object) -> None:
        """Refuse it."""
        raise ValueError(f"I do not like {self.secret}")


@job("canary.returns")
def returns(input: Secret, context: JobContext) -> dict[str, str]:
    """Return it."""
    context.progress(50, input.secret)
    return {input.secret: input.secret}


@job("canary.returns_much")
def returns_much(input: Secret, context: JobContext) -> str:
    """Return it many times."""
    return input.secret * 2000


@job("canary.returns_nonsense")
def returns_nonsense(input: Secret, context: JobContext) -> Any:
    """Return it as no JSON can hold it."""
    return {input.secret}


@job("canary.returns_wrong_type")
def returns_wrong_type(input: Secret, context: JobContext) -> int:
    """Return it where a number was declared."""
    return input.secret  # type: ignore[return-value]


@job("canary.raises", max_attempts=1)
def raises(input: Secret, context: JobContext) -> None:
    """Raise it, twice."""
    try:
        int(input.secret)
    except ValueError as error:
        raise LookupError(input.secret, {"key": input.secret}) from error


@job("canary.raises_many", max_attempts=1)
async def raises_many(input: Secret, context: JobContext) -> None:
    """Raise it in a group."""
    raise ExceptionGroup(input.secret, [ValueError(input.secret), KeyError(input.secret)])


@job("canary.gives_up")
def gives_up(input: Secret, context: JobContext) -> None:
    """Tell the client."""
    raise Fatal(f"This is wrong: {input.secret}", code="WRONG")


@job("canary.tries_again", max_attempts=2)
def tries_again(input: Secret, context: JobContext) -> None:
    """Tell the client, later."""
    raise Retry(f"Not yet: {input.secret}", after=1)


@job("canary.exits", max_attempts=1)
def exits(input: Secret, context: JobContext) -> None:
    """Exit with it."""
    raise SystemExit(input.secret)


@job("canary.picky", max_attempts=1)
def picky(input: Picky, context: JobContext) -> None:
    """Never run."""

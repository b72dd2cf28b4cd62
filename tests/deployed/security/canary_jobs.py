"""Jobs that receive a secret and have every outcome."""

# ruff: noqa: ARG001 - a job has both arguments
from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from asyncjobs import Fatal, JobContext, Retry, job


class Secret(BaseModel):
    """An input with a secret."""

    secret: str


class Picky(BaseModel):
    """A model that rejects what its schema allows. pydantic's message quotes the value."""

    secret: str

    def model_post_init(self, _context: object) -> None:
        """Reject the value."""
        raise ValueError(f"rejected: {self.secret}")


@job("canary.returns")
def returns(input: Secret, context: JobContext) -> dict[str, str]:
    """Return the secret."""
    context.progress(50, input.secret)
    return {input.secret: input.secret}


@job("canary.returns_much")
def returns_much(input: Secret, context: JobContext) -> str:
    """Return the secret many times."""
    return input.secret * 2000


@job("canary.returns_nonsense")
def returns_nonsense(input: Secret, context: JobContext) -> Any:
    """Return the secret in a value that JSON cannot hold."""
    return {input.secret}


@job("canary.returns_wrong_type")
def returns_wrong_type(input: Secret, context: JobContext) -> int:
    """Return the secret instead of the declared number."""
    return input.secret  # type: ignore[return-value]


@job("canary.raises", max_attempts=1)
def raises(input: Secret, context: JobContext) -> None:
    """Raise the secret in an exception with a cause."""
    try:
        int(input.secret)
    except ValueError as error:
        raise LookupError(input.secret, {"key": input.secret}) from error


@job("canary.raises_many", max_attempts=1)
async def raises_many(input: Secret, context: JobContext) -> None:
    """Raise the secret in an exception group."""
    raise ExceptionGroup(input.secret, [ValueError(input.secret), KeyError(input.secret)])


@job("canary.gives_up")
def gives_up(input: Secret, context: JobContext) -> None:
    """Fail with the secret for the client."""
    raise Fatal(f"This is wrong: {input.secret}", code="WRONG")


@job("canary.tries_again", max_attempts=2)
def tries_again(input: Secret, context: JobContext) -> None:
    """Request a retry with the secret for the client."""
    raise Retry(f"Not yet: {input.secret}", after=1)


@job("canary.exits", max_attempts=1)
def exits(input: Secret, context: JobContext) -> None:
    """Exit with the secret."""
    raise SystemExit(input.secret)


@job("canary.picky", max_attempts=1)
def picky(input: Picky, context: JobContext) -> None:
    """Never run."""

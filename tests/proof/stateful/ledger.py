"""What the audit has gathered: every job that there was, and what was written to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from typing import Any, NoReturn

from asyncjobs.aws.items import from_item
from asyncjobs.core.job import AsyncJob, Status
from tests.proof.stateful.memory.dynamodb import Write
from tests.proof.stateful.scheduler import Invocation
from tests.proof.stateful.world import Asked, Request, Start, World


class Violation(AssertionError):
    """A promise was broken. `rule` is its number in the protocol, or its name."""

    def __init__(self, rule: str, what: str) -> None:
        super().__init__(f"{rule}: {what}")
        self.rule = rule


@dataclass
class Generation:
    """A job from the submit that created its record on, and what was written to it."""

    pk: str
    number: int
    """That of the write that created it."""
    created: AsyncJob
    request: Request
    by: Invocation
    writes: list[tuple[Write, AsyncJob, AsyncJob]] = field(default_factory=list)
    claims: dict[int, tuple[Invocation, AsyncJob]] = field(default_factory=dict)
    releases: set[int] = field(default_factory=set)
    ends: list[AsyncJob] = field(default_factory=list)
    is_accepted: bool = False
    is_put_twice: bool = False
    """Its owner deleted it while its submit still waited for the put's answer: then the SDK puts it once more."""
    deleted_with: int | None = None
    """The number of the write by which it was gone for everybody."""

    def is_rollback(self, write: Write, new: AsyncJob) -> bool:
        """Whether its own submit takes it back."""
        return write.by is self.by and new.status is Status.CANCELLED

    def ended_before(self, number: int) -> bool:
        """Whether it had ended before the write of that number."""
        return any(write.number < number and new.is_finished for write, _, new in self.writes)

    def has_stood_as(self, job: AsyncJob) -> bool:
        """Whether the record has ever been just that, as far as somebody is shown it."""
        unseen: dict[str, Any] = {"due_at": None, "sweeps": 0}
        shown = replace(job, **unseen)
        return any(shown == replace(stood, **unseen) for stood in self.stands())

    def stands(self) -> Iterable[AsyncJob]:
        """All that it has been, in order."""
        return (self.created, *(new for _, _, new in self.writes))

    @property
    def newest(self) -> AsyncJob:
        """As it was last written."""
        return self.writes[-1][2] if self.writes else self.created


@dataclass
class Numbers:
    """The arithmetic of a run. All but the last three must be zero."""

    lost: int = 0
    unexpected: int = 0
    stuck: int = 0
    wrong: int = 0
    double_final: int = 0
    ghosts: int = 0
    duplicates: int = 0
    jobs: int = 0
    faults: int = 0

    def add(self, other: Numbers) -> None:
        """Sum up."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))


class Ledger:
    """Every generation of every job, and what there was to see."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.by_gen: dict[str, Generation] = {}
        self.first_lives: list[Generation] = []
        """Of those that were put twice."""
        self.sights: Counter[str] = Counter()
        """What there was to see, and how often."""

    @property
    def generations(self) -> Iterable[Generation]:
        """Every job there was."""
        return (*self.first_lives, *self.by_gen.values())

    def saw(self, sight: str) -> None:
        """Count it."""
        self.sights[sight] += 1

    def starts(self, generation: Generation) -> list[Start]:
        """When its code began."""
        effect_key = effect_key_of(generation.created)
        return [start for start in self._world.notes.starts if start.effect_key == effect_key]

    def present(self, generation: Generation) -> AsyncJob | None:
        """Its record, if that is still its own."""
        item = self._world.table.items.get(generation.pk)
        job = None if item is None else from_item(item)
        return job if job is not None and job.generation == generation.created.generation else None

    def asked_by(self, invocation: Any) -> Asked | None:
        """What a client wanted by that invocation; None if it was none's."""
        return next((asked for asked in self._world.notes.asked if asked.invocation is invocation), None)

    def lock_of(self, request: Request) -> str | None:
        """The lock that what was asked for runs under."""
        lock = self._world.all_job_types[request.job_type].exclusive
        return None if lock is None else lock.name

    def is_in_the_way(self, lock: str | None, invocation: Invocation) -> bool:
        """Whether another job of the same lock lived at some time since the invocation began."""
        others = [each for each in self.generations if each.by is not invocation and self.lock_of(each.request) == lock]
        return lock is not None and not all(each.ended_before(invocation.began_after) for each in others)


def effect_key_of(job: AsyncJob) -> str:
    """What must be the same on every attempt."""
    return f"{job.async_job_id}.{job.generation}"


def violated(rule: str, what: str) -> NoReturn:
    """Say so, and stop."""
    raise Violation(rule, what)

"""The audit's ledger: every job of a run and its writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from typing import Any, NoReturn

from asyncjobs.core.job import AsyncJob, DuePart, Status
from asyncjobs.tracking.worker_token import WorkerToken
from tests.proof.stateful.memory.dynamodb import Write
from tests.proof.stateful.scheduler import Invocation
from tests.proof.stateful.world import Asked, Request, Start, World


class Violation(AssertionError):
    """A broken promise. `rule` is its number in the protocol, or its name."""

    def __init__(self, rule: str, what: str) -> None:
        super().__init__(f"{rule}: {what}")
        self.rule = rule


@dataclass
class Generation:
    """A generation of a job: from the write that created it, with all its writes."""

    pk: str
    number: int
    """The number of the write that created it."""
    created: AsyncJob
    request: Request
    by: Invocation
    writes: list[tuple[Write, AsyncJob, AsyncJob]] = field(default_factory=list)
    claims: dict[int, tuple[Invocation, AsyncJob]] = field(default_factory=dict)
    releases: set[int] = field(default_factory=set)
    ends: list[AsyncJob] = field(default_factory=list)
    is_accepted: bool = False
    is_put_twice: bool = False
    """Whether its owner deleted it while its submit waited for the put's answer: then the SDK puts it again."""
    deleted_with: int | None = None
    """The number of the write that deleted it for every reader."""

    def is_rollback(self, write: Write, new: AsyncJob) -> bool:
        """Return whether the write is the withdrawal by its own submit."""
        return write.by is self.by and new.status is Status.CANCELLED

    def ended_before(self, number: int) -> bool:
        """Return whether it ended before the write of that number."""
        return any(write.number < number and new.is_finished for write, _, new in self.writes)

    def has_been(self, job: AsyncJob) -> bool:
        """Return whether the record ever had exactly this visible state."""
        unseen: dict[str, Any] = {"due_at": None, "due_part": DuePart.NEW, "sweeps": 0, "token_hash": None}
        shown = replace(job, **unseen)
        return any(shown == replace(stood, **unseen) for stood in self.states())

    def states(self) -> Iterable[AsyncJob]:
        """Return its states in order."""
        return (self.created, *(new for _, _, new in self.writes))

    def has_had(self, token: WorkerToken) -> bool:
        """Return whether the token was ever its worker's."""
        return any(state.token_hash == token.hash for state in self.states())

    @property
    def newest(self) -> AsyncJob:
        """Return its last state."""
        return self.writes[-1][2] if self.writes else self.created


@dataclass
class Numbers:
    """The sums of a run. All but the last three must be zero."""

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
        """Add the sums of another run."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))


class Ledger:
    """Every generation of every job, and the number of each kind of event."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.by_gen: dict[str, Generation] = {}
        self.first_lives: list[Generation] = []
        """The generations that were put twice."""
        self.sights: Counter[str] = Counter()
        """The number of each kind of event."""

    @property
    def generations(self) -> Iterable[Generation]:
        """Return every generation."""
        return (*self.first_lives, *self.by_gen.values())

    def count(self, event: str) -> None:
        """Count the event."""
        self.sights[event] += 1

    def starts(self, generation: Generation) -> list[Start]:
        """Return the starts of its code."""
        effect_key = effect_key_of(generation.created)
        return [start for start in self._world.notes.starts if start.effect_key == effect_key]

    def present(self, generation: Generation) -> AsyncJob | None:
        """Return its record, if that is still of this generation."""
        item = self._world.table.items.get(generation.pk)
        job = None if item is None else self._world.records.job(item)
        return job if job is not None and job.generation == generation.created.generation else None

    def request_of(self, invocation: Any) -> Asked | None:
        """Return the client's request of the invocation; None if it has none."""
        return next((asked for asked in self._world.notes.asked if asked.invocation is invocation), None)

    def lock_of(self, request: Request) -> str | None:
        """Return the lock of the requested job: its name, and what else distinguishes it in its scope."""
        lock = self._world.all_job_types[request.job_type].exclusive
        if lock is None:
            return None
        owner = [] if lock.scope == "GLOBAL" else [request.owner]
        part = [str(request.body.input)] if lock.scope == "INPUT" else []
        return " ".join([lock.name, *owner, *part])

    def was_held_by_another(self, lock: str | None, invocation: Invocation) -> bool:
        """Return whether another job of the same lock was unfinished since the invocation began."""
        others = [each for each in self.generations if each.by is not invocation and self.lock_of(each.request) == lock]
        return lock is not None and not all(each.ended_before(invocation.began_after) for each in others)


def effect_key_of(job: AsyncJob) -> str:
    """Return the job's effect key."""
    return f"{job.async_job_id}.{job.generation}"


def violated(rule: str, what: str) -> NoReturn:
    """Raise a violation."""
    raise Violation(rule, what)

"""The promises, the outcomes, and the numbers that compare them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.proof.soak.jobs import Kind, Task, text

_SECOND_STARTS = frozenset({Kind.RETRIES, Kind.RAISES})


@dataclass
class Ledger:
    """The clients' log, written before they read the next answer."""

    accepted: set[str] = field(default_factory=set)
    """A: the ids in answers of 202 or 200."""
    asked: dict[str, Task] = field(default_factory=dict)
    """The ids that any request may have created, answered or not (also U), and their tasks."""
    cancels: set[str] = field(default_factory=set)
    """The ids of requested cancels."""
    deletions: set[str] = field(default_factory=set)
    """The ids of deletions that may have been applied."""


@dataclass(frozen=True)
class Ending:
    """The final state of a job."""

    status: str
    attempt: int
    result: bytes | None
    error: str | None
    generation: str = "1"
    seq: int = 0

    @property
    def is_finished(self) -> bool:
        return self.status in {"COMPLETED", "FAILED", "CANCELLED"}


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """The sums. All but `duplicates` must be zero."""

    jobs: int
    lost: int
    unexpected: int
    stuck: int
    wrong: int
    double_final: int
    ghosts: int
    duplicates: int
    faults: int
    """The number of injected faults, which is the maximum of `duplicates`."""
    broken: Sequence[str]
    """Descriptions of histories that break the protocol."""
    ends_missed: int | None = None
    """Watchers that did not get their job's end; None without watchers."""
    deliveries_missed: int | None = None
    """Ends that were never delivered to the webhook; None without one."""

    @property
    def are_as_promised(self) -> bool:
        zero = (self.lost, self.unexpected, self.stuck, self.wrong, self.double_final, self.ghosts, len(self.broken))
        missed = (self.ends_missed, self.deliveries_missed)
        return not any((*zero, *missed)) and self.duplicates <= self.faults

    def __str__(self) -> str:
        return (
            f"jobs {self.jobs}, lost {self.lost}, unexpected {self.unexpected}, stuck {self.stuck}, wrong {self.wrong},"
            f" double-final {self.double_final}, ghosts {self.ghosts}, duplicates {self.duplicates} (of {self.faults} faults),"
            f" ends missed {_or_none(self.ends_missed)}, deliveries missed {_or_none(self.deliveries_missed)};"
            f" histories that break the protocol {len(self.broken)}"
        )


def _or_none(number: int | None) -> str:
    return "n/a" if number is None else str(number)


def tally(
    ledger: Ledger,
    endings: Mapping[str, Ending],
    *,
    finals: Mapping[str, int],
    starts: Sequence[tuple[str, int]],
    faults: int,
    broken: Sequence[str] = (),
    ends_missed: int | None = None,
    deliveries_missed: int | None = None,
) -> Numbers:
    """Compare the clients' log with the table (`endings`), its history (`finals`), and the starts: effect keys and attempts."""
    started = Counter(effect_key for effect_key, _ in starts)
    ids = {_job_id(effect_key) for effect_key in started}
    twice = [f"{effect_key}: attempt {attempt} started twice" for (effect_key, attempt), n in Counter(starts).items() if n > 1]
    more = [
        f"{job_id}: started {times} times, which is more than its attempts"
        for job_id, ending in endings.items()
        if (times := started[f"{job_id}.{ending.generation}"]) > ending.attempt
    ]
    return Numbers(
        jobs=len(ledger.accepted | endings.keys()),
        lost=len(lost_jobs(ledger, endings)),
        unexpected=len(endings.keys() - ledger.asked.keys()),
        stuck=sum(not ending.is_finished for ending in endings.values()),
        wrong=sum(not is_right(job_id, ending, ledger) for job_id, ending in endings.items() if job_id in ledger.asked),
        double_final=sum(times > 1 for times in finals.values()),
        ghosts=sum(
            ending.status == "COMPLETED" and job_id not in ids and not _is_tracked(ledger.asked.get(job_id))
            for job_id, ending in endings.items()
        ),
        duplicates=sum(
            max(0, times - (2 if ledger.asked[job_id].kind in _SECOND_STARTS else 1))
            for effect_key, times in started.items()
            if (job_id := _job_id(effect_key)) in ledger.asked
        ),
        faults=faults,
        broken=[*broken, *twice, *more],
        ends_missed=ends_missed,
        deliveries_missed=deliveries_missed,
    )


def lost_jobs(ledger: Ledger, endings: Mapping[str, Ending]) -> set[str]:
    """Return the accepted jobs that have not ended, but for those that were deleted."""
    ended = {job_id for job_id, ending in endings.items() if ending.is_finished}
    return ledger.accepted - ended - (ledger.deletions - endings.keys())


def is_right(job_id: str, ending: Ending, ledger: Ledger) -> bool:
    """Return whether the ending is allowed for the job."""
    task = ledger.asked[job_id]
    match ending.status:
        case "COMPLETED":
            return task.kind is not Kind.GIVES_UP and ending.result == result_of(task)
        case "FAILED" if _is_tracked(task):
            # Its client may have died before it reported.
            return ending.error == "DEADLINE_EXCEEDED"
        case "FAILED":
            return task.kind is Kind.GIVES_UP and ending.error == "HOPELESS"
        case "CANCELLED":
            return job_id in ledger.cancels
        case _:
            return True  # counted as stuck


def result_of(task: Task) -> bytes:
    """Return the required result of the task."""
    return text(task).encode() if task.kind is Kind.STREAMS else json.dumps(text(task)).encode()


def _job_id(effect_key: str) -> str:
    return effect_key.rpartition(".")[0]


def _is_tracked(task: Task | None) -> bool:
    return task is not None and task.kind is Kind.IS_TRACKED

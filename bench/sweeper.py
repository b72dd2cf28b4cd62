"""How many due jobs a sweep handles in a second, and after how long it finds a lost worker among jobs that wait.

The sweeper runs over the in-memory engines of the stateful tests. All jobs are due for the first time, and the job of the lost
worker is the last to be due. A call has two prices on AWS that an engine in memory does not have: the SDK's processor time, and
the time until the answer comes. The second round adds both.

    make bench            # or: python -m bench.sweeper [jobs]
"""

from __future__ import annotations

import inspect
import logging
import sys
import time
from bisect import bisect_right, insort
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from asyncjobs.aws.dynamodb_jobs import DynamoStore
from asyncjobs.aws.items import to_item
from asyncjobs.aws.sqs import SqsQueue
from asyncjobs.core.job import FENCE, AsyncJob, JobKey, Priority, submitted
from asyncjobs.core.ports import Lost
from asyncjobs.limits.locks import Locks
from asyncjobs.log import LOGGER
from asyncjobs.worker import sweeper as sweeper_module
from asyncjobs.worker.sweeper import Sweeper
from tests.proof.stateful.memory.dynamodb import MemoryDynamoDB
from tests.proof.stateful.memory.sqs import MemorySqs
from tests.template.source import resource

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
URL = "https://sqs/jobs"
SDK = 0.0015
"""Seconds of processor time that botocore takes for a call, without its network."""
ANSWER = 0.004
"""Seconds until AWS's answer."""
LOST = "00000000-0000-4000-8000-ffffffffffff"


class Table(MemoryDynamoDB):
    """The in-memory table, whose due index is sorted once, not for each query."""

    def __init__(self) -> None:
        super().__init__(resource("Table")["Properties"], clock=lambda: NOW)
        self._due: dict[str, list[tuple[int, str]]] = defaultdict(list)

    def _apply(self, operation: str, old: Any, new: Any) -> None:
        if entry := _due_entry(old):
            self._due[entry[0]].remove(entry[1])
        if entry := _due_entry(new):
            insort(self._due[entry[0]], entry[1])
        super()._apply(operation, old, new)
        self.history.clear()

    def query(self, *, IndexName: str, **request: Any) -> dict[str, Any]:  # noqa: N803 - of the due index only
        shard = request["ExpressionAttributeValues"][":shard"]["S"]
        start = request.get("ExclusiveStartKey")
        entries = self._due[shard]
        begin = bisect_right(entries, (int(start["dueAt"]["N"]), start["pk"]["S"])) if start else 0
        latest = int(request["ExpressionAttributeValues"][":now"]["N"])
        found = [entry for entry in entries[begin : begin + request["Limit"]] if entry[0] <= latest]
        items = [{"pk": {"S": pk}, "dueShard": {"S": shard}, "dueAt": {"N": str(at)}} for at, pk in found]
        more = {"LastEvaluatedKey": items[-1]} if len(found) == request["Limit"] else {}
        return {"Count": len(items), "Items": items, **more}


def _due_entry(item: Any) -> tuple[str, tuple[int, str]] | None:
    if item is None or "dueShard" not in item:
        return None
    return item["dueShard"]["S"], (int(item["dueAt"]["N"]), item["pk"]["S"])


class Priced:
    """A client whose calls are counted and cost what they cost on AWS."""

    def __init__(self, client: Any, *, processor: float, answer: float) -> None:
        self.calls: Counter[str] = Counter()
        self._client = client
        self._processor = processor
        self._answer = answer

    def __getattr__(self, operation: str) -> Any:
        call = getattr(self._client, operation)

        def send(**request: Any) -> Any:
            self.calls[operation] += 1
            ends = time.thread_time() + self._processor
            while time.thread_time() < ends:
                pass
            if self._answer:
                time.sleep(self._answer)
            return call(**request)

        return send


class Figures(NamedTuple):
    """What one sweep did."""

    jobs: int
    seconds: float
    processor_seconds: float
    lost_found_after: float | None
    calls: Counter[str]


def measure(jobs: int, *, processor: float, answer: float, time_limit: float) -> Figures:
    """Sweep once over this number of due jobs."""
    table = Table()
    for job in due_jobs(jobs):
        table.put_item(TableName="jobs", Item=to_item(job))
    dynamodb = Priced(table, processor=processor, answer=answer)
    sqs = Priced(MemorySqs(lambda: NOW, urls=(URL,)), processor=processor, answer=answer)
    found: list[float] = []

    class NotingStore(DynamoStore):
        def swap_if_unchanged(self, old: AsyncJob, new: AsyncJob, unchanged: Sequence[str] = FENCE) -> AsyncJob | Lost:
            if old.async_job_id == LOST:
                found.append(time.perf_counter() - began)
            return super().swap_if_unchanged(old, new, unchanged)

    store = NotingStore("jobs", dynamodb)  # type: ignore[arg-type]  # a client with the needed methods
    queue = SqsQueue(dict.fromkeys(Priority, URL), sqs)  # type: ignore[arg-type]  # the same
    options: dict[str, Any] = {}
    if "threads" in inspect.signature(Sweeper).parameters and answer:
        options["threads"] = vars(sweeper_module)["THREADS"]
    locks = Locks(store=store, queue=queue, clock=clock)
    sweeper = Sweeper(store=store, queue=queue, locks=locks, clock=clock, **options)
    began, began_processor = time.perf_counter(), time.process_time()
    sweep = sweeper.sweep(lambda: timedelta(seconds=time_limit - (time.perf_counter() - began)))
    seconds, used = time.perf_counter() - began, time.process_time() - began_processor
    return Figures(sweep.looked_at, seconds, used, found[0] if found else None, dynamodb.calls + sqs.calls)


def clock() -> datetime:
    """Return the same time always: nothing else becomes due."""
    return NOW


def due_jobs(count: int) -> list[AsyncJob]:
    """Return jobs that wait since a minute and more, and one whose worker is lost."""
    waiting = [_job(f"00000000-0000-4000-8000-{number:012x}", NOW - timedelta(minutes=2)) for number in range(count - 1)]
    lost = _job(LOST, NOW - timedelta(seconds=60, milliseconds=1))
    return [*waiting, lost.claimed(by="worker", now=NOW - timedelta(seconds=60), lease_until=NOW - timedelta(milliseconds=1))]


def _job(async_job_id: str, now: datetime) -> AsyncJob:
    return submitted(
        JobKey("alice", async_job_id),
        job_type="bench.waits",
        request_hash=b"h" * 32,
        max_attempts=3,
        timeout=timedelta(minutes=1),
        deadline=timedelta(hours=24),
        retention=timedelta(days=7),
        now=now,
    ).with_input(text='{"number":1}')


def main(arguments: list[str]) -> None:
    """Print the figures of both rounds."""
    LOGGER.setLevel(logging.CRITICAL)
    LOGGER.addHandler(logging.NullHandler())
    jobs = int(arguments[0]) if arguments else 100_000
    rounds: list[tuple[str, Callable[[], Figures]]] = [
        ("in memory", lambda: measure(jobs, processor=0, answer=0, time_limit=600)),
        (
            "a sweep of 60 s, with the SDK's processor time and AWS's answers",
            lambda: measure(jobs, processor=SDK, answer=ANSWER, time_limit=60),
        ),
    ]
    for name, run in rounds:
        figures = run()
        lost = "not in this sweep" if figures.lost_found_after is None else f"after {figures.lost_found_after:.2f} s"
        print(f"{name}: {figures.jobs} of {jobs} jobs, {figures.jobs / figures.seconds:.0f} a second,")
        print(
            f"  {figures.processor_seconds / max(figures.jobs, 1) * 1e6:.0f} us of processor time each; lost worker found {lost}"
        )
        print(f"  calls: {', '.join(f'{count} {call}' for call, count in sorted(figures.calls.items()))}")


if __name__ == "__main__":
    main(sys.argv[1:])

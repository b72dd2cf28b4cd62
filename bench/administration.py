"""How much the first page of each view of the console reads with 100,000 jobs in the table, and what an hour of each page costs.

The administrator's API runs over its real adapters and an in-memory table, which counts the entries and items of each call. It
has no method `scan`, so a view that scanned would fail.

    make bench            # or: python -m bench.administration [jobs]
"""

from __future__ import annotations

import random
import re
import sys
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, NamedTuple

from asyncjobs.aws.dynamodb_audit import DynamoAuditLog
from asyncjobs.aws.dynamodb_events import DynamoEventLog
from asyncjobs.aws.dynamodb_indexes import DynamoIndexes
from asyncjobs.aws.dynamodb_jobs import DynamoStore
from asyncjobs.aws.dynamodb_type_histories import DynamoTypeHistories
from asyncjobs.aws.items import to_item
from asyncjobs.core.administration import GROUPS, AuditRecord
from asyncjobs.core.job import AsyncJob, JobFailure, JobKey, Result, submitted
from asyncjobs.http.admin_operation import Groups
from asyncjobs.http.admin_routes import ADMIN, AdminRoutes
from asyncjobs.http.api import Api
from asyncjobs.http.operations import handlers_by_route
from asyncjobs.http.query_routes import query_handlers
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.service.event_feed import EventFeed
from asyncjobs.service.queries import Queries
from tests.proof.stateful.memory.dynamodb import MemoryDynamoDB
from tests.support.factories import job_type
from tests.support.fakes import FakeObjects, FakeQueue
from tests.support.http_events import http_event
from tests.support.parts import make_administration, make_bulk_actions, make_commands
from tests.template.source import ROOT, resource

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
TYPES = [f"type.{number}" for number in range(20)]
CODES = ["INVALID_INPUT", "TIMED_OUT", "WORKER_LOST", "UPSTREAM_DOWN"]
FLOODING, USUAL = "flooding", "usual"
_READ_UNIT_BYTES = 4096

READ_UNIT, API_REQUEST, LAMBDA_REQUEST, LAMBDA_GB_SECOND, SQS_REQUEST = 0.125e-6, 1.00e-6, 0.20e-6, 0.0000133334, 0.40e-6
"""USD in us-east-1."""
LOG_LINES = 1_000 * 0.50e-9
"""The log of a request: about 1 KB, Lambda's own lines included."""
MEMORY_GB, SECONDS_OF_A_CALL, SECONDS_OF_A_REQUEST = 0.5, 0.005, 0.02
"""The function's memory; how long a call to AWS takes, and a request without its calls."""
CALLS_OF_QUEUES, PRIORITIES = 5, 3
"""The depths that the view of queues reads, and the pollers."""


@dataclass
class Reads:
    """What some calls read."""

    calls: int = 0
    entries: int = 0
    items: int = 0
    units: float = 0.0

    @property
    def total(self) -> int:
        """Entries of indexes and items together."""
        return self.entries + self.items


class Table(MemoryDynamoDB):
    """The in-memory table that counts, and keeps the entries of each partition of an index together."""

    def __init__(self) -> None:
        super().__init__(resource("Table")["Properties"], clock=lambda: NOW)
        self.reads = Reads()
        self._partitions: dict[tuple[str, str], dict[str, Any]] = defaultdict(dict)
        self._queried: Mapping[str, Any] = {}

    def add(self, item: Any) -> None:
        """Store an item without checking it."""
        pk = item["pk"]["S"]
        self.items[pk] = item
        for index in self._indexes.values():
            if index.partition in item and index.sort in item:
                self._partitions[index.partition, item[index.partition]["S"]][pk] = item

    def query(self, **request: Any) -> dict[str, Any]:
        partition, value = re.match(r"#?(\w+) = (:\w+)", request["KeyConditionExpression"]).groups()  # type: ignore[union-attr]
        partition = request.get("ExpressionAttributeNames", {}).get(f"#{partition}", partition)
        self._queried = self._partitions[partition, request["ExpressionAttributeValues"][value]["S"]]
        # The in-memory table does not have this operator.
        condition = re.sub(r"(\w+) BETWEEN (:\w+) AND (:\w+)", r"\1 >= \2 AND \1 <= \3", request["KeyConditionExpression"])
        answer = super().query(**{**request, "KeyConditionExpression": condition})
        size = len(str(answer.get("Items", []))) if "Items" in answer else 150 * answer["Count"]
        self._count(entries=answer["Count"], units=0.5 * max(1, -(-size // _READ_UNIT_BYTES)))
        return answer

    def batch_get_item(self, *, RequestItems: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:  # noqa: N803 - AWS's name
        answer = super().batch_get_item(RequestItems=RequestItems)
        ((name, wanted),) = RequestItems.items()
        share = 1 if wanted.get("ConsistentRead") else 0.5
        found = answer["Responses"][name]
        units = sum(share * max(1, -(-len(str(item)) // _READ_UNIT_BYTES)) for item in found)
        self._count(items=len(found), units=units)
        return answer

    def get_item(self, **request: Any) -> dict[str, Any]:
        answer = super().get_item(**request)
        self._count(items=1, units=1 if request.get("ConsistentRead") else 0.5)
        return answer

    def _as_of(self, behind: int) -> Mapping[str, Any]:
        return self._queried

    def _count(self, *, entries: int = 0, items: int = 0, units: float) -> None:
        reads = self.reads
        reads.calls, reads.entries, reads.items, reads.units = (
            reads.calls + 1,
            reads.entries + entries,
            reads.items + items,
            reads.units + units,
        )


@dataclass
class World:
    """A table with many jobs, and the API over it."""

    jobs: int
    table: Table = field(default_factory=Table)

    def __post_init__(self) -> None:
        for job in some_jobs(self.jobs):
            self.table.add(to_item(job))
            if job.owner == FLOODING and not job.is_finished:
                self.live_job = job
        client: Any = self.table
        store, objects, queue = DynamoStore("jobs", client), FakeObjects(), FakeQueue()
        catalog = Catalog({name: job_type(name) for name in TYPES})
        audit = DynamoAuditLog("jobs", client, kept=timedelta(days=365))
        for number in range(500):
            audit.add(AuditRecord(audit_id=str(uuid.UUID(int=number)), at=NOW, actor="ops", action="job.retry", request_id="r"))
        for item in [item for pk, item in self.table.items.items() if pk.startswith("A#")]:
            self.table.add(item)
        parts: Any = {"store": store, "objects": objects, "clock": lambda: NOW}
        queries = Queries(catalog=catalog, **parts)
        commands = make_commands(queue=queue, catalog=catalog, **parts)
        administration = make_administration(
            store=store,
            queue=queue,
            catalog=catalog,
            clock=lambda: NOW,
            indexes=DynamoIndexes("jobs", client),
            histories=DynamoTypeHistories("jobs", client),
            commands=commands,
            audit=audit,
        )
        routes = AdminRoutes(
            administration,
            bulk=make_bulk_actions(administration, store=store, commands=commands, clock=lambda: NOW),
            queries=queries,
            feed=EventFeed(queries, DynamoEventLog("jobs", client)),
            logs=lambda _: None,
            groups=Groups.named("cognito:groups", GROUPS),
            clock=lambda: NOW,
        )
        self._admin = Api(handlers_by_route(routes, ADMIN))
        self._own = Api(query_handlers(queries, clock=lambda: NOW))
        self.table.reads = Reads()

    def ask(self, route: str, **query: str) -> Reads:
        """Send the request of the flooding owner, who is an administrator, and return what it read."""
        self.table.reads = Reads()
        event = http_event(route, FLOODING, query=query, async_job_id=self.live_job.async_job_id, groups="[admin]")
        answer = (self._admin if "/admin/" in route else self._own).handle(event)
        # A job of many that are live is not found by its id alone: the first hundred entries of each partition are searched.
        assert answer["statusCode"] in {HTTPStatus.OK, HTTPStatus.NOT_FOUND}, answer["body"]
        return self.table.reads


def some_jobs(count: int) -> Iterator[AsyncJob]:
    """Yield jobs of which a fifth is live and a fifth failed. One owner has half of all."""
    chance = random.Random(7)
    for number in range(count):
        owner = FLOODING if number % 2 else f"owner-{number % 997}" if number % 7 else USUAL
        began = NOW - timedelta(seconds=chance.randrange(72_000))
        job = submitted(
            JobKey(owner, str(uuid.UUID(int=chance.getrandbits(128), version=4))),
            job_type=TYPES[number % len(TYPES)],
            request_hash=b"h" * 32,
            max_attempts=3,
            timeout=timedelta(minutes=5),
            deadline=timedelta(hours=24),
            retention=timedelta(days=7),
            now=began,
        ).with_input(text='{"pages": 9}')
        if number % 5 == 0:
            yield job
            continue
        running = job.claimed(by="worker", now=began, lease_until=began + timedelta(minutes=6))
        ended = began + timedelta(seconds=chance.randrange(60))
        if number % 5 == 1:
            error = JobFailure(code=CODES[number // 5 % len(CODES)], message="x", type="Fatal", retryable=False)
            yield running.failed(now=ended, error=error)
        else:
            yield running.completed(now=ended, result=Result(text='{"pages": 9}'))


class View(NamedTuple):
    """A view: its requests, and the constant of the console that says how often they are repeated while it is open."""

    name: str
    requests: Sequence[tuple[str, dict[str, str]]]
    schedule: str | None = None


_API, _ADMIN = "GET /api/v1", "GET /api/v1/admin"
_GROUP = {"jobType": TYPES[1], "code": CODES[0]}
_ONE = f"{_ADMIN}/jobs/{{asyncJobId}}"
VIEWS = [
    View("My jobs, by polling", [(f"{_API}/jobs", {"limit": "50"})], "lib/live.js POLL_MS"),
    View("My jobs, by a status that none has", [(f"{_API}/jobs", {"limit": "50", "status": "CANCELLED"})]),
    View(
        "Overview",
        [(f"{_ADMIN}/{each}", {}) for each in ("queues", "types", "failed-groups")],
        "pages/overview.js REFRESH_MS",
    ),
    View("Live", [(f"{_ADMIN}/live-jobs", {"limit": "50"})], "pages/live_jobs.js REFRESH_MS"),
    View("Live, of a type that has none", [(f"{_ADMIN}/live-jobs", {"jobType": "none"})], "pages/live_jobs.js REFRESH_MS"),
    View("Failed", [(f"{_ADMIN}/failed-groups", {})]),
    View("Failed, a group", [(f"{_ADMIN}/failed-jobs", {"limit": "50", **_GROUP})]),
    View("Queues", [(f"{_ADMIN}/queues", {})], "pages/queues.js REFRESH_MS"),
    View("Audit", [(f"{_ADMIN}/audit", {})]),
    View("Jobs of an owner", [(f"{_ADMIN}/jobs", {"owner": FLOODING, "limit": "50"})]),
    View(
        "A job that is not finished",
        [(_ONE, {"owner": FLOODING}), (f"{_ONE}/events", {"owner": FLOODING, "after": "0"})],
        "pages/any_job.js REFRESH_MS",
    ),
    View("A job, by its id alone", [(_ONE, {})]),
]


def reads_in_an_hour(view: View) -> int:
    """Return how often the console reads the view again while it is left open, as its source says; once, if it does not."""
    if view.schedule is None:
        return 1
    file, name = view.schedule.split()
    found = re.search(rf"const {name} = ([\d_]+);", (ROOT / "console" / file).read_text())
    if found is None:
        raise LookupError(f"{file} has no {name}.")
    return 3_600_000 // int(found[1].replace("_", ""))


def price_of(view: View, reads: Sequence[Reads]) -> float:
    """Return what the view's requests cost once, in USD."""
    queues = sum(route.endswith("/queues") for route, _ in view.requests)
    price = queues * CALLS_OF_QUEUES * SQS_REQUEST
    for each in reads:
        calls = each.calls + (CALLS_OF_QUEUES + PRIORITIES if queues and each is reads[0] else 0)
        seconds = SECONDS_OF_A_REQUEST + calls * SECONDS_OF_A_CALL
        price += API_REQUEST + LAMBDA_REQUEST + LOG_LINES + seconds * MEMORY_GB * LAMBDA_GB_SECOND + each.units * READ_UNIT
    return price


def main() -> None:
    """Print what each view reads and costs."""
    jobs = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    world = World(jobs)
    print(f"{jobs} jobs")
    print(f"{'view':36} {'calls':>6} {'entries':>8} {'items':>6} {'units':>7} {'USD once':>10} {'an hour':>8}")
    for view in VIEWS:
        reads = [world.ask(route, **query) for route, query in view.requests]
        price = price_of(view, reads)
        calls, entries, items, units = (
            sum(getattr(each, name) for each in reads) for name in ("calls", "entries", "items", "units")
        )
        hour = price * reads_in_an_hour(view)
        print(f"{view.name:36} {calls:6} {entries:8} {items:6} {units:7.1f} {price:10.2g} {hour:8.2g}")


if __name__ == "__main__":
    main()

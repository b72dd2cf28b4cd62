"""What a job costs: the capacity that the engine reports for each request."""

from __future__ import annotations

import random
import time
import uuid
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from asyncjobs.aws.dynamodb_events import DynamoEventLog
from asyncjobs.aws.dynamodb_history import DynamoHistory
from asyncjobs.aws.dynamodb_jobs import DynamoStore
from asyncjobs.aws.dynamodb_tickets import DynamoTickets
from asyncjobs.aws.dynamodb_watchers import DynamoWatchers
from asyncjobs.aws.sqs import SqsQueue
from asyncjobs.core.clock import utc_now
from asyncjobs.core.job import AsyncJob, Priority, Result
from asyncjobs.core.message import JobMessage
from asyncjobs.core.placement import INLINE_INPUT_LIMIT
from asyncjobs.core.rate import SubmitRate
from asyncjobs.core.watch import Connection, Topic
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.jobtypes.decorator import GENERIC, tracked_job
from asyncjobs.limits.admission import Admission
from asyncjobs.limits.waits import WaitSlots
from asyncjobs.push.event_log import EventLogWriter
from asyncjobs.push.subscriptions import Subscriptions
from asyncjobs.push.tickets import TicketIssuer
from asyncjobs.service.commands import Commands
from asyncjobs.service.submit import SubmitRequest
from asyncjobs.tracking.reports import Report, Reports
from asyncjobs.worker.executor import Executor
from local.stack import LocalStack, Outputs
from tests.support import sample_jobs
from tests.support.factories import job_type, job_types_of, new_job, numbered
from tests.support.fakes import FakeObjects
from tests.support.parts import make_commands, make_executor, make_immediate_executor, run_attempt
from tests.support.stream import change_of

OWNER = "user-0123456789abcdef-0123456789abcdef"


class Bill:
    """The sum of the capacity that the engine reports for each request."""

    calls: Counter[str]
    table: float
    indexes: Counter[str]

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Start again from zero."""
        self.calls, self.table, self.indexes = Counter(), 0.0, Counter()

    def watch(self, client: Any) -> Any:
        client.meta.events.register("provide-client-params.dynamodb.*", self._ask)
        client.meta.events.register("after-call.*", self._count)
        return client

    def _ask(self, params: dict[str, Any], **_: Any) -> dict[str, Any]:
        return {**params, "ReturnConsumedCapacity": "INDEXES"}

    def _count(self, model: Any, parsed: dict[str, Any], **_: Any) -> None:
        self.calls[model.name] += 1
        consumed = parsed.get("ConsumedCapacity")
        if consumed:
            self.table += consumed["Table"]["CapacityUnits"]
            for name, index in consumed.get("GlobalSecondaryIndexes", {}).items():
                self.indexes[name] += index["CapacityUnits"]


@pytest.fixture
def bill() -> Bill:
    return Bill()


@pytest.fixture
def service(stack: LocalStack, outputs: Outputs, bill: Bill, request: pytest.FixtureRequest) -> tuple[Commands, Executor]:
    """Compose the real service and executor in this process, over a table and a queue as in the stack, perhaps with limits."""
    dynamodb = bill.watch(stack.session.client("dynamodb", endpoint_url=outputs.endpoint_url))
    sqs = stack.session.client("sqs", endpoint_url=outputs.endpoint_url)
    url = sqs.create_queue(QueueName="costs")["QueueUrl"]
    types = [tracked_job(GENERIC), job_type("costs.takes_anything")]
    catalog = Catalog({**job_types_of(*vars(sample_jobs).values()), **{each.name: each for each in types}})
    store, objects = DynamoStore(outputs.table_name, dynamodb), FakeObjects()
    queue = SqsQueue({Priority.STANDARD: url}, bill.watch(sqs))
    limits = request.param if hasattr(request, "param") else None
    ports: Any = {"store": store, "queue": queue, "objects": objects, "catalog": catalog, "clock": utc_now}
    commands = make_commands(
        **ports,
        admission=limits and Admission(store=store, queue=queue, clock=utc_now, **limits),
        immediate_executor=make_immediate_executor(**ports, history=DynamoHistory(outputs.table_name, dynamodb)),
    )
    return commands, make_executor(**ports, jitter=random.Random(1))


def run_one(service: tuple[Commands, Executor], request: SubmitRequest, *, key: str = "k") -> AsyncJob:
    commands, executor = service
    job = commands.submit(OWNER, request, idempotency_key=key).job
    run_attempt(executor, JobMessage.of(job), claimant="8f9e2d4c-1b3a-4c5d-9e8f-7a6b5c4d3e2f/0a1b2c3d")
    return job


def test_short_job_costs_five_write_units_one_for_the_list_and_one_message(
    service: tuple[Commands, Executor], bill: Bill
) -> None:
    run_one(service, SubmitRequest(job_type="sample.returns", input={}, message="Queued", metadata={"tags": ["a"]}))
    assert bill.calls == {"PutItem": 1, "UpdateItem": 2, "SendMessage": 1}
    assert bill.table + bill.indexes["due"] <= 5
    assert bill.indexes["byOwner"] <= 1
    assert bill.table >= 3, "no capacity was counted"


def test_failed_job_costs_one_write_unit_for_its_group_and_a_completed_one_none(
    service: tuple[Commands, Executor], bill: Bill
) -> None:
    run_one(service, SubmitRequest(job_type="sample.returns", input={}), key="completed")
    assert bill.indexes["byGroup"] == 0
    bill.clear()
    run_one(service, SubmitRequest(job_type="sample.gives_up", input={}), key="failed")
    assert bill.indexes["byGroup"] == 1
    assert bill.table + bill.indexes["due"] <= 5


def test_event_of_the_jobs_code_costs_a_write_unit_and_a_large_one_two(service: tuple[Commands, Executor], bill: Bill) -> None:
    for size, units in ((1, 1), (900, 2)):
        bill.clear()
        run_one(service, SubmitRequest(job_type="sample.sends_events", input={"size": 3, "data": size}), key=f"events-{size}")
        # The put and the claim before, the end after: none of them pays for an event.
        assert bill.calls == {"PutItem": 1, "UpdateItem": 1 + 3 + 1, "SendMessage": 1}
        assert 3 * units <= bill.table - 3 <= 3 * units + 1
        assert bill.indexes["due"] <= 2


def test_tracked_job_costs_two_writes_with_their_indexes_and_a_read_and_a_write_per_report(
    service: tuple[Commands, Executor], bill: Bill
) -> None:
    commands, _ = service
    request = SubmitRequest(job_type=GENERIC, input={}, message="Queued", metadata={"tags": ["a"]})
    job = commands.submit(OWNER, request).job
    reports = Reports(store=commands._store, clock=utc_now)
    for progress in (20, 40, 60):
        reports.by_owner(job.key, Report(progress=progress, message=f"Page {progress}"))
    reports.by_owner(job.key, Report.of({"status": "COMPLETED", "result": {"documentId": "doc_123abc"}}))
    assert bill.calls == {"PutItem": 1, "GetItem": 4, "UpdateItem": 4}
    # A consistent read of up to 4 KB is one unit, and so is a write of up to 1 KB.
    assert bill.table == 4 + 5
    assert bill.indexes == {"due": 2, "byOwner": 1}


LIMITS = {"rate": SubmitRate(per_minute=6000, burst=10), "max_live": 100, "max_backlog": 1000}


@pytest.mark.parametrize("service", [LIMITS], indirect=True)
def test_all_limits_together_cost_three_write_units_and_a_read_of_the_queue(
    service: tuple[Commands, Executor], bill: Bill
) -> None:
    request = SubmitRequest(job_type="sample.returns", input={}, message="Queued", metadata={"tags": ["a"]})
    run_one(service, request, key="limited")
    assert bill.calls == {"GetQueueAttributes": 1, "Query": 1, "PutItem": 1, "UpdateItem": 3, "SendMessage": 1}
    assert 1 <= bill.indexes["live"] <= 2 + 0.5
    # The token is a write to the table: four instead of three.
    assert bill.table + bill.indexes["due"] <= 5 + 1
    assert bill.indexes["byOwner"] <= 1


def test_quick_job_costs_four_write_units_one_for_the_list_and_no_message(
    service: tuple[Commands, Executor], bill: Bill
) -> None:
    request = SubmitRequest(job_type="sample.is_quick", input={"turn": "returns"})
    assert service[0].submit(OWNER, request).job.is_finished
    # The durations of a job type are read once a minute.
    assert bill.calls == {"GetItem": 1, "PutItem": 1, "UpdateItem": 1}
    assert bill.table == 0.5 + 2
    bill.clear()
    assert service[0].submit(OWNER, request).job.is_finished
    assert bill.calls == {"PutItem": 1, "UpdateItem": 1}
    assert bill.table == 2
    assert bill.indexes == {"due": 2, "byOwner": 1}


def test_deduplication_costs_one_write_unit_per_submit(service: tuple[Commands, Executor], bill: Bill) -> None:
    request = SubmitRequest(job_type="sample.is_asked_again", input={})
    first = service[0].submit(OWNER, request).job
    assert bill.calls == {"PutItem": 2, "SendMessage": 1}
    assert bill.table == 1 + 1
    bill.clear()
    # Both writes are refused: AWS bills them, but does not report it. No second message is sent.
    assert service[0].submit(OWNER, request).job == first
    assert bill.calls == {"PutItem": 2}


def test_large_input_costs_a_read_unit_if_its_request_may_be_repeated(service: tuple[Commands, Executor], bill: Bill) -> None:
    request = SubmitRequest(job_type="costs.takes_anything", input={"text": "x" * INLINE_INPUT_LIMIT})
    for calls in ({"GetItem": 1, "PutItem": 1, "SendMessage": 1}, {"GetItem": 1}):
        bill.clear()
        service[0].submit(OWNER, request, idempotency_key="large")
        assert bill.calls == calls
        assert bill.table == sum(calls.values()) - calls.get("SendMessage", 0)
    bill.clear()
    service[0].submit(OWNER, request)
    assert bill.calls == {"PutItem": 1, "SendMessage": 1}


def shared_log(stack: LocalStack, outputs: Outputs, bill: Bill) -> EventLogWriter:
    client = bill.watch(stack.session.client("dynamodb", endpoint_url=outputs.endpoint_url))
    return EventLogWriter(DynamoEventLog(outputs.table_name, client))


def short_life(**changes: Any) -> list[AsyncJob]:
    """Return the states of a job as large as a short job is, from its put to its deletion."""
    created = new_job(owner=OWNER, now=utc_now(), message="Queued for the next free worker", **changes)
    now = created.created_at + timedelta(seconds=1)
    started = numbered(created.claimed(by="w", now=now, lease_until=now + timedelta(minutes=1)))
    ended = numbered(started.completed(now=now, result=Result(text="1")))
    return [created, started, ended, ended.marked_deleted(now=now)]


def test_event_log_costs_a_short_job_one_write_unit_and_its_deletion_another(
    stack: LocalStack, outputs: Outputs, bill: Bill
) -> None:
    created, started, ended, deleted = short_life()
    writer = shared_log(stack, outputs, bill)
    # As with the WebSocket API, whose window is zero: each change arrives in a batch of its own.
    for change in (change_of(None, created), change_of(created, started), change_of(started, ended)):
        writer.consume([change])
    assert (bill.calls, bill.table, bill.indexes) == ({"UpdateItem": 1}, 1, {})
    writer.consume([change_of(ended, deleted)])
    assert (bill.calls, bill.table, bill.indexes) == ({"UpdateItem": 1, "DeleteItem": 1}, 2, {})


def test_event_log_costs_a_job_with_twelve_reports_at_most_two_write_units_for_each_change(
    stack: LocalStack, outputs: Outputs, bill: Bill
) -> None:
    writer, (created, started, *_) = shared_log(stack, outputs, bill), short_life(async_job_id=str(uuid.uuid4()))
    for change in (change_of(None, created), change_of(created, started)):
        writer.consume([change])
    assert bill.calls == {}
    job = started
    for minute in range(12):
        now = started.updated_at + timedelta(seconds=5 * minute)
        reported = numbered(job.reported(now=now, progress=8 * minute + 1, message=f"Reading page {minute}", lease_until=now))
        writer.consume([change_of(job, reported)])
        job = reported
    assert bill.calls == {"UpdateItem": 12}
    assert 12 <= bill.table <= 19


def test_reader_of_events_costs_a_read_unit_for_each_block(stack: LocalStack, outputs: Outputs, bill: Bill) -> None:
    client = bill.watch(stack.session.client("dynamodb", endpoint_url=outputs.endpoint_url))
    log = DynamoEventLog(outputs.table_name, client)
    log.read(new_job(owner=OWNER, seq=9), first=1, last=9)
    assert (bill.calls, bill.table) == ({"GetItem": 2}, 2)


def test_wait_costs_a_write_unit_and_another_one_if_it_ends_early(stack: LocalStack, outputs: Outputs, bill: Bill) -> None:
    dynamodb = bill.watch(stack.session.client("dynamodb", endpoint_url=outputs.endpoint_url))
    slots = WaitSlots(store=DynamoStore(outputs.table_name, dynamodb), clock=utc_now, slots=50)
    with slots.taken(OWNER, utc_now() + timedelta(seconds=20)) as is_taken:
        assert (is_taken, bill.calls, bill.table, bill.indexes) == (True, {"UpdateItem": 1}, 1, {})
    assert (bill.calls, bill.table, bill.indexes) == ({"UpdateItem": 2}, 2, {})
    with slots.taken(OWNER, utc_now() + timedelta(seconds=0.1)):
        time.sleep(0.2)
    assert bill.calls == {"UpdateItem": 3}


def test_retry_costs_a_write_unit_those_of_the_indexes_and_a_message(service: tuple[Commands, Executor], bill: Bill) -> None:
    job = run_one(service, SubmitRequest(job_type="sample.gives_up", input={}), key="retried")
    bill.clear()
    service[0].retry(OWNER, job.async_job_id)
    assert bill.calls == {"GetItem": 1, "UpdateItem": 1, "SendMessage": 1}
    # The first read is consistent.
    assert bill.table == 1 + 1
    # The failed job leaves the index of failed ones.
    assert bill.indexes == {"due": 1, "byGroup": 1}


def test_delete_costs_two_write_units_and_that_of_the_list(service: tuple[Commands, Executor], bill: Bill) -> None:
    job = run_one(service, SubmitRequest(job_type="sample.returns", input={}), key="deleted")
    bill.clear()
    service[0].delete(OWNER, job.async_job_id)
    assert bill.calls == {"GetItem": 1, "UpdateItem": 1, "DeleteItem": 1}
    assert bill.table == 1 + 2
    assert bill.indexes == {"byOwner": 1}


@pytest.mark.parametrize(("name", "reads"), [("sample.takes_turns", 1), ("sample.is_alone", 3)])
def test_free_lock_costs_three_write_units_and_up_to_four_read_units(
    service: tuple[Commands, Executor], bill: Bill, name: str, reads: int
) -> None:
    run_one(service, SubmitRequest(job_type=name, input={}), key=name)
    assert bill.calls == {"GetItem": reads, "PutItem": 1, "UpdateItem": 2 + 1, "Query": 1, "SendMessage": 1}
    assert bill.table == reads + 3 + 1
    assert bill.indexes == {"waiting": 2 + 0.5, "due": 2, "byOwner": 1}


@pytest.fixture
def watched(stack: LocalStack, outputs: Outputs, bill: Bill) -> tuple[DynamoStore, DynamoTickets, DynamoWatchers]:
    """Return the adapters of the WebSocket API over the stack's table."""
    dynamodb = bill.watch(stack.session.client("dynamodb", endpoint_url=outputs.endpoint_url))
    return (
        DynamoStore(outputs.table_name, dynamodb),
        DynamoTickets(outputs.table_name, dynamodb),
        DynamoWatchers(outputs.table_name, dynamodb),
    )


def test_session_of_a_watcher_costs_eight_write_units_and_three_and_a_half_read_units(
    service: tuple[Commands, Executor], watched: tuple[DynamoStore, DynamoTickets, DynamoWatchers], bill: Bill
) -> None:
    job = run_one(service, SubmitRequest(job_type="sample.returns", input={}), key="watched")
    store, tickets, watchers = watched
    issuer = TicketIssuer(store=store, tickets=tickets, clock=utc_now)
    subscriptions = Subscriptions(store=store, tickets=tickets, watchers=watchers, clock=utc_now)
    bill.clear()
    ticket = issuer.issue(OWNER, [job.async_job_id], for_a_connection=True).text
    # And the read unit of the job: the engine does not report the capacity of a batch.
    assert (bill.calls, bill.table) == ({"BatchGetItem": 1, "PutItem": 1}, 1)
    subscriptions.connect("costs=", ticket)
    subscriptions.watch_job("costs=", job.async_job_id, 0)
    subscriptions.disconnect("costs=")
    # The filter's write is one for all watchers of a group within five minutes.
    assert bill.calls == {"BatchGetItem": 1, "GetItem": 3, "PutItem": 1 + 1, "DeleteItem": 2, "UpdateItem": 3 + 1}
    # The first read of the filter is eventually consistent.
    assert bill.table == 8 + 2.5


def test_change_of_a_job_that_nobody_watches_costs_a_read_unit_and_a_watched_one_two(
    watched: tuple[DynamoStore, DynamoTickets, DynamoWatchers], bill: Bill
) -> None:
    watchers, now = watched[2], utc_now()
    # Groups of topics that other tests watch are read, too.
    topics = [Topic(OWNER, str(uuid.uuid4()), now) for _ in range(100)]
    topics = [topic for topic in topics if not watchers.of([topic], now) and bill.calls.pop("BatchGetItem") == 1]
    bill.clear()
    assert watchers.of(topics, now) == {}
    assert bill.calls == {"BatchGetItem": 1}
    connection = Connection("costs=", OWNER, None, now + timedelta(minutes=1))
    watchers.open(connection)
    watchers.watch(connection, topics[0], now)
    bill.clear()
    assert watchers.of(topics[:1], now) == {topics[0]: ["costs="]}
    # Each reads one item of less than 4 KB: the engine does not report the capacity of a batch.
    assert bill.calls == {"BatchGetItem": 2}
    watchers.close("costs=")

"""The consumer of the stream that makes deliveries."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from asyncjobs.core.errors import Unavailable
from asyncjobs.core.events import event_body, snapshot_of
from asyncjobs.core.job import AsyncJob, Result
from asyncjobs.core.webhook import EVENTS, OwnerWebhooks, Webhook, delivery_id
from asyncjobs.push.changes import Change
from asyncjobs.push.webhooks import MAX_RESULT, WebhookConsumer
from tests.support.factories import JOB_ID, NOW, OWNER, WEBHOOK_ID, new_job, new_webhook
from tests.support.fakes import FakeClock, FakeQueue, FakeStore, FakeWebhooks
from tests.unit.conftest import Lines

OTHER_ID = "11111111-1111-4111-8111-111111111111"
CREATED = new_job(seq=1)
STARTED = replace(CREATED.claimed(by="w", now=NOW, lease_until=NOW + timedelta(minutes=1)), seq=2)
COMPLETED = replace(STARTED.completed(now=NOW, result=Result(text='{"pages": 3}')), seq=3)


def changed(old: AsyncJob | None, new: AsyncJob, number: int = 1) -> Change:
    return Change.of(str(number), old, new)


END = changed(STARTED, COMPLETED)


@dataclass
class World:
    webhooks: FakeWebhooks = field(default_factory=FakeWebhooks)
    store: FakeStore = field(default_factory=FakeStore)
    queue: FakeQueue = field(default_factory=FakeQueue)

    def __post_init__(self) -> None:
        clock = FakeClock(NOW)
        self.consumer = WebhookConsumer(webhooks=self.webhooks, store=self.store, queue=self.queue, clock=clock)

    def register(self, *webhooks: Webhook, owner: str = OWNER) -> None:
        self.webhooks.stored[owner] = OwnerWebhooks(owner, webhooks, 1)

    @property
    def deliveries(self) -> list[AsyncJob]:
        return list(self.store.jobs.values())

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(json.loads(job.input or "")["body"]) for job in self.deliveries]


@pytest.fixture
def world() -> World:
    world = World()
    world.register(new_webhook())
    return world


def test_event_makes_a_stored_delivery_and_then_its_message(world: World) -> None:
    assert world.consumer.consume([END]) == ()
    (delivery,) = world.deliveries
    expected = delivery_id(WEBHOOK_ID, async_job_id=JOB_ID, generation=COMPLETED.generation, seq=3)
    assert (delivery.owner, delivery.async_job_id, delivery.is_delivery) == (OWNER, expected, True)
    assert [message.key for message in world.queue.sent] == [delivery.key]
    assert json.loads(delivery.metadata or "") == {"webhookId": WEBHOOK_ID, "event": "job.completed", "asyncJobId": JOB_ID}


def test_body_has_the_event_and_no_input_and_no_result(world: World) -> None:
    job = replace(COMPLETED, metadata='{"order":7}', message="Done").with_input(text='{"canary": 1}')
    world.consumer.consume([changed(STARTED, job)])
    (body,) = world.bodies
    assert body == {
        "type": "job.completed",
        "timestamp": "2026-11-21T12:00:00.000Z",
        "data": {
            "asyncJobId": JOB_ID,
            "jobType": "sample.returns",
            **event_body(snapshot_of(job)),
            "type": "completed",
            "metadata": {"order": 7},
            "link": f"jobs/{JOB_ID}",
        },
    }


@pytest.mark.parametrize(("size", "is_included"), [(MAX_RESULT, True), (MAX_RESULT + 1, False)])
def test_result_is_delivered_if_it_is_requested_and_small(world: World, size: int, *, is_included: bool) -> None:
    world.register(new_webhook(with_result=True))
    text = json.dumps("x" * (size - 2))
    world.consumer.consume([changed(STARTED, replace(COMPLETED, result=Result(text=text)))])
    assert ("result" in world.bodies[0]["data"]) is is_included


def test_number_in_a_result_keeps_its_value(world: World) -> None:
    world.register(new_webhook(with_result=True))
    amount = "12345678901234567890.123456789"
    world.consumer.consume([changed(STARTED, replace(COMPLETED, result=Result(text=f"[{amount}]")))])
    assert f'"result":[{amount}]' in json.loads(world.deliveries[0].input or "")["body"]


def test_change_that_arrives_again_makes_no_second_delivery_and_no_second_message(world: World) -> None:
    for _ in range(3):
        world.consumer.consume([END])
    assert len(world.deliveries) == len(world.queue.sent) == 1


def test_each_webhook_that_takes_the_event_gets_a_delivery(world: World) -> None:
    world.register(
        new_webhook(),
        new_webhook(webhook_id=OTHER_ID, job_types=("sample.returns",)),
        new_webhook(webhook_id=OTHER_ID.replace("1", "2"), job_types=("sample.other",)),
        new_webhook(webhook_id=OTHER_ID.replace("1", "3")).refused(now=NOW),
    )
    world.consumer.consume([END])
    assert len({delivery.async_job_id for delivery in world.deliveries}) == 2


def test_job_is_delivered_to_the_webhook_that_its_submit_named(world: World) -> None:
    world.register(new_webhook(named_only=True), new_webhook(webhook_id=OTHER_ID, named_only=True))
    world.consumer.consume([changed(replace(STARTED, webhook=OTHER_ID), replace(COMPLETED, webhook=OTHER_ID))])
    (delivery,) = world.deliveries
    assert json.loads(delivery.metadata or "")["webhookId"] == OTHER_ID


def test_webhooks_of_another_owner_get_nothing(world: World) -> None:
    world.webhooks.stored.clear()
    world.register(new_webhook(), owner="bob")
    world.consumer.consume([END])
    assert world.deliveries == []


def test_every_event_but_progress_can_be_subscribed(world: World) -> None:
    world.register(new_webhook(events=EVENTS))
    progressed = replace(STARTED.progressed(now=NOW, progress=50, message=None), seq=3)
    failed = replace(STARTED.cancelled(now=NOW), seq=3)
    retried = replace(failed.retried(max_attempts=3, timeout=timedelta(minutes=1), deadline=timedelta(hours=1), now=NOW), seq=4)
    changes = [(None, CREATED), (CREATED, STARTED), (STARTED, progressed), (STARTED, failed), (failed, retried)]
    world.consumer.consume([changed(*change, number) for number, change in enumerate(changes)])
    assert [body["type"] for body in world.bodies] == ["job.created", "job.started", "job.cancelled", "job.retried"]


def test_progress_reads_no_webhooks(world: World) -> None:
    progressed = replace(STARTED.progressed(now=NOW, progress=50, message=None), seq=3)
    world.consumer.consume([changed(STARTED, progressed)])
    assert world.webhooks.calls == 0


def test_batch_reads_the_webhooks_of_all_its_owners_with_one_call(world: World) -> None:
    changes = [
        changed(replace(STARTED, owner=owner), replace(COMPLETED, owner=owner), number)
        for number, owner in enumerate(("alice", "bob", "carol", "alice"))
    ]
    world.consumer.consume(changes)
    assert world.webhooks.calls == 1


def test_delivery_causes_no_delivery(world: World) -> None:
    world.register(new_webhook(events=EVENTS))
    world.consumer.consume([END])
    (delivery,) = world.deliveries
    world.consumer.consume([changed(None, delivery)])
    assert (world.deliveries, world.webhooks.calls) == ([delivery], 1)


def test_message_that_cannot_be_sent_is_left_to_the_sweeper(world: World, lines: Lines) -> None:
    world.queue.is_down = True
    assert world.consumer.consume([END]) == ()
    assert len(world.deliveries) == 1
    assert lines.events == [{"message": "SEND_DEFERRED", "count": 1}]


def test_table_that_does_not_answer_has_the_changes_arrive_again(world: World) -> None:
    world.webhooks.failures = deque([Unavailable()])
    with pytest.raises(Unavailable):
        world.consumer.consume([END])
    world.consumer.consume([END])
    assert len(world.deliveries) == len(world.queue.sent) == 1


def test_deliveries_that_were_stored_before_the_table_failed_are_sent(world: World) -> None:
    world.register(new_webhook(), new_webhook(webhook_id=OTHER_ID))
    original, calls = world.store.add_if_absent, iter([True, False])

    def add(job: AsyncJob, now: Any) -> Any:
        if not next(calls, True):
            raise Unavailable
        return original(job, now)

    world.store.add_if_absent = add  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        world.consumer.consume([END])
    assert len(world.deliveries) == len(world.queue.sent) == 1
    world.consumer.consume([END])
    assert len(world.deliveries) == len(world.queue.sent) == 2


def test_custom_event_is_delivered_to_webhooks_that_subscribe_to_it(world: World) -> None:
    world.register(new_webhook(events=("job.custom",)), new_webhook(webhook_id=OTHER_ID))
    sent = replace(STARTED, seq=STARTED.seq + 1, named_event=f'{STARTED.seq + 1} rows_loaded {{"rows":7}}')
    world.consumer.consume([changed(STARTED, sent)])
    (body,) = world.bodies
    assert (body["type"], body["data"]["type"], body["data"]["name"], body["data"]["data"]) == (
        "job.custom",
        "custom",
        "rows_loaded",
        {"rows": 7},
    )

"""One try of a delivery, and what becomes of it and of its webhook."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook as Verifier

from asyncjobs.core.errors import Fatal, Retry, Unavailable
from asyncjobs.core.job import DELIVERY, SWEEP_INTERVAL, AsyncJob
from asyncjobs.core.message import JobMessage
from asyncjobs.core.webhook import DISABLED_AFTER, TEST, DisabledReason, OwnerWebhooks, Webhook, new_secret
from asyncjobs.jobtypes.built_in import DELIVERY_TYPE
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.push.delivery import BACKOFF, MAX_RETRY_AFTER, Deliverer
from asyncjobs.push.new_delivery import new_delivery
from asyncjobs.push.outbound import NotDelivered, Reply
from asyncjobs.testing import FakeContext
from tests.support.factories import JOB_ID, NOW, OWNER, WEBHOOK_ID, new_webhook
from tests.support.fakes import FakeClock, FakeObjects, FakeQueue, FakeStore, FakeWebhooks
from tests.support.parts import make_executor, run_attempt
from tests.unit.conftest import Lines

DELIVERY_ID = "22222222-2222-4222-8222-222222222222"
BODY = '{"type":"job.completed","data":{"asyncJobId":"…"}}'
REFUSED = NotDelivered("WEBHOOK_ADDRESS_REFUSED", "The receiver's name leads to a private, local or special address.")


@dataclass
class Receiver:
    """Answers the requests that the deliverer would send."""

    replies: list[Reply | NotDelivered] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        self.requests.append((url, dict(headers), body))
        reply = self.replies.pop(0) if self.replies else Reply(204)
        if isinstance(reply, NotDelivered):
            raise reply
        return reply


@dataclass
class World:
    webhooks: FakeWebhooks = field(default_factory=FakeWebhooks)
    receiver: Receiver = field(default_factory=Receiver)
    clock: FakeClock = field(default_factory=lambda: FakeClock(NOW))

    def __post_init__(self) -> None:
        self.deliverer = Deliverer(self.webhooks, self.receiver.post, self.clock)

    def register(self, webhook: Webhook) -> None:
        self.webhooks.stored[OWNER] = OwnerWebhooks(OWNER, (webhook,), 1)

    @property
    def webhook(self) -> Webhook:
        found = self.webhooks.stored[OWNER].get(WEBHOOK_ID)
        assert found is not None
        return found

    def deliver(self, *replies: Reply | NotDelivered, attempt: int = 1, event: str = "job.completed") -> Any:
        self.receiver.replies[:] = replies
        fields = {"owner": OWNER, "webhookId": WEBHOOK_ID, "event": event, "body": BODY}
        return self.deliverer.deliver(fields, FakeContext(async_job_id=DELIVERY_ID, attempt=attempt, max_attempts=10))


@pytest.fixture
def world() -> World:
    world = World()
    world.register(new_webhook())
    return world


# ── The tries ────────────────────────────────────────────────────────────────────────────────────────


def test_tries_take_up_to_three_days_and_end_before_the_deadline() -> None:
    assert len(BACKOFF) == DELIVERY_TYPE.max_attempts - 1
    assert timedelta(hours=71) < sum(BACKOFF, timedelta(0)) <= timedelta(days=3)
    assert sum(BACKOFF, timedelta(0)) + DELIVERY_TYPE.max_attempts * DELIVERY_TYPE.timeout < DELIVERY_TYPE.deadline
    assert BACKOFF[0] == timedelta(seconds=5)
    assert list(BACKOFF) == sorted(BACKOFF)


# ── The request ──────────────────────────────────────────────────────────────────────────────────────


def test_try_sends_the_stored_body_with_its_signature(world: World) -> None:
    secret = new_secret()
    world.register(new_webhook(secret=secret))
    world.deliver()
    ((url, headers, body),) = world.receiver.requests
    assert (url, body.decode(), headers["webhook-id"]) == (new_webhook().url, BODY, DELIVERY_ID)
    assert headers["Content-Type"] == "application/json"
    assert headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    assert headers["webhook-signature"] == Verifier(secret).sign(DELIVERY_ID, NOW, BODY)


def test_each_try_has_the_same_id_and_a_timestamp_of_its_own(world: World) -> None:
    for attempt in (1, 2):
        with pytest.raises(Retry):
            world.deliver(Reply(500), attempt=attempt)
        world.clock.advance(seconds=60)
    first, second = (headers for _, headers, _ in world.receiver.requests)
    assert first["webhook-id"] == second["webhook-id"]
    assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 60


def test_rotated_webhook_signs_with_both_secrets(world: World) -> None:
    world.register(new_webhook().rotated(secret=new_secret(), now=NOW))
    world.deliver()
    assert len(world.receiver.requests[0][1]["webhook-signature"].split(" ")) == 2


# ── How it ends ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", [200, 202, 204, 299])
def test_success_is_a_status_of_2xx(world: World, status: int) -> None:
    assert world.deliver(Reply(status)) == {"status": status, "milliseconds": 0}


def test_success_of_a_healthy_webhook_writes_nothing_to_it(world: World) -> None:
    world.deliver()
    assert world.webhooks.calls == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 401, 404, 408, 429, 500, 503])
def test_any_other_status_is_tried_again(world: World, status: int) -> None:
    with pytest.raises(Retry, match=f"The receiver answered {status}") as raised:
        world.deliver(Reply(status))
    assert raised.value.code == "WEBHOOK_REJECTED"


def test_missing_answer_is_tried_again_with_its_reason(world: World) -> None:
    with pytest.raises(Retry, match="special address") as raised:
        world.deliver(REFUSED)
    assert raised.value.code == "WEBHOOK_ADDRESS_REFUSED"


@pytest.mark.parametrize("attempt", range(1, 11))
def test_delays_grow_and_are_random(world: World, attempt: int) -> None:
    longest, found = BACKOFF[min(attempt, 9) - 1], set()
    for _ in range(20):
        with pytest.raises(Retry) as raised:
            world.deliver(Reply(500), attempt=attempt)
        assert raised.value.after is not None
        assert 0.75 * longest <= raised.value.after <= longest
        found.add(raised.value.after)
    assert len(found) > 1


@pytest.mark.parametrize(
    ("retry_after", "least", "most"),
    [
        (600, timedelta(seconds=600), timedelta(seconds=600)),
        (1, 0.75 * BACKOFF[0], BACKOFF[0]),
        (1e9, MAX_RETRY_AFTER, MAX_RETRY_AFTER),
    ],
)
def test_retry_after_lengthens_the_delay_up_to_a_day(
    world: World, retry_after: float, least: timedelta, most: timedelta
) -> None:
    with pytest.raises(Retry) as raised:
        world.deliver(Reply(503, retry_after))
    assert raised.value.after is not None
    assert least <= raised.value.after <= most


def test_answer_410_ends_the_delivery_and_disables_the_webhook(world: World, lines: Lines) -> None:
    with pytest.raises(Fatal) as raised:
        world.deliver(Reply(410))
    assert raised.value.code == "WEBHOOK_REFUSED"
    assert (world.webhook.disabled_at, world.webhook.disabled_reason) == (NOW, DisabledReason.REFUSED)
    assert lines.events == [{"message": "WEBHOOK_DISABLED", "webhookId": WEBHOOK_ID, "reason": "REFUSED"}]


def test_webhook_that_fails_for_days_is_disabled_and_this_is_logged_once(world: World, lines: Lines) -> None:
    for _ in range(2):
        with pytest.raises(Retry):
            world.deliver(Reply(500))
        world.clock.advance(seconds=DISABLED_AFTER.total_seconds())
    assert world.webhook.disabled_reason == DisabledReason.FAILING
    with pytest.raises(Fatal) as raised:
        world.deliver()
    assert raised.value.code == "WEBHOOK_DISABLED"
    assert len(world.receiver.requests) == 2
    assert [event["reason"] for event in lines.events] == ["FAILING"]


def test_second_failure_writes_nothing_to_the_webhook(world: World) -> None:
    for _ in range(2):
        with pytest.raises(Retry):
            world.deliver(Reply(500))
    assert world.webhooks.stored[OWNER].revision == 2


def test_success_after_failures_is_noted(world: World) -> None:
    world.register(new_webhook(failing_since=NOW))
    world.deliver()
    assert world.webhook.failing_since is None


def test_delivery_to_a_deleted_webhook_fails_without_a_request(world: World) -> None:
    world.webhooks.stored.clear()
    with pytest.raises(Fatal) as raised:
        world.deliver()
    assert raised.value.code == "WEBHOOK_DELETED"
    assert world.receiver.requests == []


def test_test_is_tried_once(world: World) -> None:
    with pytest.raises(Fatal, match="The receiver answered 500") as raised:
        world.deliver(Reply(500), event=TEST)
    assert raised.value.code == "WEBHOOK_REJECTED"


def test_test_that_succeeds_enables_a_disabled_webhook(world: World, lines: Lines) -> None:
    world.register(new_webhook().refused(now=NOW))
    world.deliver(event=TEST)
    assert world.webhook == new_webhook()
    assert lines.events == [{"message": "WEBHOOK_ENABLED", "webhookId": WEBHOOK_ID}]


def test_table_that_does_not_take_the_note_fails_no_delivery(world: World) -> None:
    world.register(new_webhook(failing_since=NOW))
    original, calls = world.webhooks.of, iter([True, False])

    def of(owner: str) -> OwnerWebhooks:
        if next(calls):
            return original(owner)
        raise Unavailable

    world.webhooks.of = of  # type: ignore[method-assign]
    assert world.deliver()["status"] == 204


def test_note_is_made_on_the_webhook_that_another_write_has_left(world: World) -> None:
    world.register(new_webhook(failing_since=NOW))
    original = world.webhooks.swap_if_unchanged
    secret = new_secret()

    def rotated_first(old: OwnerWebhooks, new: OwnerWebhooks, now: Any) -> bool:
        world.webhooks.swap_if_unchanged = original  # type: ignore[method-assign]
        original(old, old.with_webhook(world.webhook.rotated(secret=secret, now=NOW)), now)
        return original(old, new, now)

    world.webhooks.swap_if_unchanged = rotated_first  # type: ignore[method-assign]
    world.deliver()
    assert (world.webhook.failing_since, world.webhook.secret) == (None, secret)


# ── In the worker ────────────────────────────────────────────────────────────────────────────────────


def tried_by_a_worker(world: World, **changes: Any) -> tuple[AsyncJob, timedelta | None]:
    """Let a worker try a delivery once. Return the delivery, and when its message returns to the queue."""
    store = FakeStore()
    executor = make_executor(
        store=store,
        queue=FakeQueue(),
        objects=FakeObjects(),
        catalog=Catalog({}),
        clock=world.clock,
        built_in={DELIVERY: lambda: world.deliverer.definition},
    )
    delivery = new_delivery(new_webhook(), OWNER, DELIVERY_ID, event="job.failed", about=JOB_ID, body=BODY, now=NOW)
    store.jobs[delivery.key] = replace(delivery, **changes)
    delay = run_attempt(executor, JobMessage.of(delivery))
    return store.jobs[delivery.key], delay


def test_delivery_that_cannot_read_its_webhook_is_tried_again(world: World) -> None:
    world.webhooks.failures = deque([Unavailable()])
    tried, _ = tried_by_a_worker(world)
    assert (tried.status, tried.error and tried.error.code) == ("PENDING", "UNAVAILABLE")
    assert world.receiver.requests == []


@pytest.mark.parametrize(
    ("attempt", "returns"), [(1, True), (2, True), (3, False), (9, False)], ids=["5 s", "5 min", "30 min", "24 h"]
)
def test_message_of_a_try_that_is_far_away_leaves_the_queue(world: World, attempt: int, *, returns: bool) -> None:
    world.receiver.replies.append(Reply(500))
    released, delay = tried_by_a_worker(world, attempt=attempt - 1)
    assert released.not_before is not None
    assert delay == (released.not_before - NOW if returns else None)
    assert released.due_at == released.not_before + SWEEP_INTERVAL, "the sweeper sends it"


@pytest.mark.parametrize(("reply", "status"), [(Reply(204), "COMPLETED"), (Reply(500), "PENDING"), (Reply(410), "FAILED")])
def test_worker_runs_a_delivery_by_the_rules_of_every_job(world: World, reply: Reply, status: str) -> None:
    world.receiver.replies.append(reply)
    assert tried_by_a_worker(world)[0].status == status
    assert world.receiver.requests[0][2].decode() == BODY

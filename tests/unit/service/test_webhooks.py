"""What an owner does with its webhooks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest

from asyncjobs.core.errors import InvalidInput, SubmitRateExceeded, TooManyWebhooks, Unavailable, WebhookNotFound
from asyncjobs.core.rate import SubmitRate
from asyncjobs.core.webhook import ENDS, MAX_WEBHOOKS, TEST, OwnerWebhooks, Webhook
from asyncjobs.limits.admission import Admission
from asyncjobs.service.sender import Sender
from asyncjobs.service.webhooks import WebhookCommands, WebhookRequest
from tests.support.factories import JOB_ID, NOW, OWNER, WEBHOOK_ID, new_webhook
from tests.support.fakes import FakeClock, FakeQueue, FakeStore, FakeWebhooks
from tests.unit.conftest import Lines

URL = "https://app.example.com/events"


def request(url: str = URL, **changes: Any) -> WebhookRequest:
    return WebhookRequest(**{"url": url, "events": ENDS, "job_types": (), "named_only": False, "with_result": False, **changes})


@dataclass
class World:
    webhooks: FakeWebhooks = field(default_factory=FakeWebhooks)
    store: FakeStore = field(default_factory=FakeStore)
    queue: FakeQueue = field(default_factory=FakeQueue)
    clock: FakeClock = field(default_factory=lambda: FakeClock(NOW))

    def commands(self, **changes: Any) -> WebhookCommands:
        sender = Sender(self.queue, self.clock)
        return WebhookCommands(webhooks=self.webhooks, store=self.store, sender=sender, clock=self.clock, **changes)

    def limited(self) -> WebhookCommands:
        rate = SubmitRate(per_minute=1, burst=1)
        return self.commands(admission=Admission(store=self.store, queue=self.queue, clock=self.clock, rate=rate))

    def register(self, *webhooks: Webhook) -> None:
        self.webhooks.stored[OWNER] = OwnerWebhooks(OWNER, webhooks, 1)


@pytest.fixture
def world() -> World:
    return World()


def test_created_webhook_is_listed_with_its_options_and_a_secret_of_its_own(world: World) -> None:
    commands = world.commands()
    first = commands.create(OWNER, request(events=("job.failed",), job_types=("a.b",), named_only=True, with_result=True))
    second = commands.create(OWNER, request())
    assert commands.own(OWNER) == (first, second)
    assert (first.events, first.job_types, first.named_only, first.with_result) == (("job.failed",), ("a.b",), True, True)
    assert first.webhook_id != second.webhook_id
    assert first.secret != second.secret


def test_webhooks_of_another_owner_do_not_exist(world: World) -> None:
    commands = world.commands()
    webhook = commands.create("bob", request())
    assert commands.own(OWNER) == ()
    for attempt in (commands.rotate, commands.delete, commands.test):
        with pytest.raises(WebhookNotFound):
            attempt(OWNER, webhook.webhook_id)
    assert commands.own("bob") == (webhook,)


@pytest.mark.parametrize("url", ["http://app.example.com/", "https://127.0.0.1/", "https://a b/"])
def test_invalid_url_is_named_and_nothing_is_stored(world: World, url: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        world.commands().create(OWNER, request(url))
    assert [problem.pointer for problem in raised.value.problems] == ["/url"]
    assert world.webhooks.stored == {}


def test_webhook_may_be_on_this_machine_only_where_deliveries_go_there(world: World) -> None:
    assert world.commands(to_loopback=True).create(OWNER, request("http://127.0.0.1:8080/")).url == "http://127.0.0.1:8080/"
    with pytest.raises(InvalidInput):
        world.commands(to_loopback=True).create(OWNER, request("http://8.8.8.8/"))


def test_owner_has_ten_webhooks_at_most(world: World) -> None:
    commands = world.commands()
    for _ in range(MAX_WEBHOOKS):
        commands.create(OWNER, request())
    with pytest.raises(TooManyWebhooks):
        commands.create(OWNER, request())
    assert len(commands.own(OWNER)) == MAX_WEBHOOKS == 10
    commands.delete(OWNER, commands.own(OWNER)[0].webhook_id)
    commands.create(OWNER, request())


def test_rotated_webhook_has_a_new_secret_and_keeps_the_previous_one(world: World) -> None:
    commands = world.commands()
    before = commands.create(OWNER, request())
    after = commands.rotate(OWNER, before.webhook_id)
    assert after.secrets(NOW) == (after.secret, before.secret)
    assert after.secret != before.secret
    assert commands.own(OWNER) == (after,)


def test_test_is_a_delivery_of_the_owner(world: World) -> None:
    world.register(new_webhook())
    job = world.commands().test(OWNER, WEBHOOK_ID)
    assert job.is_delivery
    assert world.store.jobs == {job.key: job}
    assert [message.key for message in world.queue.sent] == [job.key]
    assert f'"event":"{TEST}"' in (job.input or "")


def test_disabled_webhook_can_be_tested(world: World) -> None:
    world.register(new_webhook().refused(now=NOW))
    assert world.commands().test(OWNER, WEBHOOK_ID).is_delivery


def test_test_whose_message_is_not_sent_is_accepted(world: World) -> None:
    world.register(new_webhook())
    world.queue.is_down = True
    job = world.commands().test(OWNER, WEBHOOK_ID)
    assert world.store.jobs == {job.key: job}


@pytest.mark.parametrize("command", ["create", "test"])
def test_requests_that_store_something_count_under_the_submit_rate(world: World, command: str) -> None:
    world.register(new_webhook())
    commands = world.limited()
    calls: dict[str, Callable[[], object]] = {
        "create": lambda: commands.create(OWNER, request()),
        "test": lambda: commands.test(OWNER, WEBHOOK_ID),
    }
    calls[command]()
    stored, jobs = world.webhooks.stored.copy(), world.store.jobs.copy()
    with pytest.raises(SubmitRateExceeded):
        calls[command]()
    assert (world.webhooks.stored, world.store.jobs) == (stored, jobs)


def test_change_that_loses_a_race_is_made_on_the_newer_state(world: World) -> None:
    world.register(new_webhook())
    original = world.webhooks.swap_if_unchanged

    def failed_first(old: OwnerWebhooks, new: OwnerWebhooks, now: datetime) -> bool:
        world.webhooks.swap_if_unchanged = original  # type: ignore[method-assign]
        original(old, old.with_webhook(new_webhook(failing_since=NOW)), now)
        return original(old, new, now)

    world.webhooks.swap_if_unchanged = failed_first  # type: ignore[method-assign]
    rotated = world.commands().rotate(OWNER, WEBHOOK_ID)
    assert world.webhooks.stored[OWNER].webhooks == (rotated,)
    assert rotated.failing_since == NOW


def test_change_that_loses_repeatedly_is_unavailable(world: World) -> None:
    world.register(new_webhook())
    world.webhooks.swap_if_unchanged = lambda *_: False  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        world.commands().rotate(OWNER, WEBHOOK_ID)


def test_log_has_no_secret_and_no_url(world: World, lines: Lines) -> None:
    commands = world.commands()
    webhook = commands.create(OWNER, request())
    rotated = commands.rotate(OWNER, webhook.webhook_id)
    commands.test(OWNER, webhook.webhook_id)
    commands.delete(OWNER, webhook.webhook_id)
    assert lines.names() == ["WEBHOOK_CREATED", "WEBHOOK_ROTATED", "JOB_ACCEPTED", "WEBHOOK_DELETED"]
    assert not any(text in lines.text() for text in (webhook.secret, rotated.secret, "example.com"))


def test_unknown_webhook_is_not_found(world: World) -> None:
    for attempt in (world.commands().rotate, world.commands().delete, world.commands().test):
        with pytest.raises(WebhookNotFound):
            attempt(OWNER, JOB_ID)

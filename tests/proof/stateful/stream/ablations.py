"""The consumers of the stream without one of their safeguards."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from asyncjobs.aws import clients
from asyncjobs.aws.dynamodb_events import DynamoEventLog, _key, _value
from asyncjobs.aws.dynamodb_watchers import DynamoWatchers, _topic_key
from asyncjobs.core import events as events_module
from asyncjobs.core.errors import Unavailable
from asyncjobs.core.events import Event, events_of_record, snapshot_of
from asyncjobs.core.job import AsyncJob
from asyncjobs.core.named_events import NamedEvent
from asyncjobs.core.watch import Topic
from asyncjobs.push import event_log, watchers, webhooks
from asyncjobs.push.changes import Change
from asyncjobs.push.consumer import Consumers
from asyncjobs.push.event_log import EventLogWriter
from asyncjobs.push.subscriptions import Subscriptions, Watching
from asyncjobs.push.watchers import WatcherPushes
from asyncjobs.push.webhooks import WebhookConsumer
from asyncjobs.service import event_feed
from tests.proof.stateful.ablations import caught
from tests.proof.stateful.stream.world import Sender, StreamParts


@dataclass(frozen=True, kw_only=True)
class StreamAblation:
    """A removed safeguard, and the rules that may detect it."""

    parts: StreamParts
    caught_as: frozenset[str]
    rules: tuple[str, ...] = ()
    """Rules that suffice to detect it, where all of them would take long. Empty means all rules."""


# ── Watchers ───────────────────────────────────────────────────────────────────────────────────────


class ReadsFirst(Subscriptions):
    """Subscriptions that read the job before they store its watch."""

    def watch_job(self, connection_id: str, async_job_id: str, after: int) -> Watching:
        connection = self._connection(connection_id)
        job = self._job(connection, async_job_id)
        self._watch(connection, Topic.of_job(job))
        return Watching(None if job.seq == after else snapshot_of(job), connection.ends_at)


class KeepsWhatItHasRead(DynamoWatchers):
    """Watchers whose first answer about a topic is kept by the process."""

    def __init__(self, table_name: str, client: Any) -> None:
        super().__init__(table_name, client)
        self._kept: dict[Topic, Collection[str]] = {}

    def of(self, topics: Collection[Topic], now: datetime) -> Mapping[Topic, Collection[str]]:
        missing = [topic for topic in topics if topic not in self._kept]
        found = super().of(missing, now) if missing else {}
        self._kept |= {topic: found.get(topic, ()) for topic in missing}
        return {topic: self._kept[topic] for topic in topics if self._kept[topic]}


class ExtendsTheFilterOnce(DynamoWatchers):
    """Watchers that enter only their first topic into the filter."""

    has_extended = False

    def _extend_filter(self, topic: Topic, until: datetime, now: datetime) -> None:
        if not self.has_extended:
            self.has_extended = True
            super()._extend_filter(topic, until, now)


class ForgetsTheTopic(DynamoWatchers):
    """Watchers of which none is left when one connection is closed."""

    def forget(self, connection_id: str, topic: Topic) -> None:
        with clients.translated("The table"):
            self._client.delete_item(TableName=self._table_name, Key=_topic_key(topic.text))


_consume_pushes = WatcherPushes.consume


def _push_the_oldest(self: WatcherPushes, changes: Sequence[Change]) -> Collection[Change]:
    oldest = {Topic.of_job(change.new): change for change in reversed(changes) if change.event is not None}
    return _consume_pushes(self, list(oldest.values()))


def _push_by_id(self: WatcherPushes, changes: Sequence[Change]) -> Collection[Change]:
    newest = {change.new.key: change for change in changes if change.event is not None}
    return _consume_pushes(self, list(newest.values()))


def _push_without_waiting(self: WatcherPushes, messages: Any, watching: Any) -> None:
    now = self._clock()
    recent = {each for each, at in self._pushed.items() if now - at < watchers.PUSH_PAUSE}
    free = {each: changes for each, changes in messages.items() if each not in recent}
    self._post(free, watching, now + watchers.TIME_TO_PUSH)


def _push_states_alone(changes: Sequence[Change]) -> Sequence[Change]:
    return list({Topic.of_job(change.new): change for change in changes if change.event is not None}.values())


# ── Events of a job's code ─────────────────────────────────────────────────────────────────────────


class SendsAgain(Sender):
    """A writer that sends its event again when it finds that an earlier write, which seemed lost, has brought it."""

    def newest(self) -> AsyncJob:
        self._reported = super().newest()
        return self._reported

    def beat(self) -> bool:
        waiting = self.waiting
        is_written = super().beat()
        if len(self.waiting) < len(waiting) and self.job.updated_at != self._reported.updated_at:
            self._events.appendleft(waiting[0])
        return is_written


class SendsOnce(Sender):
    """A writer that tries each event once."""

    def beat(self) -> bool:
        waiting = self.waiting
        is_written = super().beat()
        if not is_written and waiting:
            self._events.popleft()
        return is_written


def _event_of_any_write(job: AsyncJob) -> NamedEvent | None:
    """Return the event that the record has, whichever write brought it."""
    return None if job.named_event is None else NamedEvent(*job.named_event.split(" ", 2)[1:])


# ── The log ────────────────────────────────────────────────────────────────────────────────────────


class WritesWholeBlocks(DynamoEventLog):
    """A log whose blocks are replaced by the events of each batch."""

    def append(self, job: AsyncJob, events: Sequence[Event]) -> None:
        item = {**_key(job, 0), **{f"e{event.seq}": _value(event) for event in events}}
        with clients.translated("The table"):
            self._client.put_item(TableName=self._table_name, Item=item)


def _log_in_vain(self: EventLogWriter, changes: Sequence[Change]) -> Collection[Change]:
    for change in changes:
        try:
            self._write([change])
        except Unavailable:
            continue
    return ()


def _the_newest_state(change: Change) -> Any:
    """Number the newest state of the record as each of the events until then."""
    if change.event is not None:
        yield from (replace(change.event, seq=number) for number in range(1, change.event.seq + 1))


def _only_its_event(change: Change) -> Any:
    if change.event is not None and change.event not in events_of_record(change.new):
        yield change.event


def _is_earlier_expiry(change: Change) -> bool:
    old, new = change.old, change.new
    return old is not None and new.is_finished and new.record_expires_at < old.record_expires_at


def _first_claim_of_any(job: AsyncJob) -> Sequence[Event]:
    """Take every record that runs for a job that was put, claimed and never changed since."""
    found = events_of_record(replace(job, seq=min(job.seq, 2), progress=0, attempt=min(job.attempt, 1)))
    return found if job.seq <= 3 else ()


# ── Webhooks and batches ───────────────────────────────────────────────────────────────────────────

_consume_webhooks = WebhookConsumer.consume


def _deliver_in_vain(self: WebhookConsumer, changes: Sequence[Change]) -> Collection[Change]:
    try:
        return _consume_webhooks(self, changes)
    except Unavailable:
        return ()


def _random_id(*_: object, **__: object) -> str:
    return str(uuid.uuid4())


_handle = Consumers.handle


def _acknowledge(self: Consumers, event: Mapping[str, Any]) -> dict[str, Any]:
    _handle(self, event)
    return {"batchItemFailures": []}


def _go_on_after_the_failure(self: Consumers, event: Mapping[str, Any]) -> dict[str, Any]:
    failed = _handle(self, event)["batchItemFailures"]
    numbers = [record["dynamodb"]["SequenceNumber"] for record in event["Records"]]
    later = [number for number in numbers if failed and number > failed[0]["itemIdentifier"]]
    return {"batchItemFailures": [{"itemIdentifier": later[0]}] if later else []}


def _patched(place: Any, name: str, stand_in: Any) -> StreamParts:
    return StreamParts(patches=((place, name, stand_in),))


STREAM_ABLATIONS = {
    "changes pushed before they are logged": StreamAblation(
        parts=StreamParts(order=("watchers", "events", "webhooks", "durations")), caught_as=caught("order")
    ),
    "jobs read before their watch is stored": StreamAblation(
        parts=StreamParts(subscriptions=ReadsFirst),
        caught_as=caught("missed", "event"),
        rules=("connect", "watch", "change_and_deliver", "finish"),
    ),
    "watchers kept from an earlier read": StreamAblation(
        parts=StreamParts(watchers=KeepsWhatItHasRead), caught_as=caught("missed", "event")
    ),
    "filter not extended": StreamAblation(
        parts=StreamParts(watchers=ExtendsTheFilterOnce), caught_as=caught("missed", "event")
    ),
    "all watchers of a topic forgotten with one": StreamAblation(
        parts=StreamParts(watchers=ForgetsTheTopic),
        caught_as=caught("missed", "event"),
        rules=("change_and_deliver",),
    ),
    "oldest state of a batch pushed": StreamAblation(
        parts=_patched(WatcherPushes, "consume", _push_the_oldest),
        caught_as=caught("missed", "event"),
        rules=("change_and_deliver", "finish"),
    ),
    "custom events pushed as the newest state alone": StreamAblation(
        parts=_patched(watchers, "_pushed", _push_states_alone),
        caught_as=caught("event"),
        rules=("change", "send", "change_and_deliver", "finish"),
    ),
    "an event sent again whose write was in doubt": StreamAblation(
        parts=StreamParts(sender=SendsAgain), caught_as=caught("event"), rules=("change", "send", "go_on", "finish")
    ),
    "an event given up whose write failed": StreamAblation(
        parts=StreamParts(sender=SendsOnce), caught_as=caught("event"), rules=("change", "send", "go_on", "finish")
    ),
    "an event taken from each later write": StreamAblation(
        parts=_patched(events_module, "event_brought_to", _event_of_any_write),
        caught_as=caught("content"),
        rules=("change", "send", "advance", "change_and_deliver", "finish"),
    ),
    "a record and the next one of its id taken for one": StreamAblation(
        parts=_patched(WatcherPushes, "consume", _push_by_id), caught_as=caught("missed", "event")
    ),
    "messages of a busy connection left out": StreamAblation(
        parts=_patched(WatcherPushes, "_push", _push_without_waiting),
        caught_as=caught("missed", "event"),
        rules=("change_and_deliver", "finish"),
    ),
    "blocks of the log written whole": StreamAblation(
        parts=StreamParts(log=WritesWholeBlocks),
        caught_as=caught("log", "order"),
        rules=("change_and_deliver", "finish"),
    ),
    "changes acknowledged whose log was not written": StreamAblation(
        parts=_patched(EventLogWriter, "consume", _log_in_vain),
        caught_as=caught("log", "kept"),
        rules=("change_and_deliver", "finish"),
    ),
    "newest state logged as each event": StreamAblation(
        parts=_patched(event_log, "_to_log", _the_newest_state), caught_as=caught("content")
    ),
    "first events left out of the log": StreamAblation(
        parts=_patched(event_log, "_to_log", _only_its_event), caught_as=caught("log")
    ),
    "first events computed for later states": StreamAblation(
        parts=_patched(event_feed, "events_of_record", _first_claim_of_any),
        caught_as=caught("log"),
        rules=("change", "change_and_deliver", "read"),
    ),
    "log deleted at an earlier expiry": StreamAblation(
        parts=_patched(event_log, "_is_deletion", _is_earlier_expiry), caught_as=caught("log", "order")
    ),
    "log of deleted jobs kept": StreamAblation(
        parts=_patched(event_log, "_is_deletion", lambda _change: False), caught_as=caught("kept")
    ),
    "changes acknowledged whose deliveries were not stored": StreamAblation(
        parts=_patched(WebhookConsumer, "consume", _deliver_in_vain),
        caught_as=caught("webhook"),
        rules=("change_and_deliver", "finish"),
    ),
    "webhook ids drawn at random": StreamAblation(parts=_patched(webhooks, "delivery_id", _random_id), caught_as=caught("id")),
    "batches acknowledged that failed": StreamAblation(
        parts=_patched(Consumers, "handle", _acknowledge),
        caught_as=caught("webhook", "log", "missed", "event", "kept"),
        rules=("change_and_deliver", "finish"),
    ),
    "batches that go on after the failed change": StreamAblation(
        parts=_patched(Consumers, "handle", _go_on_after_the_failure),
        caught_as=caught("webhook", "log", "missed", "event", "kept"),
        rules=("change_and_deliver", "finish"),
    ),
}

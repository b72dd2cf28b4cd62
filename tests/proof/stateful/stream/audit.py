"""Check what the stream's function has logged, pushed and delivered: after each step, and when each change was handled.

The audit computes each event again from the applied writes to jobs: it shares no rule with the product.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from asyncjobs.core.clock import epoch_milliseconds, rfc3339
from asyncjobs.core.errors import InvalidTicket, JobNotFound, TooManyWatchers, TooManyWatches, Unavailable
from asyncjobs.core.events import Event, event_body
from asyncjobs.core.job import DELIVERY, AsyncJob, JobKey, Status
from asyncjobs.service.event_feed import EventsPage
from tests.proof.stateful.ledger import Numbers, violated
from tests.proof.stateful.memory.dynamodb import Write
from tests.proof.stateful.scheduler import Invocation
from tests.proof.stateful.stream.world import Push, StreamWorld, Watch

Body = Mapping[str, Any]
Name = tuple[JobKey, datetime]
"""A record: another one of the same id, after a deletion, is another job."""
_REFUSALS = (InvalidTicket, JobNotFound, TooManyWatchers, TooManyWatches)


@dataclass
class Record:
    """A record of a job: what a client can see of each of its changes."""

    name: Name
    events: dict[int, Body] = field(default_factory=dict)
    """By their numbers, from 1 on."""
    numbers: dict[int, int] = field(default_factory=dict)
    """The numbers of the writes that made them."""
    states: dict[tuple[int, str], Body] = field(default_factory=dict)
    """By number and time: a heartbeat changes the time alone."""
    is_deleted: bool = False

    @property
    def last(self) -> int:
        """Return the number of its last change."""
        return max(self.events)


class StreamAudit:
    """Checks all events since the last check."""

    def __init__(self, world: StreamWorld) -> None:
        self._world = world
        self._records: dict[Name, Record] = {}
        self._deliveries: dict[tuple[str, Name, int], str] = {}
        """The id of the delivery of each webhook and event."""
        self._pushed: dict[tuple[str, Name], int] = {}
        """The newest state that each connection got of each record."""
        self._got: set[tuple[str, Name, int]] = set()
        """The events that each connection got of each record."""
        self._seen_writes = self._seen_pushes = 0
        self._judged: set[Invocation] = set()
        self.sights: Counter[str] = Counter()

    def check(self) -> None:
        """Check every write, push and answer since the last check. Raise `Violation`."""
        for bug in self._world.notes.bugs:
            violated("bug", bug)
        history = self._world.table.history
        while self._seen_writes < len(history):
            write = history[self._seen_writes]
            self._seen_writes += 1
            if write.pk.startswith("J#"):
                self._judge_job(write)
            elif write.pk.startswith("E#"):
                self._judge_log(write)
        for push in self._world.notes.pushes[self._seen_pushes :]:
            self._judge_push(push)
        self._seen_pushes = len(self._world.notes.pushes)
        for invocation in self._world.notes.answered:
            if invocation.done and invocation not in self._judged:
                self._judged.add(invocation)
                self._judge_answer(invocation)

    # ── Writes ─────────────────────────────────────────────────────────────────────────────────────

    def _judge_job(self, write: Write) -> None:
        old = None if write.old is None else self._world.records.job(write.old)
        new = None if write.new is None else self._world.records.job(write.new)
        if new is None:
            return
        if new.job_type == DELIVERY:
            self._judge_delivery(write, new)
            return
        name = (new.key, new.created_at)
        before = old if old is not None and old.created_at == new.created_at else None
        record = self._records.setdefault(name, Record(name))
        body = _body(before, new)
        record.states[new.seq, body["at"]] = body
        if new.named_event is not None and (before is None or before.named_event != new.named_event):
            body = {**body, "type": "custom", **_custom(new.named_event)}
            self.sights["a custom event"] += 1
        if before is None or before.seq != new.seq:
            record.events[new.seq] = body
            record.numbers[new.seq] = write.number
        elif new.record_expires_at < before.record_expires_at:
            record.is_deleted = True
            self.sights["a job deleted"] += 1

    def _judge_log(self, write: Write) -> None:
        """Check that each number has the content of its event, and always the same."""
        if write.new is None:
            return
        _, owner, async_job_id, created, _ = write.pk.split("#")
        found = [
            record
            for (key, created_at), record in self._records.items()
            if (key.owner, key.async_job_id, epoch_milliseconds(created_at)) == (owner, async_job_id, int(created))
        ]
        record = found[0] if found else None
        for name, value in write.new.items():
            if not name.startswith("e") or not name[1:].isdecimal():
                continue
            members = json.loads(value["S"])
            event = None if record is None else record.events.get(int(name[1:]))
            if event is None or not _is_logged_as(event, members):
                violated("content", f"{write.by} logged {write.pk} {name} as {members}, which is {event}.")
            if (write.old or {}).get(name, value) != value:
                violated("content", f"{write.by} logged {write.pk} {name} a second time, as another event.")

    def _judge_delivery(self, write: Write, job: AsyncJob) -> None:
        """Check that the delivery is of an event as it was, for its owner's webhook, and the only one of that event there."""
        if write.old is not None:
            return
        fields = json.loads(job.input or "{}")
        body = json.loads(fields["body"])
        data = body["data"]
        for record in self._of_id(job.owner, data["asyncJobId"]):
            event = record.events.get(data["seq"])
            if event is not None and event["at"] == body["timestamp"]:
                break
        else:
            violated("content", f"{write.by} delivers what never happened: {body}.")
        shown = {**event, "type": f"job.{event['type']}"}
        told = {name: data[name] for name in event if name not in {"type", "at"}}
        if {**told, "type": body["type"], "at": body["timestamp"]} != shown:
            violated("content", f"{write.by} delivers {told} as {shown}.")
        place = (fields["webhookId"], record.name, data["seq"])
        if self._deliveries.setdefault(place, job.async_job_id) != job.async_job_id:
            violated("id", f"{write.by} delivers {place} as {job.async_job_id} and as {self._deliveries[place]}.")
        if "dueAt" not in (write.new or {}):
            violated("webhook", f"{write.by} stored a delivery that no sweep finds.")
        if not any(each.owner == job.owner and each.webhook.webhook_id == place[0] for each in self._world.notes.webhooks):
            violated("webhook", f"{write.by} delivers an event of {job.owner} to a webhook of another owner.")
        self.sights["a delivery"] += 1

    # ── Pushes, answers and reads ──────────────────────────────────────────────────────────────────

    def _judge_push(self, push: Push) -> None:
        """Check that the connection may see the job, that the event is as it was, and that the log had it before."""
        owner = self._world.owners[push.connection_id]
        change = {name: value for name, value in push.change.items() if name != "asyncJobId"}
        of_id = self._of_id(owner, push.change["asyncJobId"])
        record = next((each for each in of_id if each.events.get(change["seq"]) == change), None)
        if record is None:
            violated("content", f"{push.by} pushed {push.change} to {push.connection_id} of {owner}.")
        # Such an event follows from the record, until the job changes again.
        is_first = change["type"] == "created" or (change["type"], change["seq"], change["attempt"]) == ("started", 2, 1)
        if not push.is_logged and not is_first and not push.by.failed_calls and record.name in push.present:
            violated("order", f"{push.by} pushed {push.change} before the log had it.")
        place = (push.connection_id, record.name)
        if self._pushed.get(place, 0) >= change["seq"]:
            self.sights["a push that its connection had"] += 1
        self._pushed[place] = max(self._pushed.get(place, 0), change["seq"])
        self._got.add((*place, change["seq"]))
        self.sights["a push"] += 1

    def _judge_answer(self, invocation: Invocation) -> None:
        error = invocation.error
        if invocation.role == "socket":
            is_refused = isinstance(error, _REFUSALS)
            if error is not None and not is_refused and not (isinstance(error, Unavailable) and invocation.failed_calls):
                violated("bug", f"{invocation} ended in {error!r}.")
            self.sights[f"a message answered by {type(error).__name__}"] += 1
            return
        if invocation.role == "attempt":
            if error is not None:
                violated("bug", f"{invocation} ended in {error!r}.")
            return
        if error is not None:
            violated("bug", f"{invocation} ended in {error!r}: Lambda would deliver all of its changes again.")
        if invocation.answer["batchItemFailures"]:
            self.sights["a batch handled in part"] += 1
            if not invocation.failed_calls:
                violated("again", f"{invocation} wants changes again, although each call succeeded.")

    def judge_page(self, page: EventsPage, after: int | None) -> None:
        """Check that the page has the events after that number, without gaps, and one snapshot in place of those that it lacks."""
        record = self._records[page.job.key, page.job.created_at]
        events = list(page.events)
        if after == page.job.seq:
            is_right = not events
        else:
            is_known = after is None or after <= page.job.seq
            singles = events[:-1] if events and events[-1].type.value == "snapshot" else events
            expected = [record.events.get((after or 0) + 1 + place) for place in range(len(singles))]
            is_right = bool(events) and (is_known or not singles) and list(map(event_body, singles)) == expected
            is_right = is_right and (singles == events or _is_snapshot(events[-1], record))
            self.sights["a snapshot in place of events"] += singles != events
        if not is_right:
            violated("log", f"The events of {record.name} after {after} are {events}.")

    # ── The end ────────────────────────────────────────────────────────────────────────────────────

    def check_end(self) -> Numbers:
        """Check that nothing was missed, now that each change was handled. Raise `Violation`."""
        self.check()
        for record in self._records.values():
            if record.name not in self._world.notes.skipped:
                self._judge_deliveries(record)
        for watch in self._world.notes.watches:
            if watch.is_active:
                self._judge_watch(watch)
        self._judge_pings()
        self._judge_logs()
        self._judge_sent()
        self.sights["a connection to which a message was dropped"] += len(self._world.notes.dropped)
        return Numbers(jobs=len(self._records), faults=self._world.scheduler.faults)

    def _judge_deliveries(self, record: Record) -> None:
        """Check that each event was delivered to each webhook that had it from then on."""
        for each in self._world.notes.webhooks:
            if each.owner != record.name[0].owner or each.until is not None:
                continue
            for seq, event in record.events.items():
                is_due = record.numbers[seq] >= each.since and f"job.{event['type']}" in each.webhook.events
                if is_due and (each.webhook.webhook_id, record.name, seq) not in self._deliveries:
                    violated("webhook", f"Event {seq} of {record.name}, {event}, was never delivered.")

    def _judge_watch(self, watch: Watch) -> None:
        """Check that the watcher, who has stayed, got the last state of what it watches."""
        connection_id = watch.connection.connection_id
        is_weak = connection_id in self._world.notes.dropped
        for record, known in self._watched(watch):
            if record.name in self._world.notes.skipped:
                continue
            for seq, event in record.events.items():
                is_due = event["type"] == "custom" and record.numbers[seq] > watch.since
                if is_due and not is_weak and (connection_id, record.name, seq) not in self._got:
                    violated("event", f"{connection_id} never got {event} of {record.name}.")
            learned = max(known, self._pushed.get((connection_id, record.name), 0))
            if learned >= record.last:
                self.sights["a last state learned"] += 1
            elif is_weak:
                # A ping shows it: see `_judge_pings`.
                self.sights["a last state missed by a dropped message"] += 1
            else:
                violated("missed", f"{connection_id} knows {record.name} up to {learned} of {record.last}.")

    def _watched(self, watch: Watch) -> Iterator[tuple[Record, int]]:
        """Yield the records that are watched, and the number that its client knew of each when the watch began."""
        if watch.topic.async_job_id is None:
            for record in self._records.values():
                if record.name[0].owner == watch.topic.owner and record.numbers[record.last] >= watch.since:
                    yield record, 0
            return
        of_id = self._of_id(watch.topic.owner, watch.topic.async_job_id)
        snapshot = watch.snapshot
        if snapshot is None:
            yield from ((record, watch.after) for record in of_id if record.name[1] == watch.topic.created_at)
            return
        place = (snapshot["seq"], snapshot["at"])
        found = [record for record in of_id if place in record.states]
        if not found or {**found[0].states[place], "type": "snapshot"} != snapshot:
            violated("content", f"{watch.connection.connection_id} was told of a state that never was: {snapshot}.")
        yield found[0], snapshot["seq"]

    def _judge_pings(self) -> None:
        """Check that a ping shows the present number of each watched job that still exists."""
        for connection_id in self._world.open:
            active = [each for each in self._world.notes.watches if each.is_active]
            own = [each for each in active if each.connection.connection_id == connection_id and each.topic.async_job_id]
            if not own:
                continue
            seqs = self._world.ping(connection_id)
            present = {(job.key, job.created_at) for job in self._world.jobs()}
            for watch in own:
                for record, _ in self._watched(watch):
                    is_present = record.name in present
                    if is_present and seqs.get(record.name[0].async_job_id) != record.last:
                        violated("ping", f"{connection_id} is told {seqs}, and {record.name} is at {record.last}.")

    def _judge_logs(self) -> None:
        """Check that a reader gets each event of each job, and that deleted jobs have none."""
        for job in self._world.jobs():
            record = self._records[job.key, job.created_at]
            page = self._world.read(job, None)
            self.judge_page(page, None)
            if record.name not in self._world.notes.skipped and len(page.events) != len(record.events):
                violated("log", f"Of {record.name}, {len(page.events)} of {len(record.events)} events are read.")
        deleted = {name for name, record in self._records.items() if record.is_deleted} - self._world.notes.skipped
        logs = {tuple(pk.split("#")[1:4]) for pk in self._world.table.items if pk.startswith("E#")}
        for key, created_at in () if self._world.has_overlapped else deleted:
            if (key.owner, key.async_job_id, str(epoch_milliseconds(created_at))) in logs:
                violated("kept", f"The events of {key}, which was deleted, are kept.")

    def _judge_sent(self) -> None:
        """Check that each event of a job's code that is not waiting any more was written once, in the order of the calls."""
        for sent in self._world.notes.sent:
            data = [json.loads(event.data) for event in sent.events]
            events = [event for _, event in sorted(self._records[sent.name].events.items()) if event.get("data") in data]
            expected = data[: len(data) - len(sent.sender.waiting)]
            # The process may have ended before it had the answer to its last write.
            if [event["data"] for event in events] not in (expected, data[: len(expected) + 1]):
                violated("event", f"{sent.by} sent {data}, of which {expected} are settled, and {events} happened.")

    def _of_id(self, owner: str, async_job_id: str) -> Sequence[Record]:
        """Return the records of that id, the latest first."""
        return [each for (key, _), each in reversed(self._records.items()) if key == JobKey(owner, async_job_id)]


def _body(old: AsyncJob | None, new: AsyncJob) -> Body:
    return {
        "seq": new.seq,
        "type": _type(old, new),
        "at": rfc3339(new.updated_at),
        "status": new.status.value,
        "progress": new.progress,
        "message": new.message,
        "attempt": new.attempt,
        "code": None if new.error is None else new.error.code,
    }


def _custom(text: str) -> Body:
    """Return the name and the data of the event in the record: after its number, a word and an object."""
    _, name, data = text.split(" ", 2)
    return {"name": name, "data": json.loads(data)}


def _type(old: AsyncJob | None, new: AsyncJob) -> str:
    if old is None:
        return "created"
    if (old.status, old.attempt) == (new.status, new.attempt):
        return "progress"
    if new.status is Status.PENDING:
        return "retried" if new.generation != old.generation else "released"
    return "started" if new.status is Status.IN_PROGRESS else new.status.value.lower()


def _is_logged_as(event: Body, members: Body) -> bool:
    defaults: dict[str, Any] = {"progress": 0, "message": None, "attempt": 0, "code": None}
    found = {**defaults, **members, **({"data": json.loads(members["data"])} if "data" in members else {})}
    at = epoch_milliseconds(datetime.fromisoformat(event["at"]))
    return found == {**{name: value for name, value in event.items() if name != "seq"}, "at": at}


def _is_snapshot(event: Event, record: Record) -> bool:
    body = event_body(event)
    state = record.states.get((body["seq"], body["at"]))
    return state is not None and body["seq"] == record.last and {**state, "type": "snapshot"} == body

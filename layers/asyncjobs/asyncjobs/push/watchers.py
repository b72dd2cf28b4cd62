"""Pushes the changes of jobs to the connections that watch them. A consumer of the stream.

A push may be lost: a connection is closed, or the gateway accepts no more messages. So it carries a number, and a ping, a
later push or any read shows what was missed. Nothing is retried but the question who watches.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Any

from asyncjobs.core.clock import Clock
from asyncjobs.core.events import EventType, event_body
from asyncjobs.core.exact_json import write_json
from asyncjobs.core.ports import Connections, Watchers
from asyncjobs.core.watch import Posted, Topic
from asyncjobs.log import log_event
from asyncjobs.push.changes import Change

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

PUSH_PAUSE = timedelta(seconds=0.5)
"""A connection gets two messages a second at most, with the newest state of each job."""
TIME_TO_PUSH = timedelta(seconds=10)
"""For the messages of a batch. A gateway that hangs must not use up the time of the function's other tasks."""
MAX_FRAME = 32_000
"""Bytes of a message: API Gateway's frame is 32 KB."""


class WatcherPushes:
    """Pushes changes. Each connection gets one message for a batch, with the newest state of each job that it watches.

    The message also has the custom events of these jobs.
    """

    def __init__(
        self,
        watchers: Watchers,
        connections: Connections,
        *,
        clock: Clock,
        threads: int,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._watchers = watchers
        self._connections = connections
        self._clock = clock
        self._threads = threads
        self._sleep = sleep
        self._pool: ThreadPoolExecutor | None = None
        self._pushed: dict[str, datetime] = {}
        """When each connection got its last message from this process."""

    def consume(self, changes: Sequence[Change]) -> Collection[Change]:
        """See `Consumer`. Changes that arrive again are pushed again; a client drops what it has."""
        pushed = _pushed(changes)
        if not pushed:
            return ()
        topics = {topic for change in pushed for topic in _topics(change)}
        watching = self._watchers.of(topics, self._clock())
        if watching:
            self._push(_by_connection(pushed, watching), watching)
        return ()

    def _push(self, messages: Mapping[str, Sequence[Change]], watching: Mapping[Topic, Collection[str]]) -> None:
        now = self._clock()
        until = now + TIME_TO_PUSH
        self._pushed = {each: at for each, at in self._pushed.items() if now - at < PUSH_PAUSE}
        # A connection that got a message just now waits, and holds up no other one of this batch.
        waiting = {each: messages[each] for each in messages if each in self._pushed}
        self._post({each: messages[each] for each in messages if each not in waiting}, watching, until)
        if waiting:
            pause = max(map(self._pushed.__getitem__, waiting)) + PUSH_PAUSE - self._clock()
            self._sleep(max(pause.total_seconds(), 0))
            self._post(waiting, watching, until)

    def _post(
        self, messages: Mapping[str, Sequence[Change]], watching: Mapping[Topic, Collection[str]], until: datetime
    ) -> None:
        texts = [(connection_id, message_text(changes)) for connection_id, changes in messages.items()]

        def send(each: tuple[str, str]) -> Posted:
            if self._clock() < until:
                return self._connections.post(*each)
            log_event("PUSH_DROPPED", reason="no time is left")
            return Posted.DROPPED

        outcomes: Iterable[Posted] = (self._threads_of_process().map if len(texts) > 1 else map)(send, texts)
        for (connection_id, _), outcome in zip(texts, outcomes, strict=True):
            self._pushed[connection_id] = self._clock()
            if outcome is Posted.GONE:
                for topic, connections in watching.items():
                    if connection_id in connections:
                        self._watchers.forget(connection_id, topic)

    def _threads_of_process(self) -> ThreadPoolExecutor:
        """Return the threads. They are made, and their module is imported, when there is more than one message to send."""
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - see above

            self._pool = ThreadPoolExecutor(self._threads)
        return self._pool


def message_text(changes: Sequence[Change]) -> str:
    """Return the message with these changes, or with as many of the newest as fit. `more` says that there were others."""
    bodies = [
        {"asyncJobId": change.new.async_job_id, **event_body(change.event)} for change in changes if change.event is not None
    ]
    text = write_json(_message(bodies, has_more=False))
    while len(text.encode()) > MAX_FRAME:
        bodies = bodies[(len(bodies) + 1) // 2 :]
        text = write_json(_message(bodies, has_more=True))
    return text


def _pushed(changes: Sequence[Change]) -> Sequence[Change]:
    """Return the newest change of each job, and its custom events before that: no later state has what they say."""
    # By topic: a record that replaces a deleted one of the same id is another job, and has other watchers.
    newest: Mapping[Topic, Change] = {Topic.of_job(change.new): change for change in changes if change.event is not None}
    return [
        change
        for change in changes
        if change.event is not None and (change is newest[Topic.of_job(change.new)] or change.event.type is EventType.CUSTOM)
    ]


def _message(bodies: Sequence[Mapping[str, Any]], *, has_more: bool) -> dict[str, Any]:
    return {"type": "changes", "changes": list(bodies), "more": has_more}


def _topics(change: Change) -> Iterator[Topic]:
    yield Topic.of_job(change.new)
    yield Topic(change.new.owner)


def _by_connection(changes: Iterable[Change], watching: Mapping[Topic, Collection[str]]) -> Mapping[str, Sequence[Change]]:
    """Return the changes for each connection. Owners take turns, so that many watchers of one do not delay another's."""
    found: dict[str, list[Change]] = {}
    owner_of: dict[str, str] = {}
    for change in changes:
        own = dict.fromkeys(chain.from_iterable(watching.get(topic, ()) for topic in _topics(change)))
        for connection_id in own:
            found.setdefault(connection_id, []).append(change)
            owner_of[connection_id] = change.new.owner
    by_owner: dict[str, list[str]] = {}
    for connection_id, owner in owner_of.items():
        by_owner.setdefault(owner, []).append(connection_id)
    turns = chain.from_iterable(zip_longest(*by_owner.values()))
    return {connection_id: found[connection_id] for connection_id in turns if connection_id is not None}

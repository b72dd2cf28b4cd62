"""The soak's receiver: it verifies each delivery by the reference library, and fails half of the time.

A delivery whose try was cut off by a restart of the engine is tried again, so it may arrive twice, by the same id.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from tests.support.receiver import Answer, Received, Receiver, receiving

MOST_FAILURES = 4
"""The receiver's failures of one delivery. It has ten tries, of which killed workers and lost calls take some."""
_FAILURES: tuple[Answer, ...] = ((503, {}), (500, {}), (429, {"retry-after": "1"}), (302, {"location": "http://127.0.0.1:1/"}))


class End(NamedTuple):
    """The change that ended a job."""

    job_id: str
    seq: int
    status: str


class FailingReceiver:
    """A receiver, and the deliveries that it has accepted."""

    def __init__(self, receiver: Receiver, chance: random.Random) -> None:
        self.receiver = receiver
        self.tries: Counter[str] = Counter()
        """By the `webhook-id`."""
        self.failures = 0
        self.unsigned = 0
        self._chance = chance
        self._accepted: set[End] = set()
        self._ids: dict[tuple[End, str], set[str]] = {}
        """The ids of the deliveries of each end, and its time: a job that was deleted and submitted again has the same number."""
        self._lock = threading.Lock()
        receiver.answer = self._answer

    @property
    def accepted(self) -> int:
        return len(self._accepted)

    def missed(self, ends: Collection[End]) -> list[End]:
        """Return those of the ends that were not delivered."""
        with self._lock:
            return [end for end in ends if end not in self._accepted]

    def broken(self) -> list[str]:
        """Describe ends that were delivered under two ids, and requests that no secret has signed."""
        twice = [f"{end} was delivered as {sorted(ids)}" for (end, _), ids in self._ids.items() if len(ids) > 1]
        return [*twice, *([f"{self.unsigned} deliveries were not signed"] if self.unsigned else [])]

    def _answer(self, received: Received, _number: int) -> Answer:
        with self._lock:
            if received.event is None:
                self.unsigned += 1
                return 401, {}
            self.tries[received.id] += 1
            if self.tries[received.id] <= MOST_FAILURES and self._chance.random() < 0.5:
                self.failures += 1
                return self._chance.choice(_FAILURES)
            data = received.event["data"]
            end = End(data["asyncJobId"], data["seq"], data["status"])
            self._accepted.add(end)
            self._ids.setdefault((end, data["at"]), set()).add(received.id)
            return 204, {}


@contextmanager
def failing_receiver(chance: random.Random) -> Iterator[FailingReceiver]:
    """Start a receiver on this machine."""
    with receiving() as receiver:
        yield FailingReceiver(receiver, chance)

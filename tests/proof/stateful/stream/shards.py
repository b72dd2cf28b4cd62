"""Lambda's event source mapping for the table's stream: it polls each shard, invokes, and goes on where the function says.

A shard has the changes of some items, in order, and one batch at a time. Batches of several shards run at the same time. A batch
arrives again if its invocation failed, was killed or timed out, which an invocation that is only slow may outlive; and a shard
may go back at any time, as Lambda's own processes may end before they have noted how far they were.
"""

from __future__ import annotations

import zlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.proof.stateful.memory.dynamodb import Write

DELIVERY = "webhook.deliver"


@dataclass(frozen=True, slots=True)
class StreamBatch:
    """Some changes of one shard, for one invocation."""

    shard: int
    start: int
    records: Sequence[Mapping[str, Any]]

    @property
    def event(self) -> dict[str, Any]:
        """Return the function's event."""
        return {"Records": list(self.records)}

    @property
    def end(self) -> int:
        """Return the place after its last change."""
        return self.start + len(self.records)


@dataclass
class _Shard:
    records: list[Mapping[str, Any]] = field(default_factory=list)
    position: int = 0
    under_way: StreamBatch | None = None


class StreamMapping:
    """The mapping with `ReportBatchItemFailures` and the template's filter for each change."""

    def __init__(self, history: Sequence[Write], shards: int) -> None:
        self._history = history
        self._read = 0
        self._shards = [_Shard() for _ in range(shards)]

    def poll(self, shard: int, size: int) -> StreamBatch | None:
        """Return the next changes of the shard, and count them as under way: also if an earlier batch still is."""
        self._read_history()
        found = self._shards[shard]
        records = found.records[found.position : found.position + size]
        found.under_way = StreamBatch(shard, found.position, records) if records else None
        return found.under_way

    def is_under_way(self, batch: StreamBatch) -> bool:
        """Return whether the mapping waits for the answer to this batch."""
        return self._shards[batch.shard].under_way is batch

    def conclude(self, batch: StreamBatch, answer: object) -> None:
        """Go on after the batch, or at the first change that the answer reports.

        This is not called after a function raised, timed out or was killed: then the next batch begins at the same place.
        """
        if not self.is_under_way(batch):
            # A later batch of the shard was started since.
            return
        shard = self._shards[batch.shard]
        shard.under_way = None
        numbers = [record["dynamodb"]["SequenceNumber"] for record in batch.records]
        failures = answer.get("batchItemFailures") if isinstance(answer, dict) else None
        if not failures:
            shard.position = batch.end
            return
        named = {failure.get("itemIdentifier") for failure in failures}
        # An unknown number fails the whole batch; of several, the lowest counts.
        first = min(map(numbers.index, named)) if named <= {*numbers} else 0
        shard.position = batch.start + first

    def go_back(self, shard: int, by: int) -> None:
        """Deliver changes of the shard again."""
        found = self._shards[shard]
        found.position = max(0, found.position - by)
        found.under_way = None

    def has_more(self, shard: int) -> bool:
        """Return whether changes of the shard are left."""
        self._read_history()
        return self._shards[shard].position < len(self._shards[shard].records)

    def _read_history(self) -> None:
        for write in self._history[self._read :]:
            if _passes_filter(write):
                self._shards[zlib.crc32(write.pk.encode()) % len(self._shards)].records.append(record_of(write))
        self._read = len(self._history)


def _passes_filter(write: Write) -> bool:
    """Return whether the record matches the second filter of the template, which has all of the first one."""
    return write.new is not None and "seq" in write.new and write.new.get("jobType", {"S": DELIVERY})["S"] != DELIVERY


def record_of(write: Write) -> dict[str, Any]:
    """Return the stream's record of the write, as Lambda delivers it: binary values are Base64."""
    images = {"OldImage": write.old, "NewImage": write.new}
    return {
        "eventName": "INSERT" if write.old is None else "REMOVE" if write.new is None else "MODIFY",
        "eventSource": "aws:dynamodb",
        "dynamodb": {
            "Keys": {"pk": {"S": write.pk}},
            **{name: _image(image) for name, image in images.items() if image is not None},
            "SequenceNumber": str(write.number),
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
    }


def _image(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: {"B": b64encode(value["B"]).decode()} if "B" in value else value for name, value in item.items()}

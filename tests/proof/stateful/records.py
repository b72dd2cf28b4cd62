"""The jobs in the table's items, each read once: an item that was written never changes."""

from __future__ import annotations

from asyncjobs.aws.items import from_item
from asyncjobs.core.job import AsyncJob
from tests.proof.stateful.memory.expressions import Item


class Records:
    """Reads items as jobs, and keeps what it has read: the machines look at all jobs several times a step."""

    def __init__(self) -> None:
        self._read: dict[int, tuple[Item, AsyncJob]] = {}
        """Each item by its identity, which no other has as long as it is kept."""

    def job(self, item: Item) -> AsyncJob:
        """Return the job of the item."""
        found = self._read.get(id(item))
        if found is None:
            found = self._read[id(item)] = (item, from_item(item))
        return found[1]

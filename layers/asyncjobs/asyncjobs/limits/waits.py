"""The number of requests of one owner that wait at the same time: each waiting request holds an execution of Lambda."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime

from asyncjobs.core.clock import Clock
from asyncjobs.core.errors import Unavailable
from asyncjobs.core.ports import Store


class WaitSlots:
    """The slots of each owner, shared by all functions. A slot is taken until a time, so a function that dies holds none for long."""

    def __init__(self, *, store: Store, clock: Clock, slots: int) -> None:
        self._store = store
        self._clock = clock
        self._slots = slots

    @contextmanager
    def taken(self, owner: str, until: datetime) -> Iterator[bool]:
        """Hold a slot of the owner inside the `with` block. False if all are taken, or the table does not answer."""
        slot = None
        with suppress(Unavailable):
            slot = self._store.take_wait_slot(owner, slots=self._slots, now=self._clock(), until=until)
        try:
            yield slot is not None
        finally:
            # A slot whose time is up is free already.
            if slot is not None and self._clock() < until:
                with suppress(Unavailable):
                    self._store.free_wait_slot(owner, slot, until=until)

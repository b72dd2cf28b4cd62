"""The faults of a soak: failed calls, services that fail for seconds, killed processes, a restarted engine."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from tests.proof.crash.faults import THROTTLING
from tests.proof.crash.stage import Stage
from tests.support import processes

_SERVICES = {"dynamodb": THROTTLING["dynamodb_jobs"], "sqs": THROTTLING["sqs"], "s3": THROTTLING["s3"]}
_OUTAGE_SECONDS = 6
_STARTING_SECONDS = 12


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The interval of each fault; 0 seconds mean never."""

    fault_rate: float = 0.05
    kill_every: float = 2
    outage_every: float = 30
    restart_every: float = 90


class Disorder:
    """Injects faults from entry to exit."""

    def __init__(self, stage: Stage, plan: Plan, chance: random.Random) -> None:
        processes.running()  # where `ps` is missing, this skips the test, which no thread can
        self.happened: Counter[str] = Counter()
        self._stage, self._plan, self._chance = stage, plan, chance
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._every, args=(seconds, action), daemon=True)
            for seconds, action in (
                (plan.kill_every, self._kill),
                (plan.outage_every, self._fail_a_service),
                (plan.restart_every, self._restart),
            )
            if seconds
        ]

    def __enter__(self) -> Self:
        self._stage.proxy.add(_rules(self._plan.fault_rate))
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        self._stage.proxy.clear()

    def count(self) -> int:
        """Return the number of injected faults. A restart kills every process, so it counts as many faults as jobs may run."""
        requests = self._stage.proxy.stats()["requests"]
        return int(requests["faulted"]) + self.happened["kills"] + self.happened["restarts"] * self._stage.concurrency

    def _every(self, seconds: float, action: Callable[[], None]) -> None:
        while not self._stopping.wait(seconds):
            action()

    def _kill(self) -> None:
        """Kill the process of some function.

        It kills none that is still starting: the emulator would then end all other processes of that function; AWS does not.
        """
        workers = _workers(self._stage)
        if workers:
            try:
                os.kill(self._chance.choice(workers), signal.SIGKILL)
            except ProcessLookupError:
                return
            self.happened["kills"] += 1

    def _fail_a_service(self) -> None:
        """Make a service fail for longer than the SDK's tries."""
        service = self._chance.choice(sorted(_SERVICES))
        effect: dict[str, Any] = self._chance.choice(
            [{"error": _SERVICES[service]}, {"reset": True}, {"response": {"abort_bytes": 0}}]
        )
        self._stage.proxy.add([{"service": service, "ttl_s": _OUTAGE_SECONDS, **effect}])
        self.happened["outages"] += 1

    def _restart(self) -> None:
        began = time.monotonic()
        self._stage.restart_engine()
        self.happened["restarts"] += 1
        self.happened["seconds of restarts"] += int(time.monotonic() - began)


def _rules(rate: float) -> list[dict[str, Any]]:
    """Return rules for four kinds of fault, with a quarter of the rate each."""
    quarter = rate / 4
    return [
        *({"service": service, "probability": quarter, "error": error} for service, error in _SERVICES.items()),
        {"probability": quarter, "error": {"code": "InternalError", "status": 500}},
        {"probability": quarter, "reset": True},
        {"probability": quarter, "response": {"abort_bytes": 0}},
    ]


def _workers(stage: Stage) -> list[int]:
    """Return the engine's worker processes that have started long ago."""
    engine = stage.find_engine()
    if engine is None:
        return []
    children = [process for process in processes.running().values() if process.parent == engine.pid]
    return sorted(process.pid for process in children if process.age_seconds > _STARTING_SECONDS)

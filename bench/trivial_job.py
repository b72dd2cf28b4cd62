"""A trivial job on in-memory ports, from its submit to its result, in this process: `python -m bench.trivial_job VARIANT`.

It prints the seconds of processor time for one job, to standard error. `bench.throughput` compares them with other job libraries.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta
from typing import Any

from asyncjobs import JobContext, job, log
from asyncjobs.aws.log_lines import lambda_logger
from asyncjobs.core.clock import utc_now
from asyncjobs.core.message import JobMessage
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.log import LOGGER
from asyncjobs.service.submit import SubmitRequest
from asyncjobs.worker import executor as executor_module
from asyncjobs.worker.steps import run_plain
from asyncjobs.worker.timeouts import ProcessEnd
from tests.support.factories import OWNER, job_types_of
from tests.support.fakes import FakeObjects, FakeQueue, FakeStore
from tests.support.parts import make_commands, make_executor

JOBS, WARM_UP = 500, 500


@job("bench.adds")
def adds(input: int, _context: JobContext) -> int:
    """Add 1."""
    return input + 1


class InMemory:
    """The library on fakes, and a client with a worker beside it."""

    def __init__(self) -> None:
        self.store, self.queue = FakeStore(), FakeQueue()
        ports: dict[str, Any] = {
            "store": self.store,
            "queue": self.queue,
            "objects": FakeObjects(),
            "catalog": Catalog(job_types_of(adds)),
            "clock": utc_now,
        }
        self.commands, self.executor = make_commands(**ports), make_executor(**ports)

    def complete(self, jobs: int) -> None:
        """Submit the jobs, run what is in the queue, and check the results."""
        self.store.jobs.clear()
        for number in range(jobs):
            self.commands.submit(OWNER, SubmitRequest(job_type="bench.adds", input=number))
        bodies = [message.to_body() for message in self.queue.sent]
        self.queue.sent.clear()
        self.queue.delays.clear()
        for number, body in enumerate(bodies):
            message = JobMessage.parse(body)
            plan = self.executor.plan(message.job_type)
            run_plain(self.executor.run(message, plan, claimant=f"request/{number}", remaining=timedelta(minutes=15)))
        results = sorted(int(job.result.text) for job in self.store.jobs.values() if job.result and job.result.text)
        if results != list(range(1, jobs + 1)):
            raise AssertionError(f"{len(results)} of {jobs} jobs have a right result.")


def library() -> Callable[[int], None]:
    """Return what completes jobs without log lines, as the other libraries do."""
    no_log_lines()
    return InMemory().complete


def library_with_log_lines() -> Callable[[int], None]:
    """Return what completes jobs and writes their three log lines, which are also the metrics."""
    lambda_logger("bench", "INFO")
    return InMemory().complete


def library_without_process_bound() -> Callable[[int], None]:
    """Return what completes jobs without the timer that ends a hung process."""
    vars(executor_module)["ProcessEnd"] = lambda _limit: nullcontext(ProcessEnd())
    return library()


def ports() -> Callable[[int], None]:
    """Return what makes the calls to the in-memory ports again that jobs have made."""
    no_log_lines()
    memory, calls = InMemory(), list[Callable[[], object]]()

    def recorded(method: Callable[..., object]) -> Callable[..., object]:
        def call(*args: Any, **kwargs: Any) -> object:
            calls.append(lambda: method(*args, **kwargs))
            return method(*args, **kwargs)

        return call

    for port, name in (
        (memory.store, "add_if_absent"),
        (memory.store, "claim_if_claimable"),
        (memory.store, "swap_if_unchanged"),
        (memory.queue, "send"),
    ):
        setattr(port, name, recorded(getattr(port, name)))
    memory.complete(JOBS)

    def repeat(jobs: int) -> None:
        memory.store.jobs.clear()
        for call in calls if jobs == JOBS else ():
            call()

    return repeat


def no_log_lines() -> None:
    """Make no log records: an event that counts a metric would make one at any level."""
    LOGGER.setLevel(logging.CRITICAL)
    log.METRICS.clear()


VARIANTS = {
    "asyncjobs": library,
    "asyncjobs, with its log lines": library_with_log_lines,
    "asyncjobs, without the bound on a hung process": library_without_process_bound,
    "the in-memory ports of asyncjobs alone": ports,
}


def main(variant: str) -> None:
    """Measure one variant."""
    complete = VARIANTS[variant]()
    complete(WARM_UP)
    began = time.process_time()
    complete(JOBS)
    print((time.process_time() - began) / JOBS, file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1])

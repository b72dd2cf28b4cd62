"""What a trivial job costs in processor time, from its submit to its result, beside other job libraries.

Everything is in memory, so that only a library's own code counts. A fresh process each time submits a number of jobs that add 1,
completes all of them, and reads the results. The libraries alternate, so that a machine that slows down slows all of them.

    make bench            # or: python -m bench.throughput [rounds]

The other libraries are optional, and live in an environment of their own: see `requirements.txt` beside this file. None of them
writes a record conditionally, with an owner, a lease and a deadline, or checks inputs and results against schemas.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path

from bench.trivial_job import JOBS, VARIANTS, WARM_UP

ROOT = Path(__file__).parents[1]
OTHERS_PYTHON = ROOT / ".venv-bench" / "bin" / "python"

_MEASURE = """
import sys, time

JOBS, WARM_UP = map(int, sys.argv[1:])

def measure(complete):
    complete(WARM_UP)
    began = time.process_time()
    complete(JOBS)
    print((time.process_time() - began) / JOBS, file=sys.stderr)
"""

OTHERS = {
    "celery": """
from celery import Celery
from celery.contrib.testing.worker import start_worker

app = Celery(broker="memory://", backend="cache+memory://", broker_transport_options={"polling_interval": 0.001})

@app.task
def adds(number):
    return number + 1

def complete(jobs):
    results = [adds.delay(number) for number in range(jobs)]
    assert [result.get(timeout=60) for result in results] == list(range(1, jobs + 1))

with start_worker(app, pool="solo", perform_ping_check=False, loglevel="ERROR"):
    measure(complete)
""",
    "dramatiq": """
import dramatiq
from dramatiq.brokers.stub import StubBroker
from dramatiq.results import Results
from dramatiq.results.backends import StubBackend

broker = StubBroker()
broker.add_middleware(Results(backend=StubBackend()))
dramatiq.set_broker(broker)

@dramatiq.actor(store_results=True)
def adds(number):
    return number + 1

worker = dramatiq.Worker(broker, worker_threads=1)
worker.start()

def complete(jobs):
    messages = [adds.send(number) for number in range(jobs)]
    broker.join(adds.queue_name)
    worker.join()
    assert [message.get_result() for message in messages] == list(range(1, jobs + 1))

measure(complete)
worker.stop()
""",
    "taskiq": """
import asyncio
from taskiq import InMemoryBroker

broker = InMemoryBroker(max_stored_results=JOBS)

@broker.task
def adds(number: int) -> int:
    return number + 1

async def completed(jobs):
    tasks = [await adds.kiq(number) for number in range(jobs)]
    await broker.wait_all()
    assert [(await task.get_result()).return_value for task in tasks] == list(range(1, jobs + 1))

loop = asyncio.new_event_loop()
loop.run_until_complete(broker.startup())
measure(lambda jobs: loop.run_until_complete(completed(jobs)))
loop.run_until_complete(broker.shutdown())
""",
    "huey": """
from huey import MemoryHuey

huey = MemoryHuey()

@huey.task()
def adds(number):
    return number + 1

def complete(jobs):
    results = [adds(number) for number in range(jobs)]
    while (task := huey.dequeue()) is not None:
        huey.execute(task)
    assert [result.get() for result in results] == list(range(1, jobs + 1))

measure(complete)
""",
}


class NotMeasured(Exception):
    """A library could not be measured; the message is the last line that its process wrote."""


def cost(name: str) -> float:
    """Complete the jobs in a fresh process, and return the microseconds of processor time for one."""
    if name in VARIANTS:
        command = [sys.executable, "-m", "bench.trivial_job", name]
    elif OTHERS_PYTHON.exists():
        command = [str(OTHERS_PYTHON), "-c", _MEASURE + OTHERS[name], str(JOBS), str(WARM_UP)]
    else:
        raise NotMeasured("bench/requirements.txt is not installed into .venv-bench")
    ran = subprocess.run(
        command,
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT / 'layers/asyncjobs'}:{ROOT}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=300,
        check=False,
    )
    last_line = ran.stderr.strip().rpartition("\n")[2]
    if ran.returncode:
        raise NotMeasured(last_line)
    return float(last_line) * 1e6


def main(rounds: int) -> None:
    """Measure and print."""
    costs: dict[str, list[float]] = {}
    missing: dict[str, str] = {}
    for _ in range(rounds):
        for name in [*VARIANTS, *OTHERS]:
            if name in missing:
                continue
            try:
                taken = cost(name)
            except NotMeasured as error:
                missing[name] = str(error)
            else:
                costs.setdefault(name, []).append(taken)
    ours = costs[next(iter(VARIANTS))]
    for name, found in costs.items():
        ratio = statistics.median(one / other for one, other in zip(found, ours, strict=True))
        print(f"{name:50} {statistics.median(found):6.0f} us   ratio {ratio:5.2f}")
    for name, reason in missing.items():
        print(f"{name:50} not measured: {reason}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)

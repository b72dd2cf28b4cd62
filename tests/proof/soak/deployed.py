"""The soak on the deployed stack: the functions' AWS calls go through a faulty proxy, and processes are killed."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from tests.proof.crash import tree
from tests.proof.crash.history import FINISHED, JOB
from tests.proof.crash.stage import Stage
from tests.proof.soak.client import Budget, Client, read_logs
from tests.proof.soak.disorder import Disorder, Plan
from tests.proof.soak.tally import Ending, Numbers, lost_jobs, tally
from tests.support.pace import SLOWNESS

JOBS = Path(__file__).with_name("jobs.py")
_PATIENCE = 300.0 * SLOWNESS
"""A killed worker's lease lasts up to 68 s and sweeps come every 20 s: after this time every job has ended or is stuck."""

Say = Callable[[str], None]


def run(
    folder: Path,
    *,
    seed: int,
    seconds: float,
    count: int,
    clients: int,
    plan: Plan,
    batch: int = 1,
    until: Collection[str] = (),
    say: Say = lambda _: None,
) -> Numbers:
    """Submit this many jobs or for these seconds, whichever ends first; wait until no job is unfinished, and count.

    On a busy machine, a fault may need longer: it goes on until each of `until` has happened.
    """
    copy = tree.make(folder / "tree", jobs={"soak": JOBS})
    kept = folder / "kept"
    env = {
        "PERSIST_STATE": "1",
        "STATE_DIR": str(kept),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(kept / "s3"),
    }
    parameters = {"MaxLiveJobsPerOwner": "20", "WorkerBatchSize": str(batch)}
    with Stage(copy, folder / "stage", env=env, seed=seed, requests=clients, parameters=parameters) as stage:
        chance = random.Random(seed)
        logs = [folder / f"client-{number}.log" for number in range(clients)]
        with Disorder(stage, plan, random.Random(chance.random())) as disorder:
            answers = _submit(
                stage,
                logs,
                seconds=seconds,
                count=count,
                chance=chance,
                goes_on=lambda: not all(disorder.happened[name] for name in until),
            )
        say(f"answers: {_listed(answers)}")
        faults = disorder.count()
        say(f"happened: {_listed(disorder.happened)}; of {stage.proxy.stats()['requests']['total']} AWS calls, faults {faults}")
        rested = _come_to_rest(stage)
        say(f"at rest after {rested:.0f} s")
        ledger = read_logs(logs)
        lives, endings = stage.history.lives, _endings(stage, ledger.deletions)
        for job_id in lost_jobs(ledger, endings):
            # A life that shows its end was lost after it: the record expired, or the emulator's restart lost it.
            kind = task.kind if (task := ledger.asked.get(job_id)) else "unknown"
            say(f"lost: {job_id} {kind}: {lives.get(job_id)}")
        return tally(
            ledger,
            endings,
            finals={job_id: life.endings() for job_id, life in lives.items()},
            starts=stage.starts(),
            faults=faults,
            broken=[f"{job_id}: {fault}" for job_id, life in lives.items() for fault in life.faults()],
        )


def _submit(
    stage: Stage, logs: list[Path], *, seconds: float, count: int, chance: random.Random, goes_on: Callable[[], bool]
) -> Counter[str]:
    stopping, budget = threading.Event(), Budget(count)
    clients = [
        Client(
            f"client-{number}",
            sign_in=stage.sign_in,
            log=log,
            chance=random.Random(chance.random()),
            budget=budget,
            stopping=stopping,
        )
        for number, log in enumerate(logs)
    ]
    threads = [threading.Thread(target=client.run, name=client.name) for client in clients]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    while goes_on() and time.monotonic() < deadline + _PATIENCE:
        time.sleep(0.2)
    stopping.set()
    for thread in threads:
        thread.join()
    return sum((Counter(client.answers) for client in clients), Counter())


def _come_to_rest(stage: Stage) -> float:
    """Wait until the table holds no unfinished job, and return the seconds that it took."""
    began = time.monotonic()
    while time.monotonic() < began + _PATIENCE:
        if all(item["status"]["S"] in FINISHED for item in _items(stage)):
            break
        time.sleep(2)
    # The stream shows the last change a moment after the table.
    time.sleep(2)
    return time.monotonic() - began


def _items(stage: Stage) -> Iterator[dict[str, Any]]:
    for page in stage.client("dynamodb").get_paginator("scan").paginate(TableName=stage.outputs.table_name):
        yield from (item for item in page["Items"] if item["pk"]["S"].startswith(JOB))


def _endings(stage: Stage, deletions: Collection[str]) -> dict[str, Ending]:
    s3 = stage.client("s3")
    found = {}
    for item in _items(stage):
        job_id = item["pk"]["S"].rsplit("#", 1)[1]
        if job_id in deletions and int(item["recordExpiresAt"]["N"]) <= time.time():
            # A deletion that died leaves a record that has expired, whose objects may be deleted.
            continue
        status, attempt, generation = item["status"]["S"], int(item["attempt"]["N"]), item["gen"]["S"]
        result = item["result"]["S"].encode() if "result" in item else None
        location = item["resultLocation"]["S"] if "resultLocation" in item else None
        if location == f"results/{job_id}/{generation}/{attempt}":
            result = s3.get_object(Bucket=stage.outputs.bucket_name, Key=location)["Body"].read()
        found[job_id] = Ending(status, attempt, result, _error_code(item), generation)
    return found


def _error_code(item: dict[str, Any]) -> str | None:
    return str(json.loads(item["error"]["S"])["code"]) if "error" in item else None


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {times}" for name, times in sorted(counts.items()))

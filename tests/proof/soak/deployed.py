"""The soak on the deployed stack: the functions' AWS calls go through a faulty proxy, and processes are killed.

Watchers and a receiver are optional. A restart of the engine keeps the table, the queues, the bucket, and what the table's stream
has still to deliver; it loses all connections, the functions' processes, and the log lines. So it may delay a push or a delivery,
and lose none.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asyncjobs.jobtypes.built_in import DELIVERY_TYPE
from tests.proof.crash import tree
from tests.proof.crash.history import FINISHED, JOB
from tests.proof.crash.stage import Stage
from tests.proof.soak.client import Budget, Client, read_logs
from tests.proof.soak.deliveries import End, FailingReceiver, failing_receiver
from tests.proof.soak.disorder import Disorder, Plan
from tests.proof.soak.tally import Ending, Ledger, Numbers, lost_jobs, tally
from tests.proof.soak.watchers import HELD_JOBS, LIVE_JOBS, Watchers, missed
from tests.support.pace import SLOWNESS

JOBS = Path(__file__).with_name("jobs.py")
_PATIENCE = min(300.0 * SLOWNESS, 900)
"""A killed worker's lease lasts up to 68 s and sweeps come every 20 s: after this time every job has ended or is stuck."""
_SILENCE, _LONGEST_WAIT = min(60.0 * SLOWNESS, 180), 900.0
"""Then the watchers, and after them the receiver, get the ends, as long as there is news within this time. The others are missed."""

_SAID = 10
_BACKOFF = {
    "BACKOFF = tuple(timedelta(hours=hours) for hours in (5 / 3600, 5 / 60, 0.5, 2, 5, 10, 14, 16, 24))": (
        "BACKOFF = tuple(timedelta(seconds=seconds) for seconds in (1, 1, 2, 2, 4, 4, 8, 8, 8))"
    )
}
"""The pauses between the tries of a delivery: days, and seconds in the copy."""

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Audience:
    """The watchers of the jobs, and the receiver of their ends."""

    watchers: int = 0
    """Each follows one job at a time, over a connection that ten of them share."""
    cut_every: float = 30
    """For how many seconds a connection lasts, on average."""
    has_receiver: bool = False
    """Whether the ends of all jobs are delivered to a webhook, which fails half of the time."""


NOBODY = Audience()


def run(
    folder: Path,
    *,
    seed: int,
    seconds: float,
    count: int,
    clients: int,
    plan: Plan,
    audience: Audience = NOBODY,
    batch: int = 1,
    until: Collection[str] = (),
    say: Say = lambda _: None,
) -> Numbers:
    """Submit this many jobs or for these seconds, whichever ends first; wait until no job is unfinished, and count.

    On a busy machine, a fault or a watcher's news may need longer: it goes on until each of `until` has happened.
    """
    copy = tree.make(folder / "tree", jobs={"soak": JOBS})
    tree.rewrite(copy / "layers/asyncjobs/asyncjobs/push/delivery.py", _BACKOFF)
    kept = folder / "kept"
    env = {
        "PERSIST_STATE": "1",
        "STATE_DIR": str(kept),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(kept / "s3"),
    }
    # Those for tickets delay no client's.
    requests = clients + 2 * bool(audience.watchers)
    parameters = {"MaxLiveJobsPerOwner": str(LIVE_JOBS), "WorkerBatchSize": str(batch)}
    with (
        Stage(copy, folder / "stage", env=env, seed=seed, requests=requests, parameters=parameters) as stage,
        ExitStack() as followers,
    ):
        chance = random.Random(seed)
        logs = [folder / f"client-{number}.log" for number in range(clients)]
        watchers = _watchers(stage, logs, audience, chance, followers)
        receiver = _receiver(stage, logs, audience, chance, followers)
        if watchers:
            watchers.wait_for_connections(_SILENCE)
        with Disorder(stage, plan, random.Random(chance.random())) as disorder:
            happened = (disorder.happened, watchers.happened) if watchers else (disorder.happened,)
            answers = _submit(
                stage,
                logs,
                seconds=seconds,
                count=count,
                chance=chance,
                watchers=watchers,
                goes_on=lambda: not all(any(counts[name] for counts in happened) for name in until),
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
        ends_missed = _ends_missed(watchers, endings, ledger, say) if watchers else None
        deliveries_missed = _deliveries_missed(receiver, stage, endings, say) if receiver else None
        return tally(
            ledger,
            endings,
            finals={job_id: life.endings() for job_id, life in lives.items()},
            starts=stage.starts(),
            faults=faults,
            broken=[
                *(f"{job_id}: {fault}" for job_id, life in lives.items() for fault in life.faults()),
                *(receiver.broken() if receiver else ()),
            ],
            ends_missed=ends_missed,
            deliveries_missed=deliveries_missed,
        )


def _watchers(
    stage: Stage, logs: list[Path], audience: Audience, chance: random.Random, followers: ExitStack
) -> Watchers | None:
    if not audience.watchers:
        return None
    names = [log.stem for log in logs]
    return followers.enter_context(
        Watchers(
            names,
            sign_in=stage.sign_in,
            watchers=audience.watchers,
            cut_every=audience.cut_every,
            chance=random.Random(chance.random()),
        )
    )


def _receiver(
    stage: Stage, logs: list[Path], audience: Audience, chance: random.Random, followers: ExitStack
) -> FailingReceiver | None:
    """Start the receiver, and create a webhook there for each client."""
    if not audience.has_receiver:
        return None
    receiver = followers.enter_context(failing_receiver(random.Random(chance.random())))
    for log in logs:
        with closing(stage.sign_in(log.stem)) as caller:
            receiver.receiver.secrets.append(caller.create_webhook(receiver.receiver.url))
    return receiver


def _ends_missed(watchers: Watchers, endings: Mapping[str, Ending], ledger: Ledger, say: Say) -> int:
    watchers.calm()
    _wait_while_it_falls(watchers.count_waiting)
    statuses = {job_id: ending.status for job_id, ending in endings.items() if job_id not in ledger.deletions}
    missing = missed(watchers.watches, statuses)
    say(f"watchers {len(watchers.watches)}, at most {watchers.most} at a time: {_listed(watchers.happened)}")
    for watch in missing[:_SAID]:
        say(f"missed by its watcher: {watch}")
    return len(missing)


def _deliveries_missed(receiver: FailingReceiver, stage: Stage, endings: Mapping[str, Ending], say: Say) -> int:
    ends = [End(job_id, ending.seq, ending.status) for job_id, ending in endings.items() if ending.is_finished]
    _wait_while_it_falls(lambda: len(receiver.missed(ends)))
    missing = receiver.missed(ends)
    say(
        f"delivered {receiver.accepted} ends in {receiver.tries.total()} tries, of which the receiver failed {receiver.failures}"
    )
    for end in missing[:_SAID]:
        say(f"never delivered: {end}; its deliveries: {_deliveries_of(stage, end.job_id) or 'none'}")
    return len(missing)


def _wait_while_it_falls(count: Callable[[], int]) -> None:
    """Wait until the number is 0, or has not become less for a while."""
    end = time.monotonic() + _LONGEST_WAIT
    least, until = count(), time.monotonic() + _SILENCE
    while least and time.monotonic() < min(until, end):
        time.sleep(0.5)
        if (found := count()) < least:
            least, until = found, time.monotonic() + _SILENCE


def _deliveries_of(stage: Stage, job_id: str) -> list[str]:
    """Describe the deliveries of the job's events."""
    return [
        f"{item['status']['S']}, attempt {item['attempt']['N']}, error {_error_code(item)}"
        for item in _items(stage)
        if item["jobType"]["S"] == DELIVERY_TYPE.name and json.loads(item["metadata"]["S"]).get("asyncJobId") == job_id
    ]


def _submit(
    stage: Stage,
    logs: list[Path],
    *,
    seconds: float,
    count: int,
    chance: random.Random,
    watchers: Watchers | None,
    goes_on: Callable[[], bool],
) -> Counter[str]:
    stopping, budget = threading.Event(), Budget(count)
    # Most jobs end before anybody watches them.
    followed: dict[str, Any] = {"held": HELD_JOBS, "follow": watchers.add} if watchers else {}
    clients = [
        Client(
            f"client-{number}",
            sign_in=stage.sign_in,
            log=log,
            chance=random.Random(chance.random()),
            budget=budget,
            stopping=stopping,
            **followed,
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
        if item["jobType"]["S"] == DELIVERY_TYPE.name:
            continue
        job_id = item["pk"]["S"].rsplit("#", 1)[1]
        if job_id in deletions and int(item["recordExpiresAt"]["N"]) <= time.time():
            # A deletion that died leaves a record that has expired, whose objects may be deleted.
            continue
        status, attempt, generation = item["status"]["S"], int(item["attempt"]["N"]), item["gen"]["S"]
        result = item["result"]["S"].encode() if "result" in item else None
        location = item["resultLocation"]["S"] if "resultLocation" in item else None
        if location == f"results/{job_id}/{generation}/{attempt}":
            result = s3.get_object(Bucket=stage.outputs.bucket_name, Key=location)["Body"].read()
        found[job_id] = Ending(status, attempt, result, _error_code(item), generation, int(item["seq"]["N"]))
    return found


def _error_code(item: dict[str, Any]) -> str | None:
    return str(json.loads(item["error"]["S"])["code"]) if "error" in item else None


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {times}" for name, times in sorted(counts.items()))

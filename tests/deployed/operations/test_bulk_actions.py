"""An action on many jobs whose function is killed in the middle: another invocation goes on with the same jobs."""

from __future__ import annotations

import os
import signal
import uuid
from datetime import timedelta
from typing import Any

import httpx

from asyncjobs.aws.items import to_item
from asyncjobs.core.clock import utc_now
from asyncjobs.core.job import JobFailure
from local import users
from local.stack import LocalStack, Outputs
from tests.support import processes
from tests.support.deployed import Api, wait_until
from tests.support.factories import new_job

JOBS = 160


def test_action_goes_on_after_its_function_was_killed(api: Api, stack: LocalStack, outputs: Outputs) -> None:
    users.create(outputs, stack.session, "ops", group="operator")
    operator, code = api.caller("ops"), f"BULK_{uuid.uuid4().hex[:8].upper()}"
    ids = store_failed_jobs(stack, outputs, operator.owner, code)
    body = {"action": "delete", "failed": {"jobType": "sample.returns", "code": code}, "expectedCount": JOBS}
    answer = operator.post("/admin/bulk-actions", json=body, headers={"prefer": "respond-async"})
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    action = operator.wait_for(answer.json(), lambda found: found["progress"] > 0)

    killed = pids_of("AdminFunction", outputs.pid)
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    assert operator.job(action)["status"] == "IN_PROGRESS"
    assert killed
    wait_until(lambda: not killed & processes.running().keys(), seconds=10)

    assert operator.wait_for(action)["result"]["outcomes"] == {"DONE": JOBS}
    found, query = list[str](), dict[str, str]()
    while True:
        page = operator.get(f"/admin/bulk-actions/{action['asyncJobId']}", params=query).json()
        found += [each["asyncJobId"] for each in page["outcomes"]]
        if page["nextCursor"] is None:
            break
        query = {"cursor": page["nextCursor"]}
    assert sorted(found) == sorted(ids)
    assert {operator.get(f"/jobs/{each}").status_code for each in ids} == {httpx.codes.NOT_FOUND}


def store_failed_jobs(stack: LocalStack, outputs: Outputs, owner: str, code: str) -> list[str]:
    """Store failed jobs without running them, and return their ids."""
    dynamodb: Any = stack.session.client("dynamodb", endpoint_url=stack.endpoint_url)
    error, now, ids = JobFailure(code=code, message="x", type="Fatal", retryable=False), utc_now(), list[str]()
    for number in range(JOBS):
        ids.append(str(uuid.uuid4()))
        job = new_job(owner=owner, async_job_id=ids[-1], now=now)
        failed = job.failed(now=now + timedelta(milliseconds=number), error=error)
        dynamodb.put_item(TableName=outputs.table_name, Item=to_item(failed))
    return ids


def pids_of(function: str, engine: int) -> set[int]:
    """Return the processes in which this engine runs the function."""
    return {pid for pid, each in processes.running().items() if each.parent == engine and f"-{function}-" in each.command}
